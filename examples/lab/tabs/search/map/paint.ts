import { type Size, toCanvas, type View } from './view.ts';

/** What the points of a map look like. */
export interface Shades {
  /** The file of each passage, for its colour; undefined where there is one file. */
  readonly owners: Uint32Array | undefined;
  /** The similarity of each passage to the query. */
  readonly scores: Float32Array | undefined;
  /** The best passages. */
  readonly hits: readonly number[];
}

/** What a map shows beside its points. */
export interface Marks {
  readonly query: readonly [x: number, y: number] | undefined;
  /** A passage that is pointed at or chosen, and its neighbours. */
  readonly row: number | undefined;
  readonly neighbours: readonly number[];
}

export interface MapColours {
  readonly quiet: string;
  readonly accent: string;
  readonly ink: string;
  readonly paper: string;
  readonly files: readonly string[];
}

const TURN = 2 * Math.PI;
/** Shades of similarity: points of one shade are one path. */
const SHADES = 8;

/** So large is the point of a passage, of so many passages. */
const radiusOf = (count: number): number => (count > 3_000 ? 1.75 : count > 500 ? 2.5 : 3.5);

/** Points of one colour. */
export interface PointGroup {
  readonly rows: Int32Array;
  /** The name of its colour in MapColours; a number is a place in `files`. */
  readonly colour: number | 'quiet' | 'accent';
  readonly alpha: number;
}

/** What is painted of points: the same while the map moves. */
export interface PointGroups {
  readonly count: number;
  readonly groups: readonly PointGroup[];
  readonly hits: readonly number[];
}

/** The points of a map by their colours. Made once for a query or a file, not for each picture: a map of UMAP has a new one twelve times a second. */
export function groupsOf(count: number, { owners, scores, hits }: Shades, files: number): PointGroups {
  const shown = hits.filter(row => row < count);
  if (owners) {
    const parts = partsOf(count, files, row => owners[row]! % files);
    return { count, hits: shown, groups: parts.map((rows, colour) => ({ rows, colour, alpha: 0.75 })) };
  }
  if (!scores || scores.length < count) {
    return { count, hits: shown, groups: [{ rows: partsOf(count, 1, () => 0)[0]!, colour: 'quiet', alpha: 0.7 }] };
  }
  let [least, most] = [1, -1];
  for (let row = 0; row < count; row += 1) {
    least = Math.min(least, scores[row]!);
    most = Math.max(most, scores[row]!);
  }
  const step = Math.max(most - least, 1e-6) / SHADES;
  const parts = partsOf(count, SHADES, row => Math.min(SHADES - 1, Math.floor((scores[row]! - least) / step)));
  const groups = parts.map(
    (rows, shade): PointGroup => ({
      rows,
      colour: shade < SHADES / 2 ? 'quiet' : 'accent',
      alpha: 0.4 + (0.5 * shade) / (SHADES - 1),
    }),
  );
  return { count, hits: shown, groups };
}

/** The rows 0 to `count` in parts, each in its order. */
function partsOf(count: number, parts: number, partOf: (row: number) => number): Int32Array[] {
  const owners = new Uint8Array(count);
  const sizes = new Int32Array(parts);
  for (let row = 0; row < count; row += 1) {
    const part = partOf(row);
    owners[row] = part;
    sizes[part]! += 1;
  }
  const rows = Array.from(sizes, size => new Int32Array(size));
  sizes.fill(0);
  for (let row = 0; row < count; row += 1) {
    const part = owners[row]!;
    rows[part]![sizes[part]!] = row;
    sizes[part]! += 1;
  }
  return rows;
}

