import { type Activation, activation } from './activation.ts';

/** 1 / (1 + exp(-c)), where c is x within the range of exp. */
const SIGMOID = '1.0 / (1.0 + exp(-c))';

/**
 * The derivatives of the activations, as expressions of x: vec4f, with c = x between -80 and 80 and e = exp(-2 |c|). At a corner they have
 * the value that torch's backward has there: 0 for relu. No difference of nearly equal numbers is taken: 1 - tanh(x)^2 is 4 e / (1 + e)^2.
 */
const SLOPES: Readonly<Record<Activation, string>> = {
  gelu: '0.5 * (1.0 + erf4(x * 0.70710678118654752)) + c * (0.3989422804014327 * exp(-0.5 * min(c * c, vec4f(160.0))))',
  // With s = 1 / (exp(2 u) + 1) it is 1 - s + 2 x s (1 - s) u'; beyond 10 nothing is left of the last term.
  gelu_tanh: 'gelu_tanh_slope(x)',
  relu: 'select(vec4f(), vec4f(1.0), x > vec4f())',
  silu: `(${SIGMOID}) * (1.0 + c / (1.0 + exp(c)))`,
  tanh: '4.0 * e / ((1.0 + e) * (1.0 + e))',
  elu: 'select(exp(min(c, vec4f())), vec4f(1.0), x > vec4f())',
  hardshrink: 'select(vec4f(1.0), vec4f(), abs(x) <= vec4f(0.5))',
  hardsigmoid: 'select(vec4f(), vec4f(1.0 / 6.0), abs(x) < vec4f(3.0))',
  hardswish: 'select(select(x / 3.0 + 0.5, vec4f(1.0), x >= vec4f(3.0)), vec4f(), x <= vec4f(-3.0))',
  hardtanh: 'select(vec4f(), vec4f(1.0), abs(x) < vec4f(1.0))',
  leaky_relu: 'select(vec4f(0.01), vec4f(1.0), x > vec4f())',
  logsigmoid: '1.0 / (1.0 + exp(c))',
  // tanh(softplus(x)) = n / (n + 2) with n = g (g + 2), g = exp(x).
  mish: 'mish_slope(x)',
  relu6: 'select(vec4f(), vec4f(1.0), (x > vec4f()) & (x < vec4f(6.0)))',
  rrelu: 'select(vec4f(0.22916666666666666), vec4f(1.0), x > vec4f())',
  selu: '1.0507009873554805 * select(1.6732632423543772 * exp(min(c, vec4f())), vec4f(1.0), x > vec4f())',
  sigmoid: 'exp(-abs(c)) / ((1.0 + exp(-abs(c))) * (1.0 + exp(-abs(c))))',
  softplus: SIGMOID,
  softshrink: 'select(vec4f(1.0), vec4f(), abs(x) <= vec4f(0.5))',
  softsign: '1.0 / ((1.0 + abs(x)) * (1.0 + abs(x)))',
  tanhshrink: '((1.0 - e) / (1.0 + e)) * ((1.0 - e) / (1.0 + e))',
};

/** The functions that some of them call. */
const FUNCTIONS: Partial<Record<Activation, string>> = {
  gelu_tanh: `fn gelu_tanh_slope(x: vec4f) -> vec4f {
  let c = clamp(x, vec4f(-10.0), vec4f(10.0));
  let u = 0.79788456080286536 * (c + 0.044715 * c * c * c);
  // s and 1 - s, both without a difference.
  let s = 1.0 / (exp(2.0 * clamp(u, vec4f(-20.0), vec4f(20.0))) + 1.0);
  let rest = 1.0 / (exp(-2.0 * clamp(u, vec4f(-20.0), vec4f(20.0))) + 1.0);
  return rest + 2.0 * c * s * rest * (0.79788456080286536 + 0.10703222440890037 * c * c);
}`,
  mish: `fn mish_slope(x: vec4f) -> vec4f {
  let c = clamp(x, vec4f(-80.0), vec4f(20.0));
  let g = exp(c);
  let n = g * (g + 2.0);
  return n / (n + 2.0) + 4.0 * c * g * (1.0 + g) / ((n + 2.0) * (n + 2.0));
}`,
};

/**
 * `fn activate(x: vec4f) -> vec4f` and `fn slope(x: vec4f) -> vec4f`, the derivative of it. The slope at NaN or at an infinity is that
 * value itself, by its bits, so that a value that overflowed is seen in the gradient too.
 */
export const activationWithSlope = (kind: Activation): string => `${activation(kind)}
${FUNCTIONS[kind] ?? ''}
fn slope(x: vec4f) -> vec4f {
  let c = clamp(x, vec4f(-80.0), vec4f(80.0));
  let e = exp(-2.0 * abs(c));
  return select(${SLOPES[kind]}, x, (bitcast<vec4u>(x) & vec4u(0x7f800000u)) == vec4u(0x7f800000u));
}`;
