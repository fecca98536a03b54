import { tableRecords } from '../../shell/table.ts';
import {
  columnOf,
  counts,
  type Fault,
  fieldsOfJson,
  isName,
  isTable,
  type LineFault,
  plainText,
  readLines,
  separatorOf,
  shortened,
} from './written-lines.ts';

/** Lines with a label each, as a person writes them: read into examples, with a word on every line that is none. */

export interface Example {
  /** The line's place, from 1. */
  readonly line: number;
  readonly label: string;
  readonly text: string;
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

const LABEL_NAMES = ['label', 'labels', 'class', 'category', 'intent', 'target', 'topic', 'sentiment'];
const TEXT_NAMES = ['text', 'sentence', 'content', 'utterance', 'message', 'review', 'title', 'input'];

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
  const first = new Map<string, Example>();
  let isSwapped = false;
  const faults = readLines(written, (raw, line) => {
    const fields = fieldsOf(raw);
    if (typeof fields === 'string') return { tag: 'no label', words: fields };
    if (line === 1 && isHeader(fields)) {
      isSwapped = isName(TEXT_NAMES, fields[0]);
      return undefined;
    }
    const [label, text] = isSwapped ? [fields[1], fields[0]] : fields;
    const example = { line, label, text };
    const fault = faultOf(example, first.get(text));
    if (!fault) {
      examples.push(example);
      first.set(text, example);
    }
    return fault;
  });
  const classes = Array.from(counts(examples.map(({ label }) => label)), ([label, count]) => ({ label, count }));
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

function faultOf({ label, text }: Example, twin: Example | undefined): Fault | undefined {
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
function fieldsOf(line: string): readonly [string, string] | string {
  if (line.startsWith('{')) return labelAndText(line);
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

function labelAndText(line: string): readonly [string, string] | string {
  const fieldOf = fieldsOfJson(line);
  if (typeof fieldOf === 'string') return fieldOf;
  const [label, text] = [fieldOf(LABEL_NAMES), fieldOf(TEXT_NAMES)];
  if (label !== undefined && text !== undefined) return [label, text];
  return `It has ${label === undefined ? 'no “label”' : 'no “text”'}. Write {"label": "…", "text": "…"}.`;
}

/** Why nothing can be learned of the lines, in a sentence; undefined where something can. */
export function whyNot({ examples, classes }: LabelledLines): string | undefined {
  if (examples.length === 0) return 'There is no example yet. Write some, or begin with those of an example below.';
  if (classes.length > 1) return undefined;
  return `All lines have the label “${shortened(classes[0]!.label)}”: a classifier needs two or more to tell apart.`;
}

/**
 * The lines of a file, as they would be written by hand. Of a table without names of columns, the labels are those of the two columns that
 * have fewer different values.
 */
export function linesOfFile(name: string, content: string): string {
  const text = plainText(content);
  if (!isTable(name)) return text.trimEnd();
  const records = tableRecords(text, separatorOf(name));
  const [head = []] = records;
  const named = { label: columnOf(head, LABEL_NAMES), text: columnOf(head, TEXT_NAMES) };
  const hasNames = named.label !== undefined && named.text !== undefined;
  const rows = hasNames ? records.slice(1) : records;
  const columns = hasNames ? named : guessedColumns(rows);
  return rows.map(row => `${row[columns.label!] ?? ''}\t${row[columns.text!] ?? ''}`).join('\n');
}

function guessedColumns(rows: readonly (readonly string[])[]): { label: number; text: number } {
  const different = (column: number) => new Set(rows.map(row => row[column] ?? '')).size;
  return different(1) < different(0) ? { label: 1, text: 0 } : { label: 0, text: 1 };
}
