import { TILINGS } from '../../bench/page/candidates.ts';
import type { Activation } from '../../shaders/activation.ts';
import { attention } from '../../shaders/attention.ts';
import { embed } from '../../shaders/embed.ts';
import { gather } from '../../shaders/gather.ts';
import { inspect, NO_HALF, NOT_FINITE } from '../../shaders/inspect.ts';
import { padded, WHOLE_GRID } from '../../shaders/kernel.ts';
import { l2Norm } from '../../shaders/l2-norm.ts';
import { linearParams } from '../../shaders/linear.ts';
import { logitsPool } from '../../shaders/logits-pool.ts';
import { type Format, rowElements } from '../../shaders/matrix.ts';
import { type NormVariant, normLabel } from '../../shaders/norm.ts';
import { halve, quantize } from '../../shaders/pack.ts';
import { place, type StoredType } from '../../shaders/place.ts';
import { POOLINGS, type Pooling, packPoolings, pool } from '../../shaders/pool.ts';
import { rotary, rotarySteps } from '../../shaders/rotary.ts';
import { rowNorm } from '../../shaders/row-norm.ts';
import { fitted, tilingLabel } from '../../shaders/tiling.ts';
import { topK } from '../../shaders/top-k.ts';
import { weigh } from '../../shaders/weigh.ts';
import { packBatch } from '../../src/plan/batch.ts';
import type { Caps } from '../../src/plan/caps.ts';
import { linearKernel } from '../../src/plan/choose.ts';
import { type Profile, profileOf } from '../../src/plan/profiles.ts';
import { bucketTable } from '../../src/plan/relative.ts';
import type { Sequence } from '../../src/plan/sequence.ts';
import * as reference from '../../tests/reference.ts';
import { dispatch, padRows, random, testGpu, unpadRows } from '../dispatch.ts';
import { check, expect, expectClose, expectEqual } from '../harness.ts';
import './kernels/layouts.ts';
import { packRows } from '../packed.ts';

/**
 * Every kernel, in every shape that the plan may choose for any adapter, against its float64 twin. A float32 sum of n products
 * of size s is off by about n^0.5 2^-24 s, n 2^-24 s at worst; the tolerances are a few times the first and stand beside each op.
 */
const ROWS = [1, 7, 63, 65, 257];

const TIERS: Record<string, (real: Caps) => Caps> = {
  swiftshader: caps => ({ ...caps, adapter: 'swiftshader' }),
  llvmpipe: caps => ({ ...caps, adapter: 'llvmpipe', storageTextures: true, subgroup: 0 }),
  gpu: caps => ({ ...caps, adapter: 'gpu' }),
  'gpu of 128': caps => ({ ...caps, adapter: 'gpu', maxInvocations: 128 }),
};

/** What is chosen for a tier on this device; `without` features where the device has them. */
async function profileFor(tier: string, without: Partial<Caps> = {}): Promise<Profile> {
  const { gpu } = await testGpu();
  return profileOf({ ...TIERS[tier]!(gpu.caps), ...without });
}

const LINEARS: [
  K: number,
  N: number,
  activation: Activation | undefined,
  residual: boolean,
  bias: boolean,
  gate?: boolean,
][] = [
  [384, 1536, 'gelu', false, true],
  [1536, 384, undefined, true, true],
  [37, 70, 'gelu_tanh', true, true],
  [6, 5, 'tanh', false, true],
  [64, 64, 'relu', false, false],
  [130, 18, 'silu', false, true],
  [130, 70, undefined, false, false, true],
  [45, 37, 'gelu', true, true, true],
];

const LAYER_NORM: NormVariant = { kind: 'layer', beta: true, unitOffset: false };
const RMS_NORM: NormVariant = { kind: 'rms', beta: false, unitOffset: false };

const NORMS: [C: number, norm: NormVariant, residual: boolean, addend: boolean][] = [
  [384, LAYER_NORM, true, false],
  [48, LAYER_NORM, false, false],
  [37, LAYER_NORM, true, false],
  [5, LAYER_NORM, false, true],
  [37, { ...LAYER_NORM, beta: false }, true, true],
  [37, { ...LAYER_NORM, unitOffset: true }, false, true],
  [384, RMS_NORM, false, false],
  [37, { ...RMS_NORM, unitOffset: true }, true, true],
  [130, { ...RMS_NORM, beta: true }, false, false],
  [384, { kind: 'affine', beta: true, unitOffset: false }, true, false],
  [5, { kind: 'affine', beta: false, unitOffset: true }, false, true],
];

