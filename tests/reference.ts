/**
 * The CPU twin of every kernel: the obvious loops, in float64, on plain unpadded arrays. Nothing here is fast, and nothing is
 * shared with the code that it checks.
 *
 * T tokens, B sequences, L tokens of one sequence, C hidden size, H heads, D head size, K inner dimension, N outputs.
 */

export type Numbers = ArrayLike<number>;

/** Gauss's error function: Maclaurin series near zero, continued fraction (Lentz) further out. Good to 1e-15. */
export function erf(x: number): number {
  const z = Math.abs(x);
  if (z < 2.5) {
    let term = z;
    let sum = z;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= (-z * z) / n;
      sum += term / (2 * n + 1);
      if (n > 200) break;
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / ((z + fraction) * Math.sqrt(Math.PI)));
}

export const activations: Record<string, (x: number) => number> = {
  gelu: x => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  gelu_tanh: x => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  relu: x => Math.max(0, x),
  silu: x => x / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  elu: x => (x > 0 ? x : Math.expm1(x)),
  hardshrink: x => (Math.abs(x) > 0.5 ? x : 0),
  hardsigmoid: x => Math.min(6, Math.max(0, x + 3)) / 6,
  hardswish: x => (x * Math.min(6, Math.max(0, x + 3))) / 6,
  hardtanh: x => Math.min(1, Math.max(-1, x)),
  leaky_relu: x => (x > 0 ? x : 0.01 * x),
  logsigmoid: x => (x < -30 ? x : -Math.log1p(Math.exp(-x))),
  mish: x => x * Math.tanh(x > 30 ? x : Math.log1p(Math.exp(x))),
  relu6: x => Math.min(6, Math.max(0, x)),
  // The mean of the slopes 1/8 and 1/3.
  rrelu: x => (x > 0 ? x : (x * (1 / 8 + 1 / 3)) / 2),
  selu: x => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x)),
  sigmoid: x => 1 / (1 + Math.exp(-x)),
  softplus: x => (x > 30 ? x : Math.log1p(Math.exp(x))),
  softshrink: x => (x > 0.5 ? x - 0.5 : x < -0.5 ? x + 0.5 : 0),
  softsign: x => x / (1 + Math.abs(x)),
  tanhshrink: x => x - Math.tanh(x),
};

/** x [T, K], weight [N, K], bias [N], gate and residual [T, N] -> [T, N] */
export function linear(
  x: Numbers,
  weight: Numbers,
  {
    K,
    N,
    bias,
    gate,
    residual,
    activation,
  }: { K: number; N: number; bias?: Numbers; gate?: Numbers; residual?: Numbers; activation?: string },
): Float64Array {
  const T = x.length / K;
  const y = new Float64Array(T * N);
  const activate = activation === undefined ? (v: number) => v : activations[activation]!;
  for (let t = 0; t < T; t++) {
    for (let n = 0; n < N; n++) {
      let sum = bias?.[n] ?? 0;
      for (let k = 0; k < K; k++) sum += x[t * K + k]! * weight[n * K + k]!;
      y[t * N + n] = activate(sum) * (gate?.[t * N + n] ?? 1) + (residual?.[t * N + n] ?? 0);
    }
  }
  return y;
}

/** The sum over the rows of a query [., C] of the greatest dot product with a row of a document [., C]. */
export function maxSim(query: Numbers, document: Numbers, C: number): number {
  let sum = 0;
  for (let i = 0; i < query.length; i += C) {
    let greatest = Number.NEGATIVE_INFINITY;
    for (let j = 0; j < document.length; j += C) {
      let product = 0;
      for (let c = 0; c < C; c++) product += query[i + c]! * document[j + c]!;
      greatest = Math.max(greatest, product);
    }
    sum += greatest;
  }
  return sum;
}

/** SPLADE: logits [T, V] of sequences of these lengths -> [B, V] */
export function vocabularyPool(
  logits: Numbers,
  lengths: readonly number[],
  { V, pooling, logarithms }: { V: number; pooling: 'max' | 'sum'; logarithms: 1 | 2 },
): Float64Array {
  const y = new Float64Array(lengths.length * V);
  let start = 0;
  for (const [b, length] of lengths.entries()) {
    for (let t = start; t < start + length; t++) {
      for (let v = 0; v < V; v++) {
        let weight = Math.log1p(Math.max(0, logits[t * V + v]!));
        if (logarithms === 2) weight = Math.log1p(weight);
        y[b * V + v] = pooling === 'max' ? Math.max(y[b * V + v]!, weight) : y[b * V + v]! + weight;
      }
    }
    start += length;
  }
  return y;
}

