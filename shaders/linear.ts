import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { type Activation, activation } from './activation.ts';
import { type Binding, type Caps, padded, read, u32, write } from './kernel.ts';
import { enables, type Format, load, matrix, matrixFunctions, rowElements } from './matrix.ts';

/**
 * y[T, N] = activate(x[T, K] weight[N, K]^T + bias[N]) + residual[T, N]
 *
 * The weight keeps the checkpoint's own layout (one row per output), so both operands are read along K as vec4f and the
 * inner loop is a dot product. Where the weight is kept as i8, so is x (see pack.ts). Every tiling adds the products of one output in its own fixed order that does not depend on T
 * or on the row's place: a row's result is the same bits in any batch.
 */
export interface LinearVariant {
  /** K and N, unpadded. */
  readonly inner: number;
  readonly outputs: number;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly activation?: Activation | undefined;
  /** How the weight is kept. Default: 'f32'. */
  readonly format?: Format | undefined;
}

/** What a tiling needs to know beside its own tile. */
export interface LinearBody {
  readonly name: string;
  /** Steps along K: four numbers each. */
  readonly K4: number;
  /** vec4f of a row of y. */
  readonly N4: number;
  /** Elements from one row to the next, of x and of the weight alike. */
  readonly stride: number;
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

export const LINEAR_PARAMS = [u32('rows')] as const;

export function linearBody(variant: LinearVariant, caps: Pick<Caps, 'textures' | 'f16' | 'dot4I8'>): LinearBody {
  const { inner, outputs, bias, residual, activation: kind, format = 'f32' } = variant;
  const K4 = padded(inner) / 4;
  const N4 = padded(outputs) / 4;
  const stride = rowElements(format, inner);
  const x = matrix('x', format === 'i8' ? 'i8' : 'f32', caps);
  const weight = matrix('weight', format, caps);
  const whole = format === 'i8';
  // Without them floats: 64 products of two bytes stay below 2^24.
  const integers = whole && caps.dot4I8;
  const bindings = [x, weight, ...(bias ? [read('bias')] : []), ...(residual ? [read('residual')] : []), write('y')];
  const stored = format === 'f32' ? '' : ` ${format}`;
  return {
    name: `linear ${inner}>${outputs}${stored}${bias ? ' bias' : ''}${kind ? ` ${kind}` : ''}${residual ? ' residual' : ''}`,
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
  out = activate(out);
#endif
#if ${residual}
  out += residual[row * ${N4}u + column4];
#endif
  y[row * ${N4}u + column4] = out;
}`,
  };
}
