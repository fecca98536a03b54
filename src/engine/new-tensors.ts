import {
  type Checkpoint,
  newTensorNames,
  type TensorChunk,
  type TensorInfo,
  type TensorView,
  tensorFinder,
  type WantedTensor,
} from '../checkpoint/file/index.ts';
import { CheckpointError } from '../errors.ts';
import {
  type EncoderConfig,
  type HeadKind,
  type InitialValues,
  initialValues,
  isOfHead,
  namesOfNew,
  poolsWhenNew,
} from '../model/index.ts';
import { namedWords, normalNumbers } from '../random.ts';

export interface NewTensorOptions {
  /** Of all numbers that are drawn: see namedStream. */
  readonly seed: number;
  /** Whether tensors of the head that the file has in another shape are made anew, too. */
  readonly replacesHead?: boolean;
  /** Whether the whole model is new: the files have nothing of it. */
  readonly isWhole?: boolean;
}

/** What is known of a checkpoint before its weights are matched. */
interface FoundTensors {
  readonly checkpoint: Checkpoint;
  readonly config: EncoderConfig;
  readonly head: HeadKind | undefined;
  readonly find: (canonical: string) => TensorView | undefined;
  /** Why a tensor that is missing is not made: what to do instead. */
  readonly advice: (canonical: string) => string | undefined;
}

/** A checkpoint that has what it lacked, and the names of what was made. */
interface Completed extends Pick<FoundTensors, 'checkpoint' | 'find'> {
  readonly made: readonly string[];
}

/** Makes tensors that a checkpoint lacks. A load is given it, so that whoever only runs models does not bring its code. */
export interface NewTensors {
  /** Whether the pooler is made that a model without a head may have. */
  makesPooler(config: EncoderConfig, head: HeadKind | undefined): boolean;
  /** @param wanted the tensors that the model is made of. Throws CheckpointError. */
  complete(found: FoundTensors, wanted: readonly WantedTensor[]): Completed;
}

/** A new tensor of a file, and what it begins with. */
interface NewTensor {
  readonly info: TensorInfo;
  readonly ownName: string;
  readonly values: InitialValues;
}

/**
 * Makes the head that a checkpoint lacks, or a whole model, with seeded random numbers. A head is whole or missing: where only some of its
 * tensors are missing, none is made, and the load says which one the file lacks.
 */
export const newTensors = ({ seed, replacesHead = false, isWhole = false }: NewTensorOptions): NewTensors => ({
  makesPooler: (config, head) => isWhole && !head && poolsWhenNew(config),
  complete(found, wanted) {
    const { checkpoint, config, head } = found;
    const nameOf = newTensorNames(checkpoint, config, isWhole ? namesOfNew(config, head !== undefined) : undefined);
    const needed = isWhole ? wanted : neededOfHead(found, wanted, replacesHead, canonical => nameOf(canonical).name);
    const tensors = new Map<string, NewTensor>();
    for (const { tensor, shape } of needed) {
      const { name, ownName, blocks } = nameOf(tensor);
      const [rows = 1, ...columns] = shape;
      const whole = [rows * blocks, ...columns];
      const byteLength = 4 * whole.reduce((product, length) => product * length, 1);
      const file = [...checkpoint.tensors.values()][0]?.file ?? 'model.safetensors';
      const info = { name, dtype: 'F32', shape: whole, byteOffset: 0, byteLength, file };
      tensors.set(name, { info, ownName, values: initialValues(config, tensor, whole) });
    }
    const completed = new CompletedCheckpoint(checkpoint, tensors, seed);
    return { checkpoint: completed, find: tensorFinder(completed, config), made: [...tensors.keys()].sort() };
  },
});

