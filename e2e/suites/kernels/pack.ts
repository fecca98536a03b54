import { padded } from '../../../shaders/kernel.ts';
import { rowElements } from '../../../shaders/matrix.ts';
import { halve, quantize } from '../../../shaders/pack.ts';
import { dispatch, padRows, random } from '../../dispatch.ts';
import { check, expect } from '../../harness.ts';

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
