import type { Similarity } from '../../engine/index.ts';
import { wrong } from '../../errors.ts';
import type { FeatureExtractionPipeline } from '../../tasks/index.ts';
import type { Metrics } from '../course.ts';
import { pearson, spearman } from '../metrics.ts';
import { BaseEvaluator, type EvaluatorInit, similarities } from './evaluator.ts';

const PRECISIONS = ['float32', 'int8', 'uint8', 'binary', 'ubinary'] as const;

export interface EmbeddingSimilarityEvaluatorInit extends EvaluatorInit {
  readonly sentences1: readonly string[];
  readonly sentences2: readonly string[];
  /** How similar each pair is. */
  readonly scores: readonly number[];
  /** Whose Spearman correlation is the primary metric. Default: of the only function, or the greatest. */
  readonly main_similarity?: Similarity | null;
  /** Default: `main_similarity`, else that of the model. */
  readonly similarity_fn_names?: readonly Similarity[] | null;
  /** In which numbers embeddings, of length 1, are compared. Default: as they are. */
  readonly precision?: (typeof PRECISIONS)[number] | null;
}

/**
 * The correlations of the similarities of pairs with scores: `pearson_cosine`, `spearman_cosine`, and so for each function; of several also
 * `pearson_max` and `spearman_max`. Source: sentence-transformers 6.2, embedding_similarity.py.
 *
 *   const evaluator = new EmbeddingSimilarityEvaluator({ sentences1, sentences2, scores, name: 'dev' });
 *   const { dev_spearman_cosine } = await evaluator(extractor);
 */
export class EmbeddingSimilarityEvaluator extends BaseEvaluator {
  readonly #sentences1: readonly string[];
  readonly #sentences2: readonly string[];
  readonly #scores: readonly number[];
  readonly #main: Similarity | undefined;
  readonly #names: readonly Similarity[] | undefined;
  readonly #precision: (typeof PRECISIONS)[number] | undefined;

  /** Throws InputError for an option that is wrong, and for one that there is not; UnsupportedError for a similarity or a precision. */
  constructor(options: EmbeddingSimilarityEvaluatorInit) {
    super(options, ['sentences1', 'sentences2', 'scores', 'main_similarity', 'similarity_fn_names', 'precision']);
    this.#sentences1 = this.texts('sentences1');
    this.#sentences2 = this.texts('sentences2');
    const scores = this.given.value('scores');
    if (!Array.isArray(scores) || !scores.every(score => Number.isFinite(score))) {
      throw wrong('scores', scores, 'a list of numbers');
    }
    this.#scores = [...scores];
    this.checkLengths({ sentences1: this.#sentences1, sentences2: this.#sentences2, scores: this.#scores });
    this.#main = this.mainSimilarity('main_similarity');
    this.#names = this.similarityNames(this.#main);
    this.#precision = this.given.choice<(typeof PRECISIONS)[number] | undefined>('precision', undefined, [
      ...PRECISIONS,
      undefined,
    ]);
  }

  /** @internal */
  protected override async compute(model: FeatureExtractionPipeline, signal: AbortSignal | undefined) {
    const rows = await this.#embeddings(model, signal);
    const [a, b] = [rows.slice(0, this.#sentences1.length), rows.slice(this.#sentences1.length)];
    const names = this.#names ?? [model.similarity_fn_name];
    const metrics: Metrics = {};
    for (const name of names) {
      const compared = { predictions: similarities(name, a, b), references: this.#scores };
      metrics[`pearson_${name}`] = pearson(compared).pearson;
      metrics[`spearman_${name}`] = spearman(compared).spearman;
    }
    if (names.length > 1) {
      for (const kind of ['pearson', 'spearman']) {
        metrics[`${kind}_max`] = Math.max(...names.map(name => metrics[`${kind}_${name}`]!));
      }
    }
    return { metrics, primary: `spearman_${this.#main ?? (names.length > 1 ? 'max' : names[0]!)}` };
  }

  /** The rows of both lists, which are quantised together. */
  async #embeddings(model: FeatureExtractionPipeline, signal: AbortSignal | undefined): Promise<Float32Array[]> {
    const texts = [...this.#sentences1, ...this.#sentences2];
    const options = { pooling: 'model', ...(signal && { signal }) } as const;
    const precision = this.#precision;
    if (precision === undefined) return this.rows(await model(texts, options));
    const columns = this.truncate_dim === undefined ? {} : { truncate_dim: this.truncate_dim };
    const { data, dims } = await model(texts, { ...options, ...columns, precision, normalize: true });
    const width = dims[1]!;
    const rows = Array.from({ length: texts.length }, (_, i) => data.subarray(i * width, (i + 1) * width));
    return rows.map(row =>
      precision.endsWith('binary') ? bitsOf(row, precision === 'binary') : Float32Array.from(row),
    );
  }
}

/** The bits of bytes, the greatest first; those of 'binary' are moved by 128. */
const bitsOf = (bytes: ArrayLike<number>, isMoved: boolean): Float32Array =>
  Float32Array.from({ length: 8 * bytes.length }, (_, i) => {
    const byte = bytes[i >> 3]! + (isMoved ? 128 : 0);
    return (byte >> (7 - (i & 7))) & 1;
  });
