import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { type Activation, activation, keepsZero } from './activation.ts';
import { activationWithSlope } from './activation-slope.ts';
import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import { columnsAt, flatGrid, flatMain } from './snippets.ts';

export interface ActivateVariant {
  /** C, unpadded. */
  readonly columns: number;
  /** Undefined: act(u) is u, as of a gate alone. */
  readonly activation: Activation | undefined;
  /** Whether the result is multiplied by a gate (GLU: Shazeer, arXiv 2002.05202). */
  readonly gate: boolean;
}

const IDENTITY = 'fn activate(x: vec4f) -> vec4f { return x; }';

const label = ({ columns, activation: kind, gate }: ActivateVariant) =>
  `${columns} ${kind ?? 'identity'}${gate ? ' gate' : ''}`;

/**
 * y[R, C] = act(u[R, C]) gate[R, C]: the activation of a linear as an op of its own, where its input is kept for the way back.
 *
 *   u, gate, y [R, C]      params: count, the vec4f of y      grid: flat, one invocation for each
 *
 * The padding of y is zero, also where the activation of 0 is not: the padding of the gate is zero, or the columns are masked.
 */
export function activate(variant: ActivateVariant): Kernel {
  const { columns: C, activation: kind, gate } = variant;
  const C4 = padded(C) / 4;
  const bindings = [read('u'), ...(gate ? [read('gate')] : []), write('y')];
  const params = [u32('count')];
  return {
    name: `activate ${label(variant)}`,
    bindings,
    params,
    workgroups: ({ count }) => flatGrid(count!),
    code: wgsl`
${declarations(bindings, params)}
${kind ? activation(kind) : IDENTITY}

${flatMain('params.count')}
#if ${gate}
  y[i] = activate(u[i]) * gate[i];
#elif ${C % 4 !== 0 && kind !== undefined && !keepsZero(kind)}
  y[i] = select(vec4f(), activate(u[i]), ${columnsAt(`(i % ${C4}u)`)} < vec4u(${C}u));
#else
  y[i] = activate(u[i]);
#endif
}`,
  };
}

/**
 * The way back through `activate`: du[R, C] = dy gate act'(u), dgate[R, C] = dy act(u).
 *
 *   u, gate, dy, du, dgate [R, C]      params: count, the vec4f of du      grid: flat, one invocation for each
 *
 * The padding of dy is zero, and every derivative at 0 is finite, so that of du and dgate is zero by itself.
 */
export function activateBackward(variant: ActivateVariant): Kernel {
  const { activation: kind, gate } = variant;
  const bindings = [
    read('u'),
    ...(gate ? [read('gate')] : []),
    read('dy'),
    write('du'),
    ...(gate ? [write('dgate')] : []),
  ];
  const params = [u32('count')];
  return {
    name: `activate backward ${label(variant)}`,
    bindings,
    params,
    workgroups: ({ count }) => flatGrid(count!),
    code: wgsl`
${declarations(bindings, params)}
${kind ? activationWithSlope(kind) : `${IDENTITY}\nfn slope(x: vec4f) -> vec4f { return vec4f(1.0); }`}

${flatMain('params.count')}
  let x = u[i];
#if ${gate}
  du[i] = dy[i] * gate[i] * slope(x);
  dgate[i] = dy[i] * activate(x);
#else
  du[i] = dy[i] * slope(x);
#endif
}`,
  };
}
