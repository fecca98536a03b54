/** What lines of labels and lines of pairs have in common: how they are read one by one, what is wrong with one, and which are held out. */

/** What is wrong with a line. The others are read all the same. */
export interface LineFault {
  readonly line: number;
  /** In two words, for the margin. */
  readonly tag: string;
  /** In a sentence, with what to do. */
  readonly words: string;
}

/** What is wrong, without the place of the line. */
export type Fault = Omit<LineFault, 'line'>;

/** More lines than this are not read: they would take a page long. */
export const MOST_LINES = 2000;

/**
 * Reads the lines of a text from 1 on; empty ones count for nothing.
 * @param read what is wrong with a line; undefined where it was read
 */
export function readLines(written: string, read: (raw: string, line: number) => Fault | undefined): LineFault[] {
  const faults: LineFault[] = [];
  for (const [i, raw] of written.split('\n').entries()) {
    const line = i + 1;
    if (raw.trim() === '') continue;
    if (line > MOST_LINES) {
      faults.push({
        line,
        tag: 'too many',
        words: `Lines from ${MOST_LINES.toLocaleString('en')} on are not read: more would take a page long.`,
      });
      break;
    }
    const fault = read(raw.trim(), line);
    if (fault) faults.push({ line, ...fault });
  }
  return faults;
}

/** Whether a column or a field has one of these names. */
export const isName = (names: readonly string[], name: string): boolean => names.includes(name.trim().toLowerCase());

/** The place of the first column with one of these names. */
export function columnOf(head: readonly string[], names: readonly string[]): number | undefined {
  const place = head.findIndex(name => isName(names, name));
  return place < 0 ? undefined : place;
}

/** The fields of a line of JSON, by names that the caller knows; or what is wrong, in words. */
export function fieldsOfJson(line: string): ((names: readonly string[]) => string | undefined) | string {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return 'It begins as JSON, and is none. Look for a quote or a brace that is missing.';
  }
  const entries = Object.entries(json as Readonly<Record<string, unknown>>);
  return names => {
    const value = entries.find(([name]) => isName(names, name))?.[1];
    return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
      ? String(value).replaceAll('\n', ' ').trim()
      : undefined;
  };
}

/** The text of a file without the mark of its encoding, its lines ended by line feeds alone. */
export const plainText = (content: string): string => content.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n');

export const isTable = (name: string): boolean => /\.(?:csv|tsv)$/i.test(name);

/** The separator of a table by the name of its file; undefined where its first line tells. */
export const separatorOf = (name: string): string | undefined => (/\.tsv$/i.test(name) ? '\t' : undefined);

export const shortened = (text: string): string => (text.length > 30 ? `${text.slice(0, 29).trimEnd()}…` : text);

/** How often each value is there, in the order of the first ones. */
export function counts(values: Iterable<string>): Map<string, number> {
  const found = new Map<string, number>();
  for (const value of values) found.set(value, (found.get(value) ?? 0) + 1);
  return found;
}

export interface Split<E> {
  readonly train: readonly E[];
  readonly held: readonly E[];
}

/** Holds out a share of each group, spread over its examples; of every group at least one is left to learn from. */
export function split<E>(examples: readonly E[], share: number, groupOf: (example: E) => string): Split<E> {
  const seen = new Map<string, number>();
  const totals = counts(examples.map(groupOf));
  const held: E[] = [];
  const train: E[] = [];
  for (const example of examples) {
    const group = groupOf(example);
    const place = seen.get(group) ?? 0;
    seen.set(group, place + 1);
    const isHeld = totals.get(group)! > 1 && Math.round((place + 1) * share) > Math.round(place * share);
    (isHeld ? held : train).push(example);
  }
  return { train, held };
}
