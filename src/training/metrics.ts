import { describe, InputError, wrong } from '../errors.ts';
import { entityCounts } from './entity-tags.ts';
import { IGNORED_LABEL } from './example.ts';

/** A row of logits. */
export type LogitRow = ArrayLike<number>;

/** What `compute_metrics` of a Trainer is given: the logits of all examples, and their labels. */
export interface EvalPrediction {
  /** For each example a row of logits, or a row for each of its tokens. */
  readonly predictions: readonly (LogitRow | readonly LogitRow[])[];
  /** For each example a class, a number, a list with a number for each class, or a class for each token (-100: none). */
  readonly label_ids: readonly (number | readonly number[])[];
  /** The names of the classes. Read by `seqeval`. */
  readonly id2label?: readonly string[];
}

/** What is predicted and what is right, as Python's `evaluate` takes it. */
export interface Compared<T> {
  readonly predictions: readonly T[];
  readonly references: readonly T[];
}

/** How the F1 of several classes become one: over all decisions, the mean, the mean weighted by frequency, or of class 1 alone. */
export type Average = 'micro' | 'macro' | 'weighted' | 'binary';
const AVERAGES: readonly Average[] = ['micro', 'macro', 'weighted', 'binary'];

type Classes = Compared<number | readonly number[]>;

const isRow = (value: unknown): value is LogitRow => !Array.isArray(value) || typeof value[0] === 'number';

function argmax(row: LogitRow): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i]! > row[best]!) best = i;
  return best;
}

/** Throws InputError where there is nothing to compare, or the two differ in number. */
function checkPairs(predictions: unknown, references: unknown): void {
  const counts = [predictions, references].map(list => (Array.isArray(list) ? list.length : undefined));
  if (counts[0] !== undefined && counts[0] === counts[1] && counts[0] > 0) return;
  throw new InputError({
    what: 'predictions and references cannot be compared',
    actual: `${describe(predictions)} and ${describe(references)}`,
    expected: 'two lists of the same length, of at least one',
  });
}

const isChoice = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.every(each => each === 0 || each === 1);

/** Throws InputError, as sklearn does, for what is no class: a name, a probability; and for a class beside a list of several. */
function checkedClasses(classes: Classes): Classes {
  for (const [i, reference] of classes.references.entries()) {
    const prediction: unknown = classes.predictions[i];
    const isFine = isChoice(reference)
      ? isChoice(prediction) && prediction.length === reference.length
      : Number.isInteger(reference) && Number.isInteger(prediction);
    if (isFine) continue;
    throw new InputError({
      what: `prediction and reference ${i} are no classes`,
      actual: `${describe(prediction)} and ${describe(reference)}`,
      expected: 'two whole numbers, or two lists of as many 0 and 1',
    });
  }
  return classes;
}

/** Logits as classes: the greatest; of several labels those above 0; of tokens those with a label, one after the other. */
const classesOf = (given: Classes | EvalPrediction): Classes => checkedClasses(givenClasses(given));

function givenClasses(given: Classes | EvalPrediction): Classes {
  if ('references' in given) {
    checkPairs(given.predictions, given.references);
    return given;
  }
  const { predictions: rows, label_ids: labels } = given;
  checkPairs(rows, labels);
  const predictions: (number | number[])[] = [];
  const references: (number | readonly number[])[] = [];
  for (const [i, row] of rows.entries()) {
    const label = labels[i]!;
    if (isRow(row)) {
      predictions.push(typeof label === 'number' ? argmax(row) : Array.from(row, logit => Number(logit > 0)));
      references.push(label);
      continue;
    }
    for (const [token, logits] of row.entries()) {
      const own = (label as readonly number[])[token];
      if (own === undefined || own === IGNORED_LABEL) continue;
      predictions.push(argmax(logits));
      references.push(own);
    }
  }
  return { predictions, references };
}

const isSame = (a: number | readonly number[], b: number | readonly number[]): boolean =>
  typeof a === 'number' || typeof b === 'number' ? a === b : a.length === b.length && a.every((v, i) => v === b[i]);

/**
 * The share of predictions that are right; of several labels, all of them. sklearn's accuracy_score. NaN where no token has a label. Throws
 * InputError for what is no class.
 */
export function accuracy(given: Classes | EvalPrediction): { accuracy: number } {
  const { predictions, references } = classesOf(given);
  const right = predictions.filter((prediction, i) => isSame(prediction, references[i]!)).length;
  return { accuracy: right / predictions.length };
}

interface Counts {
  /** Right, predicted and true ones. */
  right: number;
  predicted: number;
  actual: number;
}

/** a / b, and 0 where b is 0, as sklearn has it. */
const share = (a: number, b: number): number => (b === 0 ? 0 : a / b);
const scoresOf = ({ right, predicted, actual }: Counts) => ({
  precision: share(right, predicted),
  recall: share(right, actual),
  f1: share(2 * right, predicted + actual),
});

