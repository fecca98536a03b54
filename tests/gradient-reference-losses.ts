import type { Numbers } from './reference.ts';

/**
 * The CPU twins of the losses: the value and the gradients of each, in float64 on plain unpadded arrays. gradient-losses.test.ts checks the
 * gradients against central differences of the values.
 */

const logSumExp = (row: readonly number[]): number => {
  const top = row.reduce((a, b) => Math.max(a, b));
  return top + Math.log(row.reduce((sum, z) => sum + Math.exp(z - top), 0));
};

export interface CrossEntropyOptions {
  N: number;
  smoothing?: number;
  weights?: Numbers | undefined;
  scale?: number;
}

/** logits [R, N], a label for each row, -1 for none -> the loss of each row, the gradient [R, N] */
export function crossEntropy(
  logits: Numbers,
  labels: readonly number[],
  { N, smoothing = 0, weights, scale = 1 }: CrossEntropyOptions,
): { loss: Float64Array; dlogits: Float64Array } {
  const loss = new Float64Array(labels.length);
  const dlogits = new Float64Array(logits.length);
  const weight = (c: number) => weights?.[c] ?? 1;
  for (const [r, label] of labels.entries()) {
    if (label < 0) continue;
    const row = Array.from({ length: N }, (_, c) => logits[r * N + c]!);
    const whole = logSumExp(row);
    // What the loss of the row multiplies each -log p by.
    const shares = row.map((_, c) => weight(c) * (smoothing / N + (c === label ? 1 - smoothing : 0)));
    const sum = shares.reduce((a, b) => a + b, 0);
    row.forEach((z, c) => {
      loss[r]! += scale * shares[c]! * (whole - z);
      dlogits[r * N + c] = scale * (sum * Math.exp(z - whole) - shares[c]!);
    });
  }
  return { loss, dlogits };
}

/** logits, targets [R, N] -> the loss of each row, the gradient */
export function binaryCrossEntropy(logits: Numbers, targets: Numbers, N: number, scale = 1) {
  const loss = new Float64Array(logits.length / N);
  const dlogits = Float64Array.from(logits, (z, i) => {
    // log(1 + exp(z)) without an overflow.
    loss[Math.floor(i / N)]! += scale * (Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - z * targets[i]!);
    return scale * (1 / (1 + Math.exp(-z)) - targets[i]!);
  });
  return { loss, dlogits };
}

/** logits, targets [R, N] -> the loss of each row, the gradient */
export function squaredError(logits: Numbers, targets: Numbers, N: number, scale = 1) {
  const loss = new Float64Array(logits.length / N);
  const dlogits = Float64Array.from(logits, (z, i) => {
    loss[Math.floor(i / N)]! += scale * (z - targets[i]!) ** 2;
    return 2 * scale * (z - targets[i]!);
  });
  return { loss, dlogits };
}

/** logits [T, 2], for each sequence the start and the end of its span, outside of it for none -> the loss of each sequence, the gradient */
export function spanCrossEntropy(
  logits: Numbers,
  lengths: readonly number[],
  spans: readonly (readonly [start: number, end: number])[],
  scale = 1,
) {
  const loss = new Float64Array(lengths.length);
  const dlogits = new Float64Array(logits.length);
  let first = 0;
  for (const [b, L] of lengths.entries()) {
    for (const column of [0, 1] as const) {
      const row = Float64Array.from({ length: L }, (_, i) => logits[2 * (first + i) + column]!);
      const part = crossEntropy(row, [spans[b]![column] < L ? spans[b]![column] : -1], { N: L, scale: scale / 2 });
      loss[b]! += part.loss[0]!;
      part.dlogits.forEach((v, i) => {
        dlogits[2 * (first + i) + column] = v;
      });
    }
    first += L;
  }
  return { loss, dlogits };
}

/** factor a [M, C] b [P, C]^T -> [M, P] */
export function pairScores(a: Numbers, b: Numbers, C: number, factor = 1): Float64Array {
  const P = b.length / C;
  return Float64Array.from({ length: (a.length / C) * P }, (_, at) => {
    const [i, j] = [Math.floor(at / P), at % P];
    let sum = 0;
    for (let c = 0; c < C; c++) sum += a[i * C + c]! * b[j * C + c]!;
    return factor * sum;
  });
}

/** The gradients of a and b from that of the scores. */
export function pairScoresBackward(a: Numbers, b: Numbers, dscores: Numbers, C: number, factor = 1) {
  const P = b.length / C;
  const [da, db] = [new Float64Array(a.length), new Float64Array(b.length)];
  for (let at = 0; at < dscores.length; at++) {
    const [i, j] = [Math.floor(at / P), at % P];
    for (let c = 0; c < C; c++) {
      da[i * C + c]! += factor * dscores[at]! * b[j * C + c]!;
      db[j * C + c]! += factor * dscores[at]! * a[i * C + c]!;
    }
  }
  return { da, db };
}

/** a [R, C] . b [R, C] -> [R] */
export const rowDot = (a: Numbers, b: Numbers, C: number): Float64Array =>
  Float64Array.from({ length: a.length / C }, (_, r) => {
    let sum = 0;
    for (let c = 0; c < C; c++) sum += a[r * C + c]! * b[r * C + c]!;
    return sum;
  });

/** The gradients of a and b from that of their products. */
export const rowDotBackward = (a: Numbers, b: Numbers, dy: Numbers, C: number) => ({
  da: Float64Array.from(b, (v, i) => dy[Math.floor(i / C)]! * v),
  db: Float64Array.from(a, (v, i) => dy[Math.floor(i / C)]! * v),
});

/** CoSENT of the cosines of pairs with these targets -> the loss, the gradient of the cosines */
export function cosent(cosines: Numbers, targets: Numbers, { factor = 20, scale = 1 } = {}) {
  const R = cosines.length;
  const pairs = Array.from({ length: R * R }, (_, at) => [Math.floor(at / R), at % R] as const).filter(
    ([i, j]) => targets[i]! < targets[j]!,
  );
  const exponents = pairs.map(([i, j]) => factor * (cosines[i]! - cosines[j]!));
  const whole = logSumExp([0, ...exponents]);
  const dlogits = new Float64Array(R);
  for (const [k, [i, j]] of pairs.entries()) {
    const share = scale * factor * Math.exp(exponents[k]! - whole);
    dlogits[i]! += share;
    dlogits[j]! -= share;
  }
  return { loss: scale * whole, dlogits };
}
