import { activations, erf, type Numbers } from './reference.ts';

/**
 * The CPU twins of the kernels of training that work on rows: the obvious loops in float64 on plain unpadded arrays, as in reference.ts,
 * whose functions they are the way back through. gradient-rows.test.ts checks each against central differences.
 */

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** The derivatives of the activations of reference.ts, with the value of torch at a corner. */
export const slopes: Record<string, (x: number) => number> = {
  gelu: x => 0.5 * (1 + erf(x / Math.SQRT2)) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI),
  gelu_tanh: x => {
    const t = Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
  },
  relu: x => (x > 0 ? 1 : 0),
  silu: x => sigmoid(x) * (1 + x * sigmoid(-x)),
  tanh: x => 1 - Math.tanh(x) ** 2,
  elu: x => (x > 0 ? 1 : Math.exp(x)),
  hardshrink: x => (Math.abs(x) > 0.5 ? 1 : 0),
  hardsigmoid: x => (Math.abs(x) < 3 ? 1 / 6 : 0),
  hardswish: x => (x <= -3 ? 0 : x < 3 ? x / 3 + 0.5 : 1),
  hardtanh: x => (Math.abs(x) < 1 ? 1 : 0),
  leaky_relu: x => (x > 0 ? 1 : 0.01),
  logsigmoid: x => sigmoid(-x),
  mish: x => {
    const t = Math.tanh(x > 30 ? x : Math.log1p(Math.exp(x)));
    return t + x * (1 - t * t) * sigmoid(x);
  },
  relu6: x => (x > 0 && x < 6 ? 1 : 0),
  rrelu: x => (x > 0 ? 1 : (1 / 8 + 1 / 3) / 2),
  selu: x => 1.0507009873554805 * (x > 0 ? 1 : 1.6732632423543772 * Math.exp(x)),
  sigmoid: x => sigmoid(x) * sigmoid(-x),
  softplus: sigmoid,
  softshrink: x => (Math.abs(x) > 0.5 ? 1 : 0),
  softsign: x => 1 / (1 + Math.abs(x)) ** 2,
  tanhshrink: x => Math.tanh(x) ** 2,
};

/** y = act(u) gate */
export const activate = (u: Numbers, kind: string, gate?: Numbers): Float64Array =>
  Float64Array.from(u, (v, i) => activations[kind]!(v) * (gate?.[i] ?? 1));

/** The gradients of u and of the gate from that of y. */
export const activateBackward = (
  u: Numbers,
  dy: Numbers,
  kind: string,
  gate?: Numbers,
): { du: Float64Array; dgate: Float64Array } => ({
  du: Float64Array.from(u, (v, i) => dy[i]! * (gate?.[i] ?? 1) * slopes[kind]!(v)),
  dgate: Float64Array.from(u, (v, i) => dy[i]! * activations[kind]!(v)),
});

export interface NormBackwardOptions {
  kind: string;
  gamma: Numbers;
  eps: number;
  unitOffset?: boolean | undefined;
  residual?: Numbers | undefined;
}

/** The gradients of x (and of the residual), gamma and beta of `norm` from dy. */
export function normBackward(
  x: Numbers,
  dy: Numbers,
  { kind, gamma, eps, unitOffset = false, residual }: NormBackwardOptions,
): { dx: Float64Array; dgamma: Float64Array; dbeta: Float64Array } {
  const C = gamma.length;
  const dx = new Float64Array(x.length);
  const dgamma = new Float64Array(C);
  const dbeta = new Float64Array(C);
  const meanOf = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0) / C;
  for (let first = 0; first < x.length; first += C) {
    const row = Array.from({ length: C }, (_, c) => x[first + c]! + (residual?.[first + c] ?? 0));
    const mean = kind === 'layer' ? meanOf(row) : 0;
    const scale = kind === 'affine' ? 1 : 1 / Math.sqrt(meanOf(row.map(v => (v - mean) ** 2)) + eps);
    const normalised = row.map(v => (v - mean) * scale);
    const g = row.map((_, c) => dy[first + c]! * (gamma[c]! + (unitOffset ? 1 : 0)));
    const meanG = kind === 'layer' ? meanOf(g) : 0;
    const meanProduct = kind === 'affine' ? 0 : meanOf(g.map((v, c) => v * normalised[c]!));
    for (let c = 0; c < C; c++) {
      dx[first + c] = scale * (g[c]! - meanG - normalised[c]! * meanProduct);
      dgamma[c]! += dy[first + c]! * normalised[c]!;
      dbeta[c]! += dy[first + c]!;
    }
  }
  return { dx, dgamma, dbeta };
}
