import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { FINITE_OR_NAN, total } from './snippets.ts';

/** How many invocations share one row, and how many rows a workgroup holds; one of the two is 1. */
export interface RowShape {
  /** 1 means that nothing is shared: no workgroup memory, no barrier. */
  readonly lanes: number;
  readonly rows: number;
}

/** The row of an invocation. Where lanes share a row it must be uniform over the workgroup, for the barriers that follow. */
export const rowIndex = ({ lanes, rows }: RowShape): string => (lanes > 1 ? 'group.x' : `group.x * ${rows}u + local.y`);

/**
 * `fn normalise(row, lane)`: LayerNorm over the C floats of `y[row]`, in place, two-pass (mean, then the mean of squared
 * deviations: E[x^2] - E[x]^2 loses everything when the mean is large). Reads `gamma`, `beta` and `params.eps`; the padding
 * of gamma and beta is zero, so the padding of the row stays zero.
 * Source: Ba, Kiros, Hinton, arXiv 1607.06450; biased variance as torch.nn.LayerNorm.
 */
export function normalise(C: number, { lanes }: RowShape): string {
  const C4 = Math.ceil(C / 4);
  return wgsl`
${total(lanes)}
${FINITE_OR_NAN}
fn normalise(row: u32, lane: u32) {
  let at = row * ${C4}u;
  // Four sums side by side: each is a quarter as long, and so is its rounding error.
  var sums = vec4f();
  for (var i = lane; i < ${C4}u; i += ${lanes}u) { sums += y[at + i]; }
  let mean = total(dot(sums, vec4f(1.0)), lane) / f32(${C});
  var squares = vec4f();
  for (var i = lane; i < ${C4}u; i += ${lanes}u) {
    var deviation = y[at + i] - mean;
#if ${C % 4 !== 0}
    deviation = select(vec4f(), deviation, vec4u(4u * i) + vec4u(0u, 1u, 2u, 3u) < vec4u(${C}u));
#endif
    squares += deviation * deviation;
  }
  let scale = 1.0 / sqrt(finite_or_nan(total(dot(squares, vec4f(1.0)), lane)) / f32(${C}) + params.eps);
  for (var i = lane; i < ${C4}u; i += ${lanes}u) { y[at + i] = (y[at + i] - mean) * scale * gamma[i] + beta[i]; }
}`;
}
