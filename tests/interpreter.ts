import type { Activation } from '../shaders/activation.ts';
import type { NormKind } from '../shaders/norm.ts';
import type { Pooling } from '../shaders/pool.ts';
import type {
  AttentionOp,
  DepthwiseOp,
  DynamicConvolutionOp,
  EmbedOp,
  GatherOp,
  Graph,
  JoinOp,
  LinearOp,
  Norm,
  NormalizeOp,
  NormOp,
  Op,
  PoolOp,
  QueryKeyNormOp,
  RotaryOp,
  TopKOp,
  UnfoldOp,
  Value,
  VocabularyPoolOp,
  WeighOp,
} from '../src/plan/op.ts';
import type { Sequence } from '../src/plan/sequence.ts';
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

  /** Gives a weight its numbers, in the place of those of its tensors. */
  setWeight(weight: Weight, matrix: Matrix): void {
    this.#weights.set(weight, matrix);
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
      case 'rotary':
        this.set(op.y, this.#rotary(op));
        break;
      case 'queryKeyNorm':
        this.set(op.y, this.#queryKeyNorm(op));
        break;
      case 'norm':
        this.set(op.y, this.#norm(op));
        break;
      case 'weigh':
        this.set(op.y, this.#weigh(op));
        break;
      case 'normalize':
        this.set(op.y, this.#normalize(op));
        break;
      case 'join':
        this.set(op.y, this.#join(op));
        break;
      case 'unfold':
        this.set(op.y, this.#unfold(op));
        break;
      case 'depthwise':
        this.set(op.y, this.#depthwise(op));
        break;
      case 'dynamicConvolution':
        this.set(op.y, this.#dynamicConvolution(op));
        break;
      case 'pool':
        this.set(op.y, this.#pool(op));
        break;
      case 'vocabularyPool':
        this.set(op.y, this.#vocabularyPool(op));
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

  /** y[T, C] = norm(factor scales[position] (words[id] + positions[position] + types[type] + tasks[0])) */
  #embed(op: EmbedOp): Matrix {
    const { words, positions, types, tasks, scales, factor, dropout, norm } = op;
    const C = op.y.columns;
    const tokens = this.#batch.flatMap(({ ids, positions, types }) => {
      const list = Array.from(ids);
      const dropped = list.filter(id => id === dropout?.token).length / list.length;
      const kept = dropout ? (1 - dropout.share) / (1 - dropped) : 1;
      return list.map((id, i) => ({
        id,
        position: positions[i]!,
        type: types[i]!,
        wordFactor: id === dropout?.token ? 0 : kept,
      }));
    });
    const y = zeros(tokens.length, C);
    tokens.forEach(({ id, position, type, wordFactor }, t) => {
      if (words && id >= words.count) throw new Error(`there is no word ${id}`);
      const scale = factor * (scales ? at(this.weight(scales), position, 0) : 1);
      const add = (table: Matrix, row: number, times = scale) => {
        for (let c = 0; c < C; c++) y.data[t * C + c]! += times * at(table, row, c);
      };
      if (words) add(this.weight(words), id, scale * wordFactor);
      if (positions) add(this.weight(positions), position);
      if (types) add(this.weight(types), type);
      if (tasks) add(this.weight(tasks), 0);
    });
    return norm ? this.#normalised(y, norm) : y;
  }

  /** y[R, N] = activation(x[R, K] weight[N, K]^T + bias[N]) gate[R, N] + residual[R, N] */
  #linear(op: LinearOp): Matrix {
    const x = this.get(op.x);
    const weight = this.weight(op.weight);
    const bias = op.bias && this.weight(op.bias);
    const gate = op.gate && this.get(op.gate);
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
        y.data[r * N + n] = activate(sum) * (gate ? at(gate, r, n) : 1) + (residual ? at(residual, r, n) : 0);
      }
    }
    return y;
  }

  /** Every pair (a, b) of the first d columns of a head of q and k is turned by the angle p f, for the token's position p. */
  #rotary({
    qkv,
    heads,
    keyHeads,
    headSize,
    frequencies,
    stored,
    stretch,
    interleaved,
    turnsValues,
  }: RotaryOp): Matrix {
    const x = this.get(qkv);
    const y: Matrix = { ...x, data: x.data.slice() };
    const width = x.columns / (heads + 2 * keyHeads);
    const turnedHeads = heads + (turnsValues ? 2 : 1) * keyHeads;
    const pairs = frequencies.length;
    if (2 * pairs > headSize) throw new Error('more pairs than a head has columns');
    const table = stored && this.weight(stored.weight);
    /** [cos, sin] of pair i at a position of a sequence whose frequencies are these. */
    const turn = (position: number, i: number, frequency: number): [number, number] => {
      if (table && stored?.kind === 'table') return [at(table, position, pairs + i), at(table, position, i)];
      const angle = position * (table ? at(table, i, 0) : frequency);
      return [Math.cos(angle), Math.sin(angle)];
    };
    const tokens = this.#batch.flatMap(({ positions }) => {
      const length = 1 + Math.max(...Array.from(positions));
      const base =
        stretch && length > stretch.positions
          ? (stretch.factor * length) / stretch.positions - (stretch.factor - 1)
          : 1;
      const stretched = frequencies.map((frequency, i) =>
        i === 0 ? frequency : frequency / base ** (i / (pairs - 1)),
      );
      return Array.from(positions, position => ({ position, stretched }));
    });
    tokens.forEach(({ position, stretched }, t) => {
      for (let h = 0; h < turnedHeads; h++) {
        stretched.forEach((frequency, i) => {
          const first = t * x.columns + h * width + (interleaved ? 2 * i : i);
          const second = first + (interleaved ? 1 : pairs);
          const [a, b] = [x.data[first]!, x.data[second]!];
          const [cos, sin] = turn(position, i, frequency);
          y.data[first] = a * cos - b * sin;
          y.data[second] = b * cos + a * sin;
        });
      }
    });
    return y;
  }

  /** The norm of every head of q and k, or of all heads of q and of k at once; the padding of a head counts for nothing. */
  #queryKeyNorm(op: QueryKeyNormOp): Matrix {
    const { heads, keyHeads, headSize: D, span } = op;
    const x = this.get(op.qkv);
    const y: Matrix = { ...x, data: x.data.slice() };
    const width = x.columns / (heads + 2 * keyHeads);
    for (let t = 0; t < x.rows; t++) {
      for (const [first, count, norm] of [
        [0, heads, op.queryNorm],
        [heads, keyHeads, op.keyNorm],
      ] as const) {
        const groups = span === 'head' ? count : 1;
        const places = Array.from({ length: count * D }, (_, i) => Math.floor(i / D) * width + (i % D));
        const perGroup = places.length / groups;
        for (let g = 0; g < groups; g++) {
          const group = places
            .slice(g * perGroup, (g + 1) * perGroup)
            .map(place => t * x.columns + first * width + place);
          const weights = span === 'head' ? [...Array(D).keys()] : places;
          const row = normalisedRow(
            group.map(place => x.data[place]!),
            norm.kind,
            norm.eps,
          );
          const [gamma, beta] = [this.weight(norm.gamma), norm.beta && this.weight(norm.beta)];
          group.forEach((place, c) => {
            const scale = at(gamma, weights[c]!, 0) + (norm.unitOffset ? 1 : 0);
            y.data[place] = row[c]! * scale + (beta ? at(beta, weights[c]!, 0) : 0);
          });
        }
      }
    }
    return y;
  }

  /**
   * context[T, H D] = probabilities v, probabilities[H, L, L] = softmax(q k^T scale + bias) for every sequence and head, where keys that
   * a query does not see have probability 0; with `asScores` what the softmax is taken of. q, k and v stand side by side in qkv[T, (H + 2 G) D]; in memory a head may take more than
   * its D columns.
   */
  #attention(op: AttentionOp): { context: Matrix; probabilities: Matrix } {
    const { heads: H, keyHeads: G, headSize: D, scale, window = Number.POSITIVE_INFINITY } = op;
    const qkv = this.get(op.qkv);
    const width = qkv.columns / (H + 2 * G);
    const element = (t: number, head: number, d: number) => at(qkv, t, head * width + d);
    const context = zeros(qkv.rows, H * width);
    const probabilities: number[] = [];
    let start = 0;
    for (const { ids, places = Array.from(ids, (_, i) => i), unattended = 0 } of this.#batch) {
      const L = ids.length;
      if (op.probabilities && unattended > 0) throw new Error('probabilities of keys that are not attended to');
      for (let h = 0; h < H; h++) {
        const keyHead = H + Math.floor((h * G) / H);
        for (let i = 0; i < L; i++) {
          const scores: number[] = [];
          for (let j = 0; j < L; j++) {
            const distance = places[j]! - places[i]!;
            let score = 0;
            for (let d = 0; d < D; d++) score += element(start + i, h, d) * element(start + j, keyHead, d);
            const isSeen = Math.abs(distance) <= window && j >= unattended;
            const query = (d: number) => element(start + i, h, d);
            const key = (d: number) => element(start + j, keyHead, d);
            const bias = this.scoreBias(op, { distance, h, query, key });
            scores.push(isSeen ? score * scale + bias : Number.NEGATIVE_INFINITY);
          }
          softmax(scores).forEach((p, j) => {
            probabilities.push(op.asScores ? scores[j]! : p);
            for (let d = 0; d < D; d++) {
              context.data[((start + i) * H + h) * width + d]! += p * element(start + j, keyHead + G, d);
            }
          });
        }
      }
      start += L;
    }
    const data = Float64Array.from(probabilities);
    return { context, probabilities: { rows: data.length / H, columns: H, data } };
  }

  /** The distance is key - query. Distances beyond the first and last bucket count as those. */
  scoreBias(
    { bias, headSize: D, scale }: AttentionOp,
    {
      distance,
      h,
      query,
      key,
    }: { distance: number; h: number; query: (d: number) => number; key: (d: number) => number },
  ): number {
    switch (bias?.kind) {
      case undefined:
        return 0;
      case 'slopes':
        return -bias.slopes[h]! * Math.abs(distance);
      case 'buckets': {
        const farthest = (bias.buckets.length - 1) / 2;
        const near = Math.max(-farthest, Math.min(farthest, distance));
        return at(this.weight(bias.bias), bias.buckets[near + farthest]!, h);
      }
      case 'disentangled': {
        const farthest = (bias.rows.length - 1) / 2;
        const row = bias.rows[Math.max(-farthest, Math.min(farthest, distance)) + farthest]!;
        const head = h * Math.ceil(D / 4);
        const number = (table: Weight, d: number) =>
          at(this.weight(table), head + Math.floor(d / 4), 4 * row + (d % 4));
        let sum = 0;
        for (let d = 0; d < D; d++) {
          if (bias.keys) sum += query(d) * number(bias.keys, d);
          if (bias.queries) sum += key(d) * number(bias.queries, d);
        }
        return sum * scale;
      }
      default:
        return bias satisfies never;
    }
  }

  /** y[R, C] = norm(x[R, C] + residual[R, C]) + addend[R, C] */
  #norm(op: NormOp): Matrix {
    const [x, residual, addend] = [
      this.get(op.x),
      op.residual && this.get(op.residual),
      op.addend && this.get(op.addend),
    ];
    const sum = residual ? { ...x, data: x.data.map((v, i) => v + residual.data[i]!) } : x;
    const y = this.#normalised(sum, op.norm);
    return addend ? { ...y, data: y.data.map((v, i) => v + addend.data[i]!) } : y;
  }

  /** Each row normalised: see Norm. */
  #normalised(x: Matrix, { kind, gamma, beta, unitOffset, eps }: Norm): Matrix {
    const { rows: R, columns: C, data } = x;
    const [scale, shift] = [this.weight(gamma), beta && this.weight(beta)];
    const y = zeros(R, C);
    for (let r = 0; r < R; r++) {
      normalisedRow([...data.subarray(r * C, (r + 1) * C)], kind, eps).forEach((v, c) => {
        y.data[r * C + c] = v * (at(scale, c, 0) + (unitOffset ? 1 : 0)) + (shift ? at(shift, c, 0) : 0);
      });
    }
    return y;
  }

  /** y[R, A + B] = a[R, A] beside b[R, B] */
  #join({ a, b }: JoinOp): Matrix {
    const [left, right] = [this.get(a), this.get(b)];
    const rows = Array.from({ length: left.rows }, (_, r) => [
      ...left.data.subarray(r * left.columns, (r + 1) * left.columns),
      ...right.data.subarray(r * right.columns, (r + 1) * right.columns),
    ]);
    return { rows: left.rows, columns: left.columns + right.columns, data: Float64Array.from(rows.flat()) };
  }

  /**
   * y[T, C width]: the columns of the tokens whose places are near, each between its neighbours; 0 where no token has the place. In the
   * order of rows whole rows stand side by side, the next token's first.
   */
  #unfold({ x, width, order }: UnfoldOp): Matrix {
    const from = this.get(x);
    const y = zeros(from.rows, width * from.columns);
    for (const { t, n, o } of this.#neighbours(width)) {
      for (let c = 0; c < from.columns; c++) {
        const column = order === 'columns' ? c * width + o : (width - 1 - o) * from.columns + c;
        y.data[t * y.columns + column] = at(from, n, c);
      }
    }
    return y;
  }

  /** y[T, C] = the sum over the neighbours of weight[c, o] x[n, c] */
  #depthwise({ x, weight }: DepthwiseOp): Matrix {
    const factors = this.weight(weight);
    return this.#windowSum(this.get(x), weight.columns, (_, c, o) => at(factors, c, o));
  }

  /** y[T, H D] = the sum over the neighbours of softmax(scores[t, h])[o] x[n, h D + d] */
  #dynamicConvolution({ x, scores, heads, width }: DynamicConvolutionOp): Matrix {
    const [from, list] = [this.get(x), this.get(scores)];
    const factors = Array.from({ length: from.rows }, (_, t) =>
      Array.from({ length: heads }, (_, h) =>
        softmax(Array.from({ length: width }, (_, o) => at(list, t, h * width + o))),
      ),
    );
    const columns = from.columns / heads;
    return this.#windowSum(from, width, (t, c, o) => factors[t]![Math.floor(c / columns)]![o]!);
  }

  /** The sum over the tokens whose places are near, each times its factor for the token, column and neighbour. */
  #windowSum(from: Matrix, width: number, factor: (t: number, c: number, o: number) => number): Matrix {
    const y = zeros(from.rows, from.columns);
    for (const { t, n, o } of this.#neighbours(width)) {
      for (let c = 0; c < from.columns; c++) y.data[t * y.columns + c]! += factor(t, c, o) * at(from, n, c);
    }
    return y;
  }

  /**
   * Every token t with every token n of its sequence whose place is o - (width - 1) / 2 after its own. A token is a neighbour whether or not
   * others attend to it, as Python's convolutions read no attention mask.
   */
  *#neighbours(width: number): Iterable<{ t: number; n: number; o: number }> {
    let start = 0;
    for (const { ids, places = Array.from(ids, (_, i) => i) } of this.#batch) {
      for (let i = 0; i < ids.length; i++) {
        for (let o = 0; o < width; o++) {
          const neighbour = places.indexOf(places[i]! + o - (width - 1) / 2);
          if (neighbour >= 0) yield { t: start + i, n: start + neighbour, o };
        }
      }
      start += ids.length;
    }
  }

  /** y[R, C] = sum[R, C] + x[R, C] factors[index] / (the sum of all factors) */
  #weigh({ x, sum, factors, index }: WeighOp): Matrix {
    const [from, before] = [this.get(x), sum && this.get(sum)];
    const all = this.weight(factors);
    let total = 0;
    for (let i = 0; i < factors.count; i++) total += at(all, i, 0);
    const y = zeros(from.rows, from.columns);
    for (let r = 0; r < from.rows; r++) {
      for (let c = 0; c < from.columns; c++) {
        y.data[r * from.columns + c] = (before ? at(before, r, c) : 0) + (at(from, r, c) * at(all, index, 0)) / total;
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

  /** y[B, V] = max or sum over the tokens of a sequence of log(1 + max(0, logit)), with two logarithms of log(1 + that). */
  #vocabularyPool({ x, weight, bias, pooling, logarithms, y: { columns: V } }: VocabularyPoolOp): Matrix {
    const from = this.get(x);
    const [table, shift] = [this.weight(weight), bias && this.weight(bias)];
    const y = zeros(this.#batch.length, V);
    let start = 0;
    this.#batch.forEach(({ ids: { length: L } }, b) => {
      for (let v = 0; v < V; v++) {
        const weights = Array.from({ length: L }, (_, i) => {
          let logit = shift ? at(shift, v, 0) : 0;
          for (let k = 0; k < from.columns; k++) logit += at(from, start + i, k) * at(table, v, k);
          const once = Math.log1p(Math.max(0, logit));
          return logarithms === 2 ? Math.log1p(once) : once;
        });
        y.data[b * V + v] = pooling === 'max' ? Math.max(...weights) : weights.reduce((a, b) => a + b);
      }
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
  weight(weight: Weight): Matrix {
    const matrix = this.#weights.get(weight) ?? denseWeight(weight, this.#tensors);
    this.#weights.set(weight, matrix);
    return matrix;
  }
}

/** A row before gamma and beta: see NormKind. */
function normalisedRow(row: readonly number[], kind: NormKind, eps: number): readonly number[] {
  const mean = (numbers: readonly number[]) => numbers.reduce((sum, v) => sum + v / row.length, 0);
  switch (kind) {
    case 'affine':
      return row;
    case 'rms': {
      const scale = 1 / Math.sqrt(mean(row.map(v => v ** 2)) + eps);
      return row.map(v => v * scale);
    }
    case 'layer': {
      const center = mean(row);
      const scale = 1 / Math.sqrt(mean(row.map(v => (v - center) ** 2)) + eps);
      return row.map(v => (v - center) * scale);
    }
    default:
      return kind satisfies never;
  }
}

/** A weight as its op reads it. */
export function denseWeight(weight: Weight, tensors: TensorLookup): Matrix {
  const { parts, first, rowGroup, columnGroup, stride, height } = weight;
  /** Where row or column i goes when each group of `size` is padded. */
  const place = (i: number, { size, padded }: Group) => Math.floor(i / size) * padded + (i % size);
  const matrix = zeros(height, stride);
  for (const { tensor, shape, count, rowOffset, layout } of parts) {
    const { data, shape: actual } = tensors(tensor);
    if (String(actual) !== String(shape)) throw new Error(`${tensor} is [${actual}], not [${shape}]`);
    const put = (row: number, column: number, value: number) => {
      matrix.data[(rowOffset + place(row, rowGroup)) * stride + place(column, columnGroup)] = value;
    };
    const width = data.length / shape[0]!;
    for (let i = 0; i < shape[0]!; i++) {
      for (let c = 0; c < width; c++) {
        const value = data[i * width + c]!;
        if (!layout) {
          // A slice has some of the rows.
          if (i >= first && i < first + count) put(i - first, c, value);
        } else if (layout.kind === 'matrices') {
          const [, inputs, outputs] = shape as [number, number, number];
          put(i * outputs + (c % outputs), i * inputs + Math.floor(c / outputs), value);
        } else if (layout.kind === 'blocks') put(i, c + width * Math.floor((i * layout.blocks) / shape[0]!), value);
        else if (layout.transposed) put(c, layout.first + i, value);
        else put(i, layout.first + c, value);
      }
    }
  }
  return matrix;
}

export const zeros = (rows: number, columns: number): Matrix => ({
  rows,
  columns,
  data: new Float64Array(rows * columns),
});
export const at = ({ columns, data }: Matrix, row: number, column: number): number => data[row * columns + column]!;

/** Hendrycks and Gimpel, arXiv 1606.08415: x Phi(x), and its approximation by tanh; the others are torch.nn.functional's. */
export const ACTIVATIONS: Readonly<Record<Activation, (x: number) => number>> = {
  gelu: x => (x / 2) * (1 + erf(x / Math.SQRT2)),
  gelu_tanh: x => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  relu: x => Math.max(0, x),
  silu: x => x / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  elu: x => (x > 0 ? x : Math.expm1(x)),
  hardshrink: x => (Math.abs(x) > 0.5 ? x : 0),
  hardsigmoid: x => Math.min(6, Math.max(0, x + 3)) / 6,
  hardswish: x => (x * Math.min(6, Math.max(0, x + 3))) / 6,
  hardtanh: x => Math.min(1, Math.max(-1, x)),
  leaky_relu: x => (x > 0 ? x : 0.01 * x),
  logsigmoid: x => Math.min(0, x) - Math.log1p(Math.exp(-Math.abs(x))),
  mish: x => x * Math.tanh(Math.max(0, x) + Math.log1p(Math.exp(-Math.abs(x)))),
  relu6: x => Math.min(6, Math.max(0, x)),
  // The mean of the slopes 1/8 and 1/3.
  rrelu: x => (x > 0 ? x : (x * (1 / 8 + 1 / 3)) / 2),
  selu: x => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x)),
  sigmoid: x => 1 / (1 + Math.exp(-x)),
  softplus: x => Math.max(0, x) + Math.log1p(Math.exp(-Math.abs(x))),
  softshrink: x => (x > 0.5 ? x - 0.5 : x < -0.5 ? x + 0.5 : 0),
  softsign: x => x / (1 + Math.abs(x)),
  tanhshrink: x => x - Math.tanh(x),
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
