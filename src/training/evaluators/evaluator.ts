import { Callable } from '../../api/index.ts';
import type { Similarity } from '../../engine/index.ts';
import { InputError, oneOf, wrong } from '../../errors.ts';
import { type FeatureExtractionPipeline, SIMILARITY_FUNCTIONS } from '../../tasks/index.ts';
import type { Metrics } from '../course.ts';
import { GivenFields } from '../given-fields.ts';

/** The names of the functions that compare embeddings: those of sentence-transformers' SimilarityFunction. */
export const SIMILARITY_NAMES = Object.keys(SIMILARITY_FUNCTIONS) as Similarity[];

export interface EvaluatorCallOptions {
  /** Ends the evaluation: it rejects with the signal's reason. */
  readonly signal?: AbortSignal | null | undefined;
}

/** What a SentenceTransformerTrainer takes as its evaluator: a function of the embedder as it is. A number has the name `evaluator`. */
export type Evaluator = (
  model: FeatureExtractionPipeline,
  options?: EvaluatorCallOptions,
) => Metrics | number | Promise<Metrics | number>;

/** How an evaluator is called. */
export type EvaluatorCall = (model: FeatureExtractionPipeline, options?: EvaluatorCallOptions) => Promise<Metrics>;

/** What all evaluators take. */
export interface EvaluatorInit {
  /** Is put before the names of metrics. Default: nothing. */
  readonly name?: string | null;
  /** Embeddings are cut to so many columns. Default: as long as the model makes them. */
  readonly truncate_dim?: number | null;
}

const COMMON = ['name', 'truncate_dim'];
/** Arguments of Python's that have no counterpart, and why. */
const ADVICE = {
  batch_size: 'There is none to choose: texts are batched as the GPU has room.',
  show_progress_bar: 'There is no console for it.',
  write_csv: 'The metrics are what the call resolves to; a Trainer has them in its log_history.',
  write_predictions: 'There is no folder for them.',
};

/**
 * The base of the evaluators, which are named and called as in sentence-transformers: `await evaluator(extractor)` resolves to numbers by
 * their names, and a SentenceTransformerTrainer takes one, or a list, as its `evaluator`. A class of its own says what is computed.
 */
export abstract class BaseEvaluator extends (Callable as new () => EvaluatorCall) {
  readonly greater_is_better = true;
  /** The name of the metric to choose models by, behind the name of the evaluator; null before the first call. */
  primary_metric: string | null = null;
  override readonly name: string;
  readonly truncate_dim: number | undefined;
  /** @internal */
  protected readonly given: GivenFields;

  /** @internal */
  constructor(options: unknown, names: readonly string[]) {
    super();
    this.given = new GivenFields(new.target.name, options);
    this.given.checkNames([...names, ...COMMON], ADVICE);
    const name = this.given.value('name') ?? '';
    if (typeof name !== 'string') throw wrong('name', name, 'a string');
    this.name = name;
    const columns = this.given.value('truncate_dim');
    this.truncate_dim = columns === undefined ? undefined : this.given.count('truncate_dim', 1);
  }

  /** The metrics of an embedder. Rejects as its calls do, and with InputError for what is no embedder. */
  async _call(model: FeatureExtractionPipeline, { signal }: EvaluatorCallOptions = {}): Promise<Metrics> {
    const given = model as Partial<FeatureExtractionPipeline> | undefined;
    if (typeof model !== 'function' || typeof given?.encode_query !== 'function') {
      throw wrong('the model', model, "a pipeline('feature-extraction', …)");
    }
    const { metrics, primary } = await this.compute(model, signal ?? undefined);
    const prefix = this.name === '' ? '' : `${this.name}_`;
    this.primary_metric = prefix + primary;
    return Object.fromEntries(Object.entries(metrics).map(([key, value]) => [prefix + key, value]));
  }

  /** @internal The metrics without the name of the evaluator, and which of them is the primary one. */
  protected abstract compute(
    model: FeatureExtractionPipeline,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly metrics: Metrics; readonly primary: string }>;

  /** @internal Texts of a field: at least one. */
  protected texts(name: string): string[] {
    const value = this.given.value(name);
    const isTexts = Array.isArray(value) && value.length > 0 && value.every(text => typeof text === 'string');
    if (isTexts) return [...value];
    throw wrong(name, value, 'a list of strings, of at least one');
  }

  /** @internal Throws InputError where lists of fields differ in length. */
  protected checkLengths(lists: Readonly<Record<string, readonly unknown[]>>): void {
    const lengths = Object.entries(lists).map(([name, { length }]) => `${name} ${length}`);
    if (new Set(Object.values(lists).map(({ length }) => length)).size === 1) return;
    throw new InputError({
      what: `the lists of ${this.constructor.name} differ in length`,
      actual: lengths.join(', '),
      expected: 'as many in each',
    });
  }

  /** @internal The names in `similarity_fn_names`, else that of a main function; none: that of the model. */
  protected similarityNames(main: Similarity | undefined): readonly Similarity[] | undefined {
    const names = this.given.value('similarity_fn_names');
    if (names === undefined) return main && [main];
    if (!Array.isArray(names)) throw wrong('similarity_fn_names', names, `a list of ${SIMILARITY_NAMES.join(', ')}`);
    const checked = names.map(name => oneOf('similarity_fn_names', name, SIMILARITY_NAMES));
    if (checked.length === 0) return main && [main];
    if (main && !checked.includes(main)) throw wrong('similarity_fn_names', names, `a list with "${main}"`);
    return checked;
  }

  /** @internal The similarity that a field names. */
  protected mainSimilarity(field: string): Similarity | undefined {
    const value = this.given.value(field);
    return value === undefined ? undefined : oneOf(field, value, SIMILARITY_NAMES);
  }

  /** @internal The rows of a tensor of embeddings, cut to `truncate_dim`. */
  protected rows({
    data,
    dims,
  }: {
    readonly data: ArrayLike<unknown>;
    readonly dims: readonly number[];
  }): Float32Array[] {
    const [count, columns] = dims as [number, number];
    const kept = this.truncate_dim ?? columns;
    if (kept > columns) throw wrong('truncate_dim', kept, `at most ${columns}, the columns of the embeddings`);
    const rows = data as Float32Array;
    return Array.from({ length: count }, (_, i) => rows.subarray(i * columns, i * columns + kept));
  }
}

/** Similarities are float32, as in Python, so that equal embeddings are equally similar. */
export const similarities = (name: Similarity, a: readonly Float32Array[], b: readonly Float32Array[]): number[] =>
  a.map((row, i) => Math.fround(SIMILARITY_FUNCTIONS[name](row, b[i]!)));

/** What an evaluator gave, as metrics. Throws InputError for what is none. */
export function metricsOf(given: unknown, name: string): Metrics {
  if (typeof given === 'number') return { [name]: given };
  if (typeof given === 'object' && given !== null) return given as Metrics;
  throw wrong('the result of the evaluator', given, 'numbers by their names, or a number');
}
