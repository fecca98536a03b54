import { tableRecords } from '../../shell/table.ts';

/** Lines with a label each, as a person writes them: read into examples, with a word on every line that is none. */

export interface Example {
  /** The line's place, from 1. */
  readonly line: number;
  readonly label: string;
  readonly text: string;
}

/** What is wrong with a line. The others are read all the same. */
export interface LineFault {
  readonly line: number;
  /** In two words, for the margin. */
  readonly tag: string;
  /** In a sentence, with what to do. */
  readonly words: string;
}

export interface LabelledLines {
  readonly examples: readonly Example[];
  readonly faults: readonly LineFault[];
  /** The classes in the order of their first lines. */
  readonly classes: readonly ClassCount[];
}

export interface ClassCount {
  readonly label: string;
  readonly count: number;
}

/** More lines than this are not read: they would take a page long. */
export const MOST_LINES = 2000;

const LABEL_NAMES = ['label', 'labels', 'class', 'category', 'intent', 'target', 'topic', 'sentiment'];
const TEXT_NAMES = ['text', 'sentence', 'content', 'utterance', 'message', 'review', 'title', 'input'];
const isName = (names: readonly string[], name: string): boolean => names.includes(name.trim().toLowerCase());

/** Whether a record names columns, and is no example. */
const isHeader = ([first = '', second = '', ...others]: readonly string[]): boolean =>
  others.length === 0 &&
  ((isName(LABEL_NAMES, first) && isName(TEXT_NAMES, second)) ||
    (isName(TEXT_NAMES, first) && isName(LABEL_NAMES, second)));

/**
 * Reads lines: `label<TAB>text`, `label, text`, `"label","text"`, or an object of JSON with a label and a text. Empty lines count for
 * nothing, and a first line that names the columns for no example.
 */
export function readLabelledLines(written: string): LabelledLines {
  const examples: Example[] = [];
  const faults: LineFault[] = [];
  const first = new Map<string, Example>();
  let isSwapped = false;
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
    const fields = fieldsOf(raw);
    if (typeof fields === 'string') {
      faults.push({ line, tag: 'no label', words: fields });
      continue;
    }
    if (line === 1 && isHeader(fields)) {
      isSwapped = isName(TEXT_NAMES, fields[0]);
      continue;
    }
    const [label, text] = isSwapped ? [fields[1], fields[0]] : fields;
    const fault = faultOf({ line, label, text }, first.get(text));
    if (fault) faults.push({ line, ...fault });
    else {
      const example = { line, label, text };
      examples.push(example);
      first.set(text, example);
    }
  }
  const classes = countClasses(examples);
  for (const { label, count } of classes) {
    const only = examples.find(example => example.label === label)!;
    // A comma inside of a text without a label makes a class of its own, which nobody meant.
    if (count > 1 || classes.length < 2) continue;
    faults.push({
      line: only.line,
      tag: 'alone',
      words: `It is the only one of “${shortened(label)}”. Write a second, or give it the label of others.`,
    });
  }
  return { examples, faults: faults.sort((a, b) => a.line - b.line), classes };
}

function faultOf({ label, text }: Example, twin: Example | undefined): Omit<LineFault, 'line'> | undefined {
  if (label === '') return { tag: 'no label', words: 'There is nothing before the comma. Write the label there.' };
  if (text === '') return { tag: 'no text', words: `There is no text behind “${shortened(label)}”. Write one.` };
  if (!twin) return undefined;
  if (twin.label === label) return { tag: 'twice', words: `It says the same as line ${twin.line}, and is left out.` };
  return {
    tag: 'two labels',
    words: `Line ${twin.line} has the same text as “${shortened(twin.label)}”. Keep one of the two.`,
  };
}

