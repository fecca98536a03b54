import type { Activation } from '../../shaders/activation.ts';
import { attention, attentionShape } from '../../shaders/attention.ts';
import { embed } from '../../shaders/embed.ts';
import { gather } from '../../shaders/gather.ts';
import { type Caps, padded } from '../../shaders/kernel.ts';
import { layerNorm } from '../../shaders/layer-norm.ts';
import { rowShape } from '../../shaders/norm.ts';
import { place, type StoredType } from '../../shaders/place.ts';
import { POOLINGS, type Pooling, pool } from '../../shaders/pool.ts';
import { topK } from '../../shaders/top-k.ts';
import { packBatch, type Sequence } from '../../src/plan/batch.ts';
import { linearKernel } from '../../src/plan/choose.ts';
import { bucketTable } from '../../src/plan/relative.ts';
import * as reference from '../../tests/reference.ts';
import { dispatch, padRows, random, testGpu, unpadRows } from '../dispatch.ts';
import { check, expect, expectClose } from '../harness.ts';

/**
 * Every kernel, in every shape that the plan may choose for any adapter, against its float64 twin. A float32 sum of n products
 * of size s is off by about n^0.5 2^-24 s, n 2^-24 s at worst; the tolerances are a few times the first and stand beside each op.
 */
const ROWS = [1, 7, 63, 65, 257];

const TIERS: Record<string, (real: Caps) => Caps> = {
  swiftshader: caps => ({ ...caps, adapter: 'swiftshader', textures: false }),
  llvmpipe: caps => ({ ...caps, adapter: 'llvmpipe', textures: true, subgroup: 0 }),
  gpu: caps => ({ ...caps, adapter: 'gpu', maxInvocations: 256, textures: false }),
  'gpu of 128': caps => ({ ...caps, adapter: 'gpu', maxInvocations: 128, textures: false }),
};

async function capsOf(tier: string): Promise<Caps> {
  const { gpu } = await testGpu();
  return TIERS[tier]!(gpu.caps);
}

const LINEARS: [K: number, N: number, activation: Activation | undefined, residual: boolean, bias: boolean][] = [
  [384, 1536, 'gelu', false, true],
  [1536, 384, undefined, true, true],
  [37, 70, 'gelu_tanh', true, true],
  [6, 5, 'tanh', false, true],
  [64, 64, 'relu', false, false],
  [130, 18, 'silu', false, true],
];