/** All passages, the best on top: painted anew when the view, the map or the query changes. It makes no object for a point. */
export function paintPoints(
  context: CanvasRenderingContext2D,
  size: Size,
  view: View,
  positions: Float32Array,
  { count, groups, hits }: PointGroups,
  colours: MapColours,
): void {
  const { width, height } = size;
  const radius = radiusOf(count);
  const [left, top] = toCanvas(view, size, 0, 0);
  context.clearRect(0, 0, width, height);
  const add = (row: number, r: number) => {
    const x = positions[2 * row]! * view.scale + left;
    const y = positions[2 * row + 1]! * view.scale + top;
    if (x < -r || y < -r || x > width + r || y > height + r) return;
    // Squares are painted many times faster, and as small as this nobody sees the corners.
    if (r < 2) {
      context.rect(x - r, y - r, 2 * r, 2 * r);
      return;
    }
    context.moveTo(x + r, y);
    context.arc(x, y, r, 0, TURN);
  };
  for (const { rows, colour, alpha } of groups) {
    context.beginPath();
    for (const row of rows) add(row, radius);
    context.globalAlpha = alpha;
    context.fillStyle = typeof colour === 'number' ? colours.files[colour]! : colours[colour];
    context.fill();
  }
  context.globalAlpha = 1;
  context.beginPath();
  for (const row of hits) add(row, radius + 1.5);
  context.fillStyle = colours.accent;
  context.fill();
  for (const [i, row] of hits.entries()) {
    const place = toCanvas(view, size, positions[2 * row]!, positions[2 * row + 1]!);
    write(context, String(i + 1), place, radius + 4, colours, size);
  }
}

/** The query, and a passage with its neighbours: on a canvas of their own, since they change with every move of the pointer. */
export function paintMarks(
  context: CanvasRenderingContext2D,
  size: Size,
  view: View,
  positions: Float32Array,
  { row, neighbours, query }: Marks,
  colours: MapColours,
): void {
  const count = positions.length / 2;
  const at = (row: number) => toCanvas(view, size, positions[2 * row]!, positions[2 * row + 1]!);
  context.clearRect(0, 0, size.width, size.height);
  if (row !== undefined && row < count) {
    const [x, y] = at(row);
    context.beginPath();
    for (const other of neighbours) {
      if (other >= count) continue;
      context.moveTo(x, y);
      context.lineTo(...at(other));
    }
    context.strokeStyle = colours.ink;
    context.lineWidth = 1;
    context.globalAlpha = 0.55;
    context.stroke();
    context.globalAlpha = 1;
    ring(context, x, y, radiusOf(count) + 4, colours.ink, colours.paper);
  }
  if (query) paintQuery(context, toCanvas(view, size, ...query), colours, size);
}

function ring(context: CanvasRenderingContext2D, x: number, y: number, r: number, colour: string, halo: string): void {
  for (const [width, style] of [
    [5, halo],
    [2, colour],
  ] as const) {
    context.beginPath();
    context.arc(x, y, r, 0, TURN);
    context.strokeStyle = style;
    context.lineWidth = width;
    context.stroke();
  }
}

/** A cross with a word, so that it is not told by colour alone. */
function paintQuery(
  context: CanvasRenderingContext2D,
  [x, y]: readonly [number, number],
  colours: MapColours,
  size: Size,
): void {
  const { ink, paper } = colours;
  const arm = 7;
  for (const [line, style] of [
    [6, paper],
    [2.5, ink],
  ] as const) {
    context.beginPath();
    context.moveTo(x - arm, y);
    context.lineTo(x + arm, y);
    context.moveTo(x, y - arm);
    context.lineTo(x, y + arm);
    context.strokeStyle = style;
    context.lineWidth = line;
    context.stroke();
  }
  write(context, 'query', [x, y], arm + 5, colours, size);
}

/** A word beside a place, legible above points and lines. */
function write(
  context: CanvasRenderingContext2D,
  text: string,
  [x, y]: readonly [number, number],
  gap: number,
  { ink, paper }: MapColours,
  { width }: Size,
): void {
  const isRight = x > width - 70;
  context.font = '600 12px system-ui, sans-serif';
  context.textAlign = isRight ? 'right' : 'left';
  context.textBaseline = 'middle';
  const at = isRight ? x - gap : x + gap;
  context.lineWidth = 4;
  context.lineJoin = 'round';
  context.strokeStyle = paper;
  context.strokeText(text, at, y);
  context.fillStyle = ink;
  context.fillText(text, at, y);
}
