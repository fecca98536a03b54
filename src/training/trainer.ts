import { type CallableModel, env, PreTrainedModel, type PreTrainedTokenizer } from '../api/index.ts';
import { openSource } from '../checkpoint/source/index.ts';
import type { Engine } from '../engine/index.ts';
import { InputError, wrong } from '../errors.ts';
import type { TrainingGraph, TrainingMemory } from '../gradients/index.ts';
import { TrainingArguments, type TrainingArgumentsInit } from './arguments.ts';
import type { TrainerCallback, TrainerControl, TrainerState } from './callbacks.ts';
import { writeIntoFolder } from './checkpoint-folders.ts';
import { DataCollatorForLanguageModeling } from './collators.ts';
import { dropoutRates } from './dropout-rates.ts';
import { type Evaluation, evaluateTask } from './evaluation.ts';
import { GivenFields } from './given-fields.ts';
import { type Course, type Metrics, TrainingLoop, type TrainOptions, type TrainOutput } from './loop.ts';
import { trainedParts } from './lora/adapted.ts';
import type { EvalPrediction } from './metrics.ts';
import { taskGraph } from './task.ts';
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

export interface EvaluateOptions {
  /** Default: 'eval', for `predict` 'test'. */
  readonly metric_key_prefix?: string | null;
  readonly signal?: AbortSignal | null;
}

/** What `predict` resolves to. */
export interface PredictionOutput extends EvalPrediction {
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
export class Trainer {
  readonly args: TrainingArguments;
  readonly model: PreTrainedModel;
  readonly processing_class: PreTrainedTokenizer | undefined;
  readonly #engine: Engine;
  readonly #options: TrainerOptions;
  readonly #loop: TrainingLoop<TrainingData>;
  readonly #data = new Map<Dataset, Promise<TrainingData>>();

  /** Throws InputError for an option that is wrong, and for one that there is not. */
  constructor(options: TrainerOptions) {
    const given = new GivenFields('Trainer', options);
    given.checkNames(OPTION_NAMES, ADVICE);
    const { model, args, processing_class, callbacks, compute_metrics, data_collator } = options ?? {};
    if (!isModel(model)) {
      const next = "Import both from the package 'webgpu-bert': its file dist/webgpu-bert.js has classes of its own.";
      throw wrong('model', model, 'a model of AutoModelForX.from_pretrained', next);
    }
    if (processing_class && processing_class.text === undefined) {
      throw wrong('processing_class', processing_class, 'the tokenizer of the model');
    }
    if (compute_metrics && typeof compute_metrics !== 'function') {
      throw wrong('compute_metrics', compute_metrics, 'a function');
    }
    if (data_collator && !(data_collator instanceof DataCollatorForLanguageModeling)) {
      throw wrong('data_collator', data_collator, 'a DataCollatorForLanguageModeling');
    }
    this.args = args instanceof TrainingArguments ? args : new TrainingArguments(args);
    this.model = model;
    this.processing_class = processing_class ?? undefined;
    this.#engine = PreTrainedModel.engineOf(model);
    this.#options = options;
    const course: Course<TrainingData> = {
      engine: this.#engine,
      data: signal => this.#trainingData(signal),
      graph: data => this.#graph(data),
      begin: ({ task }) => {
        if (task.head === 'SequenceClassification') this.#engine.setProblemType(task.problem);
      },
      evaluate: signal => this.evaluate(null, { signal: signal ?? null }),
      files: signal => this.#files(signal),
      opened: files => {
        const source = openSource([...files], {}, env);
        return { root: source, encoder: source };
      },
    };
    const context = { model, processing_class: this.processing_class };
    this.#loop = new TrainingLoop(this.args, course, callbacks ?? [], context);
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

  /**
   * Trains the model, from its weights as they are. Rejects with InputError where the data are wrong, before the first step; with
   * UnsupportedError for a model that cannot be trained; with DeviceError; with TrainingError where five steps in a row were not finite; with
   * what a callback throws; or with the signal's reason. In all these cases the weights are those after the last whole step, as far as the device is there.
   */
  train(options: TrainOptions = {}): Promise<TrainOutput> {
    return this.#loop.train(options);
  }

  /**
   * Computes the loss and the metrics of a data set, by default `eval_dataset`, and logs them. Of several data sets by name each has its
   * name in its keys: eval_NAME_loss. Rejects as `train` does.
   */
  async evaluate(
    eval_dataset: Dataset | Readonly<Record<string, Dataset>> | null = null,
    { metric_key_prefix, signal }: EvaluateOptions = {},
  ): Promise<Metrics> {
    const dataset = eval_dataset ?? this.#options.eval_dataset;
    if (!dataset) {
      throw new InputError({ what: 'there is nothing to evaluate on', next: 'Pass eval_dataset to the Trainer.' });
    }
    await this.#loop.ready();
    const prefix = metric_key_prefix ?? 'eval';
    const metrics: Metrics = {};
    for (const [name, each] of Object.entries(namedDatasets(dataset))) {
      const keys = name === '' ? prefix : `${prefix}_${name}`;
      const evaluated = await this.#evaluated(each, {
        prefix: keys,
        signal: signal ?? undefined,
        name: 'eval_dataset',
      });
      Object.assign(metrics, evaluated.metrics);
      await this.#loop.log(evaluated.metrics);
    }
    await this.#loop.call('on_evaluate', { metrics });
    return metrics;
  }