for (const tier of Object.keys(TIERS)) {
  for (const [K, N, activation, residual, bias] of tier === 'gpu of 128' ? LINEARS.slice(2, 3) : LINEARS) {
    const name = `linear ${K}>${N} ${activation ?? 'plain'}${residual ? ' + residual' : ''}`;
    // Sums of up to 1,536 products of size 1/K^0.5: 4e-6 of the largest terms.
    check(`${name} (${tier})`, async log => {
      const kernel = linearKernel({ inner: K, outputs: N, bias, residual, activation }, await capsOf(tier));
      const make = random(K * N);
      let worst = 0;
      for (const T of ROWS) {
        const x = make(T * K);
        const weight = make(N * K, 1.5 / Math.sqrt(K));
        const b = make(N);
        const r = make(T * N);
        // The weight has a row, of zeros, for every float of a padded output.
        const rows = new Float32Array(padded(N) * padded(K));
        rows.set(padRows(weight, K));
        const { y } = await dispatch(
          kernel,
          {
            x: padRows(x, K),
            weight: rows,
            y: { floats: T * padded(N) },
            ...(bias && { bias: padRows(b, N) }),
            ...(residual && { residual: padRows(r, N) }),
          },
          { rows: T },
        );
        const expected = reference.linear(x, weight, {
          K,
          N,
          ...(bias && { bias: b }),
          ...(residual && { residual: r }),
          ...(activation && { activation }),
        });
        worst = Math.max(
          worst,
          expectClose(unpadRows(y!, N), expected, { label: `T = ${T}`, absolute: 4e-6, relative: 2e-6 }),
        );
      }
      log(`largest difference ${worst.toExponential(1)}`);
    });
  }

  if (tier === 'gpu of 128') continue;

  for (const [C, residual] of [
    [384, true],
    [48, false],
    [37, true],
    [5, false],
  ] as const) {
    check(`layer norm ${C}${residual ? ' + residual' : ''} (${tier})`, async log => {
      const kernel = layerNorm({ columns: C, residual }, rowShape(await capsOf(tier)));
      const make = random(C);
      let worst = 0;
      for (const T of ROWS) {
        // A mean of 100 with a deviation of 1: E[x^2] - E[x]^2 would lose three digits here.
        const x = make(T * C).map(v => v + 100);
        const r = make(T * C);
        const gamma = make(C);
        const beta = make(C);
        const { y } = await dispatch(
          kernel,
          {
            x: padRows(x, C),
            gamma: padRows(gamma, C),
            beta: padRows(beta, C),
            y: { floats: T * padded(C) },
            ...(residual && { residual: padRows(r, C) }),
          },
          { rows: T, eps: 1e-12 },
        );
        const expected = reference.layerNorm(x, gamma, beta, 1e-12, residual ? r : undefined);
        // The mean is 100, so a deviation of 1 carries 100 x 2^-24 = 6e-6 of rounding from the inputs' sum alone.
        worst = Math.max(
          worst,
          expectClose(unpadRows(y!, C), expected, { label: `T = ${T}`, absolute: 5e-5, relative: 2e-5 }),
        );
      }
      log(`largest difference ${worst.toExponential(1)}`);
    });
  }

  for (const C of [32, 30, 7]) {
    check(`embed ${C}, table in two slices (${tier})`, async () => {
      const caps = await capsOf(tier);
      const shape = rowShape(caps);
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
        const kernel = embed({ columns: C, positions: true, types: true, tasks: false, norm: true }, shape, caps);
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
            const slice = padRows(words.subarray(first * C, (first + count) * C), C);
            const { y } = await dispatch(kernel, { ...operands, words: slice }, { rows: T, first, count, eps: 1e-12 });
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
            [words, ids],
            [places, ids.map((_, t) => t)],
            [types, ids.map((_, t) => t % 2)],
          ],
          C,
        );
        const expected = reference.layerNorm(sum, gamma, beta, 1e-12);
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
        const variant = { heads: H, headSize: D, probabilities, relative: false };
        const shape = attentionShape(variant, await capsOf(tier));
        const make = random(H * D);
        const lengths = [1, 7, 65, 16, 3, 63];
        const T = lengths.reduce((a, b) => a + b);
        // Scores with a deviation of about 3: some keys dominate.
        const qkv = make(T * 3 * H * D, 1.7);
        const blank = lengths.map(L => ({ ids: new Array(L).fill(0) as number[] }));
        const sequences: Sequence[] = blank.map(({ ids }) => ({ ids, positions: ids, types: ids }));
        const batch = packBatch(sequences, shape.lanes * shape.queries);
        const { context, probabilities: found } = await dispatch(
          attention(variant, shape),
          {
            tiles: batch.tiles,
            qkv: padRows(qkv, D),
            context: { floats: T * H * padded(D) },
            ...(probabilities && { probabilities: { floats: H * batch.sizes.pairs } }),
          },
          { tiles: batch.sizes.tiles, scale: 1 / Math.sqrt(D) },
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
  const variant = { heads: H, headSize: D, probabilities: true, relative: true };
  for (const tier of ['swiftshader', 'gpu']) {
    const shape = attentionShape(variant, await capsOf(tier));
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
      attention(variant, shape),
      {
        tiles: batch.tiles,
        qkv,
        tokens: batch.tokens,
        buckets,
        bias: padRows(bias, H),
        context: { floats: T * H * D },
        probabilities: { floats: H * batch.sizes.pairs },
      },
      { tiles: batch.sizes.tiles, scale: 1 / Math.sqrt(D) },
    );
    const expected = reference.attention(qkv, lengths, {
      H,
      D,
      bias: (distance, head) => bias[buckets[Math.max(-128, Math.min(128, 2 * distance)) + 128]! * H + head]!,
    });
    expectClose(context!, expected.context, { label: `context (${tier})`, absolute: 1e-5 });
    expectClose(probabilities!, expected.probabilities, { label: `probabilities (${tier})`, absolute: 2e-6 });
  }
});

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
      { rows: R },
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

for (const pooling of Object.keys(POOLINGS) as Pooling[]) {
  for (const normalize of [false, true]) {
    check(`pool ${pooling}${normalize ? ', normalised' : ''}`, async () => {
      const lengths = [1, 7, 63, 65, 257];
      const T = lengths.reduce((a, b) => a + b);
      for (const [C, kept] of [
        [384, 384],
        [50, 50],
        [48, 31],
      ] as const) {
        const x = random(C)(T * C);
        const rows = lengths.map(L => ({ ids: new Array(L).fill(0) as number[] }));
        const batch = packBatch(
          rows.map(({ ids }) => ({ ids, positions: ids, types: ids })),
          16,
        );
        const { y } = await dispatch(
          pool({ columns: C, kept }),
          { sequences: batch.sequences, x: padRows(x, C), y: { floats: lengths.length * padded(kept) } },
          { sequences: lengths.length, pooling: POOLINGS[pooling], normalize: Number(normalize), floor: 1e-12 },
        );
        const expected = reference.pool(x, lengths, { C, kept, pooling, normalize });
        expectClose(unpadRows(y!, kept), expected, { label: `${C}>${kept}`, absolute: 2e-6 });
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
