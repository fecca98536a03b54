import { type CallableModel, env, PreTrainedModel, type PreTrainedTokenizer } from '../api/index.ts';
import { openSource } from '../checkpoint/source/index.ts';
import type { OtherFiles } from '../engine/index.ts';
import { InputError, wrong } from '../errors.ts';
import type { TrainingGraph } from '../gradients/index.ts';
import { inTurns } from '../runtime/index.ts';
import { TrainingArguments, type TrainingArgumentsInit } from './arguments.ts';
import { BaseTrainer, type EvaluateOptions, prefixed, TEST_DATASET } from './base-trainer.ts';
import type { TrainerCallback } from './callbacks.ts';
import { DataCollatorForLanguageModeling } from './collators.ts';
import type { Metrics } from './course.ts';
import { type Evaluation, evaluateTask } from './evaluation.ts';
import { GivenFields } from './given-fields.ts';
import { givenModel } from './given-model.ts';
import type { EvalPrediction } from './metrics.ts';
import { classWeightsOf, type GraphOptions, type LossSettings, smoothingOf, taskGraph } from './task.ts';
import { type Dataset, TrainingData } from './trainer-data.ts';

/** What `new Trainer` takes. */
export interface TrainerOptions {
  /** A model with a head, of AutoModelForX. It is trained where it is: pipelines made of it see every step. */
  readonly model: CallableModel<never> | PreTrainedModel;
  readonly args?: TrainingArguments | TrainingArgumentsInit | null;
  readonly train_dataset?: Dataset | null;
  /** One data set, or several by name. */
  readonly eval_dataset?: Dataset | Readonly<Record<string, Dataset>> | null;
  /** The tokenizer of the model. Records of input_ids need none. */
  readonly processing_class?: PreTrainedTokenizer | null;
  /** How texts are masked for the heads of masked language modeling. Default: one with the defaults and `args.seed`. */
  readonly data_collator?: DataCollatorForLanguageModeling | null;
  /**
   * Computes metrics of an evaluation, such as `accuracy` or `seqeval`. It is given the logits: a row for each text; with token
   * classification a row for each token; with masked language modeling a row for each masked token; with question answering two rows,
   * the scores of the tokens as start and as end of the answer.
   */
  readonly compute_metrics?: ((prediction: EvalPrediction) => Metrics | Promise<Metrics>) | null;
  readonly callbacks?: readonly TrainerCallback[] | null;
}

const OPTION_NAMES = [
  'model',
  'args',
  'train_dataset',
  'eval_dataset',
  'processing_class',
  'data_collator',
  'compute_metrics',
  'callbacks',
] as const satisfies readonly (keyof TrainerOptions)[];

const ADVICE = {
  tokenizer: 'Use processing_class.',
  loss: 'The loss is that of the head.',
  optimizers: 'Use optim and lr_scheduler_type of the arguments.',
};

/** What `predict` resolves to. */
export interface PredictionOutput extends Omit<EvalPrediction, 'label_ids'> {
  /** As `compute_metrics` is given them; null where the records have no labels. */
  readonly label_ids: EvalPrediction['label_ids'] | null;
  readonly metrics: Metrics;
}

/** Evaluations mask the same words each time: those of an epoch that no training has. */
const EVALUATION_EPOCH = 2 ** 32 - 1;

/**
 * Trains a model: the Trainer of transformers 5, with what makes sense in a page.
 *
 *   const model = await AutoModelForSequenceClassification.from_pretrained(id, { num_labels: 2 });
 *   const trainer = new Trainer({ model, args: { num_train_epochs: 3 }, train_dataset, processing_class: tokenizer });
 *   await trainer.train();
 *
 * The loss of a step is the mean over all items of its batches: sequences, labelled tokens, or labels of a sequence. A step whose gradient is
 * not finite changes nothing and is counted.
 */
