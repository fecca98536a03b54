import { padded } from '../../shaders/kernel.ts';
import { type Format, rowElements } from '../../shaders/matrix.ts';
import type { AttentionOp, Graph, LinearOp, Op, Output, TopKOp, Value, VocabularyPoolOp } from './op.ts';
import { isJoined } from './part-layout.ts';
import { bindableRows, keptAs, rowSlice, rowSlices, type Storage, type Weight, weightKey } from './weight.ts';

/** What lowering needs to know of a device and of a load. */
export interface LoweringOptions {
  /** How the weights of linears and the word table are kept. */
  readonly format: Format;
  /** Whether these are kept in textures. */
  readonly texels: boolean;
  /** Bytes of one storage binding. */
  readonly maxBindingBytes: number;
}

/** y[R, K] = x[R, K] as signed bytes with a scale for every 64 of a row (shaders/pack.ts): what a linear with a weight of bytes reads. */
export interface QuantizeOp {
  readonly op: 'quantize';
  readonly x: Value;
  readonly y: Value;
}

/** y[R, S] = x[R, K] weight[from .. from + S, K]^T + bias[from .. from + S]: some outputs of a linear, whose weight is whole. */
export interface LinearSliceOp {
  readonly op: 'linearSlice';
  readonly x: Value;
  readonly weight: Weight;
  readonly bias: Weight | undefined;
  readonly from: number;
  readonly y: Value;
}

/** y[B, first .. first + S] = the pooled logits x[T, S]: see VocabularyPoolOp. Other columns of y are written by other such ops. */
export interface LogitsPoolOp extends Pick<VocabularyPoolOp, 'pooling' | 'logarithms'> {
  readonly op: 'logitsPool';
  readonly x: Value;
  readonly first: number;
  readonly y: Value;
}

/** The ops of a lowered graph: each is one dispatch. */
export type DeviceOp = Exclude<Op, VocabularyPoolOp> | QuantizeOp | LinearSliceOp | LogitsPoolOp;

/**
 * How many columns of the logits [T, V] are there at once where they are pooled: a multiple of the columns that any tiling computes in a
 * workgroup, and so few that they take no more memory than the inner layer of a large encoder.
 */
const LOGIT_COLUMNS = 4096;

/** An output, or a slice of one that is computed in slices: its columns from column `first` on. */
export interface OutputSlice extends Output {
  readonly first: number;
}

/** A graph as a device computes it. Only here has a weight a storage other than plain float32. */
export interface LoweredGraph {
  readonly ops: readonly DeviceOp[];
  readonly outputs: readonly OutputSlice[];
}

/** A part of the columns of a value of the graph, as a value of its own. */
interface ColumnSlice {
  readonly first: number;
  readonly value: Value;
}

/**
 * What a graph means on a device, op by op: the storage of weights; word tables and linears in slices where a binding or a texture is
 * too small for the whole; `quantize` before linears whose weight is kept as bytes.
 */
export function lower(graph: Graph, options: LoweringOptions): LoweredGraph {
  return new Lowering(graph, options).run();
}

class Lowering {
  readonly #graph: Graph;
  readonly #storage: Storage;
  readonly #maxBindingBytes: number;
  readonly #ops: DeviceOp[] = [];
  /** By key: the slices of a table that `embed` and a decoder share are the same objects. */
  readonly #weights = new Map<string, Weight>();
  /** The bytes of a value, made once for all linears that read it. */
  readonly #quantized = new Map<Value, Value>();
  /** Values that are computed in slices. */
  readonly #slices = new Map<Value, readonly ColumnSlice[]>();
  #nextId: number;

  constructor(graph: Graph, { format, texels, maxBindingBytes }: LoweringOptions) {
    this.#graph = graph;
    this.#storage = { format, texels };
    this.#maxBindingBytes = maxBindingBytes;
    this.#nextId = 1 + Math.max(-1, ...graph.ops.flatMap(valuesIn).map(({ id }) => id));
  }

