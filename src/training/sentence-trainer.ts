import { env } from '../api/index.ts';
import { inFolder, openSource } from '../checkpoint/source/index.ts';
import type { OtherFiles } from '../engine/index.ts';
import { describe, InputError, wrong } from '../errors.ts';
import type { TrainingGraph } from '../gradients/index.ts';
import { Embedder, type FeatureExtractionPipeline, type TextReader } from '../tasks/index.ts';
import { TRAINING_ARGUMENT_NAMES, TrainingArguments, type TrainingArgumentsInit } from './arguments.ts';
import { BaseTrainer, type EvaluateOptions, prefixed } from './base-trainer.ts';
import type { TrainerCallback } from './callbacks.ts';
import type { Metrics } from './course.ts';
import { type BatchSampler, EmbedderData } from './embedder-data.ts';
import { evaluateEmbedder } from './embedder-evaluation.ts';
import { type EmbedderLoss, isEmbedderLoss, noEmbeddingLoss } from './embedder-losses.ts';
import { embedderGraph } from './embedder-task.ts';
import { type Evaluator, metricsOf } from './evaluators/evaluator.ts';
import { evaluatorOf } from './evaluators/sequential.ts';
import { GivenFields } from './given-fields.ts';
import { ONE_COPY } from './given-model.ts';
import type { GraphOptions } from './task.ts';
import type { Dataset } from './trainer-data.ts';

/** What `new SentenceTransformerTrainingArguments` takes. */
export type SentenceTransformerTrainingArgumentsInit = TrainingArgumentsInit & {
  batch_sampler?: BatchSampler | null;
  prompts?: string | Readonly<Record<string, string>> | null;
};

/** Arguments of a training of embedders: TrainingArguments, and what sentence-transformers adds to them. Throws as those do. */
export class SentenceTransformerTrainingArguments extends TrainingArguments {
  /**
   * 'no_duplicates' makes batches without a text twice, for losses that take the other texts of a batch as wrong answers. Default:
   * 'batch_sampler', the order of train_sampling_strategy.
   */
  readonly batch_sampler: BatchSampler;
  /** What is put before every text, or before those of a column by its name. Default: nothing. */
  readonly prompts: string | Readonly<Record<string, string>> | undefined;

  constructor(fields?: SentenceTransformerTrainingArgumentsInit | null) {
    const given = new GivenFields('SentenceTransformerTrainingArguments', fields);
    given.checkNames([...TRAINING_ARGUMENT_NAMES, 'warmup_ratio', 'batch_sampler', 'prompts']);
    const { batch_sampler: _, prompts: __, ...rest } = fields ?? {};
    super(rest);
    this.batch_sampler = given.choice('batch_sampler', 'batch_sampler', ['batch_sampler', 'no_duplicates']);
    this.prompts = promptsOf(given.value('prompts'));
  }
}

function promptsOf(value: unknown): string | Readonly<Record<string, string>> | undefined {
  if (value === undefined || typeof value === 'string') return value;
  const isTable = typeof value === 'object' && Object.values(Object(value)).every(each => typeof each === 'string');
  if (isTable) return value as Readonly<Record<string, string>>;
  throw wrong('prompts', value, 'a string, or strings by the names of columns');
}

/** What `new SentenceTransformerTrainer` takes. */
export interface SentenceTransformerTrainerOptions {
  /** An embedder: pipeline('feature-extraction', …). It is trained where it is. */
  readonly model: FeatureExtractionPipeline;
  readonly args?: TrainingArguments | SentenceTransformerTrainingArgumentsInit | null;
  /** Records whose columns are in order: anchor, positive, negatives; or two texts, and their `label` or `score`. */
  readonly train_dataset?: Dataset | null;
  readonly eval_dataset?: Dataset | null;
  readonly loss: EmbedderLoss;
  /** Computes metrics of the embedder as it is: an evaluator, a list of them, or a function that gives { 'cosine_mrr@10': 0.7 }, say. */
  readonly evaluator?: Evaluator | readonly Evaluator[] | null;
  readonly callbacks?: readonly TrainerCallback[] | null;
}

const OPTION_NAMES = [
  'model',
  'args',
  'train_dataset',
  'eval_dataset',
  'loss',
  'evaluator',
  'callbacks',
] as const satisfies readonly (keyof SentenceTransformerTrainerOptions)[];

/**
 * Trains an embedder: the SentenceTransformerTrainer of sentence-transformers, with what makes sense in a page.
 *
 *   const extractor = await pipeline('feature-extraction', id);
 *   const loss = new MultipleNegativesRankingLoss();
 *   const args = { batch_sampler: 'no_duplicates' };
 *   await new SentenceTransformerTrainer({ model: extractor, args, train_dataset, loss }).train();
 *   await extractor.encode_query('How do I reset it?');
 *
 * A batch goes through the GPU as one, since its records are compared with one another.
 */
export class SentenceTransformerTrainer extends BaseTrainer<SentenceTransformerTrainingArguments> {
  readonly model: FeatureExtractionPipeline;
  readonly #options: SentenceTransformerTrainerOptions;
  readonly #evaluator: Evaluator | undefined;
  readonly #reader: TextReader;

