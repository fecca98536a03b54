import {
  fileRow,
  matchTensors,
  openCheckpoint,
  type TensorDtype,
  type TensorView,
  tensorFinder,
  toFloats,
  UpdateMerger,
  ViewCutter,
  viewBytes,
} from '../src/checkpoint/file/index.ts';
import type { ModelSource } from '../src/checkpoint/source/index.ts';
import { encoderConfig, type ModuleFile, staticFinder } from '../src/engine/index.ts';
import { type EncoderConfig, hasPooler, preparationsOf, withTask } from '../src/model/index.ts';
import { interpret, type TensorData, type TensorLookup } from './interpreter.ts';

/** A checkpoint whose weights are in the memory of the CPU. */
export interface LoadedCheckpoint {
  readonly config: EncoderConfig;
  readonly hasPooler: boolean;
  readonly tensors: (canonical: string) => TensorInFile;
}

/** A tensor, and what its file calls it; one that is computed of others has its canonical name. */
export interface TensorInFile extends TensorData {
  readonly name: string;
  /** The row of the file's tensor that a row of it is: it may be a part. */
  readonly fileRow: (row: number) => number;
}

/**
 * Reads config.json and the weights through the library's own reader and names, so that these are checked too. `files` are the
 * weights of sentence-transformers' modules; `isListed`: whether modules.json says that the model is static; `task`: the task whose
 * updates are merged into the weights.
 */
export async function loadCheckpoint(
  source: ModelSource,
  files: readonly ModuleFile[] = [],
  isListed?: Promise<boolean>,
  task?: string,
): Promise<LoadedCheckpoint> {
  const config = withTask(await encoderConfig(source, openCheckpoint(source), isListed), task);
  const encoder = await readTensors(source, config);
  const modules = await Promise.all(
    files.map(async ({ from, file }) => ({ prefix: `${from}.`, find: await readTensors(source, config, [file]) })),
  );
  const ofFiles = (name: string): TensorInFile => {
    const module = modules.find(({ prefix }) => name.startsWith(prefix));
    const tensor = module ? module.find(name.slice(module.prefix.length)) : encoder(name);
    if (!tensor) throw new Error(`the checkpoint lacks ${name}`);
    return tensor;
  };
  const prepared = preparedTensors(config, ofFiles);
  return { config, hasPooler: hasPooler(config, encoder), tensors: name => prepared.get(name) ?? ofFiles(name) };
}

/** The tensors that a model computes of its weights, in float64: what src/engine/prepare.ts computes on a device. */
export function preparedTensors(config: EncoderConfig, lookup: TensorLookup): Map<string, TensorInFile> {
  const prepared = new Map<string, TensorInFile>();
  for (const { graph, ids, tensors } of preparationsOf(config)) {
    const { outputs } = interpret(graph, lookup, [{ ids, positions: ids, types: ids.map(() => 0) }]);
    for (const { tensor, shape, output, first } of tensors) {
      const { columns, data: rows } = outputs.get(output)!;
      const [groups, count] = shape;
      const data = Float64Array.from({ length: groups * count }, (_, i) => {
        const [group, column] = [Math.floor(i / count), i % count];
        return rows[Math.floor(column / 4) * columns + first + 4 * group + (column % 4)]!;
      });
      prepared.set(tensor, { name: tensor, shape, data, fileRow: row => row });
    }
  }
  return prepared;
}

/** The tensors of model.safetensors, or of other files, by canonical name. */
async function readTensors(
  source: ModelSource,
  config: EncoderConfig,
  files?: readonly string[],
): Promise<(canonical: string) => TensorInFile | undefined> {
  const checkpoint = await openCheckpoint(source, files && { files });
  const bytes = new Map<string, Uint8Array<ArrayBuffer>>();
  for await (const { tensor, begin, bytes: piece } of checkpoint.chunks()) {
    const whole = bytes.get(tensor.name) ?? new Uint8Array(tensor.byteLength);
    whole.set(piece, begin);
    bytes.set(tensor.name, whole);
  }
  const inModule = (name: string) => checkpoint.tensors.get(name);
  const encoderFinder = config.static ? staticFinder(checkpoint) : tensorFinder(checkpoint, config);
  const find = files ? inModule : encoderFinder;
  return canonical => {
    const info: TensorView | undefined = find(canonical);
    if (!info) return undefined;
    matchTensors([{ tensor: canonical, shape: info.shape }], find);
    const tensor = checkpoint.tensors.get(info.name)!;
    const view = new Uint8Array(viewBytes(info, tensor));
    const chunk = { begin: 0, bytes: bytes.get(info.name)! };
    for (const piece of new ViewCutter(info, tensor).cut(chunk)) view.set(piece.bytes, piece.begin);
    const merger = new UpdateMerger([info]);
    for (const factor of info.update ? [info.update.left, info.update.right] : []) {
      merger.add(factor.name, 0, bytes.get(factor.name)!);
    }
    const piece = { stored: info.dtype as TensorDtype, begin: 0, bytes: view };
    const { stored, bytes: merged } = merger.merged(canonical, info, piece)!;
    return {
      name: info.name,
      shape: info.shape,
      data: toFloats(merged.buffer, stored),
      fileRow: row => fileRow(info, row),
    };
  };
}
