import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { FINITE_OR_NAN, total } from './snippets.ts';

/** How a kernel that normalises rows divides them: a workgroup has one row with several invocations, or several rows with one each. */
export interface RowShape {
  /** Invocations that share a row. With one, the kernel needs no workgroup memory and no barrier. */
  readonly lanes: number;
  /** Rows of a workgroup. */
  readonly rows: number;
}

/** WGSL: the row of an invocation. Where lanes share a row, the index must be uniform in the workgroup because barriers follow. */
export const rowIndex = ({ lanes, rows }: RowShape): string => (lanes > 1 ? 'group.x' : `group.x * ${rows}u + local.y`);

/**
 * `fn normalise(row: u32, lane: u32)`: LayerNorm of y[row], C floats, in place (Ba, Kiros and Hinton, arXiv 1607.06450; the biased
 * variance, as in torch.nn.LayerNorm). It makes two passes, the mean first and then the mean of squared deviations, because
 * E[x^2] - E[x]^2 has no correct digit left where the mean is large. It reads `gamma`, `beta` and `params.eps`. The padding of gamma and
 * beta is zero, so the padding of the row stays zero.
 */
export function normalise(C: number, { lanes }: RowShape): string {
  const C4 = Math.ceil(C / 4);
  return wgsl`
${total(lanes)}
${FINITE_OR_NAN}
fn normalise(row: u32, lane: u32) {
  let at = row * ${C4}u;
  // Four partial sums: each has a quarter of the terms, and so of the rounding error.
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
