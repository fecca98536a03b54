import type { ModelSource } from '../../checkpoint/source/index.ts';
import type { Engine } from '../../engine/index.ts';
import { CheckpointError } from '../../errors.ts';
import { isRecord } from '../../json.ts';
import { SAVED_DTYPES, type SaveOptions, safetensorsFile, savedBytes, type WrittenTensor } from '../../saving/index.ts';
import { type FileNumbers, tensorsOfFile } from '../tensor-file.ts';
import type { Adapters, FilledTensor } from './adapters.ts';
import { LoraConfig } from './config.ts';

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';

/** The files of a model's adapters, as PEFT writes them. Rejects with DeviceError, or the signal's reason. */
export async function adapterFiles(
  engine: Engine,
  adapters: Adapters,
  { signal, dtype }: SaveOptions,
): Promise<File[]> {
  const { config } = adapters;
  const type = dtype ?? 'float32';
  const written: WrittenTensor[] = [];
  for await (const { tensor, data } of adapters.read(signal)) {
    const { key: name, shape } = tensor;
    written.push({ name, dtype: SAVED_DTYPES[type], shape, bytes: new Blob([savedBytes(data, type, name)]) });
  }
  const base = config.base_model_name_or_path ?? nameOf(engine);
  const json = JSON.stringify({ ...config.toJSON(), base_model_name_or_path: base }, null, 2);
  return [new File([json], CONFIG), safetensorsFile(WEIGHTS, written, { format: 'pt' })];
}

/** Where a model was loaded from; null where that has no name. */
function nameOf(engine: Engine): string | null {
  const name = engine.files(new AbortController().signal)?.root.name;
  return name === undefined || name === 'files' ? null : name;
}

/** An adapter as its files have it. */
export interface AdapterFile {
  readonly config: LoraConfig;
  readonly tensors: ReadonlyMap<string, FileNumbers>;
}

/** Reads the files of adapters. Throws SourceError, CheckpointError, UnsupportedError for what PEFT can do and this library cannot. */
export async function readAdapter(source: ModelSource): Promise<AdapterFile> {
  const [json, tensors] = await Promise.all([source.json(CONFIG, {}), tensorsOfFile(source, WEIGHTS)]);
  return { config: LoraConfig.fromFile(isRecord(json) ? json : {}), tensors };
}

/** The numbers of a file for adapters. Throws CheckpointError where it lacks some, has others, or of other shapes. */
export function filledFrom(file: ReadonlyMap<string, FileNumbers>, { tensors, others }: Adapters): FilledTensor[] {
  const wanted = [...tensors, ...others];
  const fail = (key: string, actual: string | undefined, expected: string) =>
    new CheckpointError({
      what: 'the adapter does not belong to this model',
      actual: actual === undefined ? undefined : `"${key}" is ${actual}`,
      expected,
      next: 'Load it onto the model that it was trained on: base_model_name_or_path of adapter_config.json names it.',
      file: WEIGHTS,
      tensor: key,
    });
  const keys = new Set(wanted.map(({ key }) => key));
  // With bias 'all' PEFT saves the biases of modules_to_save a second and a third time.
  const other = [...file.keys()].find(key => !keys.has(key) && !/\.(modules_to_save|original_module)\./.test(key));
  if (other !== undefined)
    throw fail(other, 'for a linear or a module that this model does not have', `keys such as ${wanted[0]?.key}`);
  return wanted.map(tensor => {
    const found = file.get(tensor.key);
    const expected = `[${tensor.shape.join(', ')}]`;
    if (!found) throw fail(tensor.key, 'not in the file', expected);
    if (String(found.shape) !== String(tensor.shape)) throw fail(tensor.key, `[${found.shape.join(', ')}]`, expected);
    return { tensor, data: found.data };
  });
}
