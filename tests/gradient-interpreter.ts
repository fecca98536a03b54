import type { AttendOp, DistancesBackwardOp, DistanceTerms } from '../src/gradients/attention-op.ts';
import type { Dropout } from '../src/gradients/dropout.ts';
import {
  IGNORED,
  type LabelledSequence,
  type LossScales,
  type TrainingGraph,
  type TrainingOp,
} from '../src/gradients/index.ts';
import type { LossOp, RecordLossOp } from '../src/gradients/loss-op.ts';
import type {
  DynamicConvolutionBackwardOp,
  EmbedBackwardOp,
  GradientOp,
  QueryKeyNormBackwardOp,
} from '../src/gradients/op.ts';
import { matrix, type Norm, type Op, type ScoreBias, type Value, type Weight } from '../src/plan/index.ts';
import { activationOf } from './gradient-reference-rows.ts';
import { at, type Matrix, Run, type TensorLookup, zeros } from './interpreter.ts';

/**
 * The interpreter of training steps: the forward ops by the interpreter, the backward ops by one plain loop each, all in float64. It shares
 * no code with kernels or their lowering, so it says what a training graph means.
 */

/** What a number is multiplied by at a place of dropout: 0, or 1 / (1 - probability). */
export type DropoutFactor = (dropout: Dropout, place: DropoutPlace) => number;
/** A number of a row, or the probability of a query and a key of a head. */
export type DropoutPlace =
  | { readonly sequence: number; readonly row: number; readonly column: number }
  | { readonly sequence: number; readonly head: number; readonly query: number; readonly key: number };

export interface TrainingOptions {
  readonly tensors: TensorLookup;
  readonly batch: readonly LabelledSequence[];
  readonly scales: LossScales;
  /** Needed where the graph has dropout. */
  readonly factor?: DropoutFactor;
  /** Gradients are added to these. Default: none. */
  readonly gradients?: Map<Weight, Matrix>;
}

export interface TrainingResult {
  readonly loss: number;
  readonly gradients: Map<Weight, Matrix>;
  readonly get: (value: Value) => Matrix;
}

/** Runs a whole step, but the update, on a packed batch. */
export function interpretTraining(graph: TrainingGraph, options: TrainingOptions): TrainingResult {
  const run = new TrainingRun(options);
  for (const op of graph.ops) run.compute(op);
  const sum = (value: Value) => run.get(value).data.reduce((a, b) => a + b, 0);
  return {
    loss: graph.losses.reduce((total, value) => total + sum(value), 0),
    gradients: run.gradients,
    get: value => run.get(value),
  };
}

/** One sequence of the batch: its number, its first token in the pass, and how many it has. */
interface Extent {
  readonly b: number;
  readonly start: number;
  readonly length: number;
}

export class TrainingRun {
  readonly gradients: Map<Weight, Matrix>;
  readonly #options: TrainingOptions;
  readonly #forward: Run;
  readonly #extents: readonly Extent[];
  /** Of every attention: for each sequence and head the probabilities [L, L]. */
  readonly #probabilities = new Map<Value, readonly Matrix[][]>();

