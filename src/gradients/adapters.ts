import { padded } from '../../shaders/kernel.ts';
import { matrix, type Value, type Weight, type WeightPart } from '../plan/index.ts';
import type { Dropout } from './dropout.ts';
import type { TrainingOp } from './op.ts';

/** The two matrices of an adapter (LoRA: Hu et al., arXiv 2106.09685): the linear adds factor b a x to what it computes. */
export interface Adapter {
  /** [r, K] */
  readonly a: Weight;
  /** [N, r]: a row for each of the linear's outputs; those of other modules, which stand in the same weight, are zeros. */
  readonly b: Weight;
}

/** What a linear computes with in the place of its weight. */
export interface Adaptation {
  /** A matrix of the same shape: the frozen one, or a copy of it that is trained. */
  readonly base: Weight;
  readonly adapters: readonly Adapter[];
  /** What the adapters' outputs are multiplied by. */
  readonly factor: number;
  /** The probability of dropout before the adapters, of each with a mask of its own. */
  readonly dropout: number;
}

/** The adaptation of a weight that linears read; undefined where it has none. */
export type Adapt = (weight: Weight) => Adaptation | undefined;

/** A model's weight that is computed from others: target = base + factor (the sum of b a). */
export interface WeightMerge extends Pick<Adaptation, 'base' | 'adapters' | 'factor'> {
  readonly target: Weight;
}

export interface AdapterNames {
  readonly rank: number;
  /** The tensor of a. */
  readonly a: string;
  /** The tensor of b's rows for a part of the weight; undefined for a part that is not of the module. */
  readonly b: (part: WeightPart) => string | undefined;
}

/** The matrices of an adapter of a weight whose parts have no layout: a has its columns, and b has its rows. */
export function adapterOf(weight: Weight, { rank, a, b }: AdapterNames): Adapter {
  const { columns, columnGroup, rowGroup, height } = weight;
  const parts = weight.parts.flatMap(({ shape, count, rowOffset, ...part }): WeightPart[] => {
    const tensor = b({ shape, count, rowOffset, ...part });
    return tensor === undefined ? [] : [{ tensor, shape: [shape[0]!, rank], count, rowOffset }];
  });
  const rows = parts.map(({ count }) => count);
  const names = parts.map(({ tensor }) => tensor);
  return {
    a: matrix([a], rank, columns, { columnHead: columnGroup.size }),
    b: { ...matrix(names, rows, rank), parts, rowGroup, height },
  };
}

/** The same weight, of tensors with other names. */
export function renamed(weight: Weight, nameOf: (tensor: string) => string): Weight {
  const parts = weight.parts.map(part => ({ ...part, tensor: nameOf(part.tensor) }));
  return { ...weight, name: parts.map(({ tensor }) => tensor).join('+'), parts };
}

/** What a forward pass makes values and places of dropout with. */
export interface FormTools {
  readonly like: (of: Pick<Value, 'rows' | 'columns'>, name: string) => Value;
  readonly site: (probability: number) => Dropout;
}

/** The ops that add what adapters compute of x to `sum`: the last one writes y. */
export function adapterOps(
  { adapters, factor, dropout }: Adaptation,
  { x, sum, y }: { readonly x: Value; readonly sum: Value; readonly y: Value },
  { like, site }: FormTools,
): TrainingOp[] {
  const ops: TrainingOp[] = [];
  const linear = (x: Value, weight: Weight, residual: Value | undefined, y: Value) => {
    ops.push({ op: 'linear', x, weight, bias: undefined, activation: undefined, gate: undefined, residual, y });
    return y;
  };
  let before = sum;
  for (const [i, { a, b }] of adapters.entries()) {
    let input = x;
    if (dropout > 0) {
      input = like(x, `${a.name}.dropout`);
      ops.push({ op: 'dropout', x, dropout: site(dropout), residual: undefined, y: input });
    }
    const inner = like({ rows: x.rows, columns: a.count }, a.name);
    const scaled = like(inner, `${a.name}.scaled`);
    linear(input, a, undefined, inner);
    ops.push({ op: 'scale', x: inner, factor, y: scaled });
    before = linear(scaled, b, before, i === adapters.length - 1 ? y : like(y, b.name));
  }
  return ops;
}

/** Bytes of the float32 rows of a weight. */
export const rowBytes = ({ stride, height }: Weight): number => 4 * padded(stride * height);
