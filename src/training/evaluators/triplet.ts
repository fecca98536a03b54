import type { Similarity } from '../../engine/index.ts';
import { wrong } from '../../errors.ts';
import type { FeatureExtractionPipeline } from '../../tasks/index.ts';
import type { Metrics } from '../course.ts';
import { BaseEvaluator, type EvaluatorInit, SIMILARITY_NAMES, similarities } from './evaluator.ts';

export interface TripletEvaluatorInit extends EvaluatorInit {
  readonly anchors: readonly string[];
  readonly positives: readonly string[];
  readonly negatives: readonly string[];
  /** Whose accuracy is the primary metric. Default: of the only function, or the greatest. */
  readonly main_similarity_function?: Similarity | null;
  /** By how much the positive has to be more similar: a number, or one for each function by its name. Default: 0. */
  readonly margin?: number | Readonly<Partial<Record<Similarity, number>>> | null;
  /** Default: `main_similarity_function`, else that of the model. */
  readonly similarity_fn_names?: readonly Similarity[] | null;
}

/**
 * How often an anchor is more similar to its positive than to its negative: `cosine_accuracy`, and so for each function; of several also
 * `max_accuracy`. Anchors are embedded by `encode_query`, the others by `encode_document`. Source: sentence-transformers 6.2, triplet.py.
 */
export class TripletEvaluator extends BaseEvaluator {
  readonly #anchors: readonly string[];
  readonly #positives: readonly string[];
  readonly #negatives: readonly string[];
  readonly #main: Similarity | undefined;
  readonly #names: readonly Similarity[] | undefined;
  readonly #margin: (name: Similarity) => number;

  /** Throws InputError for an option that is wrong, and for one that there is not; UnsupportedError for a similarity. */
  constructor(options: TripletEvaluatorInit) {
    super(options, ['anchors', 'positives', 'negatives', 'main_similarity_function', 'margin', 'similarity_fn_names']);
    this.#anchors = this.texts('anchors');
    this.#positives = this.texts('positives');
    this.#negatives = this.texts('negatives');
    this.checkLengths({ anchors: this.#anchors, positives: this.#positives, negatives: this.#negatives });
    this.#main = this.mainSimilarity('main_similarity_function');
    this.#names = this.similarityNames(this.#main);
    this.#margin = marginsOf(this.given.value('margin'));
  }

  /** @internal */
  protected override async compute(model: FeatureExtractionPipeline, signal: AbortSignal | undefined) {
    const options = signal ? { signal } : {};
    const anchors = this.rows(await model.encode_query(this.#anchors, options));
    const documents = this.rows(await model.encode_document([...this.#positives, ...this.#negatives], options));
    const [positives, negatives] = [documents.slice(0, anchors.length), documents.slice(anchors.length)];
    const names = this.#names ?? [model.similarity_fn_name];
    const metrics: Metrics = {};
    for (const name of names) {
      const [near, far] = [similarities(name, anchors, positives), similarities(name, anchors, negatives)];
      const right = near.filter((score, i) => score > Math.fround(far[i]! + this.#margin(name))).length;
      metrics[`${name}_accuracy`] = right / anchors.length;
    }
    if (names.length > 1) metrics.max_accuracy = Math.max(...Object.values(metrics));
    return { metrics, primary: `${this.#main ?? (names.length > 1 ? 'max' : names[0]!)}_accuracy` };
  }
}

function marginsOf(margin: unknown): (name: Similarity) => number {
  if (margin === undefined) return () => 0;
  if (Number.isFinite(margin)) return () => margin as number;
  const table = Object(margin) as Partial<Record<Similarity, number>>;
  const isTable =
    typeof margin === 'object' &&
    Object.entries(table).every(
      ([name, value]) => (SIMILARITY_NAMES as string[]).includes(name) && Number.isFinite(value),
    );
  if (!isTable) throw wrong('margin', margin, `a number, or numbers by ${SIMILARITY_NAMES.join(', ')}`);
  return name => table[name] ?? 0;
}
