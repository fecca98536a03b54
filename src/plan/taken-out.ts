import type { WeightPart } from './part-layout.ts';
import type { Band, Group, Weight } from './weight.ts';

/** Where the numbers of one row of a weight stand in their tensor: `count` of them, in every `step`th place from `to` on. */
interface RowPlace {
  /** The column of the weight that has the first of them, counted without padding. */
  readonly from: number;
  readonly count: number;
  readonly to: number;
  readonly step: number;
}

/** @param row The row of the weight, counted over all slices and without padding. */
function placeOf({ columns }: Weight, { layout, shape }: WeightPart, row: number): RowPlace {
  switch (layout?.kind) {
    case undefined:
      return { from: 0, count: columns, to: row * columns, step: 1 };
    case 'blocks': {
      const count = columns / layout.blocks;
      const block = Math.floor(row / (shape[0]! / layout.blocks));
      return { from: block * count, count, to: row * count, step: 1 };
    }
    case 'matrices': {
      const [, inputs, outputs] = shape as [number, number, number];
      const group = Math.floor(row / outputs);
      return { from: group * inputs, count: inputs, to: group * inputs * outputs + (row % outputs), step: outputs };
    }
    case 'columns': {
      const { first: from, count, transposed } = layout;
      return transposed ? { from, count, to: row, step: shape[1]! } : { from, count, to: row * count, step: 1 };
    }
    default:
      return layout satisfies never;
  }
}

/** Whether neighbouring rows of the weight have neighbouring numbers of the tensor, so that a band of rows is one run of these. */
export const isRowByRow = ({ layout }: WeightPart): boolean =>
  layout?.kind !== 'matrices' && !(layout?.kind === 'columns' && layout.transposed);

const paddedIndex = (i: number, { size, padded }: Group): number => Math.floor(i / size) * padded + (i % size);

/**
 * Takes the numbers of a tensor out of a band of its weight: the way back of the kernel `place`, without the padding.
 * @param rows the float32 rows of the band, `band.height` of `weight.stride` numbers
 * @param tensor the tensor's numbers from number `first` of the file on
 */
export function takeOut(
  weight: Weight,
  part: WeightPart,
  { band, rows }: { readonly band: Band; readonly rows: Float32Array },
  { tensor, first }: { readonly tensor: Float32Array; readonly first: number },
): void {
  const { rowGroup, columnGroup, stride } = weight;
  const isPadded = columnGroup.size !== columnGroup.padded;
  for (let i = 0; i < band.count; i++) {
    const start = paddedIndex(i, rowGroup) * stride;
    const { from, count, to, step } = placeOf(weight, part, weight.first + band.first + i);
    if (step === 1 && !isPadded) {
      tensor.set(rows.subarray(start + from, start + from + count), to - first);
      continue;
    }
    for (let k = 0; k < count; k++) {
      const column = isPadded ? paddedIndex(from + k, columnGroup) : from + k;
      tensor[to + k * step - first] = rows[start + column]!;
    }
  }
}
