import type { Kernel } from '../../shaders/kernel.ts';
import type { Rows, Value } from './op.ts';
import type { Sizes } from './sizes.ts';
import type { Weight } from './weight.ts';

/** What the host writes per pass, each array<vec4u>: see batch.ts. */
export const INPUTS = ['tokens', 'sequences', 'tiles', 'masked'] as const;
export type InputName = (typeof INPUTS)[number];

export type Argument =
  | { readonly kind: 'value'; readonly value: Value }
  | { readonly kind: 'weight'; readonly weight: Weight }
  | { readonly kind: 'input'; readonly input: InputName }
  | { readonly kind: 'constant'; readonly constant: Uint32Array<ArrayBuffer> };

/**
 * What the rows of one kind cost a step: `cost` each, in multiply-adds of a linear. They are counted in multiples of `tile`,
 * because a workgroup computes whole tiles: of one row it takes as long as of 64.
 */
export interface Work {
  readonly rows: Rows;
  readonly tile: number;
  readonly cost: number;
}

/** One dispatch. */
export interface Step {
  readonly kernel: Kernel;
  /** The name of the value that it writes. It labels the bind group, so the browser's errors say it. */
  readonly label: string;
  /** One per binding of the kernel, in order. */
  readonly args: readonly Argument[];
  /** A number, or the size of the pass that it is. */
  readonly params: Readonly<Record<string, number | keyof Sizes>>;
  readonly work: readonly Work[];
}
