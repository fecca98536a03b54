import { fittingScale, isPainted } from './canvas-size.ts';
import { css, type Rgb } from './colours.ts';
import type { Tint } from './paint.ts';
import { curves, type HeadOptions, pathOf, shownName, shownTokens, shownWeights } from './scene.ts';
import type { AttentionView } from './types.ts';

export interface HeadImage {
  readonly view: AttentionView;
  /** [L, L] */
  readonly map: Float32Array;
  readonly title: string;
  readonly mode: 'lines' | 'matrix';
  readonly options: HeadOptions;
  readonly tint: Tint;
  readonly ink: Rgb;
  readonly paper: Rgb;
}

const ROW = 24;
const MARGIN = 24;
const LABELS = 140;
const TITLE = 40;

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

interface Label {
  readonly x: number;
  readonly y: number;
  readonly text: string;
  readonly anchor?: 'start' | 'end';
  readonly turned?: boolean;
}

const textOf = ({ x, y, text, anchor = 'start', turned = false }: Label): string =>
  `<text x="${x}" y="${y}" text-anchor="${anchor}" dominant-baseline="middle"${turned ? ` transform="rotate(-60 ${x} ${y})"` : ''}>${escaped(text)}</text>`;

/** One head as an SVG of its own: what is on the screen, with its tokens and its name. */
export function headSvg(image: HeadImage): string {
  const { view, map, mode, options, tint } = image;
  const shown = shownTokens(view.tokens, options);
  const weights = shownWeights(map, view.tokens, options);
  const name = (i: number) => shownName(view.tokens[i]!);
  const fill = (value: number) => css(tint(value));
  const left = MARGIN + LABELS;
  const top = MARGIN + TITLE + (mode === 'matrix' ? LABELS * 0.75 : 0);
  const rowLabels = shown.from.map((i, row) =>
    textOf({ x: left - 10, y: top + (row + 0.5) * ROW, text: name(i), anchor: 'end' }),
  );
  let columnLabels: string[];
  let marks: string[];
  let width: number;
  if (mode === 'lines') {
    const space = 320;
    width = left + space + LABELS + MARGIN;
    columnLabels = shown.to.map((j, row) =>
      textOf({ x: left + space + 10, y: top + (row + 0.5) * ROW, text: name(j) }),
    );
    marks = curves(weights, shown, { rowHeight: ROW, width: space }).map(curve => {
      const moved = { ...curve, x1: curve.x1 + left, x2: curve.x2 + left, y1: curve.y1 + top, y2: curve.y2 + top };
      return `<path d="${pathOf(moved)}" fill="none" stroke="${fill(curve.weight.value)}" stroke-opacity="${curve.opacity.toFixed(3)}" stroke-width="${curve.width.toFixed(2)}"/>`;
    });
  } else {
    width = left + shown.to.length * ROW + LABELS * 0.5 + MARGIN;
    columnLabels = shown.to.map((j, column) =>
      textOf({ x: left + (column + 0.5) * ROW, y: top - 8, text: name(j), turned: true }),
    );
    const rowOf = new Map(shown.from.map((token, row) => [token, row]));
    const columnOf = new Map(shown.to.map((token, column) => [token, column]));
    marks = weights.map(
      ({ from, to, value }) =>
        `<rect x="${left + columnOf.get(to)! * ROW}" y="${top + rowOf.get(from)! * ROW}" width="${ROW - 1}" height="${ROW - 1}" fill="${fill(value)}" fill-opacity="${Math.sqrt(Math.abs(value)).toFixed(3)}"/>`,
    );
  }
  const rows = mode === 'lines' ? Math.max(shown.from.length, shown.to.length) : shown.from.length;
  const height = top + rows * ROW + MARGIN;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="13" fill="${css(image.ink)}">`,
    `<rect width="${width}" height="${height}" fill="${css(image.paper)}"/>`,
    `<text x="${MARGIN}" y="${MARGIN + 10}" font-size="15" font-weight="600">${escaped(image.title)}</text>`,
    ...marks,
    ...rowLabels,
    ...columnLabels,
    '</svg>',
  ].join('\n');
}

/** The size of a PNG by that of the SVG, where a canvas may be so large. */
const PNG_SCALE = 2;

export interface HeadPng {
  readonly blob: Blob;
  /** Its size by the usual one: 1, or less where that is more than a canvas may have. */
  readonly share: number;
}

/** The same as a PNG, at twice the size where a canvas may be so large. Rejects where the browser paints or writes none. */
export async function headPng(image: HeadImage): Promise<HeadPng> {
  const url = URL.createObjectURL(new Blob([headSvg(image)], { type: 'image/svg+xml' }));
  try {
    const picture = new Image();
    picture.src = url;
    await picture.decode();
    const scale = fittingScale(picture.width, picture.height, PNG_SCALE);
    const [width, height] = [Math.floor(picture.width * scale), Math.floor(picture.height * scale)];
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    const context = canvas.getContext('2d');
    context?.drawImage(picture, 0, 0, width, height);
    // The paper covers all of it.
    const isThere = isPainted(context, width, height);
    const blob = isThere && (await new Promise<Blob | null>(resolve => canvas.toBlob(resolve)));
    if (blob) return { blob, share: scale / PNG_SCALE };
    throw new Error(
      `The picture could not be saved as PNG: this browser makes none of ${width} × ${height} pixels. Save it as SVG, which has no such limit, or hide some tokens.`,
    );
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** Offers a file to save. */
export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  Object.assign(document.createElement('a'), { href: url, download: name }).click();
  // The download has begun when the click returns; its data is let go a little later.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
