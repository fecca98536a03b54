import type { Activation } from '../shaders/activation.ts';
import type { Pooling } from '../shaders/pool.ts';
import type { Sequence } from '../src/plan/batch.ts';
import type {
  AttentionOp,
  EmbedOp,
  GatherOp,
  Graph,
  LayerNormOp,
  LinearOp,
  Norm,
  NormalizeOp,
  Op,
  PoolOp,
  TopKOp,
  Value,
} from '../src/plan/op.ts';
import type { Group, Weight } from '../src/plan/weight.ts';
import { erf } from './reference.ts';

/**
 * The second backend: runs a graph on the CPU in float64, one plain loop after the other. It shares no code with the kernels or with
 * the lowering of a graph to them, so it says what a graph means, on any machine.
 *
 * T tokens, B sequences, L tokens of one sequence, C hidden size, H heads, D head size, K inner dimension, N outputs, R rows.
 */

/** A tensor of the checkpoint. `data` is row-major. */
export interface TensorData {
  readonly shape: readonly number[];
  readonly data: Float32Array | Float64Array;
}

/** Gives a tensor by its canonical name, the one that a graph's weights have; throws where there is none. */
export type TensorLookup = (tensor: string) => TensorData;

/** `rows` x `columns` numbers, row-major, without padding of a row. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

export interface Interpretation {
  /** The graph's outputs by name, those of a layer as `name.layer`. Rows of all sequences are packed; attention probabilities are [H, L, L] per sequence. */
  readonly outputs: ReadonlyMap<string, Matrix>;
  /** Every value that the graph computes, in the order of the ops, by the names that `valueNames` gives. */
  readonly values: ReadonlyMap<string, Matrix>;
}

/** Runs every op of the graph on a packed batch of sequences. */
export function interpret(graph: Graph, tensors: TensorLookup, batch: readonly Sequence[]): Interpretation {
  const run = new Run(tensors, batch);
  for (const op of graph.ops) run.compute(op);
  return {
    outputs: new Map(
      graph.outputs.map(({ name, layer, value }) => [layer === undefined ? name : `${name}.${layer}`, run.get(value)]),
    ),
    values: new Map([...valueNames(graph)].map(([value, name]) => [name, run.get(value)])),
  };
}

/**
 * The name of every value that the ops write, in their order. A name that was used before, because layers share their weights
 * (ALBERT), gets a number: `x`, `x#2`, `x#3`.
 */
export function valueNames({ ops }: Graph): Map<Value, string> {
  const uses = new Map<string, number>();
  const names = new Map<Value, string>();
  for (const value of ops.flatMap(writes)) {
    const use = (uses.get(value.name) ?? 0) + 1;
    uses.set(value.name, use);
    names.set(value, use === 1 ? value.name : `${value.name}#${use}`);
  }
  return names;
}

/** The values that an op writes. */
export const writes = (op: Op): Value[] =>
  op.op === 'attention' ? [op.context, ...(op.probabilities ? [op.probabilities] : [])] : [op.y];

/** One run of a graph: the batch, the weights and the values computed so far. */
export class Run {
  readonly #tensors: TensorLookup;
  readonly #batch: readonly Sequence[];
  readonly #values = new Map<Value, Matrix>();
  /** Weights as dense matrices, so that shared layers are read once. */
  readonly #weights = new Map<Weight, Matrix>();

  constructor(tensors: TensorLookup, batch: readonly Sequence[]) {
    this.#tensors = tensors;
    this.#batch = batch;
  }

  get(value: Value): Matrix {
    const matrix = this.#values.get(value);
    if (!matrix) throw new Error(`${value.name} has not been computed`);
    return matrix;
  }

  set(value: Value, matrix: Matrix): void {
    this.#values.set(value, matrix);
  }

