import type { Kernel } from '../../shaders/kernel.ts';
import { padded } from '../../shaders/kernel.ts';
import { linearInput, linearInputParams } from '../../shaders/linear-input.ts';
import { linearWeight, linearWeightParams } from '../../shaders/linear-weight.ts';
import { tilingLabel } from '../../shaders/tiling.ts';
import type { Profile } from '../../src/plan/profiles.ts';
import * as reference from '../../tests/gradient-reference-linear.ts';
import { dispatch, padRows, random, unpadRows } from '../dispatch.ts';
import { check, expect, expectClose, expectSameBits } from '../harness.ts';
import { packRows } from '../packed.ts';
import { casesFor, FITTED_TILINGS, FULL_LINEAR_TIERS, LINEAR_TIERS, profileFor } from './kernels/tiers.ts';
import { ofRow, ofSum } from './training-rows/tolerance.ts';

/**
 * The gradients of linears against their float64 twins (tests/gradient-reference-linear.ts), in every tiling that is chosen for any adapter.
 * An element of dx is a sum of N products of size 1 / sqrt(N): within 1e-5 (1 + |x|). A gradient of the weight is a sum over R rows with
 * random signs: sqrt(R) 2e-5.
 */

const SHAPES: [K: number, N: number][] = [
  [36, 20],
  [20, 130],
  [130, 36],
  [5, 3],
  [3, 2],
  [384, 70],
];
/** Rows: few, about a tile, several of them, and not a multiple of the steps. */
const ROWS = [1, 3, 6, 17, 65, 300];
/** Where the shape is in params; for the others it is in the text. */
const IN_PARAMS: readonly number[] = [17, 300];
/** Where the gradients of weight and bias are also asked for alone. */
const ALONE: readonly number[] = [3, 17];

const variantOf = <V extends object>(variant: V, R: number, inner: number, outputs: number) =>
  IN_PARAMS.includes(R) ? variant : { ...variant, inner, outputs };

type Chosen = Pick<Profile, 'tiling' | 'target'>;

async function checkInput(
  [K, N]: readonly [number, number],
  format: 'f32' | 'f16',
  { tiling, target }: Chosen,
  rows = ROWS,
) {
  const make = random(K * N);
  let worst = 0;
  for (const R of rows) {
    const dy = make(R * N);
    // A row of zeros for every number of dy's padding.
    const weight = packRows(make(N * K, 1.5 / Math.sqrt(N)), K, format, padded(N));
    const other = make(R * K);
    for (const residual of [false, true]) {
      const expected = reference.linearInput(dy, weight.values, { K, N, ...(residual && { residual: other }) });
      const { y } = await dispatch(
        linearInput(variantOf({ residual, format }, R, N, K), tiling, target),
        {
          dy: padRows(dy, N),
          weight: weight.operand,
          y: { floats: R * padded(K) },
          ...(residual && { residual: padRows(other, K) }),
        },
        { rows: R, ...linearInputParams(N, K) },
      );
      const label = `R = ${R}, K = ${K}, N = ${N}${residual ? ' + residual' : ''}`;
      worst = Math.max(worst, expectClose(unpadRows(y!, K), expected, ofRow(label)));
    }
  }
  return worst;
}