  run(): LoweredGraph {
    for (const op of this.#graph.ops) this.#lower(op);
    const outputs = this.#graph.outputs.flatMap(output =>
      this.#slicesOf(output.value).map(({ first, value }): OutputSlice => ({ ...output, first, value })),
    );
    return { ops: this.#ops, outputs };
  }

  #lower(op: Op): void {
    switch (op.op) {
      case 'embed':
        if (!op.words) this.#ops.push(op);
        else for (const words of this.#storedSlices(op.words)) this.#ops.push({ ...op, words });
        break;
      case 'linear':
        this.#linear(op);
        break;
      case 'topK':
        this.#topK(op);
        break;
      case 'vocabularyPool':
        this.#vocabularyPool(op);
        break;
      case 'attention':
        this.#ops.push({ ...op, bias: this.#bias(op) });
        break;
      default:
        this.#ops.push(op);
    }
  }

  /** One linear, or one for each slice of the weight's rows, which are columns of y. */
  #linear(op: LinearOp): void {
    const x = this.#operand(op.x);
    if (this.#fits(op.weight) || !this.#isSliceable(op)) {
      this.#ops.push({ ...op, x, weight: this.#stored(op.weight) });
      return;
    }
    this.#slices.set(
      op.y,
      this.#storedSlices(op.weight).map(weight => {
        const { first, count } = weight;
        const bias = op.bias && this.#shared(rowSlice(op.bias, first, count));
        const y = this.#newValue({
          ...op.y,
          name: rangeName(op.y, first, count),
          columns: count,
          stride: weight.height,
        });
        this.#ops.push({ ...op, x, weight, bias, y });
        return { first, value: y };
      }),
    );
  }

  /** Some columns of the logits after the other, each pooled before the next ones take their place. */
  #vocabularyPool({ weight, bias, pooling, logarithms, y, ...op }: VocabularyPoolOp): void {
    const x = this.#operand(op.x);
    for (const stored of this.#storedSlices(weight)) {
      const isWhole = stored.count === weight.count;
      const sliceBias = bias && (isWhole ? bias : this.#shared(rowSlice(bias, stored.first, stored.count)));
      for (let from = 0; from < stored.count; from += LOGIT_COLUMNS) {
        const columns = Math.min(LOGIT_COLUMNS, stored.count - from);
        const first = stored.first + from;
        const name = rangeName(y, first, columns);
        const logits = this.#newValue({ name, rows: x.rows, columns, stride: padded(columns) });
        this.#ops.push({ op: 'linearSlice', x, weight: stored, bias: sliceBias, from, y: logits });
        this.#ops.push({ op: 'logitsPool', x: logits, first, pooling, logarithms, y });
      }
    }
  }

  /** Tables of distances are kept in float32, where the kernel reads q, k and v. */
  #bias({ bias }: AttentionOp): AttentionOp['bias'] {
    if (bias?.kind !== 'disentangled') return bias;
    const stored = (table: Weight | undefined) =>
      table && this.#shared(keptAs(table, { format: 'f32', texels: this.#storage.texels }));
    return { ...bias, keys: stored(bias.keys), queries: stored(bias.queries) };
  }

  /** The best of each slice. Whoever reads the output joins them. */
  #topK(op: TopKOp): void {
    const slices = this.#slices.get(op.x);
    if (!slices) {
      this.#ops.push(op);
      return;
    }
    this.#slices.set(
      op.y,
      slices.map(({ first, value: x }) => {
        const k = Math.min(op.k, x.columns);
        const columns = 2 * k + 2;
        const name = rangeName(op.y, first, x.columns);
        const y = this.#newValue({ ...op.y, name, columns, stride: Math.ceil(columns / 4) * 4 });
        this.#ops.push({ ...op, x, k, y });
        return { first, value: y };
      }),
    );
  }

  /** A linear can be computed in slices where its rows are free of padding, and only topK and the outputs read its result. */
  #isSliceable({ weight, residual, y }: LinearOp): boolean {
    const { parts, rowGroup } = weight;
    const readsWhole = (op: Op) => op.op !== 'topK' && valuesIn(op).includes(y) && !('y' in op && op.y === y);
    return (
      (parts.length === 1 || isJoined(weight)) && rowGroup.size === 1 && !residual && !this.#graph.ops.some(readsWhole)
    );
  }

  /** What a linear reads of x: x itself, or its bytes where weights are kept as bytes. */
  #operand(x: Value): Value {
    if (this.#storage.format !== 'i8') return x;
    const earlier = this.#quantized.get(x);
    if (earlier) return earlier;
    const stride = rowElements('i8', x.columns);
    const y = this.#newValue({ ...x, name: `${x.name}.quantized`, columns: stride, stride });
    this.#ops.push({ op: 'quantize', x, y });
    this.#quantized.set(x, y);
    return y;
  }

  #slicesOf(value: Value): readonly ColumnSlice[] {
    return this.#slices.get(value) ?? [{ first: 0, value }];
  }

  #fits(weight: Weight): boolean {
    return weight.count <= bindableRows(this.#stored(weight), this.#maxBindingBytes);
  }

  #stored(weight: Weight): Weight {
    return this.#shared(keptAs(weight, this.#storage));
  }

  /** A weight in its storage, in as few slices of rows as the device can bind. */
  #storedSlices(weight: Weight): Weight[] {
    const stored = this.#stored(weight);
    return rowSlices(stored, bindableRows(stored, this.#maxBindingBytes)).map(slice => this.#shared(slice));
  }

  #shared(weight: Weight): Weight {
    const key = weightKey(weight);
    const earlier = this.#weights.get(key) ?? weight;
    this.#weights.set(key, earlier);
    return earlier;
  }

  #newValue(value: Omit<Value, 'id'>): Value {
    return { ...value, id: this.#nextId++ };
  }
}

const rangeName = ({ name }: Value, first: number, count: number): string => `${name}[${first}..${first + count}]`;

/** All values that stand in the fields of an op, read or written. */
const valuesIn = (op: Op): Value[] => Object.values(op).filter(isValue);

const isValue = (field: unknown): field is Value =>
  typeof field === 'object' && field !== null && 'id' in field && 'stride' in field && 'rows' in field;
