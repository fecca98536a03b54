import { add, columnsBackward, columnsOf } from '../../../shaders/elementwise.ts';
import { gatherBackward } from '../../../shaders/gather-backward.ts';
import { padded } from '../../../shaders/kernel.ts';
import { l2NormBackward } from '../../../shaders/l2-norm-backward.ts';
import { segmentSum } from '../../../shaders/segment-sum.ts';
import { MARKED_VECTORS } from '../../../shaders/snippets.ts';
import { unfoldBackward } from '../../../shaders/unfold-backward.ts';
import { packBatch } from '../../../src/plan/batch.ts';
import * as gradient from '../../../tests/gradient-reference-rows.ts';
import { dispatch, padRows, random, unpadRows } from '../../dispatch.ts';
import { check, expect, expectClose, expectEqual } from '../../harness.ts';
import { FULL_TIERS, profileFor } from '../kernels/tiers.ts';
import { ofRow, ofSum } from './tolerance.ts';

const ROWS = [1, 3, 17, 65];

for (const tier of FULL_TIERS) {
  for (const C of [36, 5, 384]) {
    check(`rows of length 1 backward, ${C} columns (${tier})`, async log => {
      const kernel = l2NormBackward({ columns: C }, (await profileFor(tier)).norm);
      const make = random(C);
      let worst = 0;
      for (const R of ROWS) {
        const [x, dy] = [make(R * C), make(R * C)];
        const operands = { x: padRows(x, C), dy: padRows(dy, C), dx: { floats: R * padded(C) } };
        const { dx } = await dispatch(kernel, operands, { rows: R, floor: 1e-12 });
        const expected = gradient.l2NormBackward(x, dy, C);
        worst = Math.max(worst, expectClose(unpadRows(dx!, C), expected, ofRow(`R = ${R}`)));
      }
      log(`largest difference ${worst.toExponential(1)}`);
      // Below the floor, a row is divided by it.
      const short = { x: new Float32Array(padded(C)), dy: padRows(new Float32Array(C).fill(3), C) };
      const { dx } = await dispatch(kernel, { ...short, dx: { floats: padded(C) } }, { rows: 1, floor: 0.5 });
      expectClose(unpadRows(dx!, C), new Float32Array(C).fill(6), { label: 'a row of zeros' });
      for (const wrong of [3e38, Number.NaN]) {
        const x = padRows(new Float32Array(C).fill(wrong), C);
        const operands = { x, dy: short.dy, dx: { floats: padded(C) } };
        const { dx } = await dispatch(kernel, operands, { rows: 1, floor: 1e-12 });
        expect(!Number.isFinite(dx![0]), `${dx![0]}, where the length is not finite`);
      }
    });

    check(`picked rows backward, ${C} columns (${tier})`, async () => {
      const kernel = gatherBackward({ columns: C }, (await profileFor(tier)).norm);
      for (const T of ROWS) {
        for (const picked of [
          [],
          [T - 1],
          Array.from({ length: T }, (_, t) => t).filter(t => t % 3 === 0),
          Array.from({ length: T }, (_, t) => t),
        ]) {
          const dy = random(C)(picked.length * C);
          const { dx } = await dispatch(
            kernel,
            {
              masked: Uint32Array.from([...picked, 0].flatMap(t => [t, 0, 0, 0])),
              dy: padRows(picked.length > 0 ? dy : new Float32Array(C), C),
              dx: { floats: T * padded(C) },
            },
            { rows: T, masked: picked.length },
          );
          expectClose(unpadRows(dx!, C), gradient.gatherBackward(dy, picked, T, C), { label: `${T}: ${picked}` });
        }
      }
    });

    check(`the gradient of a table, ${C} columns (${tier})`, async log => {
      const { norm: shape } = await profileFor(tier);
      let worst = 0;
      // Ids that occur once or seldom, and two that share all tokens.
      for (const [T, rows] of [
        [1, 3],
        [65, 50],
        [300, 2],
        [1000, 7],
      ] as const) {
        const make = random(T);
        const dx = make(T * C);
        const before = make(rows * C);
        const ids = Array.from({ length: T }, (_, t) => (t * 7919 + (t >> 2)) % rows);
        const order = [...ids.keys()].sort((a, b) => ids[a]! - ids[b]! || a - b);
        const segments: number[] = [];
        for (const [i, t] of order.entries()) {
          if (i === 0 || ids[order[i - 1]!] !== ids[t]) segments.push(ids[t]!, i, i, 0);
          segments[segments.length - 2] = i + 1;
        }
        const factors = make(T);
        const tokens = new Uint32Array(4 * T);
        factors.forEach((factor, t) => {
          new Float32Array(tokens.buffer)[4 * t + 2] = factor;
        });
        for (const wordFactors of [false, true]) {
          const operands = {
            segments: Uint32Array.from(segments),
            order: Uint32Array.from(order),
            dx: padRows(dx, C),
            ...(wordFactors && { tokens }),
          };
          const { gradient: found } = await dispatch(
            segmentSum({ columns: C, wordFactors }, shape),
            { ...operands, gradient: padRows(before, C) },
            { segments: segments.length / 4, factor: 0.5 },
          );
          const scaled = wordFactors ? dx.map((v, i) => v * factors[Math.floor(i / C)]!) : dx;
          const sums = gradient.tableGradient(scaled, ids, rows, C).map((v, i) => before[i]! + 0.5 * v);
          const label = `${T} tokens, ${rows} ids${wordFactors ? ', word factors' : ''}`;
          const difference = expectClose(unpadRows(found!, C), sums, ofSum(label, T / rows + 1));
          worst = Math.max(worst, difference / Math.sqrt(T / rows + 1));
          // A slice of the table has the same rows, and nothing of the others.
          const first = Math.floor(rows / 3);
          const count = Math.ceil((rows - first) / 2);
          const rowsOf = <A extends { subarray(from: number, to: number): A }>(table: A) =>
            table.subarray(first * C, (first + count) * C);
          // What has a segment is marked, too, and nothing else.
          const row4 = padded(C) / 4;
          const blocks = Math.ceil((count * row4) / MARKED_VECTORS);
          const { gradient: slice, seen } = await dispatch(
            segmentSum({ columns: C, wordFactors, sliced: true, marked: true }, shape),
            { ...operands, gradient: padRows(rowsOf(before), C), seen: new Float32Array(blocks) },
            { segments: segments.length / 4, factor: 0.5, first, count },
          );
          expectEqual(
            unpadRows(slice!, C),
            rowsOf(unpadRows(found!, C)),
            `${label}, rows ${first} to ${first + count}`,
          );
          const marks = new Array(blocks).fill(0);
          for (let i = 0; i < count * row4; i++) {
            if (ids.includes(first + Math.floor(i / row4))) marks[Math.floor(i / MARKED_VECTORS)] = 1;
          }
          expectEqual([...new Uint32Array(seen!.slice().buffer)], marks, `${label}, the marks`);
        }
      }
      log(`largest difference ${worst.toExponential(1)} sqrt(n)`);
    });
  }
}