/** One row, normalised as PyTorch's LayerNorm or RMSNorm, or left as it is, before gamma and beta. */
function normalisedRow(row: readonly number[], kind: string, eps: number): number[] {
  const meanOf = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0) / numbers.length;
  if (kind === 'affine') return [...row];
  const mean = kind === 'layer' ? meanOf(row) : 0;
  const deviations = row.map(v => v - mean);
  const scale = 1 / Math.sqrt(meanOf(deviations.map(v => v * v)) + eps);
  return deviations.map(v => v * scale);
}

export interface NormOptions {
  kind: string;
  gamma: Numbers;
  beta?: Numbers | undefined;
  eps: number;
  /** gamma is 1 more than it says. */
  unitOffset?: boolean | undefined;
  residual?: Numbers | undefined;
  addend?: Numbers | undefined;
}

/** x [T, C] -> norm(x + residual) + addend, [T, C] */
export function norm(
  x: Numbers,
  { kind, gamma, beta, eps, unitOffset = false, residual, addend }: NormOptions,
): Float64Array {
  const C = gamma.length;
  const y = new Float64Array(x.length);
  for (let first = 0; first < x.length; first += C) {
    const row = Array.from({ length: C }, (_, c) => x[first + c]! + (residual?.[first + c] ?? 0));
    normalisedRow(row, kind, eps).forEach((v, c) => {
      const scaled = v * (gamma[c]! + (unitOffset ? 1 : 0)) + (beta?.[c] ?? 0);
      y[first + c] = scaled + (addend?.[first + c] ?? 0);
    });
  }
  return y;
}

/** x [T, C] -> [T, C] */
export const layerNorm = (x: Numbers, gamma: Numbers, beta: Numbers, eps: number, residual?: Numbers): Float64Array =>
  norm(x, { kind: 'layer', gamma, beta, eps, residual });

/** x [T, C] -> [T, C], every row scaled to length 1 */
export function l2Norm(x: Numbers, C: number): Float64Array {
  const y = new Float64Array(x.length);
  for (let first = 0; first < x.length; first += C) {
    const row = Array.from({ length: C }, (_, c) => x[first + c]!);
    const length = Math.max(1e-12, Math.hypot(...row));
    row.forEach((v, c) => {
      y[first + c] = v / length;
    });
  }
  return y;
}

/** Sum of the rows of tables [., C] -> [T, C] */
export function embed(
  rows: readonly (readonly [table: Numbers, indices: readonly number[]])[],
  C: number,
): Float64Array {
  const T = rows[0]![1].length;
  const y = new Float64Array(T * C);
  for (const [table, indices] of rows) {
    for (let t = 0; t < T; t++) for (let c = 0; c < C; c++) y[t * C + c]! += table[indices[t]! * C + c]!;
  }
  return y;
}

/**
 * qkv [T, H + 2 G, D] -> context [T, H D], probabilities, and the scores that their softmax is taken of: for every sequence [H, L, L], one
 * behind the other. A query sees the keys that `seen` says, by the distance key - query, all of them by default; the others have
 * probability 0.
 */
export function attention(
  qkv: Numbers,
  lengths: readonly number[],
  {
    H,
    G = H,
    D,
    scale = 1 / Math.sqrt(D),
    bias = () => 0,
    seen = () => true,
  }: {
    H: number;
    G?: number;
    D: number;
    scale?: number;
    /** Added to a scaled score: of the distance key - query, and the head. */
    bias?: (distance: number, head: number) => number;
    seen?: (distance: number) => boolean;
  },
): { context: Float64Array; probabilities: Float64Array; scores: Float64Array } {
  const T = lengths.reduce((a, b) => a + b, 0);
  const context = new Float64Array(T * H * D);
  const probabilities: number[] = [];
  const allScores: number[] = [];
  const at = (t: number, head: number, d: number) => qkv[(t * (H + 2 * G) + head) * D + d]!;
  let start = 0;
  for (const L of lengths) {
    for (let h = 0; h < H; h++) {
      const keyHead = H + Math.floor((h * G) / H);
      for (let i = start; i < start + L; i++) {
        const scores: number[] = [];
        for (let j = start; j < start + L; j++) {
          if (!seen(j - i)) {
            scores.push(Number.NEGATIVE_INFINITY);
            continue;
          }
          let score = 0;
          for (let d = 0; d < D; d++) score += at(i, h, d) * at(j, keyHead, d);
          scores.push(score * scale + bias(j - i, h));
        }
        allScores.push(...scores);
        const top = Math.max(...scores);
        const weights = scores.map(score => Math.exp(score - top));
        const sum = weights.reduce((a, b) => a + b);
        weights.forEach((weight, j) => {
          probabilities.push(weight / sum);
          if (weight === 0) return;
          for (let d = 0; d < D; d++) context[(i * H + h) * D + d]! += (weight / sum) * at(start + j, keyHead + G, d);
        });
      }
    }
    start += L;
  }
  return { context, probabilities: Float64Array.from(probabilities), scores: Float64Array.from(allScores) };
}