  /** Throws InputError for an option that is wrong, and for one that there is not; UnsupportedError for what is no loss of embeddings. */
  constructor(options: SentenceTransformerTrainerOptions) {
    const given = new GivenFields('SentenceTransformerTrainer', options);
    given.checkNames(OPTION_NAMES, { processing_class: 'The tokenizer is that of the model.' });
    const { model, args, train_dataset, eval_dataset, loss, evaluator, callbacks } = options ?? {};
    const embedder: unknown = model;
    if (!(embedder instanceof Embedder)) throw wrong('model', model, "a pipeline('feature-extraction', …)", ONE_COPY);
    if (!isEmbedderLoss(loss)) throw noEmbeddingLoss(loss);
    const checkedEvaluator = evaluatorOf(evaluator);
    const reader = Embedder.readerOf(embedder);
    super({
      name: 'SentenceTransformerTrainer',
      engine: reader.engine,
      args: usedArguments(sentenceArguments(args)),
      train_dataset,
      isEvaluated: Boolean(eval_dataset || checkedEvaluator),
      callbacks,
      context: { model, processing_class: model.tokenizer },
    });
    this.model = model;
    this.#options = options;
    this.#evaluator = checkedEvaluator;
    this.#reader = reader;
  }

  /**
   * Computes the loss on a data set, by default `eval_dataset`, and what the evaluator computes, and logs both. Rejects with InputError
   * where there is neither, and as `train` does.
   */
  override async evaluate(
    eval_dataset: Dataset | null = null,
    { metric_key_prefix, signal }: EvaluateOptions = {},
  ): Promise<Metrics> {
    const evaluator = this.#evaluator;
    const dataset = eval_dataset ?? this.#options.eval_dataset;
    if (!dataset && !evaluator) {
      const next = 'Pass eval_dataset or evaluator to the SentenceTransformerTrainer.';
      throw new InputError({ what: 'there is nothing to evaluate on', next });
    }
    await this.loop.ready();
    const prefix = metric_key_prefix ?? 'eval';
    const started = performance.now();
    const metrics: Metrics = {};
    let count = 0;
    if (dataset) {
      const data = (await this.read('eval_dataset', dataset, signal ?? undefined)) as EmbedderData;
      const batchSize = this.args.per_device_eval_batch_size;
      count = data.count;
      metrics[`${prefix}_loss`] = await evaluateEmbedder(this.#reader, data, {
        batchSize,
        signal: signal ?? undefined,
      });
    }
    if (evaluator) {
      const computed = metricsOf(await evaluator(this.model, { signal }), 'evaluator');
      Object.assign(metrics, prefixed(computed, prefix, 'the evaluator'));
    }
    const seconds = (performance.now() - started) / 1000;
    metrics[`${prefix}_runtime`] = seconds;
    if (count > 0) {
      metrics[`${prefix}_samples_per_second`] = count / seconds;
      metrics[`${prefix}_steps_per_second`] = Math.ceil(count / this.args.per_device_eval_batch_size) / seconds;
    }
    const logged = await this.loop.log(metrics);
    await this.loop.call('on_evaluate', { metrics: logged });
    return logged;
  }

  /** @internal */
  protected override readData(name: string, dataset: Dataset, signal: AbortSignal | undefined): Promise<EmbedderData> {
    const { loss } = this.#options;
    const { prompts, batch_sampler: sampler } = this.args;
    return EmbedderData.read(name, dataset, { reader: this.#reader, loss, prompts, sampler, signal });
  }

  /** @internal */
  protected override graph({ task }: EmbedderData, options: GraphOptions): TrainingGraph {
    return embedderGraph(task, options);
  }

  /** @internal */
  protected override files(signal: AbortSignal | undefined): Promise<File[]> {
    return this.model.save_pretrained(signal ? { signal } : {});
  }

  /** @internal */
  protected override opened(files: readonly File[]): OtherFiles {
    const root = openSource([...files], {}, env);
    return { root, encoder: inFolder(root, this.#reader.folder) };
  }
}

/** These arguments. Throws InputError for what only losses of single rows know. */
function usedArguments(args: SentenceTransformerTrainingArguments): SentenceTransformerTrainingArguments {
  const { label_smoothing_factor, class_weights, max_tokens_per_batch } = args;
  const given = Object.entries({
    label_smoothing_factor: label_smoothing_factor || undefined,
    class_weights,
    max_tokens_per_batch,
  });
  const unused = given.find(([, value]) => value !== undefined);
  if (!unused) return args;
  throw new InputError({
    what: `${unused[0]} has no meaning for a loss of embeddings, which compares the texts of a whole batch`,
    actual: describe(unused[1]),
    next: 'Leave it out.',
  });
}

/** Arguments of any of the two classes, or the fields of new ones. */
function sentenceArguments(args: SentenceTransformerTrainerOptions['args']): SentenceTransformerTrainingArguments {
  if (args instanceof SentenceTransformerTrainingArguments) return args;
  if (!(args instanceof TrainingArguments)) return new SentenceTransformerTrainingArguments(args);
  // Its fields are checked already, and a field without a value has its default again.
  return new SentenceTransformerTrainingArguments({ ...args });
}
