import { attention } from '../../../shaders/attention.ts';
import { embed } from '../../../shaders/embed.ts';
import { join } from '../../../shaders/join.ts';
import { padded, WHOLE_GRID } from '../../../shaders/kernel.ts';
import { type Placing, place } from '../../../shaders/place.ts';
import { unfold } from '../../../shaders/unfold.ts';
import { packBatch } from '../../../src/plan/batch.ts';
import type { Sequence } from '../../../src/plan/sequence.ts';
import * as reference from '../../../tests/reference.ts';
import { dispatch, padRows, random, unpadRows } from '../../dispatch.ts';
import { check, expectClose, expectEqual } from '../../harness.ts';
import { FULL_TIERS, profileFor } from './tiers.ts';

/** Values side by side, tensors whose rows are not those of a weight, and what kernels leave out or give otherwise. */

check('join', async () => {
  for (const [left, right] of [
    [8, 4],
    [12, 37],
    [256, 130],
  ] as const) {
    const T = 65;
    const [a, b] = [random(left)(T * left), random(right)(T * right)];
    const operands = { a: padRows(a, left), b: padRows(b, right), y: { floats: T * (left + padded(right)) } };
    const { y } = await dispatch(join({ left, right }), operands, { rows: T });
    expectClose(unpadRows(y!, left + right), reference.join(a, b, { left, right }), { label: `${left}+${right}` });
  }
});

for (const order of ['columns', 'rows'] as const) {
  check(`unfold in the order of ${order}: sequences, and places with gaps`, async () => {
    for (const [C, width] of [
      [7, 3],
      [32, 3],
      [5, 5],
    ] as const) {
      const lengths = [1, 2, 130, 7];
      const places = lengths.map(L => Array.from({ length: L }, (_, i) => i + Math.floor(i / 3)));
      const list = places.map((own): Sequence => {
        const ids = own.map(() => 0);
        return { ids, positions: ids, types: ids, places: own };
      });
      const { tiles, sequences, tokens, sizes } = packBatch(list, 16);
      const x = random(C)(sizes.tokens * C);
      const { y } = await dispatch(
        unfold({ columns: C, width, order }),
        { tiles, sequences, tokens, x: padRows(x, C), y: { floats: sizes.tokens * padded(C * width) } },
        { tiles: sizes.tiles, sequences: sizes.sequences },
      );
      const expected = reference.unfold(x, places, { C, width, order });
      expectClose(unpadRows(y!, C * width), expected, { label: `${C} x ${width}` });
    }
  });
}

for (const tier of FULL_TIERS) {
  check(`embed without words (${tier})`, async () => {
    const { norm, target } = await profileFor(tier);
    for (const C of [30, 128]) {
      const [T, make] = [65, random(C)];
      const [places, types] = [make(T * C), make(2 * C)];
      const tokens = Uint32Array.from(Array.from({ length: T }, (_, t) => [4e9, t, t % 2, 0]).flat());
      const variant = { columns: C, words: false, positions: true, types: true, tasks: false, norm: undefined };
      const { y } = await dispatch(
        embed(variant, norm, target),
        { tokens, positions: padRows(places, C), types: padRows(types, C), y: { floats: T * padded(C) } },
        { rows: T },
      );
      const rows = Array.from({ length: T }, (_, t) => t);
      const expected = reference.embed([[places, rows] as const, [types, rows.map(t => t % 2)] as const], C);
      expectClose(unpadRows(y!, C), expected, { label: `C = ${C}`, absolute: 1e-6 });
    }
  });

  check(`attention gives its scores (${tier})`, async () => {
    const { attention: shapeOf, target } = await profileFor(tier);
    for (const [H, D] of [
      [3, 8],
      [2, 25],
    ] as const) {
      const shape = shapeOf(D);
      const lengths = [1, 7, 65, 16];
      const qkv = random(H * D)(lengths.reduce((a, b) => a + b) * 3 * H * D, 1.7);
      const ids = lengths.map(L => new Array<number>(L).fill(0));
      const batch = packBatch(
        ids.map(row => ({ ids: row, positions: row, types: row })),
        shape.lanes * shape.queries,
      );
      const variant = { heads: H, keyHeads: H, headSize: D, probabilities: true, asScores: true, relative: false };
      const { context, probabilities } = await dispatch(
        attention(variant, shape, target.texture),
        {
          tiles: batch.tiles,
          qkv: padRows(qkv, D),
          context: { floats: batch.sizes.tokens * H * padded(D) },
          probabilities: { floats: H * batch.sizes.pairs },
        },
        { tiles: batch.sizes.tiles, scale: 1 / Math.sqrt(D), ...WHOLE_GRID },
      );
      const expected = reference.attention(qkv, lengths, { H, D });
      expectClose(unpadRows(context!, D), expected.context, { label: 'context', absolute: 1e-5 });
      expectClose(probabilities!, expected.scores, { label: 'scores', absolute: 4e-6, relative: 1e-6 });
    }
  });
}

for (const placing of ['blocks', 'transposed'] satisfies Placing[]) {
  for (const stored of ['F32', 'F16'] as const) {
    check(`place ${stored} ${placing}: a slice of the rows, in pieces`, async () => {
      // Rows 4 to 9 of a weight of 12 rows and 15 columns, in heads of five columns, each padded to eight.
      const [rows, width, stride] = placing === 'blocks' ? [12, 5, 24] : [7, 12, 24];
      // Numbers that are exact in either type.
      const values = Float32Array.from({ length: rows * width }, (_, i) => 1 + i);
      const half = (v: number) =>
        ((Math.floor(Math.log2(v)) + 15) << 10) | (v * 2 ** (10 - Math.floor(Math.log2(v))) - 1024);
      const [firstRow, count] = [4, 6];
      const geometry = { row_offset: 2, row_size: 1, row_padded: 1, column_size: 5, column_padded: 8, stride };
      const [from, to] = placing === 'blocks' ? [firstRow * width, (firstRow + count) * width] : [0, rows * width];
      let destination: Float32Array<ArrayBuffer> = new Float32Array(stride * 10);
      for (let begin = from; begin < to; begin += 22) {
        const part = values.slice(begin, Math.min(to, begin + 22));
        const halves = Uint16Array.from(part.length % 2 ? [...part, 1] : part, half);
        const piece = stored === 'F32' ? part : new Uint32Array(halves.buffer);
        const layout: Readonly<Record<string, number>> =
          placing === 'blocks'
            ? { block_rows: 4, block_columns: 5, shift: 0, first_row: firstRow }
            : { rows: count, shift: 8, first_row: firstRow };
        const first = placing === 'blocks' ? begin - from : begin;
        const params = { count: part.length, first, columns: width, ...geometry, ...layout };
        destination = (await dispatch(place(stored, placing), { piece, destination }, params)).destination!;
      }
      const expected = new Float32Array(stride * 10);
      const put = (row: number, column: number, value: number) => {
        if (row < firstRow || row >= firstRow + count) return;
        expected[(2 + row - firstRow) * stride + Math.floor(column / 5) * 8 + (column % 5)] = value;
      };
      values.forEach((value, i) => {
        const [r, c] = [Math.floor(i / width), i % width];
        if (placing === 'blocks') put(r, Math.floor(r / 4) * 5 + c, value);
        else put(c, 8 + r, value);
      });
      expectEqual([...destination], [...expected], placing);
    });
  }
}
