import type { Activation } from '../../../shaders/activation.ts';
import { padded } from '../../../shaders/kernel.ts';
import { linearParams } from '../../../shaders/linear.ts';
import type { Format } from '../../../shaders/matrix.ts';
import { type Tiling, tilingLabel } from '../../../shaders/tiling.ts';
import { linearKernel } from '../../../src/plan/choose.ts';
import type { Profile } from '../../../src/plan/profiles.ts';
import { once } from '../../../tests/once.ts';
import * as reference from '../../../tests/reference.ts';
import { dispatch, type Numbers, padRows, random, unpadRows } from '../../dispatch.ts';
import { isSmall } from '../../gpu-limits.ts';
import { check, expect, expectClose } from '../../harness.ts';
import { packRows } from '../../packed.ts';
import { casesFor, FITTED_TILINGS, FULL_TIERS, LINEAR_TIERS, profileFor, ROWS } from './tiers.ts';

const MOST_ROWS = Math.max(...ROWS);

type Linear = readonly [
  K: number,
  N: number,
  activation: Activation | undefined,
  residual: boolean,
  bias: boolean,
  gate?: boolean,
];

const LINEARS: readonly Linear[] = [
  [384, 1536, 'gelu', false, true],
  [1536, 384, undefined, true, true],
  [37, 70, 'gelu_tanh', true, true],
  [6, 5, 'tanh', false, true],
  [64, 64, 'relu', false, false],
  [130, 18, 'silu', false, true],
  [130, 70, undefined, false, false, true],
  [45, 37, 'gelu', true, true, true],
];

/**
 * The operands of a linear and what its twin makes of them, for as many rows as are ever tried. Every tier and every tiling is given the
 * first rows of these, so that the twin, which takes longer than the kernels, is computed once.
 */
const numbersOf = once(([K, N, activation, residual, bias, gate]: Linear, format: Format) => {
  const make = random(K * N);
  // Where the weight is bytes, so is x.
  const x = packRows(make(MOST_ROWS * K), K, format === 'i8' ? 'i8' : 'f32');
  // The weight has a row, of zeros, for every float of a padded output.
  const weight = packRows(make(N * K, 1.5 / Math.sqrt(K)), K, format, padded(N));
  const [b, r, g] = [make(N), make(MOST_ROWS * N), make(MOST_ROWS * N)];
  const expected = reference.linear(x.values, weight.values, {
    K,
    N,
    ...(bias && { bias: b }),
    ...(gate && { gate: g }),
    ...(residual && { residual: r }),
    ...(activation && { activation }),
  });
  return {
    weight: weight.operand,
    expected,
    bias: padRows(b, N),
    x: x.operand,
    residual: padRows(r, N),
    gate: padRows(g, N),
  };
});

/** Of an array that has something for each of these rows the part of the first ones. */
const firstRows = (numbers: Numbers, count: number): Numbers =>
  numbers.subarray(0, (numbers.length / MOST_ROWS) * count);

async function checkLinear(
  linear: Linear,
  format: Format,
  profile: Profile,
  log: (text: string) => void,
  { rows = ROWS, noted }: { rows?: readonly number[]; noted?: (y: Float32Array) => void } = {},
): Promise<void> {
  const [K, N, activation, residual, bias, gate = false] = linear;
  const kernel = linearKernel({ inner: K, outputs: N, bias, gate, residual, activation, format }, profile);
  const numbers = numbersOf(linear, format);
  let worst = 0;
  for (const T of rows) {
    const { y } = await dispatch(
      kernel,
      {
        x: firstRows(numbers.x, T),
        weight: numbers.weight,
        y: { floats: T * padded(N) },
        ...(bias && { bias: numbers.bias }),
        ...(gate && { gate: firstRows(numbers.gate, T) }),
        ...(residual && { residual: firstRows(numbers.residual, T) }),
      },
      { rows: T, ...linearParams(K, N, activation !== undefined) },
    );
    noted?.(y!);
    const expected = numbers.expected.subarray(0, T * N);
    worst = Math.max(
      worst,
      expectClose(unpadRows(y!, N), expected, { label: `T = ${T}`, absolute: 4e-6, relative: 2e-6 }),
    );
  }
  log(`largest difference ${worst.toExponential(1)}`);
}

// The reference computes with the very halves and bytes, so that the tolerances are those of float32.
for (const tier of LINEAR_TIERS) {
  for (const linear of tier === 'gpu of 128' ? LINEARS.slice(2, 3) : casesFor(tier, LINEARS, 3)) {
    const [K, N, activation, residual, , gate] = linear;
    for (const format of ['f32', 'f16', 'i8'] as const) {
      if (format !== 'f32' && ![384, 37, 130].includes(K)) continue;
      // Sums of up to 1,536 products of size 1/K^0.5: 4e-6 of the largest terms.
      const name = `linear ${K}>${N} ${format} ${activation ?? 'plain'}${gate ? ' gated' : ''}${residual ? ' + residual' : ''}`;
      check(`${name} (${tier})`, async log => checkLinear(linear, format, await profileFor(tier), log));
      if (format === 'f32' || tier === 'gpu of 128') continue;
      // Neither shader-f16 nor the product of packed bytes.
      if (K === 130) {
        check(`${name} (${tier} without features)`, async log =>
          checkLinear(linear, format, await profileFor(tier, { subgroup: 0, f16: false, dot4I8: false }), log),
        );
      }
    }
  }
}

