import { env } from '../api/index.ts';
import { inFolder, openSource } from '../checkpoint/source/index.ts';
import { InputError, wrong } from '../errors.ts';
import type { TrainingMemory } from '../gradients/index.ts';
import { Embedder, type FeatureExtractionPipeline, type TextReader } from '../tasks/index.ts';
import { TRAINING_ARGUMENT_NAMES, TrainingArguments, type TrainingArgumentsInit } from './arguments.ts';
import type { TrainerCallback, TrainerControl, TrainerState } from './callbacks.ts';
import { writeIntoFolder } from './checkpoint-folders.ts';
import { dropoutRates } from './dropout-rates.ts';
import { type BatchSampler, EmbedderData } from './embedder-data.ts';
import { evaluateEmbedder } from './embedder-evaluation.ts';
import { type EmbedderLoss, isEmbedderLoss, noEmbeddingLoss } from './embedder-losses.ts';
import { embedderGraph } from './embedder-task.ts';
import { GivenFields } from './given-fields.ts';
import { type Course, type Metrics, TrainingLoop, type TrainOptions, type TrainOutput } from './loop.ts';
import { trainedParts } from './lora/adapted.ts';
import type { EvaluateOptions } from './trainer.ts';
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
  /** Computes metrics of the embedder as it is: { 'cosine_mrr@10': 0.7 }, say. */
  readonly evaluator?: ((model: FeatureExtractionPipeline) => Metrics | Promise<Metrics>) | null;
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
export class SentenceTransformerTrainer {
  readonly args: SentenceTransformerTrainingArguments;
  readonly model: FeatureExtractionPipeline;
  readonly #options: SentenceTransformerTrainerOptions;
  readonly #reader: TextReader;
  readonly #loop: TrainingLoop<EmbedderData>;
  readonly #data = new Map<Dataset, Promise<EmbedderData>>();

