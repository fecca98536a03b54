import { tableRecords } from '../../shell/table.ts';
import {
  columnOf,
  counts,
  fieldsOfJson,
  isTable,
  type LineFault,
  plainText,
  readLines,
  type Split,
  separatorOf,
  shortened,
  split,
} from './written-lines.ts';

/** Lines with a query and its passage each, as a person writes or pastes them: read into pairs, with a word on every line that is none. */

export interface Pair {
  /** The line's place, from 1. */
  readonly line: number;
  readonly query: string;
  readonly passage: string;
  /** A passage that is near, and not the right one; '' where the line has none. */
  readonly wrong: string;
}

export interface PairLines {
  readonly pairs: readonly Pair[];
  readonly faults: readonly LineFault[];
  /** Every passage once, in the order of the lines; wrong ones among them where they are learned from. */
  readonly passages: readonly string[];
  /** How many pairs have a wrong passage. They are learned from where all pairs have one. */
  readonly wrongCount: number;
}

const QUERY_NAMES = ['query', 'queries', 'anchor', 'question', 'search', 'sentence1', 'source'];
const PASSAGE_NAMES = ['passage', 'passages', 'positive', 'answer', 'document', 'text', 'sentence2', 'target'];
const WRONG_NAMES = ['wrong', 'negative', 'hard_negative', 'negative_1', 'sentence3'];

/** The texts of a line in the order of its columns, or what is wrong with it. */
type Texts = readonly string[] | string;

/** The places of a query, its passage and a wrong one among the columns. */
interface Columns {
  readonly query: number;
  readonly passage: number;
  readonly wrong: number | undefined;
}

const USUAL: Columns = { query: 0, passage: 1, wrong: 2 };

/** The columns that a first line names; undefined where it names none. */
function namedColumns(head: readonly string[]): Columns | undefined {
  const [query, passage] = [columnOf(head, QUERY_NAMES), columnOf(head, PASSAGE_NAMES)];
  if (query === undefined || passage === undefined) return undefined;
  return { query, passage, wrong: columnOf(head, WRONG_NAMES) };
}

/**
 * Reads lines: a query and its passage, and where there is one a passage that is wrong, with a tab or ` | ` between; fields of a table
 * with commas between, in quotes where they have commas of their own; or an object of JSON. A first line that names the columns is none.
 */
export function readPairs(written: string): PairLines {
  const pairs: Pair[] = [];
  const first = new Map<string, number>();
  let columns = USUAL;
  let isNamed = false;
  const faults = readLines(written, (raw, line) => {
    const texts = textsOf(raw, isNamed);
    if (typeof texts === 'string') return { tag: 'one text', words: texts };
    const named = line === 1 && !raw.startsWith('{') ? namedColumns(texts) : undefined;
    if (named) {
      [columns, isNamed] = [named, true];
      return undefined;
    }
    if (!isNamed && texts.length > 3) {
      const words = `It has ${texts.length} texts: a query, its passage and a wrong passage are at most three.`;
      return { tag: `${texts.length} texts`, words };
    }
    const places = raw.startsWith('{') ? USUAL : columns;
    const textOf = (column: number | undefined) => (column === undefined ? '' : (texts[column] ?? ''));
    const pair = {
      line,
      query: textOf(places.query),
      passage: textOf(places.passage),
      wrong: textOf(places.wrong),
    };
    if (pair.query === '')
      return { tag: 'no query', words: 'There is nothing before the passage. Write a query there.' };
    if (pair.passage === '') {
      return { tag: 'no passage', words: `There is no passage behind “${shortened(pair.query)}”. Write one.` };
    }
    if (pair.wrong === pair.passage) {
      return { tag: 'right and wrong', words: 'Its passage is the wrong one too. Take another, or leave it out.' };
    }
    const key = `${pair.query}\n${pair.passage}`;
    const twin = first.get(key);
    if (twin !== undefined) return { tag: 'twice', words: `It says the same as line ${twin}, and is left out.` };
    first.set(key, line);
    pairs.push(pair);
    return undefined;
  });
  const wrongCount = pairs.filter(({ wrong }) => wrong !== '').length;
  const isContrasted = wrongCount === pairs.length;
  const passages = pairs.flatMap(({ passage, wrong }) => (isContrasted ? [passage, wrong] : [passage]));
  return { pairs, faults, passages: [...new Set(passages)], wrongCount };
}

/** @param isNamed a first line has named the columns: commas are between them, however many there are */
function textsOf(line: string, isNamed: boolean): Texts {
  if (line.startsWith('{')) return textsOfJson(line);
  if (line.includes('\t')) return line.split('\t').map(text => text.trim());
  if (line.includes(' | ')) return line.split(' | ').map(text => text.trim());
  const fields = tableRecords(line, ',')[0] ?? [];
  // Commas without quotes may be those of a sentence: two of them part nothing, where no first line says so.
  const isTableLine = isNamed || line.startsWith('"') || line.endsWith('"') || fields.length === 2;
  if (fields.length > 1 && (isTableLine || namedColumns(fields))) return fields;
  const found = fields.length > 1 ? 'It has several commas, and no quotes' : 'It has one text';
  return `${found}. Put a tab or “ | ” between the query and its passage.`;
}

function textsOfJson(line: string): Texts {
  const fieldOf = fieldsOfJson(line);
  if (typeof fieldOf === 'string') return fieldOf;
  const [query, passage] = [fieldOf(QUERY_NAMES), fieldOf(PASSAGE_NAMES)];
  if (query !== undefined && passage !== undefined) return [query, passage, fieldOf(WRONG_NAMES) ?? ''];
  return `It has ${query === undefined ? 'no “query”' : 'no “passage”'}. Write {"query": "…", "passage": "…"}.`;
}

/** The lines of a file, as they would be written by hand. */
export function pairLinesOfFile(name: string, content: string): string {
  const text = plainText(content);
  if (!isTable(name)) return text.trimEnd();
  const records = tableRecords(text, separatorOf(name));
  const named = namedColumns(records[0] ?? []);
  const { query, passage, wrong } = named ?? USUAL;
  return (named ? records.slice(1) : records)
    .map(row => [query, passage, wrong].flatMap(column => (column === undefined ? [] : (row[column] ?? []))))
    .map(texts => texts.map(each => each.replaceAll('\t', ' ')).join('\t'))
    .join('\n');
}

/**
 * Holds out a share of the pairs. Of a passage with several queries some are held out and some are learned from, so that what is asked is
 * a new query for a passage that is known; passages with one query are a group together, and those held out are wholly new.
 */
export function splitPairs({ pairs }: PairLines, share: number): Split<Pair> {
  const queries = counts(pairs.map(({ passage }) => passage));
  return split(pairs, share, ({ passage }) => (queries.get(passage)! > 1 ? passage : ''));
}

/** Why nothing can be learned, in a sentence; undefined where something can. */
export function whyNoPairs({ pairs }: PairLines, { train }: Split<Pair>): string | undefined {
  if (pairs.length === 0) return 'There is no pair yet. Write some, or begin with those of the example below.';
  if (new Set(train.map(({ passage }) => passage)).size > 1) return undefined;
  return 'All pairs to learn from have one passage: an embedder needs two or more to tell apart.';
}

/**
 * The least number of batches without a text twice that pairs make: the pairs of one text are in batches of their own.
 * @param size pairs of a batch
 */
export function leastBatches(pairs: readonly Pair[], size: number): number {
  const texts = counts(pairs.flatMap(({ query, passage }) => [query, passage]));
  return Math.max(Math.ceil(pairs.length / size), ...texts.values());
}