for (const tier of isSmall() ? [] : FULL_TIERS) {
  check(`every activation, at any size, and NaN (${tier})`, async () => {
    const values = [-1e4, -90, -21, -5, -3, -1, -0.5, -0.4, -1e-3, 0, 1e-3, 0.4, 0.5, 1, 3, 5.9, 21, 90, 1e4];
    const [K, N] = [4, 6];
    const x = Float32Array.from(values.flatMap(value => [value, 0, 0, 0]));
    const weight = new Float32Array(padded(N) * K).map((_, i) => Number(i % K === 0 && i < N * K));
    // The activation is applied by the same lines in every tiling. These small tiles compile in a fraction of the time, and fit any device.
    const profile = await profileFor(tier);
    const tiling: Tiling =
      profile.tiling.kind === 'workgroup'
        ? { ...profile.tiling, rows: 2, lanes: 8, down: 8 }
        : { ...profile.tiling, rows: 4, columns: 4 };
    // NaN comes from the bias, so that the padding, whose weights are zero, has none.
    const addend = (value: number) => padRows(new Float32Array(N).fill(value), N);
    for (const kind of casesFor(tier, Object.keys(reference.activations) as Activation[])) {
      const variant = { inner: K, outputs: N, bias: true, residual: false, activation: kind };
      const kernel = linearKernel(variant, { ...profile, tiling });
      const params = { rows: values.length, ...linearParams(K, N, true) };
      const run = async (bias: Float32Array<ArrayBuffer>) =>
        // unpadRows throws where the padding is not zero.
        unpadRows(
          (await dispatch(kernel, { x, weight, bias, y: { floats: values.length * padded(N) } }, params)).y!,
          N,
        );
      const rows = await run(addend(0));
      for (const [t, value] of values.entries()) {
        const wanted = reference.activations[kind]!(value);
        const actual = rows[t * N + N - 1]!;
        // Float32 rounds x and the result, and differences of about x.
        const most = 2e-6 * (1 + Math.abs(wanted) + (value < 0 && value > -30 ? Math.abs(value) : 0));
        expect(Math.abs(actual - wanted) <= most, `${kind}(${value}) is ${wanted}, not ${actual}`);
      }
      expect((await run(addend(Number.NaN))).every(Number.isNaN), `${kind}(NaN) is not NaN`);
    }
  });
}

for (const tier of LINEAR_TIERS) {
  for (const format of ['f32', 'f16', 'i8'] as const) {
    check(`a slice of a linear ${format} (${tier})`, async () => {
      const [K, N, T] = [130, 407, 65];
      const profile = await profileFor(tier);
      const kernel = linearKernel({ inner: K, outputs: N, bias: true, residual: false, format, sliced: true }, profile);
      const make = random(N);
      const x = packRows(make(T * K), K, format === 'i8' ? 'i8' : 'f32');
      const weight = packRows(make(N * K, 1.5 / Math.sqrt(K)), K, format, padded(N));
      const bias = make(N);
      const expected = reference.linear(x.values, weight.values, { K, N, bias });
      for (const [from, S] of [
        [0, 256],
        [256, 151],
        [64, 20],
      ] as const) {
        const { y } = await dispatch(
          kernel,
          { x: x.operand, weight: weight.operand, bias: padRows(bias, N), y: { floats: T * padded(S) } },
          { rows: T, ...linearParams(K, N, false), from4: from / 4, slice4: padded(S) / 4 },
        );
        const columns = Float64Array.from(
          { length: T * S },
          (_, i) => expected[Math.floor(i / S) * N + from + (i % S)]!,
        );
        expectClose(unpadRows(y!, S), columns, { label: `${from} to ${from + S}`, absolute: 4e-6, relative: 2e-6 });
      }
    });
  }
}

/** By linear and format the outputs of the first tiling. */
const first = new Map<string, Float32Array[]>();

for (const tiling of FITTED_TILINGS) {
  const cases = [
    [LINEARS[2]!, 'f32', ROWS],
    [LINEARS[0]!, 'f32', [1, 65]],
    [LINEARS[5]!, 'f16', ROWS],
    [LINEARS[5]!, 'i8', ROWS],
  ] as const;
  for (const [linear, format, rows] of casesFor('gpu', cases, 1)) {
    const name = `linear ${linear[0]}>${linear[1]} ${format}`;
    check(`${name}, tiling ${tilingLabel(tiling)}`, async log => {
      const found: Float32Array[] = [];
      const noted = (y: Float32Array) => found.push(y);
      await checkLinear(linear, format, { ...(await profileFor('gpu')), tiling }, log, { rows, noted });
      // Added in the same order, by a compiler that leaves the order alone: the same bits.
      const wanted = first.get(name) ?? found;
      first.set(name, wanted);
      found.forEach((y, i) => {
        expectClose(y, wanted[i]!, { label: `T = ${rows[i]}, beside ${tilingLabel(FITTED_TILINGS[0]!)}` });
      });
    });
  }
}