  /** Throws InputError for an option that is wrong, and for one that there is not; UnsupportedError for what is no loss of embeddings. */
  constructor(options: SentenceTransformerTrainerOptions) {
    const given = new GivenFields('SentenceTransformerTrainer', options);
    given.checkNames(OPTION_NAMES, { processing_class: 'The tokenizer is that of the model.' });
    const { model, args, loss, evaluator, callbacks } = options ?? {};
    const embedder: unknown = model;
    if (!(embedder instanceof Embedder)) {
      const next = "Import both from the package 'webgpu-bert': its file dist/webgpu-bert.js has classes of its own.";
      throw wrong('model', model, "a pipeline('feature-extraction', …)", next);
    }
    if (!isEmbedderLoss(loss)) throw noEmbeddingLoss(loss);
    if (evaluator && typeof evaluator !== 'function') throw wrong('evaluator', evaluator, 'a function of the model');
    this.args = sentenceArguments(args);
    this.model = model;
    this.#options = options;
    this.#reader = Embedder.readerOf(embedder);
    const { engine, folder } = this.#reader;
    const course: Course<EmbedderData> = {
      engine,
      data: signal => this.#trainingData(signal),
      graph: ({ task }) =>
        embedderGraph(task, {
          ...trainedParts(engine, this.args.trainable),
          dropout: dropoutRates(engine.config, this.args.dropout),
        }),
      evaluate: signal => this.evaluate(null, { signal: signal ?? null }),
      files: signal => this.model.save_pretrained(signal ? { signal } : {}),
      opened: files => {
        const root = openSource([...files], {}, env);
        return { root, encoder: inFolder(root, folder) };
      },
    };
    this.#loop = new TrainingLoop(this.args, course, callbacks ?? [], {
      model,
      processing_class: this.model.tokenizer,
    });
  }

  /** Where the training stands, with all that was logged in `log_history`. */
  get state(): TrainerState {
    return this.#loop.state;
  }

  /** What the loop is asked to do next. */
  get control(): TrainerControl {
    return this.#loop.control;
  }

  /** Adds a callback behind the others. Throws InputError for what is no callback. */
  add_callback(callback: TrainerCallback): void {
    this.#loop.callbacks.add_callback(callback);
  }

  /** Takes a callback out, given as it was added or by its class; undefined where there is none. */
  pop_callback(callback: TrainerCallback | (new (...args: never[]) => TrainerCallback)): TrainerCallback | undefined {
    return this.#loop.callbacks.pop_callback(callback);
  }

  /** Trains the embedder, from its weights as they are. Rejects as Trainer.train does. */
  train(options: TrainOptions = {}): Promise<TrainOutput> {
    return this.#loop.train(options);
  }

  /** The bytes that a training will hold on the GPU: see Trainer.memory. */
  memory(): Promise<TrainingMemory | undefined> {
    return this.#loop.memory();
  }

  /**
   * Computes the loss on a data set, by default `eval_dataset`, and what the evaluator computes, and logs both. Rejects with InputError
   * where there is neither, and as `train` does.
   */
  async evaluate(
    eval_dataset: Dataset | null = null,
    { metric_key_prefix, signal }: EvaluateOptions = {},
  ): Promise<Metrics> {
    const { evaluator } = this.#options;
    const dataset = eval_dataset ?? this.#options.eval_dataset;
    if (!dataset && !evaluator) {
      const next = 'Pass eval_dataset or evaluator to the SentenceTransformerTrainer.';
      throw new InputError({ what: 'there is nothing to evaluate on', next });
    }
    await this.#loop.ready();
    const prefix = metric_key_prefix ?? 'eval';
    const started = performance.now();
    const metrics: Metrics = {};
    if (dataset) {
      const data = await this.#read('eval_dataset', dataset, signal ?? undefined);
      const batchSize = this.args.per_device_eval_batch_size;
      metrics[`${prefix}_loss`] = await evaluateEmbedder(this.#reader, data, {
        batchSize,
        signal: signal ?? undefined,
      });
    }
    for (const [key, value] of Object.entries((await evaluator?.(this.model)) ?? {})) {
      if (typeof value !== 'number') throw wrong(`"${key}" of the evaluator`, value, 'a number');
      metrics[key.startsWith(`${prefix}_`) ? key : `${prefix}_${key}`] = value;
    }
    metrics[`${prefix}_runtime`] = (performance.now() - started) / 1000;
    await this.#loop.log(metrics);
    await this.#loop.call('on_evaluate', { metrics });
    return metrics;
  }

  /** Saves the embedder into a folder, as sentence-transformers reads it: see Trainer.save_model. */
  async save_model(
    output_dir: string | FileSystemDirectoryHandle | null = null,
    { signal }: { readonly signal?: AbortSignal | null } = {},
  ): Promise<void> {
    const directory = output_dir ?? this.args.output_dir;
    if (directory === undefined) {
      throw new InputError({ what: 'there is no folder to save to', next: 'Pass output_dir.' });
    }
    await writeIntoFolder(directory, await this.model.save_pretrained(signal ? { signal } : {}));
  }

  #trainingData(signal: AbortSignal | undefined): Promise<EmbedderData> {
    const { train_dataset } = this.#options;
    if (train_dataset) return this.#read('train_dataset', train_dataset, signal);
    throw new InputError({
      what: 'there is nothing to train on',
      next: 'Pass train_dataset to the SentenceTransformerTrainer.',
    });
  }

  /** A data set in tokens. It is read once; after a failure anew. */
  #read(name: string, dataset: Dataset, signal: AbortSignal | undefined): Promise<EmbedderData> {
    const existing = this.#data.get(dataset);
    if (existing) return existing;
    const { loss } = this.#options;
    const { prompts, batch_sampler: sampler } = this.args;
    const reading = EmbedderData.read(name, dataset, { reader: this.#reader, loss, prompts, sampler, signal });
    this.#data.set(dataset, reading);
    reading.catch(() => this.#data.delete(dataset));
    return reading;
  }
}

/** Arguments of any of the two classes, or the fields of new ones. */
function sentenceArguments(args: SentenceTransformerTrainerOptions['args']): SentenceTransformerTrainingArguments {
  if (args instanceof SentenceTransformerTrainingArguments) return args;
  if (!(args instanceof TrainingArguments)) return new SentenceTransformerTrainingArguments(args);
  // Its fields are checked already, and a field without a value has its default again.
  return new SentenceTransformerTrainingArguments({ ...args });
}
