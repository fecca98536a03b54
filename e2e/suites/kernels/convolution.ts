import { depthwise, dynamicConvolution } from '../../../shaders/convolution.ts';
import { padded } from '../../../shaders/kernel.ts';
import { place } from '../../../shaders/place.ts';
import { packBatch } from '../../../src/plan/batch.ts';
import type { Sequence } from '../../../src/plan/sequence.ts';
import * as reference from '../../../tests/reference.ts';
import { dispatch, padRows, random, unpadRows } from '../../dispatch.ts';
import { check, expectClose, expectEqual } from '../../harness.ts';

/** Sequences of several work items and of one token, side by side; and the same with places that padding has left. */
function batches() {
  return [0, 1].map(gaps => {
    const places = [1, 2, 130, 7].map(L => Array.from({ length: L }, (_, i) => i + gaps * Math.floor(i / 3)));
    const sequences = places.map((own): Sequence => {
      const ids = own.map(() => 0);
      return { ids, positions: ids, types: ids, places: own };
    });
    return { places, batch: packBatch(sequences, 16) };
  });
}

check('depthwise convolution: sequences, and places with gaps', async () => {
  for (const { places, batch } of batches()) {
    const { tiles, sequences, tokens, sizes } = batch;
    for (const [C, width] of [
      [7, 3],
      [48, 9],
      [5, 1],
    ] as const) {
      const [x, weight] = [random(C)(sizes.tokens * C), random(width)(C * width)];
      const factors = new Float32Array(padded(C) * padded(width));
      factors.set(padRows(weight, width));
      const { y } = await dispatch(
        depthwise({ columns: C, width }),
        { tiles, sequences, tokens, x: padRows(x, C), weight: factors, y: { floats: sizes.tokens * padded(C) } },
        { tiles: sizes.tiles, sequences: sizes.sequences },
      );
      const expected = reference.depthwise(x, weight, places, { C, width });
      expectClose(unpadRows(y!, C), expected, { label: `${C} x ${width}`, absolute: 4e-6 });
    }
  }
});

check('dynamic convolution: sequences, places with gaps, and large scores', async () => {
  for (const { places, batch } of batches()) {
    const { tiles, sequences, tokens, sizes } = batch;
    for (const [H, D, width] of [
      [1, 7, 3],
      [3, 8, 9],
      [2, 5, 1],
    ] as const) {
      const [x, scores] = [random(D)(sizes.tokens * H * D), random(width)(sizes.tokens * H * width, 30)];
      const { y } = await dispatch(
        dynamicConvolution({ heads: H, columns: padded(D), width }),
        {
          tiles,
          sequences,
          tokens,
          x: padRows(x, D),
          scores: padRows(scores, H * width),
          y: { floats: sizes.tokens * H * padded(D) },
        },
        { tiles: sizes.tiles, sequences: sizes.sequences },
      );
      const expected = reference.dynamicConvolution(x, scores, places, { H, D, width });
      // exp of a float32 difference of up to 200, whose rounding is 1e-5 of the result.
      expectClose(unpadRows(y!, D), expected, { label: `${H} x ${D} x ${width}`, absolute: 4e-5 });
    }
  }
});

check('place matrices of groups, as a grouped convolution has them, in pieces', async () => {
  // Two groups of three columns and five rows.
  const [groups, inputs, outputs] = [2, 3, 5];
  const values = Float32Array.from({ length: groups * inputs * outputs }, (_, i) => 1 + i);
  const stride = 8;
  let destination: Float32Array<ArrayBuffer> = new Float32Array(stride * 12);
  for (let first = 0; first < values.length; first += 11) {
    const piece = values.slice(first, first + 11);
    const geometry = { row_offset: 0, row_size: 1, row_padded: 1, column_size: 6, column_padded: stride, stride };
    const layout = { first_row: 0, rows: groups * outputs, block_columns: inputs };
    const params = { count: piece.length, first, columns: outputs, ...geometry, ...layout };
    destination = (await dispatch(place('F32', 'matrices'), { piece, destination }, params)).destination!;
  }
  const expected = new Float32Array(stride * 12);
  values.forEach((value, i) => {
    const [g, k, n] = [Math.floor(i / (inputs * outputs)), Math.floor(i / outputs) % inputs, i % outputs];
    expected[(g * outputs + n) * stride + g * inputs + k] = value;
  });
  expectEqual([...destination], [...expected], 'matrices');
});
