import { wrong } from '../errors.ts';
import type { LogEntry } from './callbacks.ts';
import { GivenFields } from './given-fields.ts';

export interface LossChartOptions {
  /** Of the drawing, in units of its own: in a page it is as wide as its place. Default: 640 by 320. */
  readonly width?: number | null;
  readonly height?: number | null;
  /** Stands above the curves. Default: none. */
  readonly title?: string | null;
}

interface Point {
  readonly step: number;
  readonly loss: number;
}

interface Series {
  readonly name: string;
  /** Of a lightness between, so that it is seen on dark and on light. */
  readonly color: string;
  readonly points: readonly Point[];
}

const GRID = 'stroke="currentColor" stroke-opacity="0.15"';
const AXIS = 'stroke="currentColor" stroke-opacity="0.5"';

/**
 * The losses of a training by step, as the text of an SVG: `loss` and `eval_loss` of `state.log_history`. It needs no DOM, and has the
 * color of the text around it. Whatever is no finite number is left out. Throws InputError.
 *
 *   { on_log: (args, state) => { figure.innerHTML = loss_chart(state.log_history); } }
 */
export function loss_chart(log_history: readonly LogEntry[], options?: LossChartOptions | null): string {
  if (!Array.isArray(log_history)) throw wrong('log_history', log_history, 'a list, the log_history of a TrainerState');
  const given = new GivenFields('the options of loss_chart', options);
  given.checkNames(['width', 'height', 'title']);
  const width = given.number('width', 640, { min: 200 });
  const height = given.number('height', 320, { min: 120 });
  const title = given.text('title');

  const series: readonly Series[] = [
    { name: 'training loss', color: '#3987e5', points: pointsOf(log_history, 'loss') },
    { name: 'evaluation loss', color: '#d9772b', points: pointsOf(log_history, 'eval_loss') },
  ].filter(({ points }) => points.length > 0);
  const all = series.flatMap(({ points }) => points);
  const label = title ?? 'Loss by step';
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="100%" style="max-width:${width}px" role="img" aria-label="${escaped(label)}" font-family="system-ui, sans-serif" font-size="12" fill="currentColor">`;
  if (all.length === 0) {
    return `${head}<text x="${width / 2}" y="${height / 2}" text-anchor="middle" fill-opacity="0.7">No loss has been logged yet</text></svg>`;
  }

  const losses = all.map(({ loss }) => loss);
  const yTicks = ticks(least(losses), greatest(losses), Math.max(2, Math.round(height / 60)));
  const steps = all.map(({ step }) => step);
  const xTicks = ticks(0, Math.max(1, greatest(steps)), Math.max(2, Math.round(width / 90)), true);
  const yTexts = numbersAlike(yTicks);
  const [left, right] = [16 + 7 * Math.max(...yTexts.map(text => text.length)), width - 24];
  const [top, bottom] = [title === undefined ? 36 : 62, height - 44];
  const [x0, x1] = [xTicks[0]!, xTicks.at(-1)!];
  const [y0, y1] = [yTicks[0]!, yTicks.at(-1)!];
  const x = (step: number) => rounded(left + ((step - x0) / (x1 - x0)) * (right - left));
  const y = (loss: number) => rounded(bottom - ((loss - y0) / (y1 - y0)) * (bottom - top));

  const parts = [head];
  if (title !== undefined)
    parts.push(`<text x="${left}" y="22" font-size="15" font-weight="600">${escaped(title)}</text>`);
  for (const [i, tick] of yTicks.entries()) {
    const at = y(tick);
    if (i > 0) parts.push(`<line x1="${left}" x2="${right}" y1="${at}" y2="${at}" ${GRID}/>`);
    parts.push(`<text x="${left - 8}" y="${at}" dy="0.35em" text-anchor="end" fill-opacity="0.75">${yTexts[i]}</text>`);
  }
  parts.push(`<line x1="${left}" x2="${right}" y1="${bottom}" y2="${bottom}" ${AXIS}/>`);
  for (const tick of xTicks) {
    const at = x(tick);
    parts.push(`<line x1="${at}" x2="${at}" y1="${bottom}" y2="${bottom + 5}" ${AXIS}/>`);
    parts.push(
      `<text x="${at}" y="${bottom + 19}" text-anchor="middle" fill-opacity="0.75">${tick.toLocaleString('en')}</text>`,
    );
  }
  parts.push(`<text x="${(left + right) / 2}" y="${height - 8}" text-anchor="middle" fill-opacity="0.75">step</text>`);
  let legend = left;
  for (const { name, color, points } of series) {
    const last = points.at(-1)!;
    const isDotted = points.length <= 60;
    const line = thinned(points, Math.round(right - left)).map(point => `${x(point.step)} ${y(point.loss)}`);
    parts.push(
      `<path d="M${line.join('L')}" fill="none" stroke="${color}" stroke-width="2" stroke-linejoin="round" stroke-linecap="round"/>`,
    );
    if (isDotted) {
      const radius = points.length > 30 ? 2 : 3;
      for (const point of points)
        parts.push(`<circle cx="${x(point.step)}" cy="${y(point.loss)}" r="${radius}" fill="${color}"/>`);
    }
    const text = `${name} ${last.loss.toPrecision(3)}`;
    parts.push(`<rect x="${legend}" y="${top - 23}" width="14" height="4" rx="2" fill="${color}"/>`);
    parts.push(`<text x="${legend + 20}" y="${top - 17}">${escaped(text)}</text>`);
    legend += 40 + 6.6 * text.length;
  }
  return `${parts.join('')}</svg>`;
}

/** The entries that have this loss, by step. */
function pointsOf(history: readonly LogEntry[], name: string): Point[] {
  return history
    .map(entry => ({ step: Number(entry?.step), loss: entry?.[name] as number }))
    .filter(({ step, loss }) => Number.isFinite(step) && Number.isFinite(loss))
    .sort((a, b) => a.step - b.step);
}

/** Without spreading a list into arguments, of which an engine takes only so many. */
const least = (values: readonly number[]): number => values.reduce((a, b) => Math.min(a, b));
const greatest = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b));

/** Of many points the least and the greatest of each column of the drawing, in their order: the curve looks the same. */
function thinned(points: readonly Point[], columns: number): readonly Point[] {
  if (points.length <= 4 * columns) return points;
  const size = points.length / columns;
  return Array.from({ length: columns }, (_, i) =>
    points.slice(Math.floor(i * size), Math.floor((i + 1) * size)),
  ).flatMap(group => {
    const low = group.reduce((a, b) => (b.loss < a.loss ? b : a));
    const high = group.reduce((a, b) => (b.loss > a.loss ? b : a));
    return low.step <= high.step ? [low, high] : [high, low];
  });
}

/** Round numbers, about `count`, from at most `low` to at least `high`: 1, 2 or 5 times a power of ten apart. */
function ticks(low: number, high: number, count: number, areWhole = false): number[] {
  const span = high > low ? high - low : Math.abs(high) || 1;
  const power = 10 ** Math.floor(Math.log10(span / count));
  const factor = [1, 2, 5, 10].find(each => each * power * count >= span * 0.999)!;
  const distance = areWhole ? Math.max(1, Math.round(factor * power)) : factor * power;
  const first = Math.floor(low / distance + 1e-9);
  const last = Math.max(first + 1, Math.ceil(high / distance - 1e-9));
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * distance).toPrecision(12)));
}

/** Numbers with the same number of digits behind the point; very large and very small ones with an exponent. */
function numbersAlike(values: readonly number[]): string[] {
  const size = greatest(values.map(Math.abs));
  const distance = Math.abs(values[1]! - values[0]!);
  if (size >= 1e6 || distance < 1e-5) return values.map(value => value.toExponential(2));
  const digits = Math.max(0, -Math.floor(Math.log10(distance) + 1e-9));
  return values.map(value => value.toFixed(digits));
}

const rounded = (value: number): number => Math.round(value * 10) / 10;

const escaped = (text: string): string => text.replace(/[&<>"']/g, character => `&#${character.codePointAt(0)};`);
