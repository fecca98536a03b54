import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { type Activation, activation, keepsZero } from './activation.ts';
import { type Binding, FIRST_GROUP, type Param, padded, read, type Target, u32, WHOLE_GRID, write } from './kernel.ts';
import { enables, type Format, GROUP, load, matrix, matrixFunctions, rowElements } from './matrix.ts';
import { columnsAt } from './snippets.ts';

/**
 * y[T, N] = activate(x[T, K] weight[N, K]^T + bias[N]) gate[T, N] + residual[T, N]
 *
 * This file has what all tilings share: bindings, params, loads and the epilogue. The weight has the layout of the checkpoint, a row for
 * each output, so both operands are read along K as vec4f and the inner loop is a dot product. With a weight of i8, x is i8 too (see
 * pack.ts). The products of an output are added in one order, which depends neither on T nor on the place of the row: a row's result
 * has the same bits in any batch.
 */
export interface LinearVariant {
  /** K and N, unpadded, as constants of the text. Undefined: they are params, and one text serves all shapes. */
  readonly inner?: number | undefined;
  readonly outputs?: number | undefined;
  readonly bias: boolean;
  /** What the activation is multiplied by. Default: 1. */
  readonly gate?: boolean | undefined;
  readonly residual: boolean;
  readonly activation?: Activation | undefined;
  /** The format of the weight. Default: 'f32'. */
  readonly format?: Format | undefined;
  /** Only the outputs of a range are computed, which is a param: y[T, slice]. Weight and bias are whole. Default: false. */
  readonly sliced?: boolean | undefined;
}

/** What a tiling writes its kernel with. Strings are WGSL unless they say otherwise. */
export interface LinearBody {
  /** The start of the kernel's name, in words: `linear 384>1536 gelu`. */
  readonly name: string;
  /** K / 4, the steps of the inner loop. */
  readonly K4: string;
  /** N / 4. */
  readonly N4: string;
  /** The first four outputs that are computed, and the end of them, in fours; `from4` is empty where it is 0. */
  readonly from4: string;
  readonly end4: string;
  /** The vec4f of y for these outputs of a row. */
  readonly yAt: (row: string, column4: string, N4?: string) => string;
  readonly params: readonly Param[];
  /** The four outputs that a grid covers, from the values of the params. */
  readonly width4: (params: Readonly<Record<string, number>>) => number;
  /** Elements from one row of x, or of the weight, to the next. */
  readonly stride: string;
  readonly bindings: readonly Binding[];
  /** An element of x or of the weight: vec4f, or u32 with four bytes. */
  readonly loadX: (index: string) => string;
  readonly loadWeight: (index: string) => string;
  /** An element as `product` takes it: where dot4I8Packed is not used, bytes are converted to floats. */
  readonly operand: (element: string) => string;
  /** The dot product of two elements. */
  readonly product: (x: string, weight: string) => string;
  /** Whether the operands are bytes: products are summed over a group as whole numbers, then scaled. */
  readonly whole: boolean;
  /** The type of four such sums. Both are exact: 64 products of two bytes are below 2^24. */
  readonly sum: 'vec4f' | 'vec4i';
  /** Directives, which must come first in the text. */
  readonly enables: string;
  /** `fn store(row: u32, column4: u32, sum: vec4f)`: the epilogue, for four neighbouring outputs of a row inside the matrix. */
  readonly epilogue: string;
}

/** With `activate` 0 the activation is left out, so linears with and without it can share a text. */
export const LINEAR_PARAMS = [...['rows', 'k4', 'n4', 'activate'].map(u32), ...FIRST_GROUP];

const SLICE_PARAMS = [...LINEAR_PARAMS, u32('from4'), u32('slice4')];

/** The values of all params but `rows`, for the whole grid. */
export const linearParams = (inner: number, outputs: number, activate: boolean) => ({
  k4: padded(inner) / 4,
  n4: padded(outputs) / 4,
  activate: Number(activate),
  ...WHOLE_GRID,
});

export function linearBody(variant: LinearVariant, target: Target): LinearBody {
  const { inner, outputs, bias, gate, residual, activation: kind, format = 'f32', sliced = false } = variant;
  const K4 = inner === undefined ? 'params.k4' : `${padded(inner) / 4}u`;
  const N4 = outputs === undefined ? 'params.n4' : `${padded(outputs) / 4}u`;
  const groups = format === 'i8' ? ` + (params.k4 + ${GROUP - 1}u) / ${GROUP}u` : '';
  const stride = inner === undefined ? `(params.k4${groups})` : `${rowElements(format, inner)}u`;
  const x = matrix('x', format === 'i8' ? 'i8' : 'f32', target);
  const weight = matrix('weight', format, target);
  const whole = format === 'i8';
  const integers = whole && target.dot4I8;
  const bindings = [
    x,
    weight,
    ...(bias ? [read('bias')] : []),
    ...(gate ? [read('gate')] : []),
    ...(residual ? [read('residual')] : []),
    write('y'),
  ];
  const isMasked = kind !== undefined && !keepsZero(kind) && outputs !== undefined && outputs % 4 !== 0;
  const yAt = (row: string, column4: string, width = N4) =>
    sliced ? `${row} * params.slice4 + ${column4} - params.from4` : `${row} * ${width} + ${column4}`;
  const stored = format === 'f32' ? '' : ` ${format}`;
  return {
    name: `linear${inner && outputs ? ` ${inner}>${outputs}` : ''}${stored}${bias ? ' bias' : ''}${kind ? ` ${kind}` : ''}${gate ? ' gate' : ''}${residual ? ' residual' : ''}${sliced ? ' sliced' : ''}`,
    K4,
    N4,
    from4: sliced ? 'params.from4' : '',
    end4: sliced ? '(params.from4 + params.slice4)' : 'N4',
    yAt,
    params: sliced ? SLICE_PARAMS : LINEAR_PARAMS,
    width4: ({ n4, slice4 }) => (sliced ? slice4! : n4!),
    stride,
    bindings,
    loadX: index => load(x, index),
    loadWeight: index => load(weight, index),
    whole,
    sum: integers ? 'vec4i' : 'vec4f',
    operand: step => (whole && !integers ? `vec4f(signed4(${step}))` : step),
    product: (a, b) => `${integers ? 'dot4I8Packed' : 'dot'}(${a}, ${b})`,
    enables: enables(bindings),
    epilogue: wgsl`
${matrixFunctions(format, bindings)}
#if ${kind}
${kind && activation(kind)}
#endif
fn store(row: u32, column4: u32, sum: vec4f) {
  var out = sum;
#if ${bias}
  out += bias[column4];
#endif
#if ${kind}
${
  isMasked
    ? `  // 0 does not stay 0: the padding is kept out.
  let isOutput = ${columnsAt('column4')} < vec4u(${outputs}u);
  if (params.activate != 0u) { out = select(vec4f(), activate(out), isOutput); }
`
    : `  if (params.activate != 0u) { out = activate(out); }
`
}#endif
${
  gate
    ? `  out *= gate[row * ${N4} + column4];
`
    : ''
}#if ${residual}
  out += residual[row * ${N4} + column4];
#endif
  y[${yAt('row', 'column4')}] = out;
}`,
  };
}