export class Trainer extends BaseTrainer<TrainingArguments> {
  readonly model: PreTrainedModel;
  readonly processing_class: PreTrainedTokenizer | undefined;
  readonly #options: TrainerOptions;

  /** Throws InputError for an option that is wrong, and for one that there is not. */
  constructor(options: TrainerOptions) {
    const given = new GivenFields('Trainer', options);
    given.checkNames(OPTION_NAMES, ADVICE);
    const { args, processing_class, train_dataset, eval_dataset, callbacks, compute_metrics, data_collator } =
      options ?? {};
    const model = givenModel('model', options?.model);
    if (processing_class && processing_class.text === undefined) {
      throw wrong('processing_class', processing_class, 'the tokenizer of the model');
    }
    if (compute_metrics && typeof compute_metrics !== 'function') {
      throw wrong('compute_metrics', compute_metrics, 'a function');
    }
    if (data_collator && !(data_collator instanceof DataCollatorForLanguageModeling)) {
      throw wrong('data_collator', data_collator, 'a DataCollatorForLanguageModeling');
    }
    super({
      name: 'Trainer',
      engine: PreTrainedModel.engineOf(model),
      args: args instanceof TrainingArguments ? args : new TrainingArguments(args),
      train_dataset,
      isEvaluated: Boolean(eval_dataset),
      callbacks,
      context: { model, processing_class: processing_class ?? undefined },
    });
    this.model = model;
    this.processing_class = processing_class ?? undefined;
    this.#options = options;
  }

