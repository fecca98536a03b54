import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { f32, type Param, padded } from './kernel.ts';
import { columnsAt, FINITE_OR_NAN, type RowShape, total } from './snippets.ts';

/**
 * How a row x[C] is normalised, with the mean and the variance of the row:
 *   layer    (x - mean) / sqrt(variance + eps) gamma + beta        Ba, Kiros and Hinton, arXiv 1607.06450
 *   rms      x / sqrt(mean(x^2) + eps) gamma + beta                Zhang and Sennrich, arXiv 1910.07467
 *   affine   x gamma + beta                                        MobileBERT's NoNorm, arXiv 2004.02984
 */
export type NormKind = 'layer' | 'rms' | 'affine';

export interface NormVariant {
  readonly kind: NormKind;
  readonly beta: boolean;
  /** The weight holds gamma - 1. */
  readonly unitOffset: boolean;
}

/** The param `eps`, where the norm divides by anything. */
export const epsParams = ({ kind }: NormVariant, name = 'eps'): Param[] => (kind === 'affine' ? [] : [f32(name)]);

/** In words, for the names of kernels. */
export const normLabel = ({ kind, beta, unitOffset }: NormVariant): string =>
  `${kind}${unitOffset ? ' from 1' : ''}${beta ? '' : ' without beta'}`;

/** WGSL: the row of an invocation. Where lanes share a row, the index must be uniform in the workgroup because barriers follow. */
export const rowIndex = ({ lanes, rows }: RowShape): string => (lanes > 1 ? 'group.x' : `group.x * ${rows}u + local.y`);

/** The functions that `normaliseRow` calls, once for a kernel. */
export const normFunctions = (lanes: number): string => `
${total(lanes)}
${FINITE_OR_NAN}`;

export interface NormRow extends NormVariant {
  /** The numbers of a row, unpadded. */
  readonly columns: number;
  /** The size of a head, where the row is heads; each is padded to a multiple of four. Default: the whole row. */
  readonly head?: number | undefined;
  /** The names of the bindings with gamma and beta, and of the param with eps. */
  readonly names: { readonly gamma: string; readonly beta: string; readonly eps: string };
  /** WGSL, which is added to vec4f number `i` of the result. */
  readonly addend?: string | undefined;
  /** WGSL: vec4f number `i` of the row before. Default: that of y, in whose place the result comes. */
  readonly from?: string | undefined;
}

/**
 * WGSL: normalises a row into y, from y[at] on, with lane `lane` of `lanes`. The variance is the biased one, as in
 * torch.nn.LayerNorm. A layer norm makes two passes, the mean first and then the mean of squared deviations, because E[x^2] - E[x]^2 has
 * no correct digit left where the mean is large. The padding of gamma and beta is zero, and the padding of the row stays zero.
 */
export function normaliseRow(row: NormRow, lanes: number): string {
  const { kind, columns: C, head = C, names, addend, from = 'y[at + i]' } = row;
  const D4 = padded(head) / 4;
  const C4 = (C / head) * D4;
  const place = D4 === C4 ? 'i' : `(i % ${D4}u)`;
  const masked = (value: string) => `select(vec4f(), ${value}, ${columnsAt(place)} < vec4u(${head}u))`;
  const gamma = row.unitOffset ? `(1.0 + ${names.gamma}[i])` : `${names.gamma}[i]`;
  const beta = `${row.beta ? ` + ${names.beta}[i]` : ''}${addend ? ` + ${addend}` : ''}`;
  const each = (text: string) => `  for (var i = lane; i < ${C4}u; i += ${lanes}u) { ${text} }`;
  switch (kind) {
    case 'layer': {
      const scaled = `(${from} - mean) * scale * ${gamma}`;
      return wgsl`  // Four partial sums: each has a quarter of the terms, and so of the rounding error.
  var sums = vec4f();
${each(`sums += ${from};`)}
  let mean = total(dot(sums, vec4f(1.0)), lane) / f32(${C});
  var squares = vec4f();
  for (var i = lane; i < ${C4}u; i += ${lanes}u) {
    var deviation = ${from} - mean;
#if ${head % 4 !== 0}
    deviation = ${masked('deviation')};
#endif
    squares += deviation * deviation;
  }
  let scale = 1.0 / sqrt(finite_or_nan(total(dot(squares, vec4f(1.0)), lane)) / f32(${C}) + params.${names.eps});
${each(`y[at + i] = ${row.unitOffset && head % 4 !== 0 ? masked(scaled) : scaled}${beta};`)}`;
    }
    case 'rms':
      return `  var squares = vec4f();
${each(`let value = ${from}; squares += value * value;`)}
  let scale = 1.0 / sqrt(finite_or_nan(total(dot(squares, vec4f(1.0)), lane)) / f32(${C}) + params.${names.eps});
${each(`y[at + i] = ${from} * scale * ${gamma}${beta};`)}`;
    case 'affine':
      return each(`y[at + i] = ${from} * ${gamma}${beta};`);
    default:
      return kind satisfies never;
  }
}

/**
 * `fn normalise(row: u32, lane: u32)`: y[row], C floats, is the normalised row of `from`, by default y itself. It reads `gamma`, `beta` and
 * `params.eps`.
 */
export function normalise(
  variant: NormVariant,
  C: number,
  { lanes }: RowShape,
  { addend = false, from = 'y' }: { readonly addend?: boolean; readonly from?: string } = {},
): string {
  const C4 = padded(C) / 4;
  const names = { gamma: 'gamma', beta: 'beta', eps: 'eps' };
  const row = { ...variant, columns: C, names, addend: addend ? 'addend[at + i]' : undefined, from: `${from}[at + i]` };
  return `${variant.kind === 'affine' ? '' : normFunctions(lanes)}
fn normalise(row: u32, lane: u32) {
  let at = row * ${C4}u;
${normaliseRow(row, lanes)}
}`;
}
