import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { type Activation, activation } from './activation.ts';
import { type Binding, padded, read, u32, write } from './kernel.ts';

/**
 * y[T, N] = activate(x[T, K] weight[N, K]^T + bias[N]) + residual[T, N]
 *
 * The weight keeps the checkpoint's own layout (one row per output), so both operands are read along K as vec4f and the
 * inner loop is a dot product. Every tiling adds the products of one output in its own fixed order that does not depend on T
 * or on the row's place: a row's result is the same bits in any batch.
 */
export interface LinearVariant {
  /** K and N, unpadded. */
  readonly inner: number;
  readonly outputs: number;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly activation?: Activation | undefined;
}

/** What a tiling needs to know beside its own tile. K4 and N4 are vec4f per row. */
export interface LinearBody {
  readonly name: string;
  readonly K4: number;
  readonly N4: number;
  readonly bindings: readonly Binding[];
  /** `fn store(row, column4, sum)`: the epilogue, for four neighbouring outputs of one row that exist. */
  readonly epilogue: string;
}

export const LINEAR_PARAMS = [u32('rows')] as const;

export function linearBody(variant: LinearVariant): LinearBody {
  const { inner, outputs, bias, residual, activation: kind } = variant;
  const N4 = padded(outputs) / 4;
  return {
    name: `linear ${inner}>${outputs}${bias ? ' bias' : ''}${kind ? ` ${kind}` : ''}${residual ? ' residual' : ''}`,
    K4: padded(inner) / 4,
    N4,
    bindings: [
      read('x'),
      read('weight'),
      ...(bias ? [read('bias')] : []),
      ...(residual ? [read('residual')] : []),
      write('y'),
    ],
    epilogue: wgsl`
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