/** The tensors of the head that are to be made. */
function neededOfHead(
  { find, advice, config }: FoundTensors,
  wanted: readonly WantedTensor[],
  replacesHead: boolean,
  nameOf: (canonical: string) => string,
): readonly WantedTensor[] {
  const groups = new Map<string, WantedTensor[]>();
  for (const tensor of wanted) {
    if (!isOfHead(tensor.tensor)) continue;
    const group = groupOf(tensor.tensor, nameOf);
    groups.set(group, [...(groups.get(group) ?? []), tensor]);
  }
  return [...groups.values()].flatMap(group => {
    const missing = group.filter(({ tensor }) => !find(tensor));
    if (missing.length === group.length) return missing.some(({ tensor }) => advice(tensor)) ? [] : missing;
    if (missing.length > 0) return [];
    const others = group.filter(({ tensor, shape }) => String(find(tensor)!.shape) !== String(shape));
    if (others.length > 0 && !replacesHead) throw wrongSize(find(others[0]!.tensor)!, others[0]!.shape, config);
    return others;
  });
}

/**
 * The part of a head that a tensor belongs to; a part is whole or missing. The pooler is one, and each head of pre-training. ModernBERT
 * classifies through the dense layer of its masked-LM head, which a checkpoint may have without the classifier.
 */
function groupOf(canonical: string, nameOf: (canonical: string) => string): string {
  const ofMasked = canonical.replace(/^classifier\./, 'cls.predictions.transform.');
  if (canonical !== ofMasked && nameOf(canonical) === nameOf(ofMasked)) return 'shared';
  return /^(pooler|cls\.predictions|lm_predictions|cls\.seq_relationship)\./.exec(canonical)?.[1] ?? 'head';
}

function wrongSize({ name, shape, file }: TensorView, wanted: readonly number[], { labels }: EncoderConfig) {
  return new CheckpointError({
    what: `the checkpoint has a head of another size: "${name}"`,
    actual: `[${shape.join(', ')}]`,
    expected: `[${wanted.join(', ')}], as for ${labels.length} classes`,
    next: 'With ignore_mismatched_sizes: true the head is made anew, to be trained.',
    file,
    tensor: name,
  });
}

/** So many numbers are made at once: some ten milliseconds' work. */
const PIECE = 2 ** 18;

/** The tensors of a checkpoint, and behind them new ones. A new one stands for that of the same name in the files. */
class CompletedCheckpoint implements Checkpoint {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly leftOut: ReadonlyMap<string, string>;
  readonly byteLength: number;
  readonly #files: Checkpoint;
  readonly #made: ReadonlyMap<string, NewTensor>;
  readonly #seed: number;

  constructor(files: Checkpoint, made: ReadonlyMap<string, NewTensor>, seed: number) {
    const infos = [...made.values()].map(({ info }) => info);
    this.#files = files;
    this.#made = made;
    this.#seed = seed;
    this.tensors = new Map([...files.tensors, ...infos.map(info => [info.name, info] as const)]);
    this.leftOut = files.leftOut;
    this.byteLength = infos.reduce((sum, { byteLength }) => sum + byteLength, files.byteLength);
  }

  async *chunks(): AsyncGenerator<TensorChunk> {
    for await (const chunk of this.#files.chunks()) if (!this.#made.has(chunk.tensor.name)) yield chunk;
    for (const made of this.#made.values()) {
      let begin = 0;
      for (const numbers of drawn(made, this.#seed)) {
        yield { tensor: made.info, begin, bytes: new Uint8Array(numbers.buffer) };
        begin += numbers.byteLength;
        // The page has its turn.
        await new Promise(resolve => setTimeout(resolve));
      }
    }
  }

  cancel(): Promise<void> {
    return this.#files.cancel();
  }
}

/** The numbers of a tensor in pieces. */
function* drawn({ info, ownName, values }: NewTensor, seed: number): Generator<Float32Array<ArrayBuffer>> {
  const { shape, byteLength } = info;
  const { draw, zeroRow = -1 } = values;
  const word = namedWords(seed, ownName);
  const random = { word, normal: normalNumbers(word) };
  const length = byteLength / 4;
  const columns = length / shape[0]!;
  for (let first = 0; first < length; first += PIECE) {
    const numbers = new Float32Array(Math.min(PIECE, length - first));
    for (let i = 0; i < numbers.length; i++) numbers[i] = draw(random, first + i);
    // What stands in this row is drawn too, so that the others do not depend on it.
    const zeros = zeroRow * columns - first;
    numbers.fill(0, Math.max(0, zeros), Math.max(0, zeros + columns));
    yield numbers;
  }
}
