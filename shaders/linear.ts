import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { type Activation, activation } from './activation.ts';
import { type Binding, FIRST_GROUP, padded, read, type Target, u32, WHOLE_GRID, write } from './kernel.ts';
import { enables, type Format, GROUP, load, matrix, matrixFunctions, rowElements } from './matrix.ts';

/**
 * y[T, N] = activate(x[T, K] weight[N, K]^T + bias[N]) + residual[T, N]
 *
 * The weight keeps the checkpoint's own layout (one row per output), so both operands are read along K as vec4f and the
 * inner loop is a dot product. Where the weight is kept as i8, so is x (see pack.ts). Every tiling adds the products of one output in its own fixed order that does not depend on T
 * or on the row's place: a row's result is the same bits in any batch.
 */
export interface LinearVariant {
  /** K and N, unpadded, where they shall be constants of the text; else one text serves all. */
  readonly inner?: number | undefined;
  readonly outputs?: number | undefined;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly activation?: Activation | undefined;
  /** How the weight is kept. Default: 'f32'. */
  readonly format?: Format | undefined;
}

/** What a tiling needs to know beside its own tile. */
export interface LinearBody {
  readonly name: string;
  /** WGSL of the steps along K, four numbers each; of the vec4f of a row of y; of the elements from one row of x or weight to the next. */
  readonly K4: string;
  readonly N4: string;
  readonly stride: string;
  readonly bindings: readonly Binding[];
  /** WGSL of one step of a row: vec4f, or u32 with four bytes. */
  readonly loadX: (index: string) => string;
  readonly loadWeight: (index: string) => string;
  /** A step as `product` takes it: bytes are taken apart where there is no product of them. */
  readonly operand: (step: string) => string;
  /** What a step adds to one sum. */
  readonly product: (x: string, weight: string) => string;
  /** Bytes: their products are summed over a group, exactly in either type, and then scaled. */
  readonly whole: boolean;
  /** Four of these sums. */
  readonly sum: 'vec4f' | 'vec4i';
  readonly enables: string;
  /** `fn store(row, column4, sum)`: the epilogue, for four neighbouring outputs of one row that exist. */
  readonly epilogue: string;
}

/** `activate`: 0 leaves the activation out. */
export const LINEAR_PARAMS = [...['rows', 'k4', 'n4', 'activate'].map(u32), ...FIRST_GROUP];

/** The values of its params that a linear has by its shape, for its whole grid. */
export const linearParams = (inner: number, outputs: number, activate: boolean) => ({
  k4: padded(inner) / 4,
  n4: padded(outputs) / 4,
  activate: Number(activate),
  ...WHOLE_GRID,
});

export function linearBody(variant: LinearVariant, target: Target): LinearBody {
  const { inner, outputs, bias, residual, activation: kind, format = 'f32' } = variant;
  const K4 = inner === undefined ? 'params.k4' : `${padded(inner) / 4}u`;
  const N4 = outputs === undefined ? 'params.n4' : `${padded(outputs) / 4}u`;
  const groups = format === 'i8' ? ` + (params.k4 + ${GROUP - 1}u) / ${GROUP}u` : '';
  const stride = inner === undefined ? `(params.k4${groups})` : `${rowElements(format, inner)}u`;
  const x = matrix('x', format === 'i8' ? 'i8' : 'f32', target);
  const weight = matrix('weight', format, target);
  const whole = format === 'i8';
  // Without them floats: 64 products of two bytes stay below 2^24.
  const integers = whole && target.dot4I8;
  const bindings = [x, weight, ...(bias ? [read('bias')] : []), ...(residual ? [read('residual')] : []), write('y')];
  const stored = format === 'f32' ? '' : ` ${format}`;
  return {
    name: `linear${inner && outputs ? ` ${inner}>${outputs}` : ''}${stored}${bias ? ' bias' : ''}${kind ? ` ${kind}` : ''}${residual ? ' residual' : ''}`,
    K4,
    N4,
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
  if (params.activate != 0u) { out = activate(out); }
#endif
#if ${residual}
  out += residual[row * ${N4} + column4];
#endif
  y[row * ${N4} + column4] = out;
}`,
  };
}
