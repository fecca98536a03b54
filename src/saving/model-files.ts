import { fileRow, openCheckpoint, type TensorDtype, type TensorView, toFloats } from '../checkpoint/file/index.ts';
import { inside, type ModelSource } from '../checkpoint/source/index.ts';
import type { Engine, FileTensor, TensorReader, UnusedTensor } from '../engine/index.ts';
import { UnsupportedError } from '../errors.ts';
import { isText } from '../json.ts';
import { familyPart, headOf, MODEL_TYPE_OF_CLASSES } from '../model/index.ts';
import { changedMembers, withMembers } from './config-text.ts';
import { copiedFiles } from './found-files.ts';
import { SAVED_DTYPES, type SavedDtype, type SaveOptions, savedDtype } from './options.ts';
import { safetensorsFile, savedBytes, type WrittenTensor } from './safetensors.ts';

const CONFIG = 'config.json';
const WEIGHTS = 'model.safetensors';
/** Types whose numbers are saved in the type that is asked for. */
const FLOATS: readonly string[] = ['F32', 'F16', 'BF16'] satisfies TensorDtype[];

export interface ModelFilesOptions extends SaveOptions {
  /** The folder of the encoder's files; '' for the top folder. */
  readonly folder?: string;
  /** Whether the weights of the modules of sentence-transformers are saved too. Default: false. */
  readonly withModules?: boolean;
}

/** A file of weights that is to be written. */
interface WeightFile {
  readonly name: string;
  readonly folder: FileTensor['folder'];
  /** The files that it stands for; undefined: model.safetensors, or all of its index. */
  readonly from: readonly string[] | undefined;
  readonly tensors: readonly FileTensor[];
  readonly unused: readonly UnusedTensor[];
}

/** What one saving works with. */
interface Saving {
  readonly engine: Engine;
  readonly reader: TensorReader;
  readonly dtype: SavedDtype;
  readonly signal: AbortSignal;
}

/**
 * config.json and the weights of a model, as they are now. Numbers come from the device, where it has them; tensors that the model does not
 * compute with come from its files, as they were. Throws UnsupportedError where weights are rounded, InputError where a number does not fit
 * into the type, DeviceError, SourceError, CheckpointError, or the signal's reason.
 */
export async function modelFiles(
  engine: Engine,
  { folder = '', withModules = false, ...options }: ModelFilesOptions = {},
): Promise<File[]> {
  const dtype = savedDtype(options, engine.format);
  const { signal = new AbortController().signal } = options;
  return engine.readWeights(async reader => {
    const saving: Saving = { engine, reader, dtype, signal };
    const files: File[] = [];
    for (const file of await configFile(saving)) files.push(new File([file], inside(folder, CONFIG)));
    for (const file of weightFiles(engine)) {
      const isEncoder = file.folder === 'encoder';
      if (isEncoder || withModules)
        files.push(await weightFile(saving, file, isEncoder ? inside(folder, WEIGHTS) : file.name));
    }
    return files;
  }, options.signal);
}

/** The files of weights: one for the encoder, however many it has been in, and one for each module that has its own. */
function weightFiles({ tensors, unused }: Engine): WeightFile[] {
  const names = new Set(tensors.filter(({ folder }) => folder === 'root').map(({ info }) => info.file));
  const of =
    (folder: FileTensor['folder'], name?: string) =>
    (tensor: UnusedTensor): boolean =>
      tensor.folder === folder && (name === undefined || tensor.info.file === name);
  const file = (folder: FileTensor['folder'], name?: string): WeightFile => ({
    name: name ?? WEIGHTS,
    folder,
    from: name === undefined ? undefined : [name],
    tensors: tensors.filter(of(folder, name)),
    unused: unused.filter(of(folder, name)),
  });
  return [file('encoder'), ...[...names].map(name => file('root', name))];
}

async function weightFile(saving: Saving, file: WeightFile, name: string): Promise<File> {
  const { engine, dtype } = saving;
  const written: WrittenTensor[] = [];
  /** Those whose numbers the device has not. */
  const missing = file.unused.map(({ info }) => info).filter(({ dtype }) => FLOATS.includes(dtype) || dtype === 'F64');
  for (const tensor of file.tensors) {
    const { info } = tensor;
    const bytes = await presentBytes(saving, tensor);
    if (bytes) written.push({ name: info.name, dtype: SAVED_DTYPES[dtype], shape: info.shape, bytes });
    else missing.push(info);
  }
  if (missing.length > 0) {
    const copies = await bytesOfFiles(saving, file, new Set(missing.map(({ name }) => name)));
    for (const { name, dtype: own, shape } of missing) {
      const type = FLOATS.includes(own) ? SAVED_DTYPES[dtype] : own;
      written.push({ name, dtype: type, shape, bytes: new Blob(copies.get(name)) });
    }
  }
  const names = new Set(written.map(({ name }) => name));
  const leftOut = [...engine.leftOut].filter(([name, other]) => !names.has(name) && names.has(other));
  return safetensorsFile(name, written, {
    format: 'pt',
    ...(file.folder === 'encoder' && Object.fromEntries(leftOut)),
  });
}

