import { difference, holdsNumbers, notFinite, shown } from './same.ts';

/**
 * Tests that run in the page. A suite (e2e/suites/<name>.ts) calls `check` for each of its cases; the page lists them
 * and runs them one at a time when it is told to.
 */

/** Adds a line to what is shown beside the case's result. */
export type Log = (note: string) => void;
type Body = (log: Log) => Promise<void> | void;

export interface Outcome {
  ok: boolean;
  /** The error's stack or message where it failed. */
  error?: string;
  elapsedMs: number;
  notes: string[];
}

export interface CaseInfo {
  name: string;
  limitMs: number;
  /** In how many pages it runs, one after the other. */
  pages: number;
}

const registered = new Map<string, { bodies: readonly Body[]; limitMs: number }>();

/** Registers one case. `limitMs`: after that time the page counts as lost. */
export function check(name: string, body: Body, options: { limitMs?: number } = {}): void {
  checkInPages(name, [body], options);
}

/**
 * Registers one case of several parts. Each runs in a page of its own, which is opened when that of the part before has been closed,
 * whatever was under way there. They have nothing in common but what the browser keeps for the origin. `limitMs`: for each part.
 */
export function checkInPages(
  name: string,
  bodies: readonly Body[],
  { limitMs = 120_000 }: { limitMs?: number } = {},
): void {
  if (registered.has(name)) throw new Error(`Two cases are named "${name}"; a name must be the case's own.`);
  registered.set(name, { bodies, limitMs });
}

export const cases = (): CaseInfo[] =>
  [...registered].map(([name, { bodies, limitMs }]) => ({ name, limitMs, pages: bodies.length }));

/** The cases that are registered, which are so no more: those of one suite after another, in a page that runs none. */
export function takeCases(): CaseInfo[] {
  const taken = cases();
  registered.clear();
  return taken;
}

/** Runs a case, of one in several pages the part for page number `page`. */
export async function run(name: string, page = 0): Promise<Outcome> {
  const body = registered.get(name)?.bodies[page];
  const notes: string[] = [];
  const began = performance.now();
  try {
    if (!body) throw new Error(`There is no case "${name}" for page ${page}.`);
    await body(note => notes.push(note));
    return { ok: true, elapsedMs: performance.now() - began, notes };
  } catch (error) {
    return { ok: false, error: words(error), elapsedMs: performance.now() - began, notes };
  }
}

/** Firefox's stack does not begin with the message, Chromium's does. */
function words(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const first = `${error.name}: ${error.message}`;
  const { stack = '' } = error;
  return stack.startsWith(first) ? stack : `${first}\n${stack}`;
}

export function expect(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

/** The same values, types and fields: see same.ts. */
export function expectEqual(actual: unknown, expected: unknown, label: string): void {
  const found = difference(actual, expected);
  if (found) throw new Error(`${label}: ${found}`);
}

/**
 * The same bits, of typed arrays and of all numbers in lists, tensors and answers. All of them must be finite and there must be some: two
 * results that are both NaN, or both empty, are no proof of anything.
 */
export function expectSameBits(actual: unknown, expected: unknown, label: string): void {
  expectEqual(actual, expected, label);
  const bad = notFinite(actual);
  if (bad) throw new Error(`${label}: not finite: ${bad}`);
  if (!holdsNumbers(actual)) throw new Error(`${label}: there are no numbers to compare in ${shown(actual)}`);
}

/** Runs `body`, which must throw, and returns the error for a closer look. */
export async function expectThrows(body: () => unknown, label: string): Promise<unknown> {
  try {
    await body();
  } catch (error) {
    return error;
  }
  throw new Error(`${label}: nothing was thrown`);
}

export interface Tolerance {
  /** Named in the message: the op and its shape. */
  label: string;
  absolute?: number;
  /** Of the expected value's magnitude; added to `absolute`. */
  relative?: number;
}

/**
 * Every |actual - expected| within absolute + relative * |expected|; a number that is not finite is no match, unless it
 * is expected. Returns the largest difference, for a note.
 */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { label, absolute = 0, relative = 0 }: Tolerance,
): number {
  if (actual.length !== expected.length) {
    throw new Error(`${label}: got ${actual.length} values, expected ${expected.length}`);
  }
  let [worst, worstAt, wrong, firstWrong] = [0, 0, 0, -1];
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i]!, expected[i]!];
    if (Object.is(a, e) || a === e) continue;
    const difference = Number.isFinite(a - e) ? Math.abs(a - e) : Number.POSITIVE_INFINITY;
    if (difference > worst) [worst, worstAt] = [difference, i];
    if (difference <= absolute + relative * Math.abs(e)) continue;
    wrong++;
    if (firstWrong < 0) firstWrong = i;
  }
  if (wrong === 0) return worst;
  const from = Math.max(0, firstWrong - 2);
  throw new Error(
    [
      `${label}: ${wrong} of ${expected.length} values are off (absolute ${absolute}, relative ${relative})`,
      `  first values     got ${list(actual, 0)}`,
      `              expected ${list(expected, 0)}`,
      `  first wrong at ${firstWrong}, from ${from}  got ${list(actual, from)}`,
      `              expected ${list(expected, from)}`,
      `  largest difference ${worst} at ${worstAt}: got ${actual[worstAt]}, expected ${expected[worstAt]}`,
    ].join('\n'),
  );
}

const list = (values: ArrayLike<number>, from: number): string =>
  Array.from({ length: Math.min(8, values.length - from) }, (_, i) => values[from + i]!.toPrecision(7)).join(' ');
