import { describe, expect, it } from 'vitest';
import {
  bandOf,
  bandRows,
  grouped,
  isVerbatim,
  joined,
  keptAs,
  matrix,
  originOf,
  rowSlice,
  rowSlices,
  vector,
  type Weight,
  weightBytes,
  weightKey,
} from '../src/plan/weight.ts';

/** Where every element of every tensor goes, as shaders/place.ts computes it. */
function place(weight: Weight): Map<number, string> {
  const { parts, columns, rowGroup, columnGroup, stride, first } = weight;
  const to = (x: number, { size, padded }: { size: number; padded: number }) =>
    Math.floor(x / size) * padded + (x % size);
  const places = new Map<number, string>();
  for (const { tensor, shape, rowOffset, count, layout } of parts) {
    const put = (row: number, column: number, index: string) => {
      const at = (rowOffset + to(row, rowGroup)) * stride + to(column, columnGroup);
      if (places.has(at)) throw new Error(`${at} is written twice`);
      places.set(at, `${tensor}[${index}]`);
    };
    if (layout?.kind === 'matrices') {
      const [, inputs, outputs] = shape as [number, number, number];
      for (let row = 0; row < count; row++) {
        const group = Math.floor(row / outputs);
        for (let k = 0; k < inputs; k++) put(row, group * inputs + k, `${group}, ${k}`);
      }
      continue;
    }
    const blocks = layout?.kind === 'blocks' ? layout.blocks : 1;
    const width = layout?.kind === 'columns' ? layout.count : columns / blocks;
    for (let row = 0; row < count; row++) {
      for (let column = 0; column < width; column++) {
        const block = Math.floor((first + row) / (shape[0]! / blocks));
        const toColumn = layout?.kind === 'columns' ? layout.first + column : block * width + column;
        const isTransposed = layout?.kind === 'columns' && layout.transposed;
        put(row, toColumn, isTransposed ? `${column}, ${first + row}` : `${first + row}, ${column}`);
      }
    }
  }
  return places;
}

describe('a matrix', () => {
  it('of whole rows lies in the buffer as in the file', () => {
    const weight = matrix(['w'], 6, 8);
    expect(weight).toMatchObject({ stride: 8, columns: 8, count: 6, height: 8 });
    expect(isVerbatim(weight)).toBe(true);
    expect(place(weight).get(8 * 5 + 7)).toBe('w[5, 7]');
    expect(weightBytes(weight)).toBe(8 * 8 * 4);
  });

  it('of odd columns has padded rows', () => {
    const weight = matrix(['w'], 5, 7);
    expect(weight).toMatchObject({ stride: 8, height: 8 });
    expect(isVerbatim(weight)).toBe(false);
    expect(place(weight).get(8 * 4 + 6)).toBe('w[4, 6]');
    expect(place(weight).has(7)).toBe(false);
  });

  it('joins q, k and v, with heads padded', () => {
    const weight = matrix(['q', 'k', 'v'], 15, 15, { rowHead: 5 });
    expect(weight).toMatchObject({ stride: 16, height: 3 * 3 * 8 });
    expect(weight.parts.map(({ rowOffset, shape }) => [rowOffset, shape])).toEqual([
      [0, [15, 15]],
      [24, [15, 15]],
      [48, [15, 15]],
    ]);
    const places = place(weight);
    expect(places.size).toBe(3 * 225);
    // Head 2 of k, its last row.
    expect(places.get((24 + 2 * 8 + 4) * 16 + 14)).toBe('k[14, 14]');
    for (const row of [5, 6, 7]) expect(places.has(row * 16)).toBe(false);
    expect(isVerbatim(weight)).toBe(false);
  });

  it('takes padded heads as its input', () => {
    const weight = matrix(['o'], 15, 15, { columnHead: 5 });
    expect(weight).toMatchObject({ stride: 24, height: 16 });
    const places = place(weight);
    expect(places.get(24 * 14 + 2 * 8 + 4)).toBe('o[14, 14]');
    expect(places.has(5)).toBe(false);
    expect(Math.max(...places.keys()) * 4).toBeLessThan(weightBytes(weight));
  });

  it('of heads of a multiple of four is verbatim', () => {
    expect(isVerbatim(matrix(['q', 'k', 'v'], 24, 24, { rowHead: 12 }))).toBe(true);
  });
});

describe('a vector', () => {
  it('stands one float behind the other', () => {
    const weight = vector(['b'], 7);
    expect(weight).toMatchObject({ stride: 1, columns: 1, height: 8 });
    expect(isVerbatim(weight)).toBe(true);
    expect(weightBytes(weight)).toBe(32);
  });

  it('joined, with heads padded', () => {
    const weight = vector(['q', 'k', 'v'], 10, 5);
    const places = place(weight);
    expect(weight.height).toBe(3 * 16);
    expect(places.get(16 + 8 + 4)).toBe('k[9, 0]');
    expect([5, 6, 7, 13].some(at => places.has(at))).toBe(false);
  });
});

describe('a table', () => {
  it('that a binding holds is one', () => {
    const table = matrix(['t'], 100, 10);
    const [whole, ...more] = rowSlices(table, 100);
    expect(more).toEqual([]);
    expect(whole).toBe(table);
    expect(whole).toMatchObject({ name: 't', first: 0, count: 100, stride: 12, height: 100 });
  });

  it('that it does not hold is slices, which cover every row once', () => {
    for (const rows of [1, 36, 99, 108, 109]) {
      const slices = rowSlices(matrix(['t'], rows, 10), 39);
      expect(slices.reduce((sum, { count }) => sum + count, 0)).toBe(rows);
      let next = 0;
      for (const slice of slices) {
        expect(slice.first).toBe(next);
        expect(slice.height).toBeGreaterThanOrEqual(slice.count);
        expect(slice.parts).toEqual([{ tensor: 't', shape: [rows, 10], count: slice.count, rowOffset: 0 }]);
        expect(weightBytes(slice)).toBeLessThanOrEqual(36 * 12 * 4);
        expect(Math.max(...place(slice).keys())).toBeLessThan(slice.height * slice.stride);
        next += slice.count;
      }
    }
  });
});