  constructor(options: TrainingOptions) {
    this.#options = options;
    this.gradients = options.gradients ?? new Map();
    this.#forward = new Run(options.tensors, options.batch);
    let start = 0;
    this.#extents = options.batch.map(({ ids: { length } }, b) => {
      start += length;
      return { b, start: start - length, length };
    });
  }

  get(value: Value): Matrix {
    return this.#forward.get(value);
  }

  /** For ops that are not of a graph: see lowered-vocabulary.ts. */
  set(value: Value, matrix: Matrix): void {
    this.#set(value, matrix);
  }

  weight(weight: Weight): Matrix {
    return this.#forward.weight(weight);
  }

  compute(op: TrainingOp): void {
    switch (op.op) {
      case 'dropout':
        this.#set(op.y, this.#dropout(op.x, op.dropout, op.residual));
        return;
      case 'activate': {
        const gate = op.gate && this.get(op.gate).data;
        const { act } = activationOf(op.activation);
        this.#map(op.y, this.get(op.u), (u, i) => act(u) * (gate?.[i] ?? 1));
        return;
      }
      case 'activateBackward': {
        const { u, dy, du, dgate } = op;
        const { act, slope } = activationOf(op.activation);
        const [gate, gradient] = [op.gate && this.get(op.gate).data, this.get(dy).data];
        this.#map(du, this.get(u), (u, i) => gradient[i]! * (gate?.[i] ?? 1) * slope(u));
        if (dgate) this.#map(dgate, this.get(u), (u, i) => gradient[i]! * act(u));
        return;
      }
      case 'attend':
        this.#attend(op);
        return;
      case 'attentionDelta': {
        const [context, dcontext] = [this.get(op.context), this.get(op.dcontext)];
        const delta = zeros(context.rows, op.heads);
        const width = context.columns / op.heads;
        for (let i = 0; i < context.data.length; i++) {
          const [row, column] = [Math.floor(i / context.columns), i % context.columns];
          delta.data[row * op.heads + Math.floor(column / width)]! += context.data[i]! * dcontext.data[i]!;
        }
        this.#set(op.delta, delta);
        return;
      }
      case 'attentionBackward':
        // The two parts write one value; here both are computed at once.
        if (op.part === 'queries') this.#set(op.dqkv, this.#attentionBackward(op.forward, op.dcontext));
        return;
      case 'biasBackward':
        this.#biasBackward(op.forward, op.dcontext, op.gradient);
        return;
      case 'tableRows': {
        // Without the padding of its rows.
        const table = this.#forward.weight(op.table);
        const y = zeros(op.table.count, op.y.columns);
        this.#set(op.y, { ...y, data: y.data.map((_, i) => at(table, Math.floor(i / y.columns), i % y.columns)) });
        return;
      }
      case 'tableRowsBackward': {
        const [dy, gradient] = [this.get(op.dy), this.#gradient(op.gradient)];
        for (const r of range(dy.rows)) {
          for (const c of range(dy.columns)) gradient.data[r * gradient.columns + c]! += at(dy, r, c);
        }
        return;
      }
      // The order in which a device keeps it is none of a matrix.
      case 'distanceTable':
        this.#set(op.y, this.get(op.x));
        return;
      case 'distancesBackward':
        this.#distancesBackward(op);
        return;
      case 'add': {
        const b = this.get(op.b).data;
        this.#map(op.y, this.get(op.a), (a, i) => a + b[i]!);
        return;
      }
      case 'scale':
        this.#map(op.y, this.get(op.x), x => op.factor * x);
        return;
      case 'columns': {
        const x = this.get(op.x);
        const y = zeros(x.rows, op.y.columns);
        y.data.forEach((_, i) => {
          y.data[i] = at(x, Math.floor(i / y.columns), op.first + (i % y.columns));
        });
        this.#set(op.y, y);
        return;
      }
      case 'columnsBackward': {
        const { dy: value, first, residual, dx } = op;
        const dy = this.get(value);
        const y = zeros(dy.rows, dx.columns);
        for (const r of range(dy.rows)) y.data.set(row(dy, r), r * dx.columns + first);
        const other = residual && this.get(residual).data;
        this.#map(dx, y, (v, i) => v + (other?.[i] ?? 0));
        return;
      }
      case 'linearInput': {
        const [dy, weight] = [this.get(op.dy), this.#forward.weight(op.weight)];
        const dx = zeros(dy.rows, op.dx.columns);
        const residual = op.residual && this.get(op.residual).data;
        // The loops of linears take most of a step's time; with `at` it would be several times as long.
        const { columns: K, data: to } = dx;
        const { columns: stride, data: weights } = weight;
        for (let r = 0; r < dy.rows; r++) {
          for (let n = 0; n < dy.columns; n++) {
            const factor = at(dy, r, n);
            for (let k = 0; k < K; k++) to[r * K + k]! += factor * weights[n * stride + k]!;
          }
        }
        if (residual) for (let i = 0; i < residual.length; i++) dx.data[i]! += residual[i]!;
        this.#set(op.dx, dx);
        return;
      }
      case 'linearWeight': {
        const [dy, x] = [this.get(op.dy), this.get(op.x)];
        const gradient = op.gradient && this.#gradient(op.gradient);
        const bias = op.biasGradient && this.#gradient(op.biasGradient);
        for (let r = 0; r < dy.rows; r++) {
          for (let n = 0; n < dy.columns; n++) {
            const factor = at(dy, r, n);
            if (bias) bias.data[n]! += factor;
            if (!gradient) continue;
            const [from, to] = [r * x.columns, n * gradient.columns];
            for (let k = 0; k < x.columns; k++) gradient.data[to + k]! += factor * x.data[from + k]!;
          }
        }
        return;
      }
      case 'normBackward': {
        const { x, residual, norm, dy, dx, gammaGradient, betaGradient } = op;
        const sum = this.get(x);
        const other = residual && this.get(residual).data;
        const inputs = other ? { ...sum, data: sum.data.map((v, i) => v + other[i]!) } : sum;
        const result = this.#normBackward(inputs, norm, this.get(dy), gammaGradient, betaGradient);
        if (dx) this.#set(dx, result);
        return;
      }
      case 'embedBackward':
        this.#embedBackward(op);
        return;
      case 'rotaryBackward':
        this.#rotaryBackward(op);
        return;
      case 'queryKeyNormBackward':
        this.#queryKeyNormBackward(op);
        return;
      case 'normalizeBackward': {
        const [x, dy] = [this.get(op.x), this.get(op.dy)];
        const dx = zeros(x.rows, x.columns);
        for (const r of range(x.rows)) {
          const length = Math.max(1e-12, Math.hypot(...row(x, r)));
          const product = row(x, r).reduce((total, v, c) => total + (v / length) * at(dy, r, c), 0);
          for (const c of range(x.columns)) {
            dx.data[r * x.columns + c] = (at(dy, r, c) - (at(x, r, c) / length) * product) / length;
          }
        }
        this.#set(op.dx, dx);
        return;
      }
      case 'poolBackward':
        this.#set(op.dx, this.#poolBackward(op));
        return;
      case 'gatherBackward': {
        const dy = this.get(op.dy);
        const dx = zeros(this.#tokens, dy.columns);
        let picked = 0;
        for (const { b, start } of this.#extents) {
          for (const place of this.#options.batch[b]!.masked ?? []) {
            dx.data.set(row(dy, picked++), (start + place) * dy.columns);
          }
        }
        this.#set(op.dx, dx);
        return;
      }
      case 'unfoldBackward':
        this.#set(op.dx, this.#unfoldBackward(op));
        return;
      case 'depthwiseInput': {
        const [dy, weight] = [this.get(op.dy), this.#forward.weight(op.weight)];
        const dx = zeros(dy.rows, dy.columns);
        for (const { t, n, o } of this.#neighbours(op.weight.columns)) {
          for (const c of range(dx.columns)) dx.data[n * dx.columns + c]! += at(weight, c, o) * at(dy, t, c);
        }
        this.#set(op.dx, dx);
        return;
      }
      case 'depthwiseWeight': {
        const [dy, x, gradient] = [this.get(op.dy), this.get(op.x), this.#gradient(op.gradient)];
        for (const { t, n, o } of this.#neighbours(op.gradient.columns)) {
          for (const c of range(x.columns)) gradient.data[c * gradient.columns + o]! += at(dy, t, c) * at(x, n, c);
        }
        return;
      }
      case 'dynamicConvolutionBackward':
        this.#dynamicConvolutionBackward(op);
        return;
      case 'crossEntropy':
      case 'binaryCrossEntropy':
      case 'squaredError':
      case 'spanCrossEntropy':
        this.#loss(op);
        return;
      case 'ranking':
      case 'cosineError':
      case 'cosent':
        this.#recordLoss(op);
        return;
      default:
        this.#forward.compute(op satisfies Exclude<TrainingOp, GradientOp>);
    }
  }

  get #tokens(): number {
    return this.#extents.reduce((sum, { length }) => sum + length, 0);
  }

  #set(value: Value, matrix: Matrix): void {
    this.#forward.set(value, matrix);
  }

  #map(value: Value, from: Matrix, change: (v: number, i: number) => number): void {
    this.#set(value, { ...from, data: from.data.map(change) });
  }

  #gradient(weight: Weight): Matrix {
    const gradient = this.gradients.get(weight) ?? zeros(weight.height, weight.stride);
    this.gradients.set(weight, gradient);
    return gradient;
  }

  #factor(dropout: Dropout, place: DropoutPlace): number {
    const { factor } = this.#options;
    if (!factor) throw new Error('dropout without its factors');
    return factor(dropout, place);
  }

  #dropout(value: Value, dropout: Dropout, residual: Value | undefined): Matrix {
    const x = this.get(value);
    const y = zeros(x.rows, x.columns);
    for (const { sequence, row, first } of this.#rowsOf(value, x.rows)) {
      for (const column of range(x.columns)) {
        y.data[first * x.columns + column] = at(x, first, column) * this.#factor(dropout, { sequence, row, column });
      }
    }
    const other = residual && this.get(residual).data;
    return other ? { ...y, data: y.data.map((v, i) => v + other[i]!) } : y;
  }

  /** Every row of a value: its sequence, its number in it, and its place among all rows. */
  *#rowsOf({ rows }: Value, all: number): Iterable<{ sequence: number; row: number; first: number }> {
    let first = 0;
    // They are of no sequence.
    if (rows === 'distances') for (const row of range(all)) yield { sequence: -1, row, first: first++ };
    if (rows === 'distances') return;
    for (const { b, length } of this.#extents) {
      const count =
        rows === 'tokens' ? length : rows === 'sequences' ? 1 : (this.#options.batch[b]!.masked?.length ?? 0);
      for (const row of range(count)) yield { sequence: b, row, first: first++ };
    }
  }

  #attend(op: AttendOp): void {
    const { heads: H, keyHeads: G, headSize: D, context, dropout } = op;
    const { statistics: _, dropout: __, terms: ___, distances: ____, ...rest } = op;
    const pairs: Value = { ...context, id: -1, name: 'pairs', rows: 'pairs' };
    const bias = this.#biasOf(op);
    const plain = { ...rest, bias, op: 'attention', probabilities: pairs, asScores: false } as const satisfies Op;
    this.#forward.compute(plain);
    const all = this.get(pairs).data;
    let before = 0;
    const probabilities = this.#extents.map(({ length: L }) =>
      range(H).map((): Matrix => {
        before += L * L;
        return { rows: L, columns: L, data: all.slice(before - L * L, before) };
      }),
    );
    this.#probabilities.set(context, probabilities);
    if (!dropout) return;
    const qkv = this.get(op.qkv);
    const width = qkv.columns / (H + 2 * G);
    const y = zeros(qkv.rows, H * width);
    this.#pairs(op, ({ b, h, i, j, query, key }) => {
      const p = at(probabilities[b]![h]!, i, j) * this.#factor(dropout, { sequence: b, head: h, query: i, key: j });
      const values = (H + G + Math.floor((h * G) / H)) * width;
      for (const d of range(D)) y.data[(query * H + h) * width + d]! += p * at(qkv, key, values + d);
    });
    this.#set(context, y);
  }

  /** The bias as the graph of inference has it: tables of distances, which are values here, as weights in their order (DisentangledBias). */
  #biasOf({ bias, terms, distances, heads }: AttendOp): ScoreBias | undefined {
    if (!terms || !distances) return bias;
    const { count, rows } = terms;
    const tables = this.get(distances);
    const width = tables.columns / (Number(terms.keys) + Number(terms.queries));
    const table = (name: string, first: number) => {
      const weight = matrix([name], width / 4, 4 * count);
      const ordered = zeros(width / 4, 4 * count);
      for (const r of range(count)) {
        for (const c of range(width)) {
          ordered.data[Math.floor(c / 4) * 4 * count + 4 * r + (c % 4)] = at(tables, r, first + c);
        }
      }
      this.#forward.setWeight(weight, ordered);
      return weight;
    };
    if (width % heads) throw new Error('tables of heads');
    return {
      kind: 'disentangled',
      keys: terms.keys ? table('keys', terms.queries ? width : 0) : undefined,
      queries: terms.queries ? table('queries', 0) : undefined,
      count,
      rows,
    };
  }

  /** The row of a pair in the tables of distances. */
  #distanceRow({ rows }: DistanceTerms, { b, i, j }: { b: number; i: number; j: number }): number {
    const { places } = this.#options.batch[b]!;
    const distance = places ? places[j]! - places[i]! : j - i;
    const farthest = (rows.length - 1) / 2;
    return rows[Math.max(-farthest, Math.min(farthest, distance)) + farthest]!;
  }

  #distancesBackward({ forward, dcontext, dtables }: DistancesBackwardOp): void {
    const { heads: H, headSize: D, scale, terms } = forward;
    const { keys, queries, count } = terms!;
    const qkv = this.get(forward.qkv);
    const width = qkv.columns / (3 * H);
    const gradient = zeros(count, dtables.columns);
    const dS = this.#scoreGradients(forward, this.get(dcontext));
    this.#pairs(forward, pair => {
      const { b, h, i, j, query, key } = pair;
      const first = this.#distanceRow(terms!, pair) * gradient.columns + h * width;
      const ds = scale * at(dS[b]![h]!, i, j);
      for (const d of range(D)) {
        if (queries) gradient.data[first + d]! += ds * at(qkv, key, (H + h) * width + d);
        if (keys) gradient.data[first + (queries ? H * width : 0) + d]! += ds * at(qkv, query, h * width + d);
      }
    });
    this.#set(dtables, gradient);
  }

  /** Every query and key of every head of every sequence. */
  #pairs(
    { heads }: AttendOp,
    visit: (pair: { b: number; h: number; i: number; j: number; query: number; key: number }) => void,
  ): void {
    for (const { b, start, length } of this.#extents) {
      for (const h of range(heads)) {
        for (const i of range(length)) {
          for (const j of range(length)) visit({ b, h, i, j, query: start + i, key: start + j });
        }
      }
    }
  }

  /** dS of every pair: the gradient of the scores. */
  #scoreGradients(op: AttendOp, dcontext: Matrix): Matrix[][] {
    const { heads: H, keyHeads: G, headSize: D, dropout } = op;
    const qkv = this.get(op.qkv);
    const width = qkv.columns / (H + 2 * G);
    const probabilities = this.#probabilities.get(op.context)!;
    const gradients = probabilities.map(heads => heads.map(({ rows, columns }) => zeros(rows, columns)));
    this.#pairs(op, ({ b, h, i, j, query, key }) => {
      const values = (H + G + Math.floor((h * G) / H)) * width;
      let product = 0;
      for (const d of range(D)) product += at(dcontext, query, h * width + d) * at(qkv, key, values + d);
      const factor = dropout ? this.#factor(dropout, { sequence: b, head: h, query: i, key: j }) : 1;
      const { columns, data } = gradients[b]![h]!;
      data[i * columns + j] = factor * product;
    });
    gradients.forEach((heads, b) => {
      heads.forEach((dP, h) => {
        const P = probabilities[b]![h]!;
        for (const i of range(dP.rows)) {
          const delta = range(dP.columns).reduce((sum, j) => sum + at(dP, i, j) * at(P, i, j), 0);
          for (const j of range(dP.columns)) dP.data[i * dP.columns + j] = at(P, i, j) * (at(dP, i, j) - delta);
        }
      });
    });
    return gradients;
  }

  #attentionBackward(op: AttendOp, dcontextValue: Value): Matrix {
    const { heads: H, keyHeads: G, headSize: D, scale, dropout } = op;
    const [qkv, dcontext] = [this.get(op.qkv), this.get(dcontextValue)];
    const width = qkv.columns / (H + 2 * G);
    const probabilities = this.#probabilities.get(op.context)!;
    const dS = this.#scoreGradients(op, dcontext);
    const dqkv = zeros(qkv.rows, qkv.columns);
    const tables = op.distances && this.get(op.distances);
    this.#pairs(op, pair => {
      const { b, h, i, j, query, key } = pair;
      const group = Math.floor((h * G) / H);
      const [keys, values] = [(H + group) * width, (H + G + group) * width];
      const ds = at(dS[b]![h]!, i, j) * scale;
      const factor = dropout ? this.#factor(dropout, { sequence: b, head: h, query: i, key: j }) : 1;
      const p = at(probabilities[b]![h]!, i, j) * factor;
      for (const d of range(D)) {
        dqkv.data[query * qkv.columns + h * width + d]! += ds * at(qkv, key, keys + d);
        dqkv.data[key * qkv.columns + keys + d]! += ds * at(qkv, query, h * width + d);
        dqkv.data[key * qkv.columns + values + d]! += p * at(dcontext, query, h * width + d);
        if (!tables || !op.terms) continue;
        const row = this.#distanceRow(op.terms, pair);
        const own = h * width + d;
        if (op.terms.queries) dqkv.data[key * qkv.columns + keys + d]! += ds * at(tables, row, own);
        if (op.terms.keys) {
          dqkv.data[query * qkv.columns + own]! += ds * at(tables, row, (op.terms.queries ? H * width : 0) + own);
        }
      }
    });
    return dqkv;
  }

  #biasBackward(op: AttendOp, dcontext: Value, weight: Weight): void {
    const { bias } = op;
    if (bias?.kind !== 'buckets') throw new Error('only buckets have a table');
    const gradient = this.#gradient(weight);
    const dS = this.#scoreGradients(op, this.get(dcontext));
    const farthest = (bias.buckets.length - 1) / 2;
    this.#pairs(op, ({ b, h, i, j }) => {
      const { places } = this.#options.batch[b]!;
      const distance = places ? places[j]! - places[i]! : j - i;
      const bucket = bias.buckets[Math.max(-farthest, Math.min(farthest, distance)) + farthest]!;
      gradient.data[bucket * gradient.columns + h]! += at(dS[b]![h]!, i, j);
    });
  }

  /**
   * dx of a row x^ = (x - mean) / deviation: (g - mean(g) - x^ mean(g x^)) / deviation with g = dy gamma. `weights`: where the gamma of each
   * column stands.
   */
  #normBackward(
    x: Matrix,
    norm: Norm,
    dy: Matrix,
    gammaGradient?: Weight,
    betaGradient?: Weight,
    weights: readonly number[] = range(x.columns),
  ): Matrix {
    const { kind, eps, unitOffset } = norm;
    const gamma = this.#forward.weight(norm.gamma);
    const [dgamma, dbeta] = [
      gammaGradient && this.#gradient(gammaGradient),
      betaGradient && this.#gradient(betaGradient),
    ];
    const C = x.columns;
    const dx = zeros(x.rows, C);
    for (const r of range(x.rows)) {
      const numbers = row(x, r);
      const mean = kind === 'layer' ? average(numbers) : 0;
      const scale = kind === 'affine' ? 1 : 1 / Math.sqrt(average(numbers.map(v => (v - mean) ** 2)) + eps);
      const normed = numbers.map(v => (v - mean) * scale);
      const g = range(C).map(c => at(dy, r, c) * (at(gamma, weights[c]!, 0) + Number(unitOffset)));
      const meanG = kind === 'layer' ? average(g) : 0;
      const meanProduct = kind === 'affine' ? 0 : average(g.map((v, c) => v * normed[c]!));
      for (const c of range(C)) {
        dx.data[r * C + c] = (g[c]! - meanG - normed[c]! * meanProduct) * scale;
        if (dgamma) dgamma.data[weights[c]!]! += at(dy, r, c) * normed[c]!;
        if (dbeta) dbeta.data[weights[c]!]! += at(dy, r, c);
      }
    }
    return dx;
  }

  /** Every head of q and k, or all heads of q and of k at once, as a row of `norm`. */
  #queryKeyNormBackward({ forward, dy: value, dx: result, gradients }: QueryKeyNormBackwardOp): void {
    const { heads, keyHeads, headSize: D, span, queryNorm, keyNorm } = forward;
    const [x, dy] = [this.get(forward.qkv), this.get(value)];
    const dx: Matrix = { ...dy, data: dy.data.slice() };
    const width = x.columns / (heads + 2 * keyHeads);
    for (const [first, count, norm, gamma, beta] of [
      [0, heads, queryNorm, gradients?.queryGamma, gradients?.queryBeta],
      [heads, keyHeads, keyNorm, gradients?.keyGamma, gradients?.keyBeta],
    ] as const) {
      const perRow = span === 'head' ? 1 : count;
      for (const t of range(x.rows)) {
        for (const h of range(count / perRow)) {
          // Only the numbers of the heads: gammas of a row have the padding of its heads.
          const numbers = range(perRow * D);
          const places = numbers.map(i => (first + h * perRow + Math.floor(i / D)) * width + (i % D));
          const weights = numbers.map(i => (span === 'head' ? i : Math.floor(i / D) * width + (i % D)));
          const part = (matrix: Matrix): Matrix => ({
            rows: 1,
            columns: numbers.length,
            data: Float64Array.from(places, place => at(matrix, t, place)),
          });
          const back = this.#normBackward(part(x), norm, part(dy), gamma, beta, weights);
          places.forEach((place, i) => {
            dx.data[t * x.columns + place] = back.data[i]!;
          });
        }
      }
    }
    this.#set(result, dx);
  }

  #embedBackward({ table, forward, padding, dy: value, gradient: weight }: EmbedBackwardOp): void {
    const [dy, gradient] = [this.get(value), this.#gradient(weight)];
    for (const { b, start, length } of this.#extents) {
      const { ids, positions, types, wordFactors } = this.#options.batch[b]!;
      const factors = table === 'words' ? wordFactors : undefined;
      const rowsOf = { words: ids, positions, types, tasks: undefined }[table];
      for (const i of range(length)) {
        const read = rowsOf?.[i] ?? 0;
        if (read === padding) continue;
        const first = read * gradient.columns;
        for (const c of range(dy.columns)) {
          gradient.data[first + c]! += forward.factor * (factors?.[i] ?? 1) * at(dy, start + i, c);
        }
      }
    }
  }

  #poolBackward({ x: value, poolings, dy: gradient }: Extract<GradientOp, { op: 'poolBackward' }>): Matrix {
    const [x, dy] = [this.get(value), this.get(gradient)];
    const dx = zeros(x.rows, x.columns);
    for (const { b, start, length } of this.#extents) {
      const { unpooled = 0 } = this.#options.batch[b]!;
      const tokens = range(length).slice(unpooled);
      poolings.forEach((pooling, p) => {
        for (const c of range(x.columns)) {
          const column = p * x.columns + c;
          if (column >= dy.columns) continue;
          const give = (i: number, share: number) => {
            dx.data[(start + i) * x.columns + c]! += share * at(dy, b, column);
          };
          if (tokens.length === 0) {
            if (pooling === 'cls') give(0, 1);
          } else if (pooling === 'cls') give(tokens[0]!, 1);
          else if (pooling === 'last') give(length - 1, 1);
          else if (pooling === 'max') {
            const numbers = tokens.map(i => at(x, start + i, c));
            give(tokens[numbers.indexOf(Math.max(...numbers))]!, 1);
          } else {
            const weights = tokens.map(i => (pooling === 'weighted' ? i + 1 : 1));
            const sum = weights.reduce((a, b) => a + b);
            tokens.forEach((i, k) => {
              give(i, weights[k]! / (pooling === 'mean_sqrt' ? Math.sqrt(sum) : sum));
            });
          }
        }
      });
    }
    return dx;
  }

  /** A turn back is the turn of a mirrored pair, mirrored again. */
  #rotaryBackward({ forward, dy, dx }: Extract<GradientOp, { op: 'rotaryBackward' }>): void {
    const { heads, keyHeads, interleaved, frequencies } = forward;
    const pairs = frequencies.length;
    const mirrored = (x: Matrix): Matrix => {
      const width = x.columns / (heads + 2 * keyHeads);
      const isSecond = (column: number) => column < 2 * pairs && (interleaved ? column % 2 === 1 : column >= pairs);
      return { ...x, data: x.data.map((v, i) => (isSecond((i % x.columns) % width) ? -v : v)) };
    };
    const mirror: Value = { ...dy, id: -1, name: `${dy.name}.mirror` };
    this.#set(mirror, mirrored(this.get(dy)));
    this.#forward.compute({ ...forward, qkv: mirror, y: dx });
    this.#set(dx, mirrored(this.get(dx)));
  }

  #unfoldBackward({ width, order, dy: value, dx: { columns } }: Extract<GradientOp, { op: 'unfoldBackward' }>): Matrix {
    const dy = this.get(value);
    const dx = zeros(dy.rows, columns);
    for (const { t, n, o } of this.#neighbours(width)) {
      for (const c of range(columns)) {
        const column = order === 'columns' ? c * width + o : (width - 1 - o) * columns + c;
        dx.data[n * columns + c]! += at(dy, t, column);
      }
    }
    return dx;
  }

  /** Every token t with every token n of its sequence whose place is o - (width - 1) / 2 after its own. */
  *#neighbours(width: number): Iterable<{ t: number; n: number; o: number }> {
    for (const { b, start, length } of this.#extents) {
      const { places = range(length) } = this.#options.batch[b]!;
      for (const i of range(length)) {
        for (const o of range(width)) {
          const neighbour = places.indexOf(places[i]! + o - (width - 1) / 2);
          if (neighbour >= 0) yield { t: start + i, n: start + neighbour, o };
        }
      }
    }
  }

  #dynamicConvolutionBackward(op: DynamicConvolutionBackwardOp): void {
    const { heads, width } = op.forward;
    const [x, scores, dy] = [this.get(op.forward.x), this.get(op.forward.scores), this.get(op.dy)];
    const [dx, dscores] = [zeros(x.rows, x.columns), zeros(scores.rows, scores.columns)];
    const D = x.columns / heads;
    /** By token and head. */
    const probabilities = range(x.rows).map(t =>
      range(heads).map(h => {
        const own = range(width).map(o => at(scores, t, h * width + o));
        const exponentials = own.map(v => Math.exp(v - Math.max(...own)));
        const sum = exponentials.reduce((a, b) => a + b);
        return exponentials.map(v => v / sum);
      }),
    );
    // First the gradients of the probabilities stand in the place of the scores'.
    for (const { t, n, o } of this.#neighbours(width)) {
      for (const c of range(x.columns)) {
        const h = Math.floor(c / D);
        dx.data[n * x.columns + c]! += probabilities[t]![h]![o]! * at(dy, t, c);
        dscores.data[t * scores.columns + h * width + o]! += at(dy, t, c) * at(x, n, c);
      }
    }
    for (const t of range(x.rows)) {
      for (const h of range(heads)) {
        const p = probabilities[t]![h]!;
        const mean = p.reduce((sum, v, o) => sum + v * at(dscores, t, h * width + o), 0);
        for (const o of range(width)) {
          const place = t * scores.columns + h * width + o;
          dscores.data[place] = p[o]! * (dscores.data[place]! - mean);
        }
      }
    }
    this.#set(op.dx, dx);
    this.#set(op.dscores, dscores);
  }

  /** A loss as a function of products of rows, and the gradients of the rows from those of the products. */
  #recordLoss(op: RecordLossOp): void {
    const { scales, batch } = this.#options;
    const x = this.get(op.logits);
    const n = x.rows / op.texts;
    const labels = batch.slice(0, n).map(sequence => sequence.labels![0]!);
    const dx = zeros(x.rows, x.columns);
    const scale = scales.labels * op.weight;
    const dot = (a: number, b: number) => row(x, a).reduce((sum, v, c) => sum + v * at(x, b, c), 0);
    /** Gives the rows a and b their gradients from that of their product. */
    const give = (a: number, b: number, gradient: number) => {
      for (const c of range(x.columns)) {
        dx.data[a * x.columns + c]! += gradient * at(x, b, c);
        dx.data[b * x.columns + c]! += gradient * at(x, a, c);
      }
    };
    let losses: number[];
    if (op.op === 'ranking') {
      losses = range(n).map(i => {
        const scores = range(x.rows - n).map(j => op.factor * dot(i, n + j));
        const { loss, gradient } = crossEntropy(scores, labels[i]!);
        gradient.forEach((v, j) => {
          give(i, n + j, scale * op.factor * v);
        });
        return scale * loss;
      });
    } else {
      const cosines = range(n).map(i => dot(i, n + i));
      if (op.op === 'cosineError') {
        losses = cosines.map((cosine, i) => {
          give(i, n + i, 2 * scale * (cosine - labels[i]!));
          return scale * (cosine - labels[i]!) ** 2;
        });
      } else {
        const pairs = range(n).flatMap(i => range(n).flatMap(j => (labels[i]! < labels[j]! ? [[i, j] as const] : [])));
        const exponents = pairs.map(([i, j]) => op.factor * (cosines[i]! - cosines[j]!));
        const maximum = Math.max(0, ...exponents);
        const sum = exponents.reduce((total, e) => total + Math.exp(e - maximum), Math.exp(-maximum));
        pairs.forEach(([i, j], p) => {
          const share = scale * n * op.factor * (Math.exp(exponents[p]! - maximum) / sum);
          give(i, n + i, share);
          give(j, n + j, -share);
        });
        losses = [scale * n * (maximum + Math.log(sum))];
      }
    }
    this.#set(op.loss, { rows: losses.length, columns: 1, data: Float64Array.from(losses) });
    this.#set(op.dlogits, dx);
  }

  #loss(op: Exclude<LossOp, RecordLossOp>): void {
    const { scales, batch } = this.#options;
    const logits = this.get(op.logits);
    const N = logits.columns;
    const dlogits = zeros(logits.rows, N);
    const losses: number[] = [];
    if (op.op === 'spanCrossEntropy') {
      for (const { b, start, length } of this.#extents) {
        let loss = 0;
        for (const [column, label] of (batch[b]!.span ?? [IGNORED, IGNORED]).entries()) {
          if (label >= length) continue;
          const scores = range(length).map(i => at(logits, start + i, column));
          const { loss: own, gradient } = crossEntropy(scores, label);
          loss += (own / 2) * scales.labels;
          gradient.forEach((v, i) => {
            dlogits.data[(start + i) * N + column] = (v / 2) * scales.labels;
          });
        }
        losses.push(loss);
      }
    } else {
      const scale = scales[op.labels];
      const labels = batch.flatMap(sequence =>
        op.labels === 'labels' ? (sequence.labels ?? []) : [sequence.next_sentence_label ?? IGNORED],
      );
      for (const r of range(logits.rows)) {
        const scores = row(logits, r);
        let loss = 0;
        let gradient = scores.map(() => 0);
        if (op.op === 'crossEntropy') {
          if (labels[r] !== IGNORED) ({ loss, gradient } = crossEntropy(scores, labels[r]!, op));
        } else {
          const targets = labels.slice(r * N, (r + 1) * N);
          const isBinary = op.op === 'binaryCrossEntropy';
          const of = (x: number, t: number) =>
            isBinary ? Math.max(x, 0) - x * t + Math.log1p(Math.exp(-Math.abs(x))) : (x - t) ** 2;
          loss = scores.reduce((sum, x, n) => sum + of(x, targets[n]!), 0);
          gradient = scores.map((x, n) => (isBinary ? 1 / (1 + Math.exp(-x)) - targets[n]! : 2 * (x - targets[n]!)));
        }
        losses.push(loss * scale);
        dlogits.data.set(
          gradient.map(v => v * scale),
          r * N,
        );
      }
    }
    this.#set(op.loss, { rows: losses.length, columns: 1, data: Float64Array.from(losses) });
    this.#set(op.dlogits, dlogits);
  }
}