  /**
   * Computes the loss and the metrics of a data set, by default `eval_dataset`, and logs them. Of several data sets by name each has its
   * name in its keys: eval_NAME_loss. Rejects as `train` does.
   */
  override async evaluate(
    eval_dataset: Dataset | Readonly<Record<string, Dataset>> | null = null,
    { metric_key_prefix, signal }: EvaluateOptions = {},
  ): Promise<Metrics> {
    const dataset = eval_dataset ?? this.#options.eval_dataset;
    if (!dataset) {
      throw new InputError({ what: 'there is nothing to evaluate on', next: 'Pass eval_dataset to the Trainer.' });
    }
    await this.loop.ready();
    const prefix = metric_key_prefix ?? 'eval';
    const metrics: Metrics = {};
    for (const [name, each] of Object.entries(namedDatasets(dataset))) {
      const keys = name === '' ? prefix : `${prefix}_${name}`;
      const evaluated = await this.#evaluated(each, {
        prefix: keys,
        signal: signal ?? undefined,
        name: 'eval_dataset',
      });
      Object.assign(metrics, await this.loop.log(evaluated.metrics));
    }
    await this.loop.call('on_evaluate', { metrics });
    return metrics;
  }

  /**
   * The logits of a data set, its labels, and its metrics, with 'test_' before their names. Where the first record has no label none is
   * read: `label_ids` is null, and there is neither a loss nor what `compute_metrics` gives. Rejects as `train` does.
   */
  async predict(test_dataset: Dataset, { metric_key_prefix, signal }: EvaluateOptions = {}): Promise<PredictionOutput> {
    await this.loop.ready();
    const { evaluation, metrics, isLabelled } = await this.#evaluated(test_dataset, {
      prefix: metric_key_prefix ?? 'test',
      signal: signal ?? undefined,
      name: TEST_DATASET,
      keepsLogits: true,
    });
    await this.loop.call('on_predict', { metrics });
    const { predictions, label_ids, id2label } = evaluation;
    return { predictions, label_ids: isLabelled ? label_ids : null, ...(id2label && { id2label }), metrics };
  }

  async #evaluated(
    dataset: Dataset,
    settings: { prefix: string; name: string; signal: AbortSignal | undefined; keepsLogits?: boolean },
  ): Promise<{ evaluation: Evaluation; metrics: Metrics; isLabelled: boolean }> {
    const { prefix, name, signal, keepsLogits = false } = settings;
    const { compute_metrics } = this.#options;
    const { args } = this;
    const data = (await this.read(name, dataset, signal)) as TrainingData;
    const started = performance.now();
    const { isLabelled } = data;
    const sequences = await inTurns(
      [...data.lengths.keys()],
      index => data.sequences([index], EVALUATION_EPOCH)[0]!,
      signal,
    );
    const evaluation = await evaluateTask(this.engine, data.task, sequences, {
      loss: isLabelled ? this.#loss(data) : undefined,
      keepsLogits: keepsLogits || Boolean(compute_metrics),
      signal,
    });
    const seconds = (performance.now() - started) / 1000;
    const metrics: Metrics = {};
    if (isLabelled) {
      metrics[`${prefix}_loss`] = evaluation.loss;
      Object.assign(metrics, prefixed(await compute_metrics?.(evaluation), prefix, 'compute_metrics'));
    }
    metrics[`${prefix}_runtime`] = seconds;
    metrics[`${prefix}_samples_per_second`] = data.count / seconds;
    metrics[`${prefix}_steps_per_second`] = Math.ceil(data.count / args.per_device_eval_batch_size) / seconds;
    await this.loop.call('on_prediction_step');
    return { evaluation, metrics, isLabelled };
  }

  /** @internal */
  protected override graph(data: TrainingData, options: GraphOptions): TrainingGraph {
    return taskGraph(data.task, { ...options, ...this.#loss(data) });
  }

  #loss({ task }: TrainingData): LossSettings {
    const { label_smoothing_factor, class_weights } = this.args;
    return { smoothing: smoothingOf(task, label_smoothing_factor), classWeights: classWeightsOf(task, class_weights) };
  }

  /** @internal */
  protected override begin({ task }: TrainingData): void {
    if (task.head === 'SequenceClassification') this.engine.setProblemType(task.problem);
  }

  /** @internal */
  protected override async files(signal: AbortSignal | undefined): Promise<File[]> {
    const options = signal ? { signal } : {};
    const tokenizer = (await this.processing_class?.save_pretrained(options)) ?? [];
    const names = new Set(tokenizer.map(({ name }) => name));
    // Its own tokenizer counts, where the model's files have another.
    return [...(await this.model.save_pretrained(options)).filter(({ name }) => !names.has(name)), ...tokenizer];
  }

  /** @internal */
  protected override opened(files: readonly File[]): OtherFiles {
    const source = openSource([...files], {}, env);
    return { root: source, encoder: source };
  }

  /** @internal */
  protected override async readData(
    name: string,
    dataset: Dataset,
    signal: AbortSignal | undefined,
  ): Promise<TrainingData> {
    const { config, head } = this.engine;
    const tokenizer = this.processing_class;
    return TrainingData.read(name, dataset, {
      config,
      head,
      tokenizer,
      collator: this.#collator(),
      mayLackLabels: name === TEST_DATASET,
      signal,
    });
  }

  #collator(): DataCollatorForLanguageModeling | undefined {
    const { head } = this.engine;
    const { data_collator } = this.#options;
    if (head !== 'MaskedLM' && head !== 'PreTraining') return undefined;
    if (data_collator) return data_collator;
    const tokenizer = this.processing_class;
    // Records that are masked already need neither.
    return tokenizer && new DataCollatorForLanguageModeling({ tokenizer, seed: this.args.seed });
  }
}

/** Several data sets by name; a single one has the name ''. */
function namedDatasets(dataset: Dataset | Readonly<Record<string, Dataset>>): Readonly<Record<string, Dataset>> {
  const given: object = Object(dataset);
  if (Symbol.iterator in given || Symbol.asyncIterator in given) return { '': dataset as Dataset };
  if (typeof dataset === 'object' && Object.keys(dataset).length > 0) return dataset as Record<string, Dataset>;
  throw wrong('eval_dataset', dataset, 'a list of records, or several lists by name');
}
