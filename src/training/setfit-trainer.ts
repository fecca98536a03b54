import { describe, InputError, wrong } from '../errors.ts';
import type { TrainingArgumentsInit } from './arguments.ts';
import type { TrainerCallback, TrainerState } from './callbacks.ts';
import type { Metrics } from './course.ts';
import {
  CosineSimilarityLoss,
  type EmbedderLoss,
  isEmbedderLoss,
  MatryoshkaLoss,
  MultipleNegativesRankingLoss,
  noEmbeddingLoss,
} from './embedder-losses.ts';
import { GivenFields } from './given-fields.ts';
import type { TrainOutput } from './loop.ts';
import { randomStream } from './random.ts';
import { SentenceTransformerTrainer, SentenceTransformerTrainingArguments } from './sentence-trainer.ts';
import { type SetFitCallOptions, SetFitModel } from './setfit-model.ts';
import { contrastivePairs, type SamplingStrategyOfPairs } from './setfit-pairs.ts';
import { type Dataset, listOf } from './trainer-data.ts';

/** What `args` of a SetFitTrainer may say: setfit's names and defaults. */
export interface SetFitArguments {
  /** Pairs of a batch. Default: 16. */
  readonly batch_size?: number | null;
  /** How often all pairs are gone through. Default: 1. */
  readonly num_epochs?: number | null;
  /** Default: -1, as many as the epochs have. */
  readonly max_steps?: number | null;
  /** Default: 'oversampling'. */
  readonly sampling_strategy?: SamplingStrategyOfPairs | null;
  /** So many positive and as many negative pairs for each text, instead of all pairs. Default: all. */
  readonly num_iterations?: number | null;
  /** Default: 2e-5. */
  readonly body_learning_rate?: number | null;
  /** Default: 0.1. */
  readonly warmup_proportion?: number | null;
  /**
   * A loss that reads the labels of pairs: CosineSimilarityLoss (the default), CoSENTLoss, or MatryoshkaLoss over one of them.
   * MultipleNegativesRankingLoss is refused: it takes every pair for one of the same label, and each other text of a batch for one of another.
   */
  readonly loss?: EmbedderLoss | null;
  /** What the weights of the embedder decay by: weight_decay of TrainingArguments. Default: 0.01. */
  readonly l2_weight?: number | null;
  /** Default: 42. */
  readonly seed?: number | null;
  /** Default: true. */
  readonly logging_first_step?: boolean | null;
  /** Default: 50. */
  readonly logging_steps?: number | null;
  /** Which weights of the embedder are trained: see TrainingArguments. Default: 'all'. */
  readonly trainable?: TrainingArgumentsInit['trainable'];
  /** Default: what config.json says. */
  readonly dropout?: number | null;
}

const ARGUMENT_NAMES = [
  'batch_size',
  'num_epochs',
  'max_steps',
  'sampling_strategy',
  'num_iterations',
  'body_learning_rate',
  'warmup_proportion',
  'loss',
  'l2_weight',
  'seed',
  'logging_first_step',
  'logging_steps',
  'trainable',
  'dropout',
] as const satisfies readonly (keyof SetFitArguments)[];

export interface SetFitTrainerOptions {
  readonly model: SetFitModel;
  readonly args?: SetFitArguments | null;
  /** Records { text, label }: the label is a name or a number. */
  readonly train_dataset: Dataset;
  readonly eval_dataset?: Dataset | null;
  readonly callbacks?: readonly TrainerCallback[] | null;
}

/**
 * Trains a SetFitModel.
 *
 *   const model = await SetFitModel.from_pretrained('sentence-transformers/paraphrase-MiniLM-L3-v2', { labels: ['no', 'yes'] });
 *   const trainer = new SetFitTrainer({ model, train_dataset: [{ text: 'fine', label: 'yes' }, …] });
 *   await trainer.train();
 *   await model.predict(['good']);
 */
export class SetFitTrainer {
  readonly model: SetFitModel;
  readonly #options: SetFitTrainerOptions;
  readonly #args: CheckedArguments;
  #body: SentenceTransformerTrainer | undefined;

  /** Throws InputError for an option or an argument that is wrong, and for one that there is not; UnsupportedError for a strategy or a loss. */
  constructor(options: SetFitTrainerOptions) {
    const given = new GivenFields('SetFitTrainer', options);
    given.checkNames(['model', 'args', 'train_dataset', 'eval_dataset', 'callbacks']);
    if (!(options.model instanceof SetFitModel)) throw wrong('model', options.model, 'a SetFitModel');
    this.#args = checkedArguments(options.args);
    this.model = options.model;
    this.#options = options;
  }

  /** Where the training of the embedder stands; undefined before it begins. */
  get state(): TrainerState | undefined {
    return this.#body?.state;
  }

  /**
   * Trains the embedder with pairs, then the head. Resolves to what the training of the embedder gave. Rejects with InputError for records
   * without a text or label and as SentenceTransformerTrainer.train does; after an abort there is no new head. Nothing is saved between the
   * steps, so there is no checkpoint to go on from.
   */
  async train(options: SetFitCallOptions = {}): Promise<TrainOutput> {
    const given = new GivenFields('train of SetFitTrainer', options);
    given.checkNames(['signal'], {
      resume_from_checkpoint: 'SetFitTrainer writes no checkpoints: train from the start.',
    });
    const { signal = null } = options;
    const { texts, labels } = await this.#read(this.#options.train_dataset, 'train_dataset', signal);
    const { body: args, loss, strategy, iterations } = this.#args;
    const stream = randomStream({ seed: args.seed, purpose: 'pairs' });
    const body = new SentenceTransformerTrainer({
      model: this.model.model_body,
      loss,
      train_dataset: contrastivePairs(texts, labels, { strategy, iterations, stream }),
      args,
      callbacks: this.#options.callbacks ?? [],
    });
    this.#body = body;
    const output = await body.train({ signal });
    await this.model.fit(texts, labels, { signal });
    return output;
  }

