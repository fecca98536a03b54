import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { IS_NAN } from './snippets.ts';

/**
 * The activations of a linear's epilogue. `gelu` is the exact one, with erf; `gelu_tanh` is the approximation of the GELU paper
 * (Hendrycks and Gimpel, arXiv 1606.08415). The others are torch.nn's by the names of torch.nn.functional, with their default
 * arguments; `rrelu` is the one of evaluation.
 */
export type Activation = 'gelu' | 'gelu_tanh' | 'relu' | 'silu' | 'tanh' | RareActivation;

/** Those that only dense layers of sentence-transformers have. */
type RareActivation = keyof typeof RARE;

/**
 * Expressions of x: vec4f. `exp` never sees more than 20 where its result would be squared or divided by itself, and 0 where it would
 * be compared with 1.
 */
const RARE = {
  elu: 'select(exp(min(x, vec4f())) - 1.0, x, x > vec4f())',
  hardshrink: 'select(x, vec4f(), abs(x) <= vec4f(0.5))',
  hardsigmoid: 'clamp(x / 6.0 + 0.5, vec4f(), vec4f(1.0))',
  hardswish: 'x * clamp(x / 6.0 + 0.5, vec4f(), vec4f(1.0))',
  hardtanh: 'clamp(x, vec4f(-1.0), vec4f(1.0))',
  leaky_relu: 'select(0.01 * x, x, x > vec4f())',
  logsigmoid: 'min(x, vec4f()) - log(1.0 + exp(-abs(x)))',
  mish: 'x - 2.0 * x / (exp(min(x, vec4f(20.0))) * (exp(min(x, vec4f(20.0))) + 2.0) + 2.0)',
  relu6: 'clamp(x, vec4f(), vec4f(6.0))',
  rrelu: 'select(0.22916666666666666 * x, x, x > vec4f())',
  selu: '1.0507009873554805 * select(1.6732632423543772 * (exp(min(x, vec4f())) - 1.0), x, x > vec4f())',
  sigmoid: '1.0 / (1.0 + exp(-clamp(x, vec4f(-80.0), vec4f(80.0))))',
  softplus: 'max(x, vec4f()) + log(1.0 + exp(-abs(x)))',
  softshrink: 'sign(x) * max(abs(x) - 0.5, vec4f())',
  softsign: 'x / (1.0 + abs(x))',
  tanhshrink: 'x - (1.0 - 2.0 / (exp(2.0 * clamp(x, vec4f(-20.0), vec4f(20.0))) + 1.0))',
} as const;

/** Whether 0 becomes 0, so that the padding of a row stays zero by itself. */
export const keepsZero = (kind: Activation): boolean =>
  kind !== 'hardsigmoid' && kind !== 'logsigmoid' && kind !== 'sigmoid' && kind !== 'softplus';

/**
 * Coefficients of erf(x) = x P(x^2) / Q(x^2) for |x| <= 4, from a weighted least squares fit of our own: its relative error is 2e-9, and
 * 4e-7 when evaluated in float32. All coefficients but a tiny one are positive, so Horner's scheme cancels no digits.
 */
const ERF_P = [1.12837917, 0.185203201, 0.0543169022, 0.00384960991, 0.000379608534, 4.68476915e-6, -1.32021871e-8];
const ERF_Q = [1, 0.497465477, 0.113958402, 0.0154620853, 0.0013075691, 6.31104993e-5];

function horner(coefficients: readonly number[], x: string): string {
  return coefficients
    .slice(0, -1)
    .reduceRight(
      (inner, c) => `fma(${inner}, ${x}, vec4f(${c.toExponential()}))`,
      `vec4f(${coefficients.at(-1)?.toExponential()})`,
    );
}

/**
 * `fn activate(x: vec4f) -> vec4f`. NaN stays NaN. `min`, `max` and `clamp` may return their other operand for NaN, so where the result
 * comes from them alone, NaN is detected by its bits.
 */
export function activation(kind: Activation): string {
  if (kind in RARE) {
    return `${IS_NAN}
fn activate(x: vec4f) -> vec4f { return select(${RARE[kind as RareActivation]}, x, is_nan(x)); }`;
  }
  return wgsl`
#if ${kind === 'relu' || kind === 'tanh'}
${IS_NAN}
#endif
#if ${kind === 'gelu'}
fn erf4(x: vec4f) -> vec4f {
  let c = clamp(x, vec4f(-4.0), vec4f(4.0));
  let t = c * c;
  return clamp(c * (${horner(ERF_P, 't')}) / (${horner(ERF_Q, 't')}), vec4f(-1.0), vec4f(1.0));
}
fn activate(x: vec4f) -> vec4f { return 0.5 * x * (1.0 + erf4(x * 0.70710678118654752)); }
#elif ${kind === 'gelu_tanh'}
fn activate(x: vec4f) -> vec4f {
  let u = 0.79788456080286536 * (x + 0.044715 * x * x * x);
  return x - x / (exp(2.0 * clamp(u, vec4f(-20.0), vec4f(20.0))) + 1.0);
}
#elif ${kind === 'relu'}
fn activate(x: vec4f) -> vec4f { return select(max(x, vec4f(0.0)), x, is_nan(x)); }
#elif ${kind === 'silu'}
fn activate(x: vec4f) -> vec4f { return x / (1.0 + exp(-clamp(x, vec4f(-80.0), vec4f(80.0)))); }
#else
// By exp: the builtin tanh gives NaN for large arguments on some drivers.
fn activate(x: vec4f) -> vec4f {
  return select(1.0 - 2.0 / (exp(2.0 * clamp(x, vec4f(-20.0), vec4f(20.0))) + 1.0), x, is_nan(x));
}
#endif
`;
}
