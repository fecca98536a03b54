import type { Similarity } from '../../engine/index.ts';
import { wrong } from '../../errors.ts';
import type { FeatureExtractionPipeline } from '../../tasks/index.ts';
import type { Metrics } from '../course.ts';
import { BaseEvaluator, type EvaluatorInit, similarities } from './evaluator.ts';

export interface BinaryClassificationEvaluatorInit extends EvaluatorInit {
  readonly sentences1: readonly string[];
  readonly sentences2: readonly string[];
  /** 1 for pairs that are similar, 0 for others. */
  readonly labels: readonly (0 | 1)[];
  /** Default: that of the model. */
  readonly similarity_fn_names?: readonly Similarity[] | null;
}

/**
 * How well a threshold on the similarity tells similar pairs from others: `cosine_accuracy` and `cosine_f1` with the best threshold for each
 * (`cosine_accuracy_threshold`, `cosine_f1_threshold`), `cosine_precision`, `cosine_recall` and the Matthews correlation `cosine_mcc` with
 * that of F1, and the average precision `cosine_ap`, which is the primary metric; so for each function, and of several the greatest by the
 * names `max_…`. Thresholds of 'euclidean' and 'manhattan' are distances. Source: sentence-transformers 6.2, binary_classification.py.
 */
export class BinaryClassificationEvaluator extends BaseEvaluator {
  readonly #sentences1: readonly string[];
  readonly #sentences2: readonly string[];
  readonly #labels: readonly number[];
  readonly #names: readonly Similarity[] | undefined;

  /** Throws InputError for an option that is wrong, and for one that there is not; UnsupportedError for a similarity. */
  constructor(options: BinaryClassificationEvaluatorInit) {
    super(options, ['sentences1', 'sentences2', 'labels', 'similarity_fn_names']);
    this.#sentences1 = this.texts('sentences1');
    this.#sentences2 = this.texts('sentences2');
    const labels = this.given.value('labels');
    if (!Array.isArray(labels) || !labels.every(label => label === 0 || label === 1)) {
      throw wrong('labels', labels, 'a list of 0 and 1');
    }
    this.#labels = [...labels];
    this.checkLengths({ sentences1: this.#sentences1, sentences2: this.#sentences2, labels: this.#labels });
    this.#names = this.similarityNames(undefined);
  }

  /** @internal */
  protected override async compute(model: FeatureExtractionPipeline, signal: AbortSignal | undefined) {
    const texts = [...new Set([...this.#sentences1, ...this.#sentences2])];
    const places = new Map(texts.map((text, place) => [text, place]));
    const rows = this.rows(await model(texts, { pooling: 'model', ...(signal && { signal }) }));
    const rowsOf = (sentences: readonly string[]) => sentences.map(text => rows[places.get(text)!]!);
    const [a, b] = [rowsOf(this.#sentences1), rowsOf(this.#sentences2)];
    const names = this.#names ?? [model.similarity_fn_name];
    const all = names.map(name => classified(similarities(name, a, b), this.#labels, DISTANCES.includes(name)));
    const metrics: Metrics = {};
    for (const [i, own] of all.entries()) {
      for (const [key, value] of Object.entries(own)) metrics[`${names[i]}_${key}`] = value;
    }
    if (names.length > 1) {
      for (const key of Object.keys(all[0]!)) metrics[`max_${key}`] = Math.max(...all.map(each => each[key]!));
    }
    return { metrics, primary: `${names.length > 1 ? 'max' : names[0]!}_ap` };
  }
}

const DISTANCES: readonly Similarity[] = ['euclidean', 'manhattan'];

/** Pairs with equal scores, taken together: how many of the pairs so far, from the most similar on, are similar, and how many there are. */
interface Group {
  readonly score: number;
  readonly right: number;
  readonly taken: number;
}

/** The pairs by their scores, the greatest first. */
function groupsOf(scores: readonly number[], labels: readonly number[]): Group[] {
  const order = scores.map((_, i) => i).sort((i, j) => scores[j]! - scores[i]!);
  const groups: Group[] = [];
  let right = 0;
  for (const [place, i] of order.entries()) {
    right += labels[i]!;
    if (place + 1 < order.length && scores[order[place + 1]!] === scores[i]) continue;
    groups.push({ score: scores[i]!, right, taken: place + 1 });
  }
  return groups;
}

/**
 * The metrics of the similarities of pairs.
 * @param isDistance whether they are negated distances, of which thresholds are not negated
 */
function classified(scores: readonly number[], labels: readonly number[], isDistance: boolean): Metrics {
  const groups = groupsOf(scores, labels);
  const all = labels.length;
  const similar = labels.reduce((sum, label) => sum + label, 0);
  /** A threshold between a group and the next. */
  const below = (i: number): number => {
    const { score } = groups[i]!;
    const next = groups[i + 1]?.score;
    if (next === undefined) return score;
    const middle = Math.fround((score + next) / 2);
    // A middle that is rounded must not be that of the next group.
    return middle === next ? score : middle;
  };
  // No pair at all is the first try.
  let best = { accuracy: (all - similar) / all, threshold: nextGreater(groups[0]!.score) };
  let found = { f1: 0, precision: 0, recall: 0, threshold: 0 };
  let ap = 0;
  let recalled = 0;
  for (const [i, { right, taken }] of groups.entries()) {
    const accuracy = (right + (all - similar) - (taken - right)) / all;
    if (accuracy > best.accuracy) best = { accuracy, threshold: below(i) };
    if (right === 0) continue;
    const [precision, recall] = [right / taken, right / similar];
    const f1 = (2 * precision * recall) / (precision + recall);
    if (f1 > found.f1) found = { f1, precision, recall, threshold: below(i) };
    ap += (recall - recalled) * precision;
    recalled = recall;
  }
  const signed = (threshold: number) => (isDistance ? 0 - threshold : threshold);
  return {
    accuracy: best.accuracy,
    accuracy_threshold: signed(best.threshold),
    f1: found.f1,
    f1_threshold: signed(found.threshold),
    precision: found.precision,
    recall: found.recall,
    ap,
    mcc: matthews(
      scores.map(score => score >= found.threshold),
      labels,
    ),
  };
}

/** The Matthews correlation of predictions and labels; 0 where one of them is the same for all. sklearn's matthews_corrcoef. */
function matthews(predicted: readonly boolean[], labels: readonly number[]): number {
  const count = (label: number, isTaken: boolean) =>
    labels.filter((own, i) => own === label && predicted[i] === isTaken).length;
  const [tp, fp, tn, fn] = [count(1, true), count(0, true), count(0, false), count(1, false)];
  const square = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn);
  return square === 0 ? 0 : (tp * tn - fp * fn) / Math.sqrt(square);
}

/** The next greater float32. */
function nextGreater(value: number): number {
  const number = new Float32Array([value]);
  const bits = new Int32Array(number.buffer);
  if (value === 0) bits[0] = 1;
  else bits[0]! += value > 0 ? 1 : -1;
  return number[0]!;
}