  /** The logits of a data set, its labels, and its metrics, with 'test_' before their names. Rejects as `train` does. */
  async predict(test_dataset: Dataset, { metric_key_prefix, signal }: EvaluateOptions = {}): Promise<PredictionOutput> {
    await this.#loop.ready();
    const { evaluation, metrics } = await this.#evaluated(test_dataset, {
      prefix: metric_key_prefix ?? 'test',
      signal: signal ?? undefined,
      name: 'test_dataset',
      keepsLogits: true,
    });
    await this.#loop.call('on_predict', { metrics });
    const { predictions, label_ids, id2label } = evaluation;
    return { predictions, label_ids, ...(id2label && { id2label }), metrics };
  }

  /**
   * Saves the model and its tokenizer into a folder: 'opfs:name', or one that the user has picked. Default: output_dir. Files to download are
   * those of `model.save_pretrained()`. Rejects with InputError without a folder, DeviceError, SourceError, or the signal's reason.
   */
  async save_model(
    output_dir: string | FileSystemDirectoryHandle | null = null,
    { signal }: { readonly signal?: AbortSignal | null } = {},
  ): Promise<void> {
    const directory = output_dir ?? this.args.output_dir;
    if (directory === undefined)
      throw new InputError({ what: 'there is no folder to save to', next: 'Pass output_dir.' });
    await writeIntoFolder(directory, await this.#files(signal ?? undefined));
  }

  /**
   * The bytes that a training will hold on the GPU, before anything is made: weights, gradients, moments, activations, and their total. Rejects
   * as `train` does where the data or the model are wrong; undefined on a device that is no WebGPU device.
   */
  memory(): Promise<TrainingMemory | undefined> {
    return this.#loop.memory();
  }

  async #evaluated(
    dataset: Dataset,
    settings: { prefix: string; name: string; signal: AbortSignal | undefined; keepsLogits?: boolean },
  ): Promise<{ evaluation: Evaluation; metrics: Metrics }> {
    const { prefix, name, signal, keepsLogits = false } = settings;
    const { compute_metrics } = this.#options;
    const { args } = this;
    const data = await this.#read(name, dataset, signal);
    const started = performance.now();
    const sequences = data.sequences([...data.lengths.keys()], EVALUATION_EPOCH);
    const evaluation = await evaluateTask(this.#engine, data.task, sequences, {
      smoothing: args.label_smoothing_factor,
      keepsLogits: keepsLogits || Boolean(compute_metrics),
      signal,
    });
    const seconds = (performance.now() - started) / 1000;
    const metrics: Metrics = { [`${prefix}_loss`]: evaluation.loss };
    const computed = (await compute_metrics?.(evaluation)) ?? {};
    for (const [key, value] of Object.entries(computed)) {
      if (typeof value !== 'number') throw wrong(`"${key}" of compute_metrics`, value, 'a number');
      metrics[key.startsWith(`${prefix}_`) ? key : `${prefix}_${key}`] = value;
    }
    metrics[`${prefix}_runtime`] = seconds;
    metrics[`${prefix}_samples_per_second`] = data.count / seconds;
    metrics[`${prefix}_steps_per_second`] = Math.ceil(data.count / args.per_device_eval_batch_size) / seconds;
    await this.#loop.call('on_prediction_step');
    return { evaluation, metrics };
  }

  async #files(signal: AbortSignal | undefined): Promise<File[]> {
    const options = signal ? { signal } : {};
    return [
      ...(await this.model.save_pretrained(options)),
      ...((await this.processing_class?.save_pretrained(options)) ?? []),
    ];
  }

  #trainingData(signal: AbortSignal | undefined): Promise<TrainingData> {
    const { train_dataset } = this.#options;
    if (train_dataset) return this.#read('train_dataset', train_dataset, signal);
    throw new InputError({ what: 'there is nothing to train on', next: 'Pass train_dataset to the Trainer.' });
  }

  /** A data set in tokens. It is read once; after a failure anew. */
  #read(name: string, dataset: Dataset, signal: AbortSignal | undefined): Promise<TrainingData> {
    const existing = this.#data.get(dataset);
    if (existing) return existing;
    const { config, head } = this.#engine;
    const tokenizer = this.processing_class;
    const reading = Promise.resolve().then(() =>
      TrainingData.read(name, dataset, { config, head, tokenizer, collator: this.#collator(), signal }),
    );
    this.#data.set(dataset, reading);
    reading.catch(() => this.#data.delete(dataset));
    return reading;
  }

  #collator(): DataCollatorForLanguageModeling | undefined {
    const { head } = this.#engine;
    const { data_collator } = this.#options;
    if (head !== 'MaskedLM' && head !== 'PreTraining') return undefined;
    if (data_collator) return data_collator;
    const tokenizer = this.processing_class;
    // Records that are masked already need neither.
    return tokenizer && new DataCollatorForLanguageModeling({ tokenizer, seed: this.args.seed });
  }

  #graph({ task }: TrainingData): TrainingGraph {
    const { args } = this;
    return taskGraph(task, {
      ...trainedParts(this.#engine, args.trainable),
      dropout: dropoutRates(task.config, args.dropout),
      smoothing: args.label_smoothing_factor,
    });
  }
}

const isModel = (model: unknown): model is PreTrainedModel => Object(model) instanceof PreTrainedModel;

/** Several data sets by name; a single one has the name ''. */
function namedDatasets(dataset: Dataset | Readonly<Record<string, Dataset>>): Readonly<Record<string, Dataset>> {
  const given: object = Object(dataset);
  if (Symbol.iterator in given || Symbol.asyncIterator in given) return { '': dataset as Dataset };
  if (typeof dataset === 'object' && Object.keys(dataset).length > 0) return dataset as Record<string, Dataset>;
  throw wrong('eval_dataset', dataset, 'a list of records, or several lists by name');
}
