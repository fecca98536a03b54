import { activations, erf, type Numbers, rotary } from './reference.ts';

/**
 * The CPU twins of the kernels of training that work on rows: the obvious loops in float64 on plain unpadded arrays, as in reference.ts,
 * whose functions they are the way back through. gradient-rows.test.ts checks each against central differences.
 */

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** The derivatives of the activations of reference.ts, with the value of torch at a corner. */
export const slopes: Record<string, (x: number) => number> = {
  gelu: x => 0.5 * (1 + erf(x / Math.SQRT2)) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI),
  gelu_tanh: x => {
    const t = Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
  },
  relu: x => (x > 0 ? 1 : 0),
  silu: x => sigmoid(x) * (1 + x * sigmoid(-x)),
  tanh: x => 1 - Math.tanh(x) ** 2,
  elu: x => (x > 0 ? 1 : Math.exp(x)),
  hardshrink: x => (Math.abs(x) > 0.5 ? 1 : 0),
  hardsigmoid: x => (Math.abs(x) < 3 ? 1 / 6 : 0),
  hardswish: x => (x <= -3 ? 0 : x < 3 ? x / 3 + 0.5 : 1),
  hardtanh: x => (Math.abs(x) < 1 ? 1 : 0),
  leaky_relu: x => (x > 0 ? 1 : 0.01),
  logsigmoid: x => sigmoid(-x),
  mish: x => {
    const t = Math.tanh(x > 30 ? x : Math.log1p(Math.exp(x)));
    return t + x * (1 - t * t) * sigmoid(x);
  },
  relu6: x => (x > 0 && x < 6 ? 1 : 0),
  rrelu: x => (x > 0 ? 1 : (1 / 8 + 1 / 3) / 2),
  selu: x => 1.0507009873554805 * (x > 0 ? 1 : 1.6732632423543772 * Math.exp(x)),
  sigmoid: x => sigmoid(x) * sigmoid(-x),
  softplus: sigmoid,
  softshrink: x => (Math.abs(x) > 0.5 ? 1 : 0),
  softsign: x => 1 / (1 + Math.abs(x)) ** 2,
  tanhshrink: x => Math.tanh(x) ** 2,
};

/** y = act(u) gate */
export const activate = (u: Numbers, kind: string | undefined, gate?: Numbers): Float64Array =>
  Float64Array.from(u, (v, i) => activationOf(kind).act(v) * (gate?.[i] ?? 1));

/** An activation and its derivative; undefined: the identity. */
export const activationOf = (kind: string | undefined): { act: (x: number) => number; slope: (x: number) => number } =>
  kind === undefined ? { act: x => x, slope: () => 1 } : { act: activations[kind]!, slope: slopes[kind]! };

/** The gradients of u and of the gate from that of y. */
export const activateBackward = (
  u: Numbers,
  dy: Numbers,
  kind: string | undefined,
  gate?: Numbers,
): { du: Float64Array; dgate: Float64Array } => ({
  du: Float64Array.from(u, (v, i) => dy[i]! * (gate?.[i] ?? 1) * activationOf(kind).slope(v)),
  dgate: Float64Array.from(u, (v, i) => dy[i]! * activationOf(kind).act(v)),
});

export interface NormBackwardOptions {
  kind: string;
  gamma: Numbers;
  eps: number;
  unitOffset?: boolean | undefined;
  residual?: Numbers | undefined;
}

/** The gradients of x (and of the residual), gamma and beta of `norm` from dy. */
export function normBackward(
  x: Numbers,
  dy: Numbers,
  { kind, gamma, eps, unitOffset = false, residual }: NormBackwardOptions,
): { dx: Float64Array; dgamma: Float64Array; dbeta: Float64Array } {
  const C = gamma.length;
  const dx = new Float64Array(x.length);
  const dgamma = new Float64Array(C);
  const dbeta = new Float64Array(C);
  const meanOf = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0) / C;
  for (let first = 0; first < x.length; first += C) {
    const row = Array.from({ length: C }, (_, c) => x[first + c]! + (residual?.[first + c] ?? 0));
    const mean = kind === 'layer' ? meanOf(row) : 0;
    const scale = kind === 'affine' ? 1 : 1 / Math.sqrt(meanOf(row.map(v => (v - mean) ** 2)) + eps);
    const normalised = row.map(v => (v - mean) * scale);
    const g = row.map((_, c) => dy[first + c]! * (gamma[c]! + (unitOffset ? 1 : 0)));
    const meanG = kind === 'layer' ? meanOf(g) : 0;
    const meanProduct = kind === 'affine' ? 0 : meanOf(g.map((v, c) => v * normalised[c]!));
    for (let c = 0; c < C; c++) {
      dx[first + c] = scale * (g[c]! - meanG - normalised[c]! * meanProduct);
      dgamma[c]! += dy[first + c]! * normalised[c]!;
      dbeta[c]! += dy[first + c]!;
    }
  }
  return { dx, dgamma, dbeta };
}

/** The gradient of x of `l2Norm` from dy: rows that are shorter than the floor are divided by it. */
export function l2NormBackward(x: Numbers, dy: Numbers, C: number, floor = 1e-12): Float64Array {
  const dx = new Float64Array(x.length);
  for (let first = 0; first < x.length; first += C) {
    const row = Array.from({ length: C }, (_, c) => x[first + c]!);
    const length = Math.hypot(...row);
    const along = length < floor ? 0 : row.reduce((sum, v, c) => sum + v * dy[first + c]!, 0) / length ** 2;
    row.forEach((v, c) => {
      dx[first + c] = (dy[first + c]! - v * along) / Math.max(length, floor);
    });
  }
  return dx;
}

