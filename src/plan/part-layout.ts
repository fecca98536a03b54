/**
 * Where the numbers of a tensor stand in a weight, where its rows are not the first columns of the weight's rows:
 *   blocks    tensor [N, K / blocks, 1] of a grouped convolution over single tokens: its rows are cut into `blocks` runs, and run b has
 *             the columns from b K / blocks on. All other columns of these rows are zeros.
 *   matrices  tensor [groups, K / groups, N / groups]: matrix g has the rows from g N / groups on and the columns from g K / groups on, and
 *             its own rows are columns of the weight. All other columns of these rows are zeros.
 *   columns   tensor [N, count], or transposed [count, N]: the columns from `first` on. Other parts have the rest of the rows.
 */
export type PartLayout =
  | { readonly kind: 'blocks'; readonly blocks: number }
  | { readonly kind: 'matrices'; readonly groups: number }
  | { readonly kind: 'columns'; readonly first: number; readonly count: number; readonly transposed: boolean };

/** A tensor of the checkpoint inside a weight. */
export interface WeightPart {
  /** Its canonical name. The checkpoint may have another name for it: see checkpoint/file/names.ts. */
  readonly tensor: string;
  /** The shape that the checkpoint must have: [rows, columns], or [rows] for a vector. */
  readonly shape: readonly number[];
  /** How many rows of the weight it has numbers of, from row `first` of the weight on. */
  readonly count: number;
  /** The row of the weight where the first of them goes. */
  readonly rowOffset: number;
  /** Default: a row of the tensor is a row of the weight. */
  readonly layout?: PartLayout;
}

/** Whether the numbers of a row of the weight do not stand together in one tensor, so that it is complete only when all are there. */
export const isJoined = ({ parts }: { readonly parts: readonly WeightPart[] }): boolean =>
  parts.some(({ layout }) => layout?.kind === 'columns' || layout?.kind === 'matrices');

/** The numbers of a tensor that a weight takes, in the order of the file. */
export interface PartNumbers {
  /** How many stand in a row of the tensor. */
  readonly columns: number;
  readonly first: number;
  readonly count: number;
}

/** Of a transposed tensor, whose rows are columns of the weight, all numbers pass by; the kernel leaves out those of other rows. */
export function numbersOf(
  { first, columns }: { readonly first: number; readonly columns: number },
  { layout, shape, count }: WeightPart,
): PartNumbers {
  if (layout?.kind === 'columns' && layout.transposed) {
    return { columns: shape[1]!, first: 0, count: layout.count * shape[1]! };
  }
  if (layout?.kind === 'matrices') return { columns: shape[2]!, first: 0, count: columns * shape[2]! };
  const width = layout?.kind === 'blocks' ? columns / layout.blocks : (layout?.count ?? columns);
  return { columns: width, first: first * width, count: count * width };
}

/** The index in the tensor of a row and a column of its weight, counted without padding. Undefined: no number of the tensor goes there. */
export function indexOf(
  { shape, layout }: WeightPart,
  { row, column, columns }: { row: number; column: number; columns: number },
): number[] | undefined {
  switch (layout?.kind) {
    case undefined:
      return shape.length === 1 ? [row] : [row, column];
    case 'blocks': {
      const width = columns / layout.blocks;
      const inBlock = column - width * Math.floor(row / (shape[0]! / layout.blocks));
      return inBlock >= 0 && inBlock < width ? [row, inBlock] : undefined;
    }
    case 'matrices': {
      const [, inputs, outputs] = shape as [number, number, number];
      const group = Math.floor(row / outputs);
      const own = column - group * inputs;
      return own >= 0 && own < inputs ? [group, own, row % outputs] : undefined;
    }
    case 'columns': {
      const own = column - layout.first;
      if (own < 0 || own >= layout.count) return undefined;
      return layout.transposed ? [own, row] : [row, own];
    }
    default:
      return layout satisfies never;
  }
}