function countClasses({ predictions, references }: Classes): Map<number, Counts> {
  const counts = new Map<number, Counts>();
  const of = (id: number): Counts => {
    const own = counts.get(id) ?? { right: 0, predicted: 0, actual: 0 };
    counts.set(id, own);
    return own;
  };
  for (const [i, prediction] of predictions.entries()) {
    const reference = references[i]!;
    if (typeof prediction === 'number' && typeof reference === 'number') {
      of(prediction).predicted++;
      of(reference).actual++;
      if (prediction === reference) of(reference).right++;
      continue;
    }
    for (const [id, actual] of (reference as readonly number[]).entries()) {
      const predicted = (prediction as readonly number[])[id]!;
      const own = of(id);
      own.predicted += predicted;
      own.actual += actual;
      own.right += predicted * actual;
    }
  }
  return counts;
}

/**
 * Precision, recall and F1 of classes: sklearn's precision_recall_fscore_support, 0 where nothing can be divided. Throws InputError.
 * @param options.average default: 'binary' where 0 and 1 are the only classes, else 'macro'
 */
export function f1(
  given: Classes | EvalPrediction,
  options: { average?: Average } = {},
): { f1: number; precision: number; recall: number } {
  const classes = classesOf(given);
  const isMulti = classes.references.some(reference => typeof reference !== 'number');
  const counts = countClasses(classes);
  const isBinary = !isMulti && [...counts.keys()].every(id => id === 0 || id === 1);
  const { average = isBinary ? 'binary' : 'macro' } = options;
  if (!AVERAGES.includes(average)) throw wrong('average', average, `one of ${AVERAGES.join(', ')}`);
  if (average === 'binary' && !isBinary) {
    const next = "Pass average: 'micro', 'macro' or 'weighted'.";
    throw new InputError({ what: "average 'binary' is for the classes 0 and 1", next });
  }
  if (average === 'binary') return scoresOf(counts.get(1) ?? { right: 0, predicted: 0, actual: 0 });
  const all = [...counts.values()];
  const sum = (of: (each: Counts) => number) => all.reduce((total, each) => total + of(each), 0);
  if (average === 'micro') {
    return scoresOf({ right: sum(c => c.right), predicted: sum(c => c.predicted), actual: sum(c => c.actual) });
  }
  const weight = (each: Counts) => (average === 'macro' ? 1 : each.actual);
  const mean = (name: 'f1' | 'precision' | 'recall') =>
    share(
      sum(each => weight(each) * scoresOf(each)[name]),
      sum(weight),
    );
  return { f1: mean('f1'), precision: mean('precision'), recall: mean('recall') };
}

type Tags = Compared<readonly string[]>;

function tagsOf(given: Tags | EvalPrediction): Tags {
  if ('references' in given) {
    checkPairs(given.predictions, given.references);
    return given;
  }
  const { predictions: rows, label_ids: labels, id2label } = given;
  checkPairs(rows, labels);
  if (id2label === undefined) throw wrong('id2label', id2label, 'the names of the classes, which tags are made of');
  const tagged = rows.map((row, i) => {
    if (isRow(row))
      throw new InputError({ what: 'seqeval needs a row of logits for each token', actual: describe(row) });
    const own = labels[i] as readonly number[];
    const kept = row.flatMap((logits, t) => {
      const label = own[t];
      return label === undefined || label === IGNORED_LABEL ? [] : [[id2label[argmax(logits)]!, id2label[label]!]];
    });
    return { predicted: kept.map(([tag]) => tag!), actual: kept.map(([, tag]) => tag!) };
  });
  return { predictions: tagged.map(t => t.predicted), references: tagged.map(t => t.actual) };
}

function checkTags({ predictions, references }: Tags): void {
  const wrongAt = references.findIndex((tags, i) => tags.length !== predictions[i]!.length);
  if (wrongAt < 0) return;
  throw new InputError({
    what: `text ${wrongAt} has not the same number of tags twice`,
    actual: `${predictions[wrongAt]!.length} predictions, ${references[wrongAt]!.length} references`,
  });
}

/**
 * Precision, recall and F1 of whole entities, and the accuracy of tags: the seqeval package in its default mode, for BIO and BIOES. It can
 * be the compute_metrics of a Trainer. Throws InputError.
 */
export function seqeval(given: Tags | EvalPrediction): {
  precision: number;
  recall: number;
  f1: number;
  accuracy: number;
} {
  const tags = tagsOf(given);
  checkTags(tags);
  const total: Counts = { right: 0, predicted: 0, actual: 0 };
  for (const { right, predicted, actual } of entityCounts(tags).values()) {
    total.right += right;
    total.predicted += predicted;
    total.actual += actual;
  }
  const [predicted, actual] = [tags.predictions.flat(), tags.references.flat()];
  return { ...scoresOf(total), accuracy: actual.filter((tag, i) => tag === predicted[i]).length / actual.length };
}