  /** Computes what an op writes from what it reads. */
  compute(op: Op): void {
    switch (op.op) {
      case 'embed':
        this.set(op.y, this.#embed(op));
        break;
      case 'linear':
        this.set(op.y, this.#linear(op));
        break;
      case 'attention': {
        const { context, probabilities } = this.#attention(op);
        this.set(op.context, context);
        if (op.probabilities) this.set(op.probabilities, probabilities);
        break;
      }
      case 'layerNorm':
        this.set(op.y, this.#layerNorm(op));
        break;
      case 'normalize':
        this.set(op.y, this.#normalize(op));
        break;
      case 'pool':
        this.set(op.y, this.#pool(op));
        break;
      case 'gather':
        this.set(op.y, this.#gather(op));
        break;
      case 'topK':
        this.set(op.y, this.#topK(op));
        break;
      default:
        op satisfies never;
    }
  }

  /** y[T, C] = LayerNorm(words[id] + positions[position] + types[type] + tasks[0]) */
  #embed({ words, positions, types, tasks, norm, y: { columns: C } }: EmbedOp): Matrix {
    const tokens = this.#batch.flatMap(sequence =>
      Array.from(sequence.ids, (id, i) => ({ id, position: sequence.positions[i]!, type: sequence.types[i]! })),
    );
    const y = zeros(tokens.length, C);
    const add = (t: number, table: Matrix, row: number) => {
      for (let c = 0; c < C; c++) y.data[t * C + c]! += at(table, row, c);
    };
    tokens.forEach(({ id, position, type }, t) => {
      if (id >= words.count) throw new Error(`there is no word ${id}`);
      add(t, this.#weight(words), id);
      if (positions) add(t, this.#weight(positions), position);
      if (types) add(t, this.#weight(types), type);
      if (tasks) add(t, this.#weight(tasks), 0);
    });
    return norm ? this.#normalised(y, norm) : y;
  }

  /** y[R, N] = activation(x[R, K] weight[N, K]^T + bias[N]) + residual[R, N] */
  #linear(op: LinearOp): Matrix {
    const x = this.get(op.x);
    const weight = this.#weight(op.weight);
    const bias = op.bias && this.#weight(op.bias);
    const residual = op.residual && this.get(op.residual);
    const activate = op.activation ? ACTIVATIONS[op.activation] : (v: number) => v;
    const { columns: K, data: inputs } = x;
    // Its rows may end in padding.
    const { columns: stride, data: weights } = weight;
    const N = op.y.columns;
    const y = zeros(x.rows, N);
    for (let r = 0; r < x.rows; r++) {
      for (let n = 0; n < N; n++) {
        let sum = bias ? at(bias, n, 0) : 0;
        // Nearly all of the time is spent here; with `at` it would be several times as long.
        for (let k = 0; k < K; k++) sum += inputs[r * K + k]! * weights[n * stride + k]!;
        y.data[r * N + n] = activate(sum) + (residual ? at(residual, r, n) : 0);
      }
    }
    return y;
  }

  /**
   * context[T, H D] = probabilities v, probabilities[H, L, L] = softmax(q k^T scale + bias) for every sequence and head.
   * q, k and v stand side by side in qkv[T, 3 H D]; in memory a head may take more than its D columns.
   */
  #attention(op: AttentionOp): { context: Matrix; probabilities: Matrix } {
    const { heads: H, headSize: D, scale } = op;
    const qkv = this.get(op.qkv);
    const width = qkv.columns / (3 * H);
    const element = (t: number, which: 0 | 1 | 2, h: number, d: number) => at(qkv, t, (which * H + h) * width + d);
    const context = zeros(qkv.rows, H * width);
    const probabilities: number[] = [];
    let start = 0;
    for (const { ids, places = Array.from(ids, (_, i) => i) } of this.#batch) {
      const L = ids.length;
      for (let h = 0; h < H; h++) {
        for (let i = 0; i < L; i++) {
          const scores: number[] = [];
          for (let j = 0; j < L; j++) {
            let score = 0;
            for (let d = 0; d < D; d++) score += element(start + i, 0, h, d) * element(start + j, 1, h, d);
            scores.push(score * scale + this.#relativeBias(op, places[j]! - places[i]!, h));
          }
          softmax(scores).forEach((p, j) => {
            probabilities.push(p);
            for (let d = 0; d < D; d++) {
              context.data[((start + i) * H + h) * width + d]! += p * element(start + j, 2, h, d);
            }
          });
        }
      }
      start += L;
    }
    const data = Float64Array.from(probabilities);
    return { context, probabilities: { rows: data.length / H, columns: H, data } };
  }

  /** bias[bucket of the distance][h]; the distance is key - query. Distances beyond the first and last bucket count as those. */
  #relativeBias({ relative }: AttentionOp, distance: number, h: number): number {
    if (!relative) return 0;
    const { bias, buckets } = relative;
    const farthest = (buckets.length - 1) / 2;
    const near = Math.max(-farthest, Math.min(farthest, distance));
    return at(this.#weight(bias), buckets[near + farthest]!, h);
  }

  /** y[R, C] = LayerNorm(x[R, C] + residual[R, C]) */
  #layerNorm({ x, residual, norm }: LayerNormOp): Matrix {
    const sum = this.get(x);
    if (!residual) return this.#normalised(sum, norm);
    const other = this.get(residual);
    return this.#normalised({ ...sum, data: sum.data.map((v, i) => v + other.data[i]!) }, norm);
  }

  /** y = (x - mean) / sqrt(variance + eps) gamma + beta, mean and variance of each row */
  #normalised(x: Matrix, { gamma, beta, eps }: Norm): Matrix {
    const { rows: R, columns: C } = x;
    const [scale, shift] = [this.#weight(gamma), this.#weight(beta)];
    const y = zeros(R, C);
    for (let r = 0; r < R; r++) {
      let mean = 0;
      for (let c = 0; c < C; c++) mean += at(x, r, c) / C;
      let variance = 0;
      for (let c = 0; c < C; c++) variance += (at(x, r, c) - mean) ** 2 / C;
      for (let c = 0; c < C; c++) {
        y.data[r * C + c] = ((at(x, r, c) - mean) / Math.sqrt(variance + eps)) * at(scale, c, 0) + at(shift, c, 0);
      }
    }
    return y;
  }

  /** y[R, C] = x[R, C] / max(length of the row, 1e-12) */
  #normalize({ x }: NormalizeOp): Matrix {
    const from = this.get(x);
    const y = zeros(from.rows, from.columns);
    for (let r = 0; r < from.rows; r++) {
      let squares = 0;
      for (let c = 0; c < from.columns; c++) squares += at(from, r, c) ** 2;
      const length = Math.max(1e-12, Math.sqrt(squares));
      for (let c = 0; c < from.columns; c++) y.data[r * from.columns + c] = at(from, r, c) / length;
    }
    return y;
  }

  /** y[B, N] = the first N columns of each pooling of x[T, C], one behind the other, scaled to length 1 where asked for. */
  #pool({ x, poolings, normalize, y: { columns: N } }: PoolOp): Matrix {
    const from = this.get(x);
    const y = zeros(this.#batch.length, N);
    let start = 0;
    this.#batch.forEach(({ ids: { length: L }, unpooled = 0 }, b) => {
      const row = poolings.flatMap(pooling =>
        Array.from({ length: from.columns }, (_, c) => {
          const column = Array.from({ length: L }, (_, i) => at(from, start + i, c));
          return pooled(pooling, column, unpooled);
        }),
      );
      const kept = row.slice(0, N);
      const length = normalize ? Math.max(1e-12, Math.hypot(...kept)) : 1;
      kept.forEach((v, n) => {
        y.data[b * N + n] = v / length;
      });
      start += L;
    });
    return y;
  }

  /** y[masked, C] = the rows of x[T, C] that the sequences name */
  #gather({ x }: GatherOp): Matrix {
    const from = this.get(x);
    const rows: number[][] = [];
    let start = 0;
    for (const { ids, masked = [] } of this.#batch) {
      for (const place of masked) rows.push(Array.from({ length: from.columns }, (_, c) => at(from, start + place, c)));
      start += ids.length;
    }
    return { rows: rows.length, columns: from.columns, data: Float64Array.from(rows.flat()) };
  }

  /** y[R, 2 + 2 k] = (maximum, sum of exp(x - maximum), k pairs of value and index, best first, equals by index) of x[R, N] */
  #topK({ x, k }: TopKOp): Matrix {
    const from = this.get(x);
    const rows = Array.from({ length: from.rows }, (_, r) => {
      const row = Array.from({ length: from.columns }, (_, index) => ({ value: at(from, r, index), index }));
      row.sort((a, b) => b.value - a.value || a.index - b.index);
      const maximum = row[0]!.value;
      const sum = row.reduce((total, { value }) => total + Math.exp(value - maximum), 0);
      return [maximum, sum, ...row.slice(0, k).flatMap(({ value, index }) => [value, index])];
    });
    return { rows: from.rows, columns: 2 + 2 * k, data: Float64Array.from(rows.flat()) };
  }

  /** A weight as its op reads it: tensors one below the other, heads padded with zeros. A vector has one column. */
  #weight(weight: Weight): Matrix {
    const matrix = this.#weights.get(weight) ?? denseWeight(weight, this.#tensors);
    this.#weights.set(weight, matrix);
    return matrix;
  }
}

function denseWeight({ parts, columns, rowGroup, columnGroup, stride, height }: Weight, tensors: TensorLookup): Matrix {
  /** Where row or column i goes when each group of `size` is padded. */
  const place = (i: number, { size, padded }: Group) => Math.floor(i / size) * padded + (i % size);
  const matrix = zeros(height, stride);
  for (const { tensor, shape, rowOffset } of parts) {
    const { data, shape: actual } = tensors(tensor);
    if (String(actual) !== String(shape)) throw new Error(`${tensor} is [${actual}], not [${shape}]`);
    for (let i = 0; i < shape[0]!; i++) {
      const to = (rowOffset + place(i, rowGroup)) * stride;
      for (let c = 0; c < columns; c++) matrix.data[to + place(c, columnGroup)] = data[i * columns + c]!;
    }
  }
  return matrix;
}

const zeros = (rows: number, columns: number): Matrix => ({ rows, columns, data: new Float64Array(rows * columns) });
const at = ({ columns, data }: Matrix, row: number, column: number): number => data[row * columns + column]!;

/** Hendrycks and Gimpel, arXiv 1606.08415: x Phi(x), and its approximation by tanh; the others are torch.nn.functional's. */
const ACTIVATIONS: Readonly<Record<Activation, (x: number) => number>> = {
  gelu: x => (x / 2) * (1 + erf(x / Math.SQRT2)),
  gelu_tanh: x => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  relu: x => Math.max(0, x),
  silu: x => x / (1 + Math.exp(-x)),
  tanh: Math.tanh,
};

function softmax(scores: readonly number[]): number[] {
  const maximum = Math.max(...scores);
  const powers = scores.map(score => Math.exp(score - maximum));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map(power => power / sum);
}

/**
 * One column of a sequence without its first `unpooled` tokens -> one number. A weighted mean counts places from the start of the
 * sequence all the same. Of no tokens cls is the sequence's first, everything else 0.
 */
function pooled(pooling: Pooling, column: readonly number[], unpooled: number): number {
  const tokens = column.slice(unpooled);
  const n = tokens.length;
  if (pooling === 'cls') return n > 0 ? tokens[0]! : column[0]!;
  if (n === 0) return 0;
  const sum = tokens.reduce((a, b) => a + b);
  switch (pooling) {
    case 'mean':
      return sum / n;
    case 'mean_sqrt':
      return sum / Math.sqrt(n);
    case 'max':
      return Math.max(...tokens);
    case 'last':
      return tokens[n - 1]!;
    case 'weighted': {
      let [weighted, weights] = [0, 0];
      tokens.forEach((v, i) => {
        weighted += v * (unpooled + i + 1);
        weights += unpooled + i + 1;
      });
      return weighted / weights;
    }
    default:
      return pooling satisfies never;
  }
}