  /** The accuracy on a data set, by default `eval_dataset`: { eval_accuracy }. */
  async evaluate(eval_dataset: Dataset | null = null, { signal }: SetFitCallOptions = {}): Promise<Metrics> {
    const dataset = eval_dataset ?? this.#options.eval_dataset;
    if (!dataset) {
      throw new InputError({
        what: 'there is nothing to evaluate on',
        next: 'Pass eval_dataset to the SetFitTrainer.',
      });
    }
    const { texts, labels } = await this.#read(dataset, 'eval_dataset', signal);
    const rows = await this.model.predict_logits(texts, { signal: signal ?? null });
    const right = rows.filter((row, i) => row.indexOf(Math.max(...row)) === labels[i]).length;
    return { eval_accuracy: right / rows.length };
  }

  async #read(
    dataset: Dataset,
    name: string,
    signal: AbortSignal | null | undefined,
  ): Promise<{ texts: string[]; labels: number[] }> {
    const records = await listOf(name, dataset, signal ?? undefined);
    const texts: string[] = [];
    const given: (string | number)[] = [];
    for (const [index, record] of records.entries()) {
      const { text, label } = Object(record) as { text?: unknown; label?: unknown };
      if (typeof text !== 'string' || !(typeof label === 'string' || Number.isSafeInteger(label))) {
        throw new InputError({
          what: `record ${index} of ${name} is wrong`,
          actual: describe(record),
          expected: '{ text, label }',
        });
      }
      texts.push(text);
      given.push(label as string | number);
    }
    const isNamed = given.some(label => typeof label === 'string');
    if (isNamed) this.model.labels ??= [...new Set(given.map(String))];
    return { texts, labels: given.map((label, index) => this.#classOf(label, index, name)) };
  }

  #classOf(label: string | number, index: number, name: string): number {
    const { labels } = this.model;
    const found = typeof label === 'string' ? (labels ?? []).indexOf(label) : label;
    if (found >= 0 && found < (labels?.length ?? Number.POSITIVE_INFINITY)) return found;
    throw new InputError({
      what: `the label of record ${index} of ${name} is none of the model's`,
      actual: describe(label),
      expected: labels?.join(', '),
    });
  }
}

interface CheckedArguments {
  /** Those of the training of the embedder. */
  readonly body: SentenceTransformerTrainingArguments;
  readonly loss: EmbedderLoss;
  readonly strategy: SamplingStrategyOfPairs;
  readonly iterations: number | undefined;
}

function checkedArguments(args: SetFitArguments | null | undefined): CheckedArguments {
  const given = new GivenFields('the arguments of SetFitTrainer', args);
  given.checkNames(ARGUMENT_NAMES);
  const { trainable, dropout } = args ?? {};
  return {
    body: new SentenceTransformerTrainingArguments({
      per_device_train_batch_size: given.count('batch_size', 16),
      num_train_epochs: given.number('num_epochs', 1, { min: 0 }),
      max_steps: given.count('max_steps', -1, -1),
      learning_rate: given.number('body_learning_rate', 2e-5, { min: 0 }),
      warmup_steps: given.number('warmup_proportion', 0.1, { min: 0, below: 1 }),
      seed: given.count('seed', 42, 0),
      weight_decay: given.number('l2_weight', 0.01, { min: 0 }),
      logging_first_step: given.flag('logging_first_step', true),
      logging_steps: given.count('logging_steps', 50),
      ...(trainable && { trainable }),
      ...(dropout !== undefined && dropout !== null && { dropout }),
    }),
    loss: lossOfPairs(args?.loss ?? new CosineSimilarityLoss()),
    strategy: given.choice<SamplingStrategyOfPairs>('sampling_strategy', 'oversampling', STRATEGIES),
    iterations: given.value('num_iterations') === undefined ? undefined : given.count('num_iterations', 1),
  };
}

const STRATEGIES = ['oversampling', 'undersampling', 'unique'] as const satisfies readonly SamplingStrategyOfPairs[];

/** Throws InputError for a loss that does not read the labels of pairs, UnsupportedError for what is none. */
function lossOfPairs(loss: unknown): EmbedderLoss {
  if (!isEmbedderLoss(loss)) throw noEmbeddingLoss(loss);
  const inner = loss instanceof MatryoshkaLoss ? loss.loss : loss;
  if (!(inner instanceof MultipleNegativesRankingLoss)) return loss;
  throw new InputError({
    what: 'this loss does not read the labels of pairs, which SetFit trains with',
    actual: loss === inner ? 'MultipleNegativesRankingLoss' : 'MatryoshkaLoss of MultipleNegativesRankingLoss',
    expected: 'CosineSimilarityLoss, CoSENTLoss, or MatryoshkaLoss of one of them',
    next: 'Train the embedder with pairs of your own before: new SentenceTransformerTrainer({ … }).',
  });
}
