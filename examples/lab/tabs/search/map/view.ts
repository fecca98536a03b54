/** The part of a map that is in view, and the way between its places and those of the canvas. */
export interface View {
  /** The place of the map in the middle of the canvas. */
  readonly x: number;
  readonly y: number;
  /** Pixels of CSS for a unit of the map. */
  readonly scale: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Room around the outermost points. */
const MARGIN = 24;
const MOST_ZOOM = 60;

/** All points, as large as fits. */
export function wholeView(positions: Float32Array, { width, height }: Size): View {
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let i = 0; i < positions.length; i += 2) {
    left = Math.min(left, positions[i]!);
    right = Math.max(right, positions[i]!);
    top = Math.min(top, positions[i + 1]!);
    bottom = Math.max(bottom, positions[i + 1]!);
  }
  const across = (width - 2 * MARGIN) / Math.max(right - left, 1e-6);
  const down = (height - 2 * MARGIN) / Math.max(bottom - top, 1e-6);
  return { x: (left + right) / 2, y: (top + bottom) / 2, scale: Math.max(1e-6, Math.min(across, down)) };
}

export const toCanvas = ({ x, y, scale }: View, { width, height }: Size, px: number, py: number): [number, number] => [
  (px - x) * scale + width / 2,
  (py - y) * scale + height / 2,
];

/** Moved by so many pixels. */
export const moved = (view: View, dx: number, dy: number): View => ({
  ...view,
  x: view.x - dx / view.scale,
  y: view.y - dy / view.scale,
});

/** Larger by a factor, around a place of the canvas; no smaller than `whole`, and no larger than makes sense. */
export function zoomed(view: View, whole: View, { width, height }: Size, factor: number, cx: number, cy: number): View {
  const scale = Math.min(whole.scale * MOST_ZOOM, Math.max(whole.scale, view.scale * factor));
  if (scale === whole.scale) return whole;
  const [ox, oy] = [cx - width / 2, cy - height / 2];
  return { x: view.x + ox / view.scale - ox / scale, y: view.y + oy / view.scale - oy / scale, scale };
}

/** The point nearest to a place of the canvas, at most so many pixels away. */
export function pointAt(
  positions: Float32Array,
  view: View,
  size: Size,
  cx: number,
  cy: number,
  within: number,
): number | undefined {
  let nearest: number | undefined;
  let least = within * within;
  const [left, top] = toCanvas(view, size, 0, 0);
  for (let i = 0; i < positions.length; i += 2) {
    const dx = positions[i]! * view.scale + left - cx;
    const dy = positions[i + 1]! * view.scale + top - cy;
    const square = dx * dx + dy * dy;
    if (square > least) continue;
    least = square;
    nearest = i / 2;
  }
  return nearest;
}

const directions: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** The point that an arrow key leads to: of those in that direction the nearest, where what lies aside counts twice. Undefined for other keys. */
export function pointTowards(positions: Float32Array, from: number, key: string): number | undefined {
  const direction = directions[key];
  if (!direction) return undefined;
  const [right, down] = direction;
  let nearest = from;
  let least = Infinity;
  for (let i = 0; i < positions.length; i += 2) {
    const dx = positions[i]! - positions[2 * from]!;
    const dy = positions[i + 1]! - positions[2 * from + 1]!;
    const along = dx * right + dy * down;
    const aside = Math.abs(dx * down) + Math.abs(dy * right);
    // Within 60 degrees of the direction, so that four arrows reach every point.
    if (along <= 0 || aside > 1.75 * along) continue;
    const cost = along + 2 * aside;
    if (cost >= least) continue;
    least = cost;
    nearest = i / 2;
  }
  return nearest;
}
