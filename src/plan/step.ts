import type { Kernel } from '../../shaders/kernel.ts';
import type { Value } from './op.ts';
import type { Sizes } from './sizes.ts';
import type { Weight } from './weight.ts';
import type { Work } from './work.ts';

/** What the host writes per pass, each array<vec4u>: see batch.ts. */
export const INPUTS = ['tokens', 'sequences', 'tiles', 'masked'] as const;
export type InputName = (typeof INPUTS)[number];

export type Argument =
  | { readonly kind: 'value'; readonly value: Value }
  | { readonly kind: 'weight'; readonly weight: Weight }
  | { readonly kind: 'input'; readonly input: InputName }
  | { readonly kind: 'constant'; readonly constant: Uint32Array<ArrayBuffer> };

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
