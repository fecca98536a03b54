import type { TexelFormat } from '../../shaders/kernel.ts';
import type { Value } from './op.ts';
import type { Sizes } from './sizes.ts';
import type { Step } from './step.ts';

/** A value that a step reads as a texture: it is copied there right before the step. */
export interface TexelOperand {
  readonly value: Value;
  readonly format: TexelFormat;
}

export const texelOperands = ({ kernel, args }: Step): TexelOperand[] =>
  kernel.bindings.flatMap(({ access, type }, i) => {
    const arg = args[i]!;
    return access === 'texel' && arg.kind === 'value' ? [{ value: arg.value, format: type as TexelFormat }] : [];
  });

/** Elements of such a value in a pass: of bytes one for each float of its stride, else one for four. */
export const texelsOf = ({ value, format }: TexelOperand, sizes: Sizes): number =>
  (sizes[value.rows] * value.stride) / (format === 'r32uint' ? 1 : 4);

/** For every format the elements that its texture, which the steps share, has to hold. */
export function mostTexels(steps: readonly Step[], sizes: Sizes): Map<TexelFormat, number> {
  const most = new Map<TexelFormat, number>();
  for (const each of steps.flatMap(texelOperands)) {
    most.set(each.format, Math.max(most.get(each.format) ?? 0, texelsOf(each, sizes)));
  }
  return most;
}