/** The same for every type of entity, with the number of true ones: seqeval's classification_report. */
export function classification_report(
  given: Tags | EvalPrediction,
): Record<string, { precision: number; recall: number; f1: number; support: number }> {
  const tags = tagsOf(given);
  checkTags(tags);
  const counts = [...entityCounts(tags)].sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(counts.map(([type, own]) => [type, { ...scoresOf(own), support: own.actual }]));
}

/** Predicted and true numbers, of two lists or of the logits of a regression. */
function numbersOf(given: Compared<number> | EvalPrediction): [number[], number[]] {
  if ('references' in given) {
    checkPairs(given.predictions, given.references);
    return [[...given.predictions], [...given.references]];
  }
  checkPairs(given.predictions, given.label_ids);
  return [given.predictions.map(row => (row as LogitRow)[0]!), given.label_ids.map(Number)];
}

function correlation(x: readonly number[], y: readonly number[]): number {
  const mean = (of: readonly number[]) => of.reduce((sum, value) => sum + value, 0) / of.length;
  const [mx, my] = [mean(x), mean(y)];
  let [xy, xx, yy] = [0, 0, 0];
  for (const [i, value] of x.entries()) {
    const [dx, dy] = [value - mx, y[i]! - my];
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  return Math.max(-1, Math.min(1, xy / Math.sqrt(xx * yy)));
}

/** The place of each number among all, from 1; equal ones have the mean of theirs. scipy's rankdata. */
function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const result = new Array<number>(values.length);
  for (let start = 0, end = 0; start < order.length; start = end) {
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (let i = start; i < end; i++) result[order[i]!] = (start + end + 1) / 2;
  }
  return result;
}

/** Pearson's correlation; NaN where all predictions, or all references, are equal. */
export function pearson(given: Compared<number> | EvalPrediction): { pearson: number } {
  return { pearson: correlation(...numbersOf(given)) };
}

/** Spearman's rank correlation; NaN where all predictions, or all references, are equal. */
export function spearman(given: Compared<number> | EvalPrediction): { spearman: number } {
  const [x, y] = numbersOf(given);
  const isNumber = [...x, ...y].every(value => !Number.isNaN(value));
  return { spearman: isNumber ? correlation(ranks(x), ranks(y)) : Number.NaN };
}

/** For each query the scores of its documents, and how relevant each of these is (0: not). */
export type Rankings = Compared<readonly number[]>;

/** Throws InputError for lists that do not fit one another, and for scores that are no numbers. */
function checkRankings({ predictions, references }: Rankings, k: number): void {
  checkPairs(predictions, references);
  if (!(k >= 1)) throw wrong('k', k, 'a number of at least 1');
  for (const [query, scores] of predictions.entries()) checkPairs(scores, references[query]);
  const bad = predictions.findIndex(scores => scores.some(Number.isNaN));
  if (bad >= 0) throw new InputError({ what: `the scores of query ${bad} are wrong`, actual: 'NaN' });
}

const byScore = (scores: readonly number[]): number[] =>
  scores.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]!);

/**
 * The mean over the queries of 1 / the place of the first relevant document among the best `k`, 0 without one: mrr@k of
 * sentence-transformers. Of equal scores the document that is listed first comes first. Default of k: 10.
 */
export function mrr(rankings: Rankings, { k = 10 }: { k?: number } = {}): { mrr: number } {
  checkRankings(rankings, k);
  const reciprocal = rankings.predictions.map((scores, query) => {
    const place = byScore(scores)
      .slice(0, k)
      .findIndex(document => rankings.references[query]![document]! > 0);
    return place < 0 ? 0 : 1 / (place + 1);
  });
  return { mrr: reciprocal.reduce((sum, value) => sum + value, 0) / reciprocal.length };
}

/**
 * Normalised discounted cumulative gain of the best `k` (default: 10): sklearn's ndcg_score. Documents with equal scores share their
 * places; a query without a relevant document counts 0.
 */
export function ndcg(rankings: Rankings, { k = 10 }: { k?: number } = {}): { ndcg: number } {
  checkRankings(rankings, k);
  const discount = (place: number) => (place < k ? 1 / Math.log2(place + 2) : 0);
  const values = rankings.predictions.map((scores, query) => {
    const relevance = rankings.references[query]!;
    const order = byScore(scores);
    let gain = 0;
    for (let start = 0, end = 0; start < order.length; start = end) {
      let [relevant, discounts] = [0, 0];
      for (; end < order.length && scores[order[end]!] === scores[order[start]!]; end++) {
        relevant += relevance[order[end]!]!;
        discounts += discount(end);
      }
      gain += (relevant / (end - start)) * discounts;
    }
    const best = [...relevance].sort((a, b) => b - a).reduce((sum, each, place) => sum + each * discount(place), 0);
    return share(gain, best);
  });
  return { ndcg: values.reduce((sum, value) => sum + value, 0) / values.length };
}

/** e to the loss: how many tokens the model wavers between, where the loss is the mean cross-entropy of tokens. */
export const perplexity = (loss: number): number => Math.exp(loss);
