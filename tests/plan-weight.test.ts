import { describe, expect, it } from 'vitest';
import {
  bandOf,
  bandRows,
  isVerbatim,
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
  for (const { tensor, rowOffset, count } of parts) {
    for (let row = 0; row < count; row++) {
      for (let column = 0; column < columns; column++) {
        const at = (rowOffset + to(row, rowGroup)) * stride + to(column, columnGroup);
        if (places.has(at)) throw new Error(`${at} is written twice`);
        places.set(at, `${tensor}[${first + row}, ${column}]`);
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

const LAYOUTS: readonly Weight[] = [
  matrix(['w'], 6, 8),
  matrix(['w'], 5, 7),
  matrix(['q', 'k', 'v'], 15, 15, { rowHead: 5 }),
  matrix(['q', 'k'], 24, 24, { rowHead: 12 }),
  matrix(['o'], 15, 15, { columnHead: 5 }),
  vector(['q', 'k', 'v'], 10, 5),
  rowSlice(vector(['b'], 50), 8, 21),
  ...rowSlices(matrix(['t'], 109, 10), 39),
];

describe('originOf', () => {
  it('finds every element again, and nothing in the padding', () => {
    for (const weight of LAYOUTS) {
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
            expect(originOf(weight, to * weight.stride)).toMatchObject({ tensor: part.tensor });
            expect(originOf(weight, to * weight.stride)!.index[0]).toBe(weight.first + first);
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