/** a [T, left], b [T, right] -> [T, left + right] */
export function join(a: Numbers, b: Numbers, { left, right }: { left: number; right: number }): Float64Array {
  const C = left + right;
  const y = new Float64Array((a.length / left) * C);
  for (let i = 0; i < y.length; i++) {
    const [row, column] = [Math.floor(i / C), i % C];
    y[i] = column < left ? a[row * left + column]! : b[row * right + column - left]!;
  }
  return y;
}

/**
 * x [T, C] -> [T, C width]: for every token those whose places are near, 0 where no token of its sequence has the place; `places` are
 * those of each sequence. By columns number c width + o of a row is column c of the token o - (width - 1) / 2 places after; by rows number
 * o C + c is column c of the token (width - 1) / 2 - o places after.
 */
export function unfold(
  x: Numbers,
  places: readonly (readonly number[])[],
  { C, width, order }: { C: number; width: number; order: 'columns' | 'rows' },
): Float64Array {
  const rows: number[] = [];
  let start = 0;
  for (const own of places) {
    for (const place of own) {
      const near = (offset: number, c: number): number => {
        const i = own.indexOf(place + offset);
        return i < 0 ? 0 : x[(start + i) * C + c]!;
      };
      for (let i = 0; i < C * width; i++) {
        const half = (width - 1) / 2;
        rows.push(
          order === 'columns' ? near((i % width) - half, Math.floor(i / width)) : near(half - Math.floor(i / C), i % C),
        );
      }
    }
    start += own.length;
  }
  return Float64Array.from(rows);
}

/**
 * x [T, C] -> [T, C]: the sum over the tokens of a sequence whose places differ by at most half a window, each times its factor; `places`
 * are those of each sequence.
 */
function windowSum(
  x: Numbers,
  places: readonly (readonly number[])[],
  { C, width, factor }: { C: number; width: number; factor: (t: number, c: number, o: number) => number },
): Float64Array {
  const y = new Float64Array(x.length);
  let start = 0;
  for (const own of places) {
    own.forEach((place, i) => {
      own.forEach((other, j) => {
        const o = other - place + (width - 1) / 2;
        if (o < 0 || o >= width) return;
        for (let c = 0; c < C; c++) y[(start + i) * C + c]! += factor(start + i, c, o) * x[(start + j) * C + c]!;
      });
    });
    start += own.length;
  }
  return y;
}

/** x [T, C], weight [C, width] -> [T, C]: each column convolved over the tokens of its sequence. */
export const depthwise = (
  x: Numbers,
  weight: Numbers,
  places: readonly (readonly number[])[],
  { C, width }: { C: number; width: number },
): Float64Array => windowSum(x, places, { C, width, factor: (_, c, o) => weight[c * width + o]! });

/** x [T, H D], scores [T, H width] -> [T, H D]: each head convolved over the tokens by the softmax of the scores of its token. */
export function dynamicConvolution(
  x: Numbers,
  scores: Numbers,
  places: readonly (readonly number[])[],
  { H, D, width }: { H: number; D: number; width: number },
): Float64Array {
  const factor = (t: number, c: number, o: number): number => {
    const first = (t * H + Math.floor(c / D)) * width;
    const powers = Array.from({ length: width }, (_, i) => Math.exp(scores[first + i]!));
    return powers[o]! / powers.reduce((a, b) => a + b);
  };
  return windowSum(x, places, { C: H * D, width, factor });
}