/** The difference as a share of what a sum over as many rows may have. */
async function checkWeight([K, N]: readonly [number, number], { tiling, target }: Chosen, rows = ROWS) {
  const make = random(K + 1000 * N);
  let worst = 0;
  for (const R of rows) {
    const [dy, x] = [make(R * N), make(R * K)];
    const [before, biasBefore] = [make(N * K), make(N)];
    // The padding is zero before, and is added zeros to.
    const start = { gradient: packRows(before, K, 'f32', padded(N)).operand, bias_gradient: padRows(biasBefore, N) };
    const sums = reference.linearWeight(dy, x, { K, N });
    const asked = [
      [true, true],
      [false, true],
      [true, false],
    ] as const;
    for (const [bias, weight] of ALONE.includes(R) ? asked : asked.slice(0, 1)) {
      const computed = (before: Partial<typeof start>, adds: number) =>
        dispatch(
          linearWeight(variantOf({ bias, weight }, R, K, N), tiling, target),
          {
            dy: padRows(dy, N),
            ...(weight && { x: padRows(x, K), gradient: before.gradient! }),
            ...(bias && { bias_gradient: before.bias_gradient! }),
          },
          { rows: R, ...linearWeightParams(K, N), adds },
        );
      const found = await computed(start, 1);
      const compare = (name: string, rows: Float32Array, sum: Float64Array, from: Float32Array) => {
        const label = `${name}, R = ${R}, K = ${K}, N = ${N}`;
        const added = sum.map((v, i) => v + from[i]!);
        worst = Math.max(worst, expectClose(rows, added, ofSum(label, R + 1)) / (2e-5 * Math.sqrt(R + 1)));
      };
      if (weight) {
        const { gradient } = found;
        const padding = gradient!.subarray(N * padded(K));
        expect(
          padding.every(v => v === 0),
          `R = ${R}: a row of the padding is not 0`,
        );
        compare('weight', unpadRows(gradient!.subarray(0, N * padded(K)), K), sums.gradient, before);
      }
      if (bias) compare('bias', unpadRows(found.bias_gradient!, N), sums.biasGradient, biasBefore);
      // Written over what is there, whatever that is, they are the bits that are added to zeros.
      const stale = {
        gradient: start.gradient.map(() => Number.NaN),
        bias_gradient: start.bias_gradient.map(() => Number.NaN),
      };
      const zeros = { gradient: start.gradient.map(() => 0), bias_gradient: start.bias_gradient.map(() => 0) };
      const [over, added] = [await computed(stale, 0), await computed(zeros, 1)];
      if (weight) expectSameBits(over.gradient!, added.gradient!, `R = ${R}: the weight's, written over`);
      if (bias) expectSameBits(over.bias_gradient!, added.bias_gradient!, `R = ${R}: the bias's, written over`);
    }
  }
  return worst;
}

for (const tier of LINEAR_TIERS) {
  for (const shape of tier === 'gpu of 128' ? SHAPES.slice(1, 2) : casesFor(tier, SHAPES)) {
    check(`gradients of a linear ${shape.join('>')} (${tier})`, async log => {
      const input = await checkInput(shape, 'f32', await profileFor(tier));
      const weight = await checkWeight(shape, await profileFor(tier));
      log(`largest difference of dx ${input.toExponential(1)}, of the weight ${weight.toFixed(3)} of what it may be`);
    });
  }
}

for (const tier of FULL_LINEAR_TIERS) {
  // Halves are read as such, unpacked from whole numbers, or from a texture.
  for (const [label, without] of [
    ['', {}],
    [' without features', { subgroup: 0, f16: false }],
  ] as const) {
    check(`gradients of a linear whose weight is halves (${tier}${label})`, async log => {
      const profile = await profileFor(tier, without);
      const input = await checkInput([37, 18], 'f16', profile, [1, 17, 65]);
      const weight = await checkWeight([37, 18], profile, [3, 17]);
      log(`largest difference of dx ${input.toExponential(1)}, of the weight ${weight.toFixed(3)} of what it may be`);
    });
  }
}

for (const tiling of casesFor('gpu', FITTED_TILINGS.slice(1))) {
  check(`gradients of a linear, tiling ${tilingLabel(tiling)}`, async () => {
    const chosen = { target: (await profileFor('gpu')).target, tiling };
    await checkInput([130, 37], 'f32', chosen, [1, 17, 65]);
    await checkWeight([130, 37], chosen, [3, 17, 65]);
  });
}

/** Runs a grid in parts, each beginning where the one before has ended; all write to the same result. */
async function inParts(kernel: Kernel, operands: Parameters<typeof dispatch>[1], params: Record<string, number>) {
  const [x, y] = kernel.workgroups(params);
  let written = operands;
  for (let first_y = 0; first_y < y; first_y++) {
    for (let first_x = 0; first_x < x; first_x++) {
      const part = { ...kernel, workgroups: () => [1, 1, 1] as const };
      const found = await dispatch(part, written, { ...params, first_x, first_y }, { fill: 0 });
      written = { ...written, ...(found as Record<string, Float32Array<ArrayBuffer>>) };
    }
  }
  return written;
}

