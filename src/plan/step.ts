import type { Kernel, TexelFormat } from '../../shaders/kernel.ts';
import type { Rows, Value } from './op.ts';
import type { Sizes } from './sizes.ts';
import type { Weight } from './weight.ts';

/** What the host writes per pass, each array<vec4u>: see batch.ts. */
export const INPUTS = ['tokens', 'sequences', 'tiles', 'masked', 'phases'] as const;
export type InputName = (typeof INPUTS)[number];

/** What is bound to one binding of a kernel. */
export type Argument =
  | { readonly kind: 'value'; readonly value: Value }
  | { readonly kind: 'weight'; readonly weight: Weight }
  | { readonly kind: 'input'; readonly input: InputName }
  | { readonly kind: 'constant'; readonly constant: Uint32Array<ArrayBuffer> };

/** What a step binds that outlives passes, or comes with a batch beside the inputs: only training has such (src/gradients). */
export interface OtherArgument {
  readonly kind: 'state' | 'data';
  readonly name: string;
}

/** What a step binds, whichever room it is from. */
export interface Bound {
  readonly kernel: Kernel;
  readonly args: Readonly<Record<string, Argument | OtherArgument>>;
}

/** The value of one param of a kernel: a number, or the size of the pass that it is. */
export type ParamValue = number | keyof Sizes;

/**
 * What the rows of one kind cost a step: `cost` each, in multiply-adds of a linear. They are counted in multiples of `tile`, because a
 * workgroup computes whole tiles: one row takes it as long as 64.
 */
export interface RowCost {
  readonly rows: Rows;
  readonly tile: number;
  readonly cost: number;
}

/** One dispatch. */
export interface Step {
  readonly kernel: Kernel;
  /** The name of the value that it writes. It labels the bind group, so errors of the browser show it. */
  readonly label: string;
  /** By the name of the binding: exactly one for each binding of the kernel. */
  readonly args: Readonly<Record<string, Argument>>;
  /** By the name of the param: exactly one for each param of the kernel. */
  readonly params: Readonly<Record<string, ParamValue>>;
  readonly rowCosts: readonly RowCost[];
}

/**
 * Throws where a step does not fit its kernel: a binding or param without its value, a value without its binding or param, or a binding
 * that is written and whose argument is neither an activation nor a state. Such a step is a mistake in choose.ts.
 */
export function checkStep({ kernel, args, params }: Bound & { readonly params: object }): void {
  const fail = (problem: string) => {
    throw new Error(`plan: the kernel "${kernel.name}" ${problem}`);
  };
  const compare = (kind: string, declared: readonly { readonly name: string }[], given: object) => {
    const names = new Set(declared.map(({ name }) => name));
    for (const name of names) if (!Object.hasOwn(given, name)) fail(`got no ${kind} "${name}"`);
    for (const name of Object.keys(given)) if (!names.has(name)) fail(`has no ${kind} "${name}", but got one`);
  };
  compare('argument', kernel.bindings, args);
  compare('param', kernel.params, params);
  for (const { name, access } of kernel.bindings) {
    const { kind } = args[name]!;
    if (access === 'write' && kind !== 'value' && kind !== 'state') fail(`writes to "${name}", which is no activation`);
  }
}

/** The activations that a step reads and writes, by what its kernel declares of each binding. */
export function accessOf({ kernel, args }: Bound): { reads: Value[]; writes: Value[] } {
  const reads: Value[] = [];
  const writes: Value[] = [];
  for (const { name, access } of kernel.bindings) {
    const argument = args[name]!;
    if (argument.kind === 'value') (access === 'write' ? writes : reads).push(argument.value);
  }
  return { reads, writes };
}

/** An activation that a step reads as a texture: it is copied there right before the step. */
export interface TexelOperand {
  readonly value: Value;
  readonly format: TexelFormat;
}

export const texelOperands = ({ kernel, args }: Bound): TexelOperand[] =>
  kernel.bindings.flatMap(({ name, access, type }) => {
    const argument = args[name]!;
    return access === 'texel' && argument.kind === 'value'
      ? [{ value: argument.value, format: type as TexelFormat }]
      : [];
  });

/** The texels of such an operand in a pass: one for each number of bytes (see shaders/matrix.ts), else one for four floats. */
export const texelsOf = ({ value, format }: TexelOperand, sizes: Sizes): number =>
  (sizes[value.rows] * value.stride) / (format === 'r32uint' ? 1 : 4);

/** For every format the texels that its texture, which all steps share, has to hold. */
export function mostTexels(steps: readonly Bound[], sizes: Sizes): Map<TexelFormat, number> {
  const texels = new Map<TexelFormat, number>();
  for (const operand of steps.flatMap(texelOperands)) {
    const { format } = operand;
    texels.set(format, Math.max(texels.get(format) ?? 0, texelsOf(operand, sizes)));
  }
  return texels;
}
