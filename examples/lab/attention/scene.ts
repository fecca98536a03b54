import type { AttentionToken } from './types.ts';

/** One head, large, as data: what is drawn on the canvas and written into an SVG. Lengths are CSS pixels. */

export interface HeadOptions {
  /** Weaker attention is left out. */
  readonly threshold: number;
  readonly hideSpecial: boolean;
  /** Only from tokens of the text to tokens of its pair. */
  readonly crossOnly: boolean;
  /** Only from this token. */
  readonly focus?: number | undefined;
}

/** A weight from one token to another. Negative where differences are shown. */
export interface Weight {
  readonly from: number;
  readonly to: number;
  readonly value: number;
}

export const shownName = (token: AttentionToken): string => (token.isMasked ? '[MASK]' : token.text);

/** The rows and columns that are shown, as indices of tokens. */
export function shownTokens(
  tokens: readonly AttentionToken[],
  { hideSpecial, crossOnly }: Pick<HeadOptions, 'hideSpecial' | 'crossOnly'>,
): { from: number[]; to: number[] } {
  const all = [...tokens.keys()].filter(i => !(hideSpecial && tokens[i]!.word === null));
  if (!crossOnly) return { from: all, to: all };
  return {
    from: all.filter(i => tokens[i]!.segment === 0),
    to: all.filter(i => tokens[i]!.segment === 1),
  };
}

/** The weights at or above the threshold, the weakest first, so that the strongest are drawn last. */
export function shownWeights(map: Float32Array, tokens: readonly AttentionToken[], options: HeadOptions): Weight[] {
  const L = tokens.length;
  const { from, to } = shownTokens(tokens, options);
  const weights: Weight[] = [];
  for (const i of from) {
    if (options.focus !== undefined && options.focus !== i) continue;
    for (const j of to) {
      const value = map[i * L + j]!;
      if (Math.abs(value) >= options.threshold && value !== 0) weights.push({ from: i, to: j, value });
    }
  }
  return weights.sort((a, b) => Math.abs(a.value) - Math.abs(b.value));
}

export interface Curve {
  readonly weight: Weight;
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
  readonly width: number;
  readonly opacity: number;
}

/** The lines of a head between two columns of tokens. @param rowHeight of a token @param width of the space between the columns */
export function curves(
  weights: readonly Weight[],
  { from, to }: { readonly from: readonly number[]; readonly to: readonly number[] },
  { rowHeight, width }: { rowHeight: number; width: number },
): Curve[] {
  const rowOf = (shown: readonly number[]) => new Map(shown.map((token, row) => [token, (row + 0.5) * rowHeight]));
  const left = rowOf(from);
  const right = rowOf(to);
  return weights.flatMap(weight => {
    const y1 = left.get(weight.from);
    const y2 = right.get(weight.to);
    if (y1 === undefined || y2 === undefined) return [];
    const strength = Math.min(1, Math.abs(weight.value));
    return { weight, x1: 0, y1, x2: width, y2, width: 0.75 + 2.5 * strength, opacity: Math.max(0.06, strength ** 0.6) };
  });
}

/** The path of a curve, in the words of SVG and of Path2D. */
export function pathOf({ x1, y1, x2, y2 }: Curve): string {
  const half = (x1 + x2) / 2;
  return `M${x1} ${y1}C${half} ${y1} ${half} ${y2} ${x2} ${y2}`;
}

/** Up to so many columns a matrix has its tokens written beside it, and may be wider than the page. */
const MOST_LABELS = 64;

export interface MatrixLayout {
  /** The side of a cell. */
  readonly cell: number;
  /** Whether there is room for the tokens beside it. */
  readonly hasLabels: boolean;
}

export function matrixLayout(columns: number, width: number): MatrixLayout {
  const fitting = Math.floor(width / Math.max(1, columns));
  if (columns > MOST_LABELS) return { cell: Math.max(3, fitting), hasLabels: false };
  return { cell: Math.max(16, Math.min(26, fitting)), hasLabels: true };
}