/** The cross-entropy of scores with a label, smoothed, with the weights of the classes, and its gradient. */
function crossEntropy(
  scores: readonly number[],
  label: number,
  { smoothing = 0, classWeights }: { smoothing?: number; classWeights?: readonly number[] | undefined } = {},
) {
  const maximum = Math.max(...scores);
  const logSum = maximum + Math.log(scores.reduce((sum, x) => sum + Math.exp(x - maximum), 0));
  const target = (n: number) =>
    ((n === label ? 1 - smoothing : 0) + smoothing / scores.length) * (classWeights?.[n] ?? 1);
  const whole = scores.reduce((sum, _, n) => sum + target(n), 0);
  return {
    loss: scores.reduce((sum, x, n) => sum + target(n) * (logSum - x), 0),
    gradient: scores.map((x, n) => whole * Math.exp(x - logSum) - target(n)),
  };
}

const ranges = new Map<number, readonly number[]>();
/** 0 to n - 1. The loops of a step ask for the same few lists thousands of times. */
function range(n: number): readonly number[] {
  const known = ranges.get(n) ?? [...new Array(n).keys()];
  ranges.set(n, known);
  return known;
}
const row = ({ columns, data }: Matrix, r: number): number[] => [...data.subarray(r * columns, (r + 1) * columns)];
const average = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0) / numbers.length;
