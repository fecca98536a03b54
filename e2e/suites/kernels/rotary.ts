import { padded } from '../../../shaders/kernel.ts';
import { rotary, rotarySteps } from '../../../shaders/rotary.ts';
import * as reference from '../../../tests/reference.ts';
import { dispatch, padRows, random, unpadRows } from '../../dispatch.ts';
import { check, expectClose } from '../../harness.ts';
import { ROWS } from './tiers.ts';

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
