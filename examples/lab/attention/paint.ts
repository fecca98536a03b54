import { fittingScale } from './canvas-size.ts';
import type { Colours, Rgb } from './colours.ts';
import { css } from './colours.ts';
import type { Grid } from './layout.ts';
import { strongestPattern } from './patterns.ts';
import { type Curve, pathOf, type Weight } from './scene.ts';
import { levelOf, thumbnailOf } from './thumbnails.ts';
import type { AttentionView } from './types.ts';

/** Sets a canvas's size for the screen's pixels, or for as many as a canvas may have. Returns how many of them one CSS pixel is. */
export function sizeCanvas(canvas: HTMLCanvasElement, width: number, height: number): number {
  const ratio = fittingScale(width, height, Math.min(3, globalThis.devicePixelRatio || 1));
  canvas.width = Math.max(1, Math.floor(width * ratio));
  canvas.height = Math.max(1, Math.floor(height * ratio));
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  return ratio;
}

/** The colours of all levels of one colour, as an ImageData's bytes: the level is the opacity. */
function ramp([red, green, blue]: Rgb): Uint32Array {
  const bytes = new Uint8ClampedArray(256 * 4);
  for (let level = 0; level < 256; level++) bytes.set([red, green, blue, level], level * 4);
  return new Uint32Array(bytes.buffer);
}

export interface OverviewPicture {
  readonly view: AttentionView;
  /** [heads, side, side], where differences are shown. */
  readonly differences: Float32Array | undefined;
  readonly order: readonly number[];
  readonly grid: Grid;
}

/** Paints every head of the overview in one ImageData: a head in the colour of its strongest pattern, or a difference in two colours. */
export function paintOverview(
  canvas: HTMLCanvasElement,
  { view, differences, order, grid }: OverviewPicture,
  colours: Colours,
): void {
  const pitch = grid.cell + grid.gap;
  const ratio = sizeCanvas(canvas, grid.columns * pitch - grid.gap, Math.max(1, grid.rows * pitch - grid.gap));
  const context = canvas.getContext('2d');
  if (!context) return;
  const image = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  const { side } = view.thumbnails;
  const size = Math.round(grid.cell * ratio);
  /** Of each pixel of a cell, the token that it shows. */
  const tokenAt = Uint16Array.from({ length: size }, (_, k) => Math.floor((k * side) / size));
  const ramps = new Map<Rgb, Uint32Array>();
  const rampOf = (colour: Rgb) => {
    const known = ramps.get(colour) ?? ramp(colour);
    ramps.set(colour, known);
    return known;
  };
  const [more, less] = [rampOf(colours.more), rampOf(colours.less)];
  for (const [place, index] of order.entries()) {
    const left = Math.round((place % grid.columns) * pitch * ratio);
    const top = Math.round(Math.floor(place / grid.columns) * pitch * ratio);
    const levels = thumbnailOf(view.thumbnails, index);
    const own = rampOf(colours.pattern(strongestPattern(view.scores, index)));
    const offset = index * side * side;
    for (let y = 0; y < size && top + y < canvas.height; y++) {
      const row = tokenAt[y]! * side;
      const at = (top + y) * canvas.width + left;
      for (let x = 0; x < size && left + x < canvas.width; x++) {
        const k = row + tokenAt[x]!;
        if (!differences) pixels[at + x] = own[levels[k]!]!;
        else {
          const difference = differences[offset + k]!;
          pixels[at + x] = (difference < 0 ? less : more)[levelOf(Math.abs(difference))]!;
        }
      }
    }
  }
  context.putImageData(image, 0, 0);
}

/** The colour of a head's weights: of its strongest pattern, or of the sign where differences are shown. */
export type Tint = (value: number) => Rgb;

export function tintOf(view: AttentionView, index: number, isDifference: boolean, colours: Colours): Tint {
  if (isDifference) return value => (value < 0 ? colours.less : colours.more);
  const colour = colours.pattern(strongestPattern(view.scores, index));
  return () => colour;
}

export interface CurvesPicture {
  readonly curves: readonly Curve[];
  readonly width: number;
  readonly height: number;
  readonly tint: Tint;
}

export function paintCurves(canvas: HTMLCanvasElement, picture: CurvesPicture): void {
  const ratio = sizeCanvas(canvas, picture.width, picture.height);
  const context = canvas.getContext('2d');
  if (!context) return;
  context.scale(ratio, ratio);
  for (const curve of picture.curves) {
    context.strokeStyle = css(picture.tint(curve.weight.value), curve.opacity);
    context.lineWidth = curve.width;
    context.stroke(new Path2D(pathOf(curve)));
  }
}

export interface MatrixPicture {
  readonly weights: readonly Weight[];
  /** The rows and columns, as tokens. */
  readonly from: readonly number[];
  readonly to: readonly number[];
  readonly cell: number;
  readonly tint: Tint;
  readonly ink: Rgb;
}

export function paintMatrix(canvas: HTMLCanvasElement, picture: MatrixPicture): void {
  const { weights, from, to, cell, tint, ink } = picture;
  const ratio = sizeCanvas(canvas, to.length * cell, from.length * cell);
  const context = canvas.getContext('2d');
  if (!context) return;
  context.scale(ratio, ratio);
  const rowOf = new Map(from.map((token, row) => [token, row]));
  const columnOf = new Map(to.map((token, column) => [token, column]));
  const line = cell > 8 ? 1 : 0;
  context.fillStyle = css(ink, 0.05);
  context.fillRect(0, 0, to.length * cell, from.length * cell);
  for (const { from: i, to: j, value } of weights) {
    context.fillStyle = css(tint(value), Math.sqrt(Math.abs(value)));
    context.fillRect(columnOf.get(j)! * cell, rowOf.get(i)! * cell, cell - line, cell - line);
  }
}