/** The bytes of a tensor as it is now; undefined where only the files have its numbers. */
async function presentBytes(saving: Saving, { info, views, isOnHost }: FileTensor): Promise<Blob | undefined> {
  const { engine, reader, dtype } = saving;
  if (!FLOATS.includes(info.dtype)) return undefined;
  if (isOnHost) {
    const [canonical] = views.keys();
    const numbers = engine.host.get(canonical!) as Float32Array<ArrayBuffer> | undefined;
    return numbers && new Blob([savedBytes(numbers, dtype, info.name)]);
  }
  const merged = [...views.values()].find(({ update }) => update);
  if (merged && engine.isTrained) throw trainedTask(info.name);
  // The file has the matrix and what tasks add to it, the device their sum.
  if (merged) return undefined;
  const present = [...views].filter(([canonical]) => reader.has(canonical));
  const whole = present.find(([, view]) => !view.rows);
  if (whole) {
    const pieces: Blob[] = [];
    for await (const piece of reader.read(whole[0])) pieces.push(new Blob([savedBytes(piece, dtype, info.name)]));
    return new Blob(pieces);
  }
  const rows = present.reduce((sum, [, { shape }]) => sum + shape[0]!, 0);
  if (rows !== info.shape[0]) return undefined;
  return new Blob([savedBytes(await joinedRows(reader, info.shape, present), dtype, info.name)]);
}

/** The numbers of a tensor that is in parts of some rows each. */
async function joinedRows(
  reader: TensorReader,
  shape: readonly number[],
  parts: readonly (readonly [string, TensorView])[],
): Promise<Float32Array<ArrayBuffer>> {
  const columns = shape.slice(1).reduce((a, b) => a * b, 1);
  const tensor = new Float32Array(shape[0]! * columns);
  for (const [canonical, view] of parts) {
    let at = 0;
    for await (const piece of reader.read(canonical)) {
      for (let i = 0; i < piece.length; ) {
        const column = at % columns;
        const count = Math.min(columns - column, piece.length - i);
        tensor.set(piece.subarray(i, i + count), fileRow(view, Math.floor(at / columns)) * columns + column);
        i += count;
        at += count;
      }
    }
  }
  return tensor;
}

/** The bytes of tensors of the files that the model was loaded from: numbers in the type that is asked for, all else as it is. */
async function bytesOfFiles(
  { engine, dtype, signal }: Saving,
  { folder, from }: WeightFile,
  names: ReadonlySet<string>,
): Promise<Map<string, Blob[]>> {
  const copies = new Map([...names].map(name => [name, [] as Blob[]]));
  const checkpoint = await openCheckpoint(sourceOf(engine, folder, signal), { signal, ...(from && { files: from }) });
  let missing = [...names].reduce((sum, name) => sum + (checkpoint.tensors.get(name)?.byteLength ?? 0), 0);
  for await (const { tensor, bytes } of checkpoint.chunks()) {
    const parts = copies.get(tensor.name);
    if (!parts) continue;
    const copy = bytes.slice();
    const isFloat = FLOATS.includes(tensor.dtype) && tensor.dtype !== SAVED_DTYPES[dtype];
    parts.push(
      new Blob([isFloat ? savedBytes(toFloats(copy.buffer, tensor.dtype as TensorDtype), dtype, tensor.name) : copy]),
    );
    missing -= bytes.length;
    // Whatever else the file has need not be read.
    if (missing === 0) break;
  }
  await checkpoint.cancel();
  return copies;
}

/**
 * config.json with the type of the weights, the class, and what else of it has changed. A static model may have no such file, and one that
 * was made of a configuration gets its first.
 */
async function configFile({ engine, dtype, signal }: Saving): Promise<Blob[]> {
  const { raw, static: table } = engine.config;
  const source = engine.files(signal) && sourceOf(engine, 'encoder', signal);
  const [file] = source ? await copiedFiles(source, [CONFIG], true) : [];
  if (!file && table) return [];
  const text = file ? await file.text() : JSON.stringify(raw, null, 2);
  const type = 'dtype' in raw ? 'dtype' : 'torch_dtype';
  const now = { ...raw, ...(!table && { ...classOf(engine), [type]: dtype }) };
  return [new Blob([withMembers(text, changedMembers(JSON.parse(text), now))])];
}

/** Heads of which a class for pre-training has all. */
const PRE_TRAINED: readonly string[] = ['MaskedLM', 'NextSentencePrediction', 'PreTraining'];

/** `architectures` of config.json, where the classes that are there have not the head of the model: a new one, say. */
function classOf({ config, head }: Engine): { architectures?: readonly string[] } {
  const { raw, modelType } = config;
  const classes = Array.isArray(raw.architectures) ? raw.architectures.filter(isText) : [];
  const kind = head && headOf(config, head);
  const hasHead = (name: string) =>
    name.endsWith(`For${kind}`) ||
    (PRE_TRAINED.includes(String(kind)) && /(ForPreTraining|ForMaskedLM|LMHeadModel)$/.test(name));
  if (kind === undefined || classes.some(hasHead)) return {};
  const [known] = Object.entries(MODEL_TYPE_OF_CLASSES).find(([, type]) => type === modelType) ?? [];
  const family = classes[0] === undefined ? known : familyPart(classes[0]);
  return family === undefined ? {} : { architectures: [`${family}For${kind}`] };
}

function sourceOf(engine: Engine, folder: FileTensor['folder'], signal: AbortSignal): ModelSource {
  const files = engine.files(signal);
  if (!files) throw new Error('a model whose files cannot be opened again');
  return folder === 'encoder' ? (files.encoder ?? files.root) : files.root;
}

const trainedTask = (tensor: string): UnsupportedError =>
  new UnsupportedError({
    what: 'this model cannot be saved after training, because the weights of its task are merged',
    actual: `"${tensor}" is the sum of a matrix and of what the task adds to it`,
    expected: 'a model loaded without default_task',
    supported: ['a model loaded without default_task'],
    next: 'Load it without default_task, and train that.',
  });