check('a + b, and columns of rows', async () => {
  for (const [R, C] of [
    [1, 36],
    [17, 5],
    [65, 20],
  ] as const) {
    const make = random(C);
    const [a, b] = [make(R * C), make(R * C)];
    const count = (R * padded(C)) / 4;
    const operands = { a: padRows(a, C), b: padRows(b, C), y: { floats: 4 * count } };
    const { y } = await dispatch(add(), operands, { count });
    expectEqual(
      unpadRows(y!, C),
      a.map((v, i) => v + b[i]!),
      `a + b, ${R} x ${C}`,
    );
    for (const [first, n] of [
      [0, C],
      [4, C - 4],
      [0, 3],
      [1, C - 1],
      [3, 1],
      [2, 3],
    ] as const) {
      const kernel = columnsOf({ columns: C, first, count: n });
      const { y } = await dispatch(kernel, { x: padRows(a, C), y: { floats: R * padded(n) } }, { rows: R });
      const expected = a.filter((_, i) => i % C >= first && i % C < first + n);
      expectEqual(unpadRows(y!, n), expected, `${n} columns from ${first} of ${C}`);
    }
  }
});

check('the first columns, backward', async () => {
  for (const [C, first, n] of [
    [36, 0, 7],
    [7, 0, 4],
    [37, 8, 29],
    [12, 4, 2],
  ] as const) {
    const R = 65;
    const make = random(C);
    const [dy, residual] = [make(R * n), make(R * C)];
    for (const other of [undefined, residual]) {
      const kernel = columnsBackward({ columns: C, first, count: n, residual: !!other });
      const operands = { dy: padRows(dy, n), ...(other && { residual: padRows(other, C) }) };
      const { dx } = await dispatch(kernel, { ...operands, dx: { floats: R * padded(C) } }, { rows: R });
      const expected = Float32Array.from({ length: R * C }, (_, i) => {
        const [row, column] = [Math.floor(i / C), i % C];
        const own = column >= first && column < first + n ? dy[row * n + column - first]! : 0;
        return own + (other?.[i] ?? 0);
      });
      expectEqual(unpadRows(dx!, C), expected, `${n} columns from ${first} of ${C}, residual ${!!other}`);
    }
  }
});

for (const order of ['columns', 'rows'] as const) {
  check(`neighbours side by side, in the order of ${order}, backward`, async () => {
    for (const [C, width] of [
      [7, 3],
      [36, 3],
      [5, 5],
    ] as const) {
      const lengths = [1, 2, 130, 7];
      const places = lengths.map(L => Array.from({ length: L }, (_, i) => i + Math.floor(i / 3)));
      // Two tokens that stand before the others because none attends to them.
      places.push([4, 5, 0, 1, 2, 3]);
      const list = places.map(own => {
        const ids = own.map(() => 0);
        return { ids, positions: ids, types: ids, places: own };
      });
      const { tiles, sequences, tokens, sizes } = packBatch(list, 16);
      const dy = random(C)(sizes.tokens * C * width);
      const operands = {
        tiles,
        sequences,
        tokens,
        dy: padRows(dy, C * width),
        dx: { floats: sizes.tokens * padded(C) },
      };
      const kernel = unfoldBackward({ columns: C, width, order });
      const { dx } = await dispatch(kernel, operands, { tiles: sizes.tiles, sequences: sizes.sequences });
      const expected = gradient.unfoldBackward(dy, places, { C, width, order });
      expectClose(unpadRows(dx!, C), expected, ofRow(`${C} x ${width}`));
    }
  });
}