/** A label and a text; or what is wrong, in words. */
function fieldsOf(raw: string): readonly [string, string] | string {
  const line = raw.trim();
  if (line.startsWith('{')) return fieldsOfJson(line);
  if (line.includes('\t')) {
    const tab = line.indexOf('\t');
    return [line.slice(0, tab).trim(), line.slice(tab + 1).trim()];
  }
  if (line.startsWith('"')) {
    // As tables write it. Behind the first comma all is text, also where it has commas of its own.
    const [label = '', ...others] = tableRecords(line, ',')[0] ?? [];
    if (others.length > 0) return [label, others.join(', ')];
  }
  const comma = line.indexOf(',');
  if (comma < 0) return 'It has no label. Write one before the text, with a comma between.';
  const text = line.slice(comma + 1).trim();
  const isQuoted = text.length > 1 && text.startsWith('"') && text.endsWith('"');
  return [line.slice(0, comma).trim(), isQuoted ? text.slice(1, -1).replaceAll('""', '"').trim() : text];
}

function fieldsOfJson(line: string): readonly [string, string] | string {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return 'It begins as JSON, and is none. Look for a quote or a brace that is missing.';
  }
  const entries = Object.entries(json as Readonly<Record<string, unknown>>);
  const fieldOf = (names: readonly string[]): string | undefined => {
    const value = entries.find(([name]) => isName(names, name))?.[1];
    return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
      ? String(value).replaceAll('\n', ' ').trim()
      : undefined;
  };
  const [label, text] = [fieldOf(LABEL_NAMES), fieldOf(TEXT_NAMES)];
  if (label !== undefined && text !== undefined) return [label, text];
  return `It has ${label === undefined ? 'no “label”' : 'no “text”'}. Write {"label": "…", "text": "…"}.`;
}

function countClasses(examples: readonly Example[]): ClassCount[] {
  const counts = new Map<string, number>();
  for (const { label } of examples) counts.set(label, (counts.get(label) ?? 0) + 1);
  return Array.from(counts, ([label, count]) => ({ label, count }));
}

/** Why nothing can be learned of the lines, in a sentence; undefined where something can. */
export function whyNot({ examples, classes }: LabelledLines): string | undefined {
  if (examples.length === 0) return 'There is no example yet. Write some, or begin with those of an example below.';
  if (classes.length > 1) return undefined;
  return `All lines have the label “${shortened(classes[0]!.label)}”: a classifier needs two or more to tell apart.`;
}

const shortened = (label: string): string => (label.length > 30 ? `${label.slice(0, 29).trimEnd()}…` : label);

/**
 * The lines of a file, as they would be written by hand. Of a table without names of columns, the labels are those of the two columns that
 * have fewer different values.
 */
export function linesOfFile(name: string, content: string): string {
  const text = content.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n');
  if (!/\.(?:csv|tsv)$/i.test(name)) return text.trimEnd();
  const records = tableRecords(text, /\.tsv$/i.test(name) ? '\t' : undefined);
  const [head = []] = records;
  const named = { label: columnOf(head, LABEL_NAMES), text: columnOf(head, TEXT_NAMES) };
  const hasNames = named.label !== undefined && named.text !== undefined;
  const rows = hasNames ? records.slice(1) : records;
  const columns = hasNames ? named : guessedColumns(rows);
  return rows.map(row => `${row[columns.label!] ?? ''}\t${row[columns.text!] ?? ''}`).join('\n');
}

function columnOf(head: readonly string[], names: readonly string[]): number | undefined {
  const place = head.findIndex(name => isName(names, name));
  return place < 0 ? undefined : place;
}

function guessedColumns(rows: readonly (readonly string[])[]): { label: number; text: number } {
  const different = (column: number) => new Set(rows.map(row => row[column] ?? '')).size;
  return different(1) < different(0) ? { label: 1, text: 0 } : { label: 0, text: 1 };
}

export interface Split {
  readonly train: readonly Example[];
  readonly held: readonly Example[];
}

/** Holds out a share of each class, spread over its lines; of every class at least one example is left to learn from. */
export function split(examples: readonly Example[], share: number): Split {
  const seen = new Map<string, number>();
  const totals = new Map(countClasses(examples).map(({ label, count }) => [label, count]));
  const held: Example[] = [];
  const train: Example[] = [];
  for (const example of examples) {
    const place = seen.get(example.label) ?? 0;
    seen.set(example.label, place + 1);
    const isHeld = totals.get(example.label)! > 1 && Math.round((place + 1) * share) > Math.round(place * share);
    (isHeld ? held : train).push(example);
  }
  return { train, held };
}