/** The weight that each token of a sequence has in one pooling of a column. */
function poolWeights(pooling: string, column: readonly number[], unpooled: number): number[] {
  const L = column.length;
  const first = Math.min(unpooled, L);
  const weights = new Array<number>(L).fill(0);
  const n = L - first;
  if (pooling === 'cls') weights[n > 0 ? first : 0] = 1;
  else if (n === 0) return weights;
  else if (pooling === 'last') weights[L - 1] = 1;
  else if (pooling === 'max') weights[column.indexOf(Math.max(...column.slice(first)), first)] = 1;
  else {
    for (let i = first; i < L; i++) weights[i] = pooling === 'weighted' ? i + 1 : 1;
    const sum = weights.reduce((a, b) => a + b, 0);
    const divisor = pooling === 'mean_sqrt' ? Math.sqrt(n) : sum;
    return weights.map(weight => weight / divisor);
  }
  return weights;
}

/** The gradient of x [T, C] of `pool` without its norm, from dy [B, kept]. */
export function poolBackward(
  x: Numbers,
  dy: Numbers,
  lengths: readonly number[],
  {
    C,
    pooling,
    kept = C * pooling.length,
    unpooled = [],
  }: { C: number; kept?: number; pooling: readonly string[]; unpooled?: readonly number[] },
): Float64Array {
  const dx = new Float64Array(x.length);
  let start = 0;
  for (const [b, L] of lengths.entries()) {
    for (let c = 0; c < kept; c++) {
      const column = Array.from({ length: L }, (_, i) => x[(start + i) * C + (c % C)]!);
      poolWeights(pooling[Math.floor(c / C)]!, column, unpooled[b] ?? 0).forEach((weight, i) => {
        dx[(start + i) * C + (c % C)]! += weight * dy[b * kept + c]!;
      });
    }
    start += L;
  }
  return dx;
}

/** dx [T, C]: the rows of dy where the tokens were picked, else 0. */
export function gatherBackward(dy: Numbers, picked: readonly number[], T: number, C: number): Float64Array {
  const dx = new Float64Array(T * C);
  for (const [i, t] of picked.entries()) for (let c = 0; c < C; c++) dx[t * C + c]! += dy[i * C + c]!;
  return dx;
}

/** The gradient of a table [rows, C] whose rows the ids picked, from dx [T, C]. */
export function tableGradient(dx: Numbers, ids: readonly number[], rows: number, C: number): Float64Array {
  const gradient = new Float64Array(rows * C);
  for (const [t, id] of ids.entries()) for (let c = 0; c < C; c++) gradient[id * C + c]! += dx[t * C + c]!;
  return gradient;
}

/** The words of pcg4d (Jarzynski and Olano, JCGT 9(3), 2020) in JavaScript's 32-bit arithmetic. */
export function pcg4d(input: readonly [number, number, number, number]): [number, number, number, number] {
  let [x, y, z, w] = input.map(v => Math.imul(v, 1664525) + 1013904223) as [number, number, number, number];
  const mix = () => {
    x = (x + Math.imul(y, w)) | 0;
    y = (y + Math.imul(z, x)) | 0;
    z = (z + Math.imul(x, y)) | 0;
    w = (w + Math.imul(y, z)) | 0;
  };
  mix();
  [x, y, z, w] = [x ^ (x >>> 16), y ^ (y >>> 16), z ^ (z >>> 16), w ^ (w >>> 16)];
  mix();
  return [x >>> 0, y >>> 0, z >>> 0, w >>> 0];
}

export interface DropoutOptions {
  C: number;
  /** The probability of 0. */
  p: number;
  site: number;
  seed: number;
  step: number;
}

/** The factor of every number of rows with these keys: 0 or 1 / (1 - p). */
export function dropoutFactors(keys: readonly number[], { C, p, site, seed, step }: DropoutOptions): Float64Array {
  return Float64Array.from({ length: keys.length * C }, (_, i) => {
    const c = i % C;
    const words = pcg4d([Math.floor(c / 4), keys[Math.floor(i / C)]!, site, seed + Math.imul(step, 0x85ebca6b)]);
    return words[c % 4]! >= p * 2 ** 32 ? 1 / (1 - p) : 0;
  });
}

/** The gradient of qkv of `rotary` from dy: every pair turned back. */
export const rotaryBackward: typeof rotary = (dy, positions, options) =>
  rotary(dy, positions, { ...options, frequencies: options.frequencies.map(frequency => -frequency) });

/** The gradient of x [T, C] of `unfold` from dy [T, C width]. */
export function unfoldBackward(
  dy: Numbers,
  places: readonly (readonly number[])[],
  { C, width, order }: { C: number; width: number; order: 'columns' | 'rows' },
): Float64Array {
  const dx: number[] = [];
  let start = 0;
  for (const own of places) {
    for (const place of own) {
      for (let c = 0; c < C; c++) {
        let sum = 0;
        for (let o = 0; o < width; o++) {
          const distance = order === 'columns' ? o - (width - 1) / 2 : (width - 1) / 2 - o;
          const t = own.indexOf(place - distance);
          if (t >= 0) sum += dy[(start + t) * C * width + (order === 'columns' ? c * width + o : o * C + c)]!;
        }
        dx.push(sum);
      }
    }
    start += own.length;
  }
  return Float64Array.from(dx);
}
