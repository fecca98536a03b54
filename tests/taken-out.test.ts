import { expect, test } from 'vitest';
import { isRowByRow, numbersOf, takeOut } from '../src/plan/index.ts';
import {
  bandOf,
  bandRows,
  grouped,
  joined,
  matrix,
  originOf,
  rowSlices,
  vector,
  type Weight,
} from '../src/plan/weight.ts';

/** The flat index in a tensor of this shape of what `originOf` names: [row, column] of a matrix whose dimensions of 1 may stand anywhere. */
function flat(shape: readonly number[], index: readonly number[]): number {
  if (index.length === shape.length) return index.reduce((at, i, axis) => at * shape[axis]! + i, 0);
  const [row, column = 0] = index as [number, number?];
  return row * (shape.reduce((a, b) => a * b, 1) / shape[0]!) + column;
}

/** The rows of a weight, filled by `originOf`, which the load is tested with: number i of a tensor is i + 1. Padding is -1. */
const rowsOf = (weight: Weight, tensor: string): Float32Array =>
  Float32Array.from({ length: weight.stride * weight.height }, (_, at) => {
    const origin = originOf(weight, at);
    const part = weight.parts.find(part => part.tensor === origin?.tensor);
    return origin?.tensor === tensor && part ? flat(part.shape, origin.index) + 1 : -1;
  });

const CASES: Readonly<Record<string, readonly Weight[]>> = {
  'a matrix': [matrix(['w'], 6, 8)],
  'a matrix of odd columns': [matrix(['w'], 5, 7)],
  'q, k and v with padded heads': [matrix(['q', 'k', 'v'], 15, 15, { rowHead: 5 })],
  'q, k and v of different rows': [matrix(['q', 'k', 'v'], [20, 10, 10], 12, { rowHead: 5 })],
  'padded heads as inputs': [matrix(['o'], 15, 15, { columnHead: 5 })],
  'a vector': [vector(['b'], 7)],
  'vectors with padded heads and a gap': [vector(['q', undefined, 'v'], 10, 5)],
  'a kernel of a convolution': [matrix(['w'], 6, 3, { innerShape: [1, 3] })],
  'a vector with dimensions of 1': [vector(['b'], 6, 3, [1, 1])],
  'a table in slices': rowSlices(matrix(['t'], 109, 10), 39),
  'blocks of a convolution': [matrix(['w'], 12, 20, { groups: 4 })],
  'blocks, joined': [matrix(['q', 'k'], 12, 12, { rowHead: 3, groups: [2, 3] })],
  'matrices for groups': [grouped('w', 12, 15, 3)],
  'columns beside transposed columns': [
    joined(
      [
        { tensor: 'a', columns: 6 },
        { tensor: 'b', columns: 5, transposed: true },
      ],
      9,
    ),
  ],
  'such columns in slices': rowSlices(
    joined(
      [
        { tensor: 'a', columns: 6 },
        { tensor: 'b', columns: 5, transposed: true },
      ],
      21,
    ),
    8,
  ),
};

test.each(Object.entries(CASES))('%s: tensors come out as they went in, in bands of any size', (_, weights) => {
  for (const name of new Set(weights.flatMap(({ parts }) => parts.map(({ tensor }) => tensor)))) {
    for (const bytes of [1, 200, 1 << 20]) {
      const { shape } = weights[0]!.parts.find(({ tensor }) => tensor === name)!;
      const numbers = new Float32Array(shape.reduce((a, b) => a * b, 1));
      for (const weight of weights) {
        const part = weight.parts.find(({ tensor }) => tensor === name)!;
        const all = rowsOf(weight, name);
        const atOnce = bandRows(weight, bytes);
        for (let index = 0; index * atOnce < part.count; index++) {
          const band = bandOf(weight, part, atOnce, index);
          const rows = all.subarray(band.to * weight.stride, (band.to + band.height) * weight.stride);
          if (!isRowByRow(part)) {
            takeOut(weight, part, { band, rows }, { tensor: numbers, first: 0 });
            continue;
          }
          const { columns } = numbersOf(weight, part);
          const first = (weight.first + band.first) * columns;
          const piece = new Float32Array(band.count * columns);
          takeOut(weight, part, { band, rows }, { tensor: piece, first });
          numbers.set(piece, first);
        }
      }
      expect(numbers, `${name} by ${bytes} bytes`).toEqual(numbers.map((_, i) => i + 1));
    }
  }
});