async function checkLinear(
  [K, N, activation, residual, bias, gate = false]: (typeof LINEARS)[number],
  format: Format,
  profile: Profile,
  log: (text: string) => void,
  { rows = ROWS, noted }: { rows?: readonly number[]; noted?: (y: Float32Array) => void } = {},
): Promise<void> {
  const kernel = linearKernel({ inner: K, outputs: N, bias, gate, residual, activation, format }, profile);
  const make = random(K * N);
  let worst = 0;
  for (const T of rows) {
    // Where the weight is bytes, so is x.
    const x = packRows(make(T * K), K, format === 'i8' ? 'i8' : 'f32');
    // The weight has a row, of zeros, for every float of a padded output.
    const weight = packRows(make(N * K, 1.5 / Math.sqrt(K)), K, format, padded(N));
    const b = make(N);
    const r = make(T * N);
    const g = make(T * N);
    const { y } = await dispatch(
      kernel,
      {
        x: x.operand,
        weight: weight.operand,
        y: { floats: T * padded(N) },
        ...(bias && { bias: padRows(b, N) }),
        ...(gate && { gate: padRows(g, N) }),
        ...(residual && { residual: padRows(r, N) }),
      },
      { rows: T, ...linearParams(K, N, activation !== undefined) },
    );
    noted?.(y!);
    const expected = reference.linear(x.values, weight.values, {
      K,
      N,
      ...(bias && { bias: b }),
      ...(gate && { gate: g }),
      ...(residual && { residual: r }),
      ...(activation && { activation }),
    });
    worst = Math.max(
      worst,
      expectClose(unpadRows(y!, N), expected, { label: `T = ${T}`, absolute: 4e-6, relative: 2e-6 }),
    );
  }
  log(`largest difference ${worst.toExponential(1)}`);
}