for (const tier of FULL_LINEAR_TIERS) {
  check(`a row of dx has the same bits among any rows (${tier})`, async () => {
    const { tiling, target } = await profileFor(tier);
    const [R, K, N] = [67, 36, 50];
    const make = random(R);
    const [dy, weight] = [make(R * N), packRows(make(N * K), K, 'f32', padded(N)).operand];
    const kernel = linearInput({ inner: N, outputs: K, residual: false }, tiling, target);
    const run = async (first: number, end: number) =>
      (
        await dispatch(
          kernel,
          { dy: padRows(dy.subarray(first * N, end * N), N), weight, y: { floats: (end - first) * K } },
          { rows: end - first, ...linearInputParams(N, K) },
        )
      ).y!;
    const whole = await run(0, R);
    for (const [first, end] of [
      [0, 1],
      [1, 4],
      [4, 37],
      [37, R],
      [R - 1, R],
    ] as const) {
      expectSameBits(await run(first, end), whole.slice(first * K, end * K), `rows ${first} to ${end}`);
    }
  });

  check(`the parts of a grid give the bits of the whole (${tier})`, async () => {
    const { tiling, target } = await profileFor(tier);
    const [R, K, N] = [37, 150, 70];
    const make = random(R);
    const [dy, x] = [padRows(make(R * N), N), padRows(make(R * K), K)];
    const weight = packRows(make(N * K), K, 'f32', padded(N)).operand;
    const input = linearInput({ inner: N, outputs: K, residual: false }, tiling, target);
    const params = { rows: R, ...linearInputParams(N, K) };
    const operands = { dy, weight, y: { floats: R * padded(K) } };
    const { y } = await dispatch(input, operands, params);
    expectSameBits((await inParts(input, operands, params)).y, y, 'dx');
    const of = linearWeight({ inner: K, outputs: N, bias: true, weight: true }, tiling, target);
    const start = { gradient: padRows(make(padded(N) * K), K), bias_gradient: padRows(make(N), N) };
    const weightParams = { rows: R, ...linearWeightParams(K, N) };
    const found = await dispatch(of, { dy, x, ...start }, weightParams);
    const parts = await inParts(of, { dy, x, ...start }, weightParams);
    for (const name of ['gradient', 'bias_gradient']) expectSameBits(parts[name], found[name], name);
  });

  check(`what is not finite is seen in the gradients of a linear (${tier})`, async () => {
    const { tiling, target } = await profileFor(tier);
    const [R, K, N] = [5, 8, 8];
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const dy = random(1)(R * N);
      dy[3 * N + 2] = wrong;
      const operand = random(2)(N * K);
      const { y } = await dispatch(
        linearInput({ inner: N, outputs: K, residual: false }, tiling, target),
        { dy, weight: operand, y: { floats: R * K } },
        { rows: R, ...linearInputParams(N, K) },
      );
      const isRowFinite = (rows: Float32Array, r: number) => rows.subarray(r * K, (r + 1) * K).some(Number.isFinite);
      expect([0, 1, 2, 4].every(r => isRowFinite(y!, r)) && !isRowFinite(y!, 3), `dx: ${y}`);
      const { gradient, bias_gradient } = await dispatch(
        linearWeight({ inner: K, outputs: N, bias: true, weight: true }, tiling, target),
        { dy, x: random(3)(R * K), gradient: new Float32Array(N * K), bias_gradient: new Float32Array(N) },
        { rows: R, ...linearWeightParams(K, N) },
      );
      expect([0, 1, 3, 7].every(n => isRowFinite(gradient!, n)) && !isRowFinite(gradient!, 2), `weight: ${gradient}`);
      expect(!Number.isFinite(bias_gradient![2]) && Number.isFinite(bias_gradient![3]), `bias: ${bias_gradient}`);
    }
  });
}