/** qkv [T, heads, D] -> the same with the pairs of the first `turned` heads turned by position times frequency. */
export function rotary(
  qkv: Numbers,
  positions: readonly number[],
  {
    heads,
    turned,
    D,
    frequencies,
    interleaved,
  }: { heads: number; turned: number; D: number; frequencies: readonly number[]; interleaved: boolean },
): Float64Array {
  const y = Float64Array.from(qkv);
  positions.forEach((position, t) => {
    for (let h = 0; h < turned; h++) {
      frequencies.forEach((frequency, i) => {
        const head = (t * heads + h) * D;
        const [first, second] = interleaved ? [2 * i, 2 * i + 1] : [i, i + frequencies.length];
        const [a, b] = [qkv[head + first]!, qkv[head + second]!];
        const [cos, sin] = [Math.cos(position * frequency), Math.sin(position * frequency)];
        y[head + first] = a * cos - b * sin;
        y[head + second] = b * cos + a * sin;
      });
    }
  });
  return y;
}

/** One column of a sequence -> one number, without its first `unpooled` tokens: sentence-transformers' Pooling. */
export function pooled(pooling: string, column: readonly number[], unpooled = 0): number {
  const rest = column.slice(unpooled);
  if (pooling === 'cls') return rest[0] ?? column[0]!;
  if (rest.length === 0) return 0;
  const sum = (weightOf: (i: number) => number) => rest.reduce((sum, v, i) => sum + v * weightOf(i), 0);
  switch (pooling) {
    case 'last':
      return rest.at(-1)!;
    case 'max':
      return Math.max(...rest);
    case 'mean':
      return sum(() => 1) / rest.length;
    case 'mean_sqrt':
      return sum(() => 1) / Math.sqrt(rest.length);
    case 'weighted': {
      const weights = rest.map((_, i) => unpooled + i + 1);
      return sum(i => weights[i]!) / weights.reduce((a, b) => a + b);
    }
    default:
      throw new Error(`no pooling ${pooling}`);
  }
}

/** x [T, C] -> [B, kept]; of several poolings [B, poolings C] */
export function pool(
  x: Numbers,
  lengths: readonly number[],
  {
    C,
    pooling,
    kept = C * [pooling].flat().length,
    normalize,
    unpooled = [],
  }: {
    C: number;
    kept?: number;
    pooling: string | readonly string[];
    normalize: boolean;
    /** Of every sequence how many tokens at its start are left out. */
    unpooled?: readonly number[];
  },
): Float64Array {
  const y = new Float64Array(lengths.length * kept);
  const poolings = [pooling].flat();
  let start = 0;
  lengths.forEach((L, b) => {
    const row = Array.from({ length: kept }, (_, c) => {
      const column = Array.from({ length: L }, (_, i) => x[(start + i) * C + (c % C)]!);
      return pooled(poolings[Math.floor(c / C)]!, column, unpooled[b]);
    });
    const norm = normalize ? Math.max(1e-12, Math.sqrt(row.reduce((a, v) => a + v * v, 0))) : 1;
    row.forEach((v, c) => {
      y[b * kept + c] = v / norm;
    });
    start += L;
  });
  return y;
}

/** x [R, V] -> for every row the k largest, ties in the order of their indices, and the log of the sum of exponentials. */
export function topK(
  x: Numbers,
  { V, k }: { V: number; k: number },
): { logSumExp: number; best: { value: number; index: number }[] }[] {
  return Array.from({ length: x.length / V }, (_, r) => {
    const row = Array.from({ length: V }, (_, index) => ({ value: x[r * V + index]!, index }));
    const top = Math.max(...row.map(({ value }) => value));
    const logSumExp = top + Math.log(row.reduce((sum, { value }) => sum + Math.exp(value - top), 0));
    return { logSumExp, best: row.sort((a, b) => b.value - a.value || a.index - b.index).slice(0, k) };
  });
}

/**
 * The bucket of a distance, key - query: transformers' MPNetEncoder.relative_position_bucket, line by line, with its max_distance
 * of 128. Of `buckets` the first half is for keys before the query (and itself).
 */
export function relativeBucket(distance: number, buckets: number): number {
  const maxDistance = 128;
  const n = -distance;
  const half = Math.floor(buckets / 2);
  const direction = n < 0 ? half : 0;
  const far = Math.abs(n);
  const maxExact = Math.floor(half / 2);
  if (far < maxExact) return direction + far;
  // torch computes this in float32; for every distance and number of buckets that the tests try, float64 gives the same.
  const large =
    maxExact + Math.trunc((Math.log(far / maxExact) / Math.log(maxDistance / maxExact)) * (half - maxExact));
  return direction + Math.min(large, half - 1);
}