// The reference computes with the very halves and bytes, so that the tolerances are those of float32.
for (const tier of Object.keys(TIERS)) {
  for (const linear of tier === 'gpu of 128' ? LINEARS.slice(2, 3) : LINEARS) {
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

  if (tier === 'gpu of 128') continue;

  check(`every activation, at any size, and NaN (${tier})`, async () => {
    const values = [-1e4, -90, -21, -5, -3, -1, -0.5, -0.4, -1e-3, 0, 1e-3, 0.4, 0.5, 1, 3, 5.9, 21, 90, 1e4];
    const [K, N] = [4, 6];
    const x = Float32Array.from(values.flatMap(value => [value, 0, 0, 0]));
    const weight = new Float32Array(padded(N) * K).map((_, i) => Number(i % K === 0 && i < N * K));
    // NaN comes from the bias, so that the padding, whose weights are zero, has none.
    const addend = (value: number) => padRows(new Float32Array(N).fill(value), N);
    for (const kind of Object.keys(reference.activations) as Activation[]) {
      const variant = { inner: K, outputs: N, bias: true, residual: false, activation: kind };
      const kernel = linearKernel(variant, await profileFor(tier));
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

  for (const [C, norm, residual, addend] of NORMS) {
    const name = `${normLabel(norm)} norm ${C}${residual ? ' + residual' : ''}${addend ? ' + addend' : ''}`;
    check(`${name} (${tier})`, async log => {
      const kernel = rowNorm({ columns: C, norm, residual, addend }, (await profileFor(tier)).norm);
      const make = random(C);
      // The mean of a layer norm's rows is 100 with a deviation of 1: E[x^2] - E[x]^2 would lose three digits here. A deviation of 1
      // then carries 100 x 2^-24 = 6e-6 of rounding from the inputs' sum alone. The other norms subtract no mean.
      const [mean, tolerance] =
        norm.kind === 'layer' ? [100, { absolute: 5e-5, relative: 2e-5 }] : [0, { absolute: 2e-6, relative: 1e-6 }];
      const eps = norm.kind === 'layer' ? 1e-12 : 1e-5;
      let worst = 0;
      for (const T of ROWS) {
        const x = make(T * C).map(v => v + mean);
        const r = make(T * C);
        const a = make(T * C);
        const gamma = make(C);
        const beta = make(C);
        const { y } = await dispatch(
          kernel,
          {
            x: padRows(x, C),
            gamma: padRows(gamma, C),
            y: { floats: T * padded(C) },
            ...(norm.beta && { beta: padRows(beta, C) }),
            ...(residual && { residual: padRows(r, C) }),
            ...(addend && { addend: padRows(a, C) }),
          },
          { rows: T, ...(norm.kind !== 'affine' && { eps }) },
        );
        const expected = reference.norm(x, {
          ...norm,
          gamma,
          beta: norm.beta ? beta : undefined,
          eps,
          residual: residual ? r : undefined,
          addend: addend ? a : undefined,
        });
        worst = Math.max(worst, expectClose(unpadRows(y!, C), expected, { label: `T = ${T}`, ...tolerance }));
      }
      log(`largest difference ${worst.toExponential(1)}`);
    });
  }

  for (const kind of ['layer', 'rms'] as const) {
    check(`a row whose squares overflow is NaN after a ${kind} norm (${tier})`, async () => {
      const norm = { kind, beta: false, unitOffset: false };
      const kernel = rowNorm({ columns: 8, norm, residual: false, addend: false }, (await profileFor(tier)).norm);
      const x = Float32Array.from({ length: 16 }, (_, i) => (i < 8 ? (-1) ** i * 1e25 : i));
      const operands = { x, gamma: new Float32Array(8).fill(1), y: { floats: 16 } };
      const { y } = await dispatch(kernel, operands, { rows: 2, eps: 1e-5 });
      expect([...y!.subarray(0, 8)].every(Number.isNaN), `${y!.subarray(0, 8)}, not NaN`);
      expect([...y!.subarray(8)].every(Number.isFinite), 'the other row has its numbers');
    });
  }

  for (const C of [384, 37, 5]) {
    check(`rows of length 1, ${C} columns (${tier})`, async () => {
      const kernel = l2Norm({ columns: C }, (await profileFor(tier)).norm);
      const make = random(C);
      for (const T of ROWS) {
        // The first row is zero, the second so small that it is divided by the least length.
        const x = make(T * C).map((v, i) => (i < C ? 0 : i < 2 * C ? v * 1e-14 : v));
        const operands = { x: padRows(x, C), y: { floats: T * padded(C) } };
        const { y } = await dispatch(kernel, operands, { rows: T, floor: 1e-12 });
        expectClose(unpadRows(y!, C), reference.l2Norm(x, C), { label: `T = ${T}`, absolute: 1e-6 });
        expectEqual(
          [...y!].filter((_, i) => i % padded(C) >= C && y![i] !== 0),
          [],
          'the padding stays zero',
        );
      }
      const overflow = { x: padRows(new Float32Array(C).fill(3e38), C), y: { floats: padded(C) } };
      const { y } = await dispatch(kernel, overflow, { rows: 1, floor: 1e-12 });
      expect(Number.isNaN(y![0]), `${y![0]}, not NaN, where the length overflows`);
    });
  }

  for (const [C, count] of [
    [384, 13],
    [37, 2],
    [5, 4],
  ] as const) {
    check(`terms of a weighted mean of ${count}, ${C} columns (${tier})`, async () => {
      const make = random(C);
      const { norm } = await profileFor(tier);
      const factors = make(count).map(v => v + 2);
      const total = factors.reduce((sum, v) => sum + v, 0);
      for (const T of ROWS) {
        const [x, sum] = [make(T * C), make(T * C)];
        for (const hasSum of [false, true]) {
          const index = count - 1;
          const operands = {
            x: padRows(x, C),
            ...(hasSum && { sum: padRows(sum, C) }),
            factors: padRows(factors, count),
            y: { floats: T * padded(C) },
          };
          const { y } = await dispatch(weigh({ columns: C, count, sum: hasSum }, norm), operands, { rows: T, index });
          const expected = Array.from(x, (v, i) => (hasSum ? sum[i]! : 0) + (v * factors[index]!) / total);
          expectClose(unpadRows(y!, C), expected, { label: `T = ${T}`, absolute: 2e-6 });
        }
      }
    });
  }

  for (const [C, format] of [
    [32, 'f32'],
    [30, 'f32'],
    [7, 'f32'],
    [70, 'f16'],
    [130, 'i8'],
  ] as const) {
    check(`embed ${C} ${format}, table in two slices (${tier})`, async () => {
      const { norm, target } = await profileFor(tier);
      const make = random(C);
      for (const T of ROWS) {
        const [V, P] = [50, 300];
        const words = make(V * C);
        const places = make(P * C);
        const types = make(2 * C);
        const gamma = make(C);
        const beta = make(C);
        const ids = Array.from({ length: T }, (_, t) => (t * 29 + 3) % V);
        const tokens = Uint32Array.from(ids.flatMap((id, t) => [id, t, t % 2, 0]));
        // Gemma's is the root of C; most families have none.
        const factor = C === 30 || C === 70 ? Math.sqrt(C) : undefined;
        const tables = { positions: true, types: true, tasks: false };
        const variant = { columns: C, ...tables, factor: factor !== undefined, norm: LAYER_NORM, format };
        const kernel = embed(variant, norm, target);
        const operands = {
          tokens,
          positions: padRows(places, C),
          types: padRows(types, C),
          gamma: padRows(gamma, C),
          beta: padRows(beta, C),
          y: { floats: T * padded(C) },
        };
        const half = await Promise.all(
          [0, 20].map(async (first, i) => {
            const count = [20, V - 20][i]!;
            const slice = packRows(words.subarray(first * C, (first + count) * C), C, format).operand;
            const { y } = await dispatch(
              kernel,
              { ...operands, words: slice },
              { rows: T, first, count, ...(factor && { factor }), eps: 1e-12 },
            );
            return y!;
          }),
        );
        // Each dispatch writes the rows of its own slice and leaves the others alone.
        const y = Float32Array.from(half[0]!, (a, i) => {
          const b = half[1]![i]!;
          expect(Number.isNaN(a) !== Number.isNaN(b), `float ${i} was written by ${Number.isNaN(a) ? 'none' : 'both'}`);
          return Number.isNaN(a) ? b : a;
        });
        const sum = reference.embed(
          [
            [packRows(words, C, format).values, ids],
            [places, ids.map((_, t) => t)],
            [types, ids.map((_, t) => t % 2)],
          ],
          C,
        );
        const scaled = sum.map(v => v * (factor ?? 1));
        const expected = reference.layerNorm(scaled, gamma, beta, 1e-12);
        expectClose(unpadRows(y, C), expected, { label: `T = ${T}`, absolute: 4e-6, relative: 2e-6 });
      }
    });
  }

  for (const [H, D] of [
    [2, 8],
    [3, 12],
    [2, 25],
    [12, 32],
    [1, 64],
    [1, 128],
  ] as const) {
    for (const probabilities of [false, true]) {
      if (probabilities && D > 32) continue;
      check(`attention ${H}x${D}${probabilities ? ' with probabilities' : ''} (${tier})`, async log => {
        const variant = { heads: H, keyHeads: H, headSize: D, probabilities, relative: false };
        const { attention: shapeOf, target } = await profileFor(tier);
        const shape = shapeOf(D);
        const make = random(H * D);
        const lengths = [1, 7, 65, 16, 3, 63];
        const T = lengths.reduce((a, b) => a + b);
        // Scores with a deviation of about 3: some keys dominate.
        const qkv = make(T * 3 * H * D, 1.7);
        const blank = lengths.map(L => ({ ids: new Array(L).fill(0) as number[] }));
        const sequences: Sequence[] = blank.map(({ ids }) => ({ ids, positions: ids, types: ids }));
        const batch = packBatch(sequences, shape.lanes * shape.queries);
        const { context, probabilities: found } = await dispatch(
          attention(variant, shape, target.texture),
          {
            tiles: batch.tiles,
            qkv: padRows(qkv, D),
            context: { floats: T * H * padded(D) },
            ...(probabilities && { probabilities: { floats: H * batch.sizes.pairs } }),
          },
          { tiles: batch.sizes.tiles, scale: 1 / Math.sqrt(D), ...WHOLE_GRID },
        );
        const expected = reference.attention(qkv, lengths, { H, D });
        const worst = expectClose(unpadRows(context!, D), expected.context, { label: 'context', absolute: 1e-5 });
        if (found) expectClose(found, expected.probabilities, { label: 'probabilities', absolute: 2e-6 });
        log(`largest difference ${worst.toExponential(1)}`);
      });
    }
  }
}

check('attention with a relative bias', async () => {
  const [H, D] = [3, 8];
  const variant = { heads: H, keyHeads: H, headSize: D, probabilities: true, relative: true };
  for (const tier of ['swiftshader', 'gpu']) {
    const { attention: shapeOf, target } = await profileFor(tier);
    const shape = shapeOf(D);
    const make = random(5);
    // Longer than the largest distance that is told apart.
    const lengths = [1, 150, 9];
    const T = lengths.reduce((a, b) => a + b);
    const qkv = make(T * 3 * H * D);
    const bias = make(32 * H, 2);
    const buckets = bucketTable(32);
    const rows = lengths.map(L => new Array<number>(L).fill(0));
    const batch = packBatch(
      // Every other place of the row was padding: distances are twice what they look.
      rows.map(ids => ({ ids, positions: ids, types: ids, places: ids.map((_, i) => 2 * i) })),
      shape.lanes * shape.queries,
    );
    const { context, probabilities } = await dispatch(
      attention(variant, shape, target.texture),
      {
        tiles: batch.tiles,
        qkv,
        tokens: batch.tokens,
        buckets,
        bias: padRows(bias, H),
        context: { floats: T * H * D },
        probabilities: { floats: H * batch.sizes.pairs },
      },
      { tiles: batch.sizes.tiles, scale: 1 / Math.sqrt(D), ...WHOLE_GRID },
    );
    const expected = reference.attention(qkv, lengths, {
      H,
      D,
      bias: (distance, head) => bias[reference.relativeBucket(2 * distance, 32) * H + head]!,
    });
    expectClose(context!, expected.context, { label: `context (${tier})`, absolute: 1e-5 });
    expectClose(probabilities!, expected.probabilities, { label: `probabilities (${tier})`, absolute: 2e-6 });
  }
});

/** Columns `from` to `from + S` of a linear of N outputs, and the weights that they give sequences of these lengths. */
for (const tier of Object.keys(TIERS)) {
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

for (const pooling of ['max', 'sum'] as const) {
  for (const logarithms of [1, 2] as const) {
    check(`logits ${pooling}, ${logarithms} log`, async () => {
      const [V, from, S] = [600, 256, 307];
      const lengths = [1, 7, 63, 65];
      const starts = lengths.map((_, b) => lengths.slice(0, b).reduce((a, length) => a + length, 0));
      const sequences = Uint32Array.from(lengths.flatMap((length, b) => [starts[b]!, starts[b]! + length, 0, 0]));
      const x = random(V)(136 * S, 3);
      // Small weights must not be lost to the rounding of 1 + x.
      x.forEach((v, i) => {
        if (i % 5 === 0) x[i] = v * 10 ** -(i % 30);
      });
      const { y } = await dispatch(
        logitsPool({ pooling, logarithms }),
        { sequences, x: padRows(x, S), y: { floats: lengths.length * V } },
        { sequences: lengths.length, from4: from / 4, slice4: padded(S) / 4, row4: V / 4 },
      );
      const expected = reference.vocabularyPool(x, lengths, { V: S, pooling, logarithms });
      for (const [b, length] of lengths.entries()) {
        const row = y!.subarray(b * V, (b + 1) * V);
        // The columns of other slices are not touched; the padding of this one is zero.
        expect(
          row.subarray(0, from).every(Number.isNaN) && row.subarray(from + padded(S)).every(Number.isNaN),
          'others',
        );
        expect(row[from + S] === 0, 'padding');
        const wanted = expected.subarray(b * S, (b + 1) * S);
        expectClose(row.subarray(from, from + S), wanted, { label: `${length} tokens`, relative: 4e-6 });
        expect(
          wanted.every((v, i) => v < 1e-37 || row[from + i]! > 0),
          'what is positive stays positive',
        );
      }
    });
  }
}

for (const tier of ['swiftshader', 'llvmpipe', 'gpu']) {
  for (const [H, G, D, window, bias, probabilities] of [
    [4, 2, 8, undefined, undefined, true],
    [6, 2, 25, 9, undefined, true],
    [2, 2, 12, 0, undefined, true],
    [3, 3, 32, 64, undefined, false],
    [2, 1, 8, 1000, 'slopes', true],
    [3, 3, 8, undefined, 'slopes', true],
    [2, 2, 12, 5, 'buckets', true],
    [2, 1, 256, 20, undefined, false],
  ] as const) {
    const words = `${bias ? ` ${bias}` : ''}${window === undefined ? '' : ` in a window of ${window}`}`;
    check(`attention ${H}/${G}x${D}${words}${probabilities ? ' with probabilities' : ''} (${tier})`, async log => {
      const { attention: shapeOf, target } = await profileFor(tier);
      const shape = shapeOf(D);
      const make = random(H * D);
      const lengths = [1, 7, 300, 16, 65];
      const T = lengths.reduce((a, b) => a + b);
      const qkv = make(T * (H + 2 * G) * D, 1.7);
      const table = make(32 * H, 2);
      const slopes = Float32Array.from({ length: H }, (_, h) => 2 ** -(h + 1));
      const rows = lengths.map(L => new Array<number>(L).fill(0));
      // Every other place of the row was padding.
      const batch = packBatch(
        rows.map(ids => ({ ids, positions: ids, types: ids, places: ids.map((_, i) => 2 * i) })),
        shape.lanes * shape.queries,
      );
      const kernel = attention(
        {
          heads: H,
          keyHeads: G,
          headSize: D,
          probabilities,
          relative: bias === 'buckets',
          slopes: bias === 'slopes',
          window: window !== undefined,
        },
        shape,
        target.texture,
      );
      const results = await dispatch(
        kernel,
        {
          tiles: batch.tiles,
          qkv: padRows(qkv, D),
          ...((bias || window !== undefined) && { tokens: batch.tokens }),
          ...(bias === 'slopes' && { slopes }),
          ...(bias === 'buckets' && { buckets: bucketTable(32), bias: padRows(table, H) }),
          context: { floats: T * H * padded(D) },
          ...(probabilities && { probabilities: { floats: H * batch.sizes.pairs } }),
        },
        {
          tiles: batch.sizes.tiles,
          scale: 1 / Math.sqrt(D),
          ...(window !== undefined && { window }),
          ...WHOLE_GRID,
        },
      );
      const biases = {
        none: () => 0,
        slopes: (distance: number, head: number) => -slopes[head]! * Math.abs(2 * distance),
        buckets: (distance: number, head: number) => table[reference.relativeBucket(2 * distance, 32) * H + head]!,
      };
      const expected = reference.attention(qkv, lengths, {
        H,
        G,
        D,
        bias: biases[bias ?? 'none'],
        seen: distance => window === undefined || Math.abs(2 * distance) <= window,
      });
      // As without a window: probabilities are off by a few 2^-24 of the largest score.
      const worst = expectClose(unpadRows(results.context!, D), expected.context, { label: 'context', absolute: 1e-5 });
      if (probabilities) {
        expectClose(results.probabilities!, expected.probabilities, { label: 'probabilities', absolute: 2e-6 });
        expected.probabilities.forEach((p, i) => {
          if (p === 0)
            expect(results.probabilities![i] === 0, `probability ${i} is ${results.probabilities![i]}, not 0`);
        });
      }
      log(`largest difference ${worst.toExponential(1)}`);
    });
  }
}

for (const [H, G, D, d, interleaved, turnsValues] of [
  [2, 2, 8, 8, false, false],
  [3, 1, 64, 64, false, false],
  [4, 2, 25, 12, false, true],
  [2, 2, 10, 10, true, true],
  [6, 2, 18, 6, true, false],
] as const) {
  const words = `${interleaved ? ', interleaved' : ''}${turnsValues ? ', values too' : ''}`;
  check(`rotary ${H}/${G}x${D}, ${d} columns${words}`, async log => {
    const heads = H + 2 * G;
    const frequencies = Array.from({ length: d / 2 }, (_, i) => 10_000 ** ((-2 * i) / d));
    const kernel = rotary({
      heads: H,
      keyHeads: G,
      headSize: D,
      pairs: d / 2,
      interleaved,
      turnsValues,
      angles: 'steps',
    });
    const make = random(D);
    let worst = 0;
    for (const T of ROWS) {
      const qkv = make(T * heads * D);
      const positions = Array.from({ length: T }, (_, t) => [t, 8191 - t, 100_000 + t, 2 ** 20 + 7 * t][t % 4]!);
      const { y } = await dispatch(
        kernel,
        {
          tokens: Uint32Array.from(positions.flatMap(position => [0, position, 0, 0])),
          steps: rotarySteps(frequencies),
          qkv: padRows(qkv, D),
          y: { floats: T * heads * padded(D) },
        },
        { rows: T },
      );
      const turned = H + (turnsValues ? 2 : 1) * G;
      const expected = reference.rotary(qkv, positions, { heads, turned, D, frequencies, interleaved });
      // Sine and cosine are right to 1e-7, and the numbers are at most 7.
      worst = Math.max(worst, expectClose(unpadRows(y!, D), expected, { label: `T = ${T}`, absolute: 1e-6 }));
    }
    log(`largest difference ${worst.toExponential(1)}`);
  });
}

check('gather', async () => {
  for (const C of [384, 37]) {
    const x = random(C)(65 * C);
    const picked = [64, 0, 7, 7, 33];
    const masked = Uint32Array.from(picked.flatMap(row => [row, 0, 0, 0]));
    const { y } = await dispatch(
      gather({ columns: C }),
      { masked, x: padRows(x, C), y: { floats: picked.length * padded(C) } },
      { rows: picked.length },
    );
    const expected = picked.flatMap(row => [...x.subarray(row * C, (row + 1) * C)]);
    expectClose(unpadRows(y!, C), expected, { label: `C = ${C}` });
  }
});

/** By linear and format the outputs of the first tiling. */
const first = new Map<string, Float32Array[]>();

for (const tiling of TILINGS) {
  for (const [linear, format, rows] of [
    [LINEARS[0]!, 'f32', [1, 65]],
    [LINEARS[2]!, 'f32', ROWS],
    [LINEARS[5]!, 'f16', ROWS],
    [LINEARS[5]!, 'i8', ROWS],
  ] as const) {
    const name = `linear ${linear[0]}>${linear[1]} ${format}`;
    check(`${name}, tiling ${tilingLabel(tiling)}`, async log => {
      const found: Float32Array[] = [];
      const noted = (y: Float32Array) => found.push(y);
      const { caps } = (await testGpu()).gpu;
      await checkLinear(
        linear,
        format,
        { ...(await profileFor('gpu')), tiling: fitted(tiling, caps.maxInvocations) },
        log,
        { rows, noted },
      );
      // Added in the same order, by a compiler that leaves the order alone: the same bits.
      const wanted = first.get(name) ?? found;
      first.set(name, wanted);
      found.forEach((y, i) => {
        expectClose(y, wanted[i]!, { label: `T = ${rows[i]}, beside ${tilingLabel(TILINGS[0]!)}` });
      });
    });
  }
}

for (const [V, k] of [
  [640, 5],
  [3, 3],
  [1001, 70],
] as const) {
  check(`top ${k} of ${V}, with ties`, async () => {
    const R = 7;
    // Rounded to quarters: many values are equal, and their order must be that of their indices.
    const x = random(V)(R * V, 3).map(v => Math.round(v * 4) / 4);
    const { y } = await dispatch(
      topK({ columns: V, k }),
      { x: padRows(x, V), y: { floats: R * padded(2 * k + 2) } },
      { rows: R, ...WHOLE_GRID },
      { fill: 0 },
    );
    const rows = unpadRows(y!, 2 * k + 2);
    reference.topK(x, { V, k }).forEach(({ logSumExp, best }, r) => {
      const [top, sum, ...pairs] = rows.subarray(r * (2 * k + 2), (r + 1) * (2 * k + 2));
      // The sum of up to 1,001 exponentials: 1,001^0.5 2^-24 of it.
      expectClose([top! + Math.log(sum!)], [logSumExp], { label: 'log-sum-exp', absolute: 4e-6 });
      expectClose(
        pairs,
        best.flatMap(({ value, index }) => [value, index]),
        { label: `row ${r}` },
      );
    });
  });
}

const POOLS: Pooling[][] = [
  ...(Object.keys(POOLINGS) as Pooling[]).map(pooling => [pooling]),
  ['cls', 'mean', 'max'],
  ['weighted', 'last'],
  ['max', 'mean_sqrt', 'cls', 'weighted', 'last', 'mean'],
];

for (const pooling of POOLS) {
  for (const normalize of [false, true]) {
    check(`pool ${pooling.join(' and ')}${normalize ? ', normalised' : ''}`, async () => {
      const lengths = [1, 7, 63, 65, 257];
      const T = lengths.reduce((a, b) => a + b);
      const several = pooling.length;
      for (const [C, kept] of several > 1
        ? [
            [384, 384 * several],
            [50, 50 * several],
            [7, 7 * several],
          ]
        : [
            [384, 384],
            [50, 50],
            [48, 31],
          ]) {
        const x = random(C!)(T * C!);
        // Nothing left out; some tokens, all of them, and more than there are.
        for (const unpooled of [
          [0, 0, 0, 0, 0],
          [0, 3, 63, 70, 5],
        ]) {
          const ids = lengths.map(L => new Array<number>(L).fill(0));
          const batch = packBatch(
            ids.map((row, i) => ({ ids: row, positions: row, types: row, unpooled: unpooled[i] })),
            16,
          );
          const { y } = await dispatch(
            pool({ columns: C!, poolings: several, kept: kept! }),
            { sequences: batch.sequences, x: padRows(x, C!), y: { floats: lengths.length * padded(kept!) } },
            { sequences: lengths.length, pooling: packPoolings(pooling), normalize: Number(normalize), floor: 1e-12 },
          );
          const expected = reference.pool(x, lengths, { C: C!, kept: kept!, pooling, normalize, unpooled });
          // A mean by the root of n is a mean times as much.
          const scale = pooling.includes('mean_sqrt') && !normalize ? 16 : 1;
          const label = `${C}>${kept} without ${unpooled}`;
          expectClose(unpadRows(y!, kept!), expected, { label, absolute: 2e-6 * scale });
        }
      }
    });
  }
}

for (const stored of ['F32', 'F16', 'BF16'] as StoredType[]) {
  check(`place ${stored}: heads padded, joined, in pieces`, async () => {
    // [6, 10]: two heads of three rows, each padded to four; columns in groups of five, each padded to eight; from row 8 on.
    const [rows, columns, stride] = [6, 10, 16];
    // Values that all three types hold exactly.
    const values = Float32Array.from({ length: rows * columns }, (_, i) => ((i % 33) - 16) / 8);
    const destination = new Float32Array(stride * 20);
    const bits = (value: number): number => {
      const word = new Uint32Array(Float32Array.of(value).buffer)[0]!;
      if (stored === 'BF16') return word >>> 16;
      const exponent = ((word >>> 23) & 255) - 127;
      return value === 0 ? 0 : ((word >>> 16) & 0x8000) | ((exponent + 15) << 10) | ((word >>> 13) & 0x3ff);
    };
    const encode = (part: Float32Array<ArrayBuffer>) =>
      stored === 'F32' ? part.slice() : Uint16Array.from(part, bits);
    const geometry = { columns, row_offset: 8, row_size: 3, row_padded: 4, column_size: 5, column_padded: 8, stride };
    let found = destination;
    for (const [first, count] of [
      [0, 22],
      [22, 38],
    ] as const) {
      const part = encode(values.slice(first, first + count));
      const words = new Uint32Array(
        new Uint8Array([...new Uint8Array(part.buffer), 0, 0, 0].slice(0, Math.ceil(part.byteLength / 4) * 4)).buffer,
      );
      const out = await dispatch(place(stored), { piece: words, destination: found }, { count, first, ...geometry });
      found = out.destination!;
    }
    const expected = new Float32Array(stride * 20);
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        expected[(8 + Math.floor(r / 3) * 4 + (r % 3)) * stride + Math.floor(c / 5) * 8 + (c % 5)] =
          values[r * columns + c]!;
      }
    }
    expectClose(found, expected, { label: stored });
  });
}

check('inspect: the first number of every kind, wherever it stands', async () => {
  const found = async (x: Float32Array<ArrayBuffer>, limit: number) => {
    const out = await dispatch(
      inspect(),
      { x, found: new Uint32Array(8) },
      { count: x.length / 4, base: 1000, slot: 1, limit },
    );
    const words = [...new Uint32Array(out.found!.buffer)];
    expect(
      words.slice(0, 4).every(word => word === 0),
      'another slot',
    );
    return words.slice(4).map(word => (word === 0 ? -1 : (~word >>> 0) - 1000));
  };
  for (const count of [4, 36, 2048, 2052, 5000]) {
    const x = random(count)(count, 1e4);
    expect(`${await found(x, NOT_FINITE)}` === '-1,-1,-1,-1', 'finite numbers');
    for (const [kind, value] of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -65520].entries()) {
      for (const at of [0, Math.floor(count / 3), count - 1]) {
        const spoilt = x.slice();
        spoilt[at] = value;
        spoilt[count - 1] = value;
        const wanted = [-1, -1, -1, -1];
        wanted[kind] = at;
        expect(`${await found(spoilt, NO_HALF)}` === `${wanted}`, `${value} at ${at} of ${count}`);
      }
    }
    expect(
      `${await found(
        x.map(v => v + 65519 - v),
        NO_HALF,
      )}` === '-1,-1,-1,-1',
      'what rounds to a half',
    );
  }
});

check('quantize: a group with a number that is not finite has a scale of NaN, its neighbours their own', async () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    const x = random(9)(256);
    x[70] = value;
    const { y } = await dispatch(quantize({ columns: 128 }), { x, y: { floats: 68 } }, { rows: 2 });
    const scales = [16, 33, 50, 67].map(at => y![at]!);
    expect(`${scales.map(Number.isFinite)}` === 'true,false,true,true', `scales ${scales}`);
    expect(Number.isNaN(scales[1]), `a scale of ${scales[1]}`);
  }
});

