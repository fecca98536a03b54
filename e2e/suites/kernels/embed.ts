import { embed } from '../../../shaders/embed.ts';
import { gather } from '../../../shaders/gather.ts';
import { padded } from '../../../shaders/kernel.ts';
import * as reference from '../../../tests/reference.ts';
import { dispatch, padRows, random, unpadRows } from '../../dispatch.ts';
import { check, expect, expectClose } from '../../harness.ts';
import { packRows } from '../../packed.ts';
import { FULL_TIERS, LAYER_NORM, profileFor, ROWS } from './tiers.ts';

for (const tier of FULL_TIERS) {
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