const DECODER = joined(
  [
    { tensor: 't', columns: 7 },
    { tensor: 'd', columns: 6, transposed: true },
  ],
  50,
);

const LAYOUTS: readonly Weight[] = [
  matrix(['q', 'k', 'v'], 15, 15, { rowHead: 5, groups: [3, 1, 5] }),
  matrix(['o'], 30, 15, { columnHead: 5, groups: 3 }),
  rowSlice(matrix(['o'], 30, 15, { groups: 5 }), 8, 13),
  matrix(['w'], 6, 8),
  matrix(['w'], 5, 7),
  matrix(['q', 'k', 'v'], 15, 15, { rowHead: 5 }),
  matrix(['q', 'k'], 24, 24, { rowHead: 12 }),
  matrix(['o'], 15, 15, { columnHead: 5 }),
  vector(['q', 'k', 'v'], 10, 5),
  rowSlice(vector(['b'], 50), 8, 21),
  ...rowSlices(matrix(['t'], 109, 10), 39),
];

describe('a matrix in groups', () => {
  it('is a convolution over single tokens in the file, and has zeros between the groups', () => {
    const weight = matrix(['w'], 6, 8, { groups: 2 });
    expect(weight.parts.map(({ shape }) => shape)).toEqual([[6, 4, 1]]);
    expect(isVerbatim(weight)).toBe(false);
    const places = place(weight);
    expect(places.get(2 * 8 + 3)).toBe('w[2, 3]');
    expect(places.get(3 * 8 + 4)).toBe('w[3, 0]');
    expect([2 * 8 + 4, 3 * 8 + 3].some(at => places.has(at))).toBe(false);
    expect(isVerbatim(matrix(['w'], 6, 8, { groups: 1 }))).toBe(true);
  });
});

describe('a joined matrix', () => {
  it('has the rows of one tensor, and behind them the columns of another', () => {
    expect(DECODER).toMatchObject({ columns: 13, stride: 16, count: 50 });
    expect(DECODER.parts.map(({ shape }) => shape)).toEqual([
      [50, 7],
      [6, 50],
    ]);
    const places = place(DECODER);
    expect(places.size).toBe(50 * 13);
    expect(places.get(49 * 16 + 6)).toBe('t[49, 6]');
    expect(places.get(49 * 16 + 7)).toBe('d[0, 49]');
    expect(places.get(12)).toBe('d[5, 0]');
  });

  it('has slices of both', () => {
    const slice = rowSlice(DECODER, 8, 21);
    expect(slice).toMatchObject({ first: 8, count: 21, height: 24 });
    expect(place(slice).get(20 * 16 + 12)).toBe('d[5, 28]');
    expect(new Set([DECODER, slice, rowSlice(DECODER, 8, 22)].map(weightKey)).size).toBe(3);
  });
});

describe('originOf', () => {
  it('finds every element again, and nothing in the padding', () => {
    for (const weight of [...LAYOUTS, grouped('g', 6, 15, 3), DECODER, rowSlice(DECODER, 8, 21)]) {
      const placed = place(weight);
      for (let at = 0; at < weight.height * weight.stride; at++) {
        const origin = originOf(weight, at);
        const [row, column = 0] = origin?.index ?? [];
        expect(origin && `${origin.tensor}[${row}, ${column}]`).toBe(placed.get(at));
      }
    }
  });
});

describe('bands', () => {
  it('hold every row of a part once, one below the other, and no more bytes than they may', () => {
    for (const weight of LAYOUTS) {
      for (const bytes of [1, 200, 1000, 1 << 20]) {
        const rows = bandRows(weight, bytes);
        for (const part of weight.parts) {
          let [first, to] = [0, part.rowOffset];
          for (let index = 0; first < part.count; index++) {
            const band = bandOf(weight, part, rows, index);
            expect([band.first, band.to]).toEqual([first, to]);
            // The first number of the row: a group may begin behind zeros.
            const columns = Array.from({ length: weight.stride }, (_, c) => originOf(weight, to * weight.stride + c));
            const origin = columns.find(found => found !== undefined);
            expect(origin).toMatchObject({ tensor: part.tensor });
            expect(origin!.index[0]).toBe(weight.first + first);
            const least = weight.rowGroup.size === weight.rowGroup.padded ? 1 : weight.rowGroup.padded;
            expect(band.height * weight.stride * 4).toBeLessThanOrEqual(Math.max(bytes, least * weight.stride * 4));
            first += band.count;
            to += band.height;
          }
          expect(first).toBe(part.count);
        }
      }
    }
  });
});

describe('weightKey', () => {
  it('is the same for the same weight, and for no other', () => {
    const keys = [
      matrix(['a'], 4, 4),
      matrix(['b'], 4, 4),
      matrix(['a'], 8, 4),
      matrix(['a', 'b'], 4, 4),
      matrix(['a'], 6, 4, { rowHead: 3 }),
      matrix(['a'], 6, 4),
      vector(['a'], 4),
      matrix(['a'], 16, 4),
      keptAs(matrix(['a'], 16, 4), { format: 'f16', texels: false }),
      rowSlice(matrix(['a'], 16, 4), 4, 8),
    ].map(weightKey);
    expect(new Set(keys).size).toBe(keys.length);
    expect(weightKey(matrix(['a'], 4, 4))).toBe(keys[0]);
  });
});