check('halve: every number becomes a half beside it, what is too large the largest', async () => {
  const x = random(1)(1000, 40);
  x.set([0, -0, 1e-9, -70000, 3e38, 65504, 2 ** -24, 1 / 3]);
  const { y } = await dispatch(halve(), { x, y: { floats: 500 } }, { count: 250 });
  const found = new Uint16Array(y!.buffer);
  x.forEach((value, i) => {
    const sign = found[i]! & 0x8000 ? -1 : 1;
    const exponent = (found[i]! >> 10) & 31;
    const mantissa = found[i]! & 1023;
    const given = sign * (exponent ? (1024 + mantissa) * 2 ** (exponent - 25) : mantissa * 2 ** -24);
    const wanted = Math.max(-65504, Math.min(65504, value));
    // WGSL leaves open which of the two neighbours; it may flush what is denormal.
    const unit = Math.max(2 ** -14, 2 ** (Math.floor(Math.log2(Math.abs(wanted) || 2 ** -14)) - 10));
    expect(Math.abs(given - wanted) <= unit, `${value} became ${given}`);
  });
});

for (const columns of [4, 37, 64, 130, 384]) {
  check(`quantize ${columns}: bytes within half a step, one scale for 64 numbers`, async () => {
    for (const T of [1, 7, 65]) {
      const x = random(columns)(T * columns);
      // A row of zeros, and one that is nearly nothing.
      if (T > 2) {
        x.fill(0, 0, columns);
        x.fill(1e-34, columns, 2 * columns);
      }
      const stride = rowElements('i8', columns);
      const C4 = padded(columns) / 4;
      const { y } = await dispatch(
        quantize({ columns }),
        { x: padRows(x, columns), y: { floats: T * stride } },
        { rows: T },
      );
      const bytes = new Int8Array(y!.buffer);
      for (let r = 0; r < T; r++) {
        for (let g = 0; g * 16 < C4; g++) {
          const at = r * stride + g * 17;
          const numbers = x.subarray(r * columns + g * 64, r * columns + Math.min(columns, g * 64 + 64));
          const scale = y![at + Math.min(16, C4 - g * 16)]!;
          const top = Math.max(...numbers.map(Math.abs));
          expect(Math.abs(scale - top / 127) <= scale * 1e-6, `a scale of ${scale} for ${top}`);
          if (top < 1e-30)
            expect(
              bytes.subarray(at * 4, at * 4 + 4).every(byte => byte === 0),
              'bytes of nothing',
            );
          else {
            numbers.forEach((value, i) => {
              const error = Math.abs(bytes[at * 4 + i]! * scale - value);
              expect(error <= scale * 0.5001, `${value} became ${bytes[at * 4 + i]} x ${scale}`);
            });
          }
        }
      }
    }
  });
}
