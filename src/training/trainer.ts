import { type CallableModel, PreTrainedModel, type PreTrainedTokenizer } from '../api/index.ts';
import type { Engine } from '../engine/index.ts';
import { InputError, wrong } from '../errors.ts';
import {
  countItems,
  type LabelledSequence,
  scalesOf,
  type TrainingGraph,
  type TrainingMemory,
  type UpdateOptions,
} from '../gradients/index.ts';
import { until } from '../runtime/index.ts';
import { TrainingArguments, type TrainingArgumentsInit } from './arguments.ts';
import {
  type CallbackContext,
  type CallbackEventName,
  CallbackHandler,
  DefaultFlowCallback,
  noteBestMetric,
  type TrainerCallback,
  TrainerControl,
  TrainerState,
} from './callbacks.ts';
import { DataCollatorForLanguageModeling } from './collators.ts';
import { dropoutRates } from './dropout-rates.ts';
import { type Evaluation, evaluateTask } from './evaluation.ts';
import { GivenFields } from './given-fields.ts';
import type { EvalPrediction } from './metrics.ts';
import { corrections, decays } from './optimizer.ts';
import { batchesOf, epochOrder } from './sampler.ts';
import { batchCount, type RunLength, runLength } from './schedule.ts';
import { openSession, sessionMemory, type TrainingSession } from './session.ts';
import { taskGraph } from './task.ts';
import { type LearningRates, learningRates, trainedTensors } from './trained-tensors.ts';
import { type Dataset, TrainingData } from './trainer-data.ts';
import { TrainingError } from './training-error.ts';

/** Numbers by their names. */
export type Metrics = Record<string, number>;

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

export interface TrainOptions {
  /** Ends the training within a step: `train` rejects with its reason, and the weights are those after the last whole step. */
  readonly signal?: AbortSignal | null;
}

/** What `train` resolves to. */
export interface TrainOutput {
  /** Steps that are done. */
  readonly global_step: number;
  /** The mean loss of all steps. */
  readonly training_loss: number;
  /** train_runtime in seconds, train_samples_per_second, train_steps_per_second, train_loss, epoch. */
  readonly metrics: Metrics;
}

export interface EvaluateOptions {
  /** Default: 'eval', for `predict` 'test'. */
  readonly metric_key_prefix?: string | null;
  readonly signal?: AbortSignal | null;
}

/** What `predict` resolves to. */
export interface PredictionOutput extends EvalPrediction {
  readonly metrics: Metrics;
}

/** So many steps in a row may be skipped. */
const MOST_SKIPS = 4;

/** Evaluations mask the same words each time: those of an epoch that no training has. */
const EVALUATION_EPOCH = 2 ** 32 - 1;

/** A run under way. */
interface Run {
  readonly session: TrainingSession;
  readonly graph: TrainingGraph;
  readonly data: TrainingData;
  readonly length: RunLength;
  readonly rates: LearningRates;
  readonly factor: (step: number) => number;
  readonly signal: AbortSignal | undefined;
  /** The sum of the losses of the steps that have been logged. */
  lossSum: number;
  lastLogged: number;
  /** The factor of the last step's learning rates. */
  lastFactor: number;
  /** Steps that were not finite. */
  skips: number;
}

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
  /** Where the training stands, with all that was logged in `log_history`. */
  state = new TrainerState();
  control = new TrainerControl();
  readonly #engine: Engine;
  readonly #options: TrainerOptions;
  readonly #callbacks: CallbackHandler;
  readonly #data = new Map<Dataset, Promise<TrainingData>>();
  #isReady = false;
  #isTraining = false;

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
    this.#callbacks = new CallbackHandler([new DefaultFlowCallback(), ...(callbacks ?? [])], {
      model,
      processing_class: this.processing_class,
    });
  }

  /** Adds a callback behind the others. Throws InputError for what is no callback. */
  add_callback(callback: TrainerCallback): void {
    this.#callbacks.add_callback(callback);
  }

  /** Takes a callback out, given as it was added or by its class; undefined where there is none. */
  pop_callback(callback: TrainerCallback | (new (...args: never[]) => TrainerCallback)): TrainerCallback | undefined {
    return this.#callbacks.pop_callback(callback);
  }

  /**
   * Trains the model, from its weights as they are. Rejects with InputError where the data are wrong, before the first step; with
   * UnsupportedError for a model that cannot be trained; with DeviceError; with TrainingError where five steps in a row were not finite; with
   * what a callback throws; or with the signal's reason. In all these cases the weights are those after the last whole step, as far as the device is there.
   */
  async train({ signal }: TrainOptions = {}): Promise<TrainOutput> {
    if (this.#isTraining) {
      throw new InputError({ what: 'this trainer is training already', next: 'Wait for train() to end.' });
    }
    this.#isTraining = true;
    try {
      return await this.#train(signal ?? undefined);
    } finally {
      this.#isTraining = false;
    }
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
    await this.#ready();
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
      await this.#log(evaluated.metrics);
    }
    await this.#call('on_evaluate', { metrics });
    return metrics;
  }

  /** The logits of a data set, its labels, and its metrics, with 'test_' before their names. Rejects as `train` does. */
  async predict(test_dataset: Dataset, { metric_key_prefix, signal }: EvaluateOptions = {}): Promise<PredictionOutput> {
    await this.#ready();
    const { evaluation, metrics } = await this.#evaluated(test_dataset, {
      prefix: metric_key_prefix ?? 'test',
      signal: signal ?? undefined,
      name: 'test_dataset',
      keepsLogits: true,
    });
    await this.#call('on_predict', { metrics });
    const { predictions, label_ids, id2label } = evaluation;
    return { predictions, label_ids, ...(id2label && { id2label }), metrics };
  }

  /**
   * The bytes that a training will hold on the GPU, before anything is made: weights, gradients, moments, activations, and their total. Rejects
   * as `train` does where the data or the model are wrong; undefined on a device that is no WebGPU device.
   */
  async memory(): Promise<TrainingMemory | undefined> {
    const data = await this.#trainingData(undefined);
    const graph = this.#graph(data);
    const update = this.#update(learningRates(this.#engine, this.args));
    return sessionMemory(await this.#engine.backend(), graph, update, this.#largestBatch(data));
  }

  async #train(signal: AbortSignal | undefined): Promise<TrainOutput> {
    signal?.throwIfAborted();
    await this.#ready();
    const { args } = this;
    const data = await this.#trainingData(signal);
    const batches = batchCount(data.count, args.per_device_train_batch_size, args.dataloader_drop_last);
    if (batches === 0) {
      throw new InputError({
        what: 'train_dataset has no whole batch',
        actual: `${data.count} records`,
        expected: `at least ${args.per_device_train_batch_size}`,
        next: 'Pass a smaller per_device_train_batch_size, or dataloader_drop_last: false.',
      });
    }
    const length = runLength({ batches, ...args });
    const graph = this.#graph(data);
    const rates = learningRates(this.#engine, args);
    const factor = args.schedule(length.totalSteps);
    // What is wrong with any record is found before the first step.
    for (let index = 0; index < data.count; index++) data.sequence({ index, epoch: 0 });
    this.state = new TrainerState();
    this.state.compute_steps(args, length.totalSteps);
    Object.assign(this.state, {
      max_steps: length.totalSteps,
      num_train_epochs: length.epochs,
      train_batch_size: args.per_device_train_batch_size,
    });
    this.control = new TrainerControl();
    const backend = await until(signal, this.#engine.backendForTraining());
    if (data.task.head === 'SequenceClassification') this.#engine.setProblemType(data.task.problem);
    const session = await openSession(backend, graph, this.#update(rates));
    const run: Run = {
      session,
      graph,
      data,
      length,
      rates,
      factor,
      signal,
      lossSum: 0,
      lastLogged: 0,
      lastFactor: factor(0),
      skips: 0,
    };
    try {
      await this.#reserve(run);
      return await this.#steps(run);
    } finally {
      await session.finish().catch(() => undefined);
      session.destroy();
    }
  }

  /** Makes the buffers for the largest micro-batch that is to be expected, so that a device without room for it says so now. */
  async #reserve({ session, data }: Run): Promise<void> {
    const fits = session.microBatchRoom();
    const largest = this.#largestBatch(data);
    const tooMany = largest.findIndex(sequence => !fits(sequence));
    await session.reserve(tooMany < 0 ? largest : largest.slice(0, tooMany));
  }

  /** The longest records, as many as a micro-batch has. */
  #largestBatch(data: TrainingData): LabelledSequence[] {
    const { per_device_train_batch_size: size, max_tokens_per_batch: most = Number.POSITIVE_INFINITY } = this.args;
    const longest = [...data.lengths.keys()].sort((a, b) => data.lengths[b]! - data.lengths[a]!).slice(0, size);
    let tokens = 0;
    return longest
      .filter((index, i) => {
        tokens += data.lengths[index]!;
        return i === 0 || tokens <= most;
      })
      .map(index => data.sequence({ index, epoch: 0 }));
  }

  async #steps(run: Run): Promise<TrainOutput> {
    const { args, state } = this;
    const { data, length, session } = run;
    const started = performance.now();
    await this.#call('on_train_begin');
    if (args.eval_on_start) await this.#evaluateDuring(run);
    for (let epoch = 0; epoch < length.epochs && !this.control.should_training_stop; epoch++) {
      await this.#epoch(run, epoch);
    }
    await session.finish();
    await this.#readLoss(run);
    const seconds = (performance.now() - started) / 1000;
    const training_loss = run.lossSum / Math.max(1, state.global_step);
    const samples = args.max_steps > 0 ? length.totalSteps * this.#stepSize : data.count * args.num_train_epochs;
    const metrics: Metrics = {
      train_runtime: seconds,
      train_samples_per_second: samples / seconds,
      train_steps_per_second: length.totalSteps / seconds,
      train_loss: training_loss,
      ...(run.skips > 0 && { skipped_steps: run.skips }),
    };
    await this.#log(metrics);
    await this.#call('on_train_end');
    return { global_step: state.global_step, training_loss, metrics: { ...metrics, epoch: state.epoch } };
  }

  /** The examples of a step. */
  get #stepSize(): number {
    return this.args.per_device_train_batch_size * this.args.gradient_accumulation_steps;
  }

  async #epoch(run: Run, epoch: number): Promise<void> {
    const { args, state } = this;
    const { data } = run;
    this.control.new_epoch();
    await this.#call('on_epoch_begin');
    const order = epochOrder({
      strategy: args.train_sampling_strategy,
      count: data.count,
      seed: args.data_seed,
      epoch,
      batchSize: this.#stepSize,
      lengths: data.lengths,
    });
    const batches = [...batchesOf(order, args.per_device_train_batch_size, args.dataloader_drop_last)];
    for (let first = 0; first < batches.length; first += args.gradient_accumulation_steps) {
      const own = batches.slice(first, first + args.gradient_accumulation_steps);
      this.control.new_step();
      await this.#call('on_step_begin');
      await this.#step(run, epoch, own);
      state.global_step++;
      state.epoch = epoch + (first + own.length) / batches.length;
      await this.#call('on_step_end');
      await this.#afterStep(run);
      if (this.control.should_epoch_stop || this.control.should_training_stop) break;
    }
    await this.#call('on_epoch_end');
    await this.#afterStep(run);
  }

  /** One step: the gradients of its batches, and the update. */
  async #step(run: Run, epoch: number, batches: readonly Uint32Array[]): Promise<void> {
    const { args, state } = this;
    const { session, graph, data, signal } = run;
    const sequences = batches.map(batch => Array.from(batch, index => data.sequence({ index, epoch })));
    const scales = scalesOf(countItems(graph.ops, sequences.flat()));
    const step = state.global_step;
    let number = 0;
    await session.begin();
    for (const [i, batch] of sequences.entries()) {
      for (const part of this.#microBatches(session, batch)) {
        signal?.throwIfAborted();
        // The step has random numbers of its own, so that the place within it tells the masks of dropout apart.
        const numbers = part.map(() => number++);
        await session.accumulate(part, { scales, step, seed: args.seed, numbers });
      }
      if (i + 1 < sequences.length) await this.#call('on_substep_end');
    }
    signal?.throwIfAborted();
    await this.#call('on_pre_optimizer_step');
    run.lastFactor = run.factor(step);
    const rates = Object.fromEntries(run.rates.rates.map((rate, group) => [`rate ${group}`, rate * run.lastFactor]));
    await session.update({ ...rates, ...corrections(step + 1, args.adam_beta1, args.adam_beta2) });
    this.#engine.markTrained();
    state.num_input_tokens_seen += sequences.flat().reduce((sum, { ids }) => sum + ids.length, 0);
    await this.#call('on_optimizer_step');
  }

  /** A batch in parts that the device has room for, and that have no more than `max_tokens_per_batch` tokens. */
  *#microBatches(session: TrainingSession, batch: readonly LabelledSequence[]): Generator<LabelledSequence[]> {
    const { max_tokens_per_batch: most = Number.POSITIVE_INFINITY } = this.args;
    let part: LabelledSequence[] = [];
    let tokens = 0;
    let fits = session.microBatchRoom();
    for (const sequence of batch) {
      const { length } = sequence.ids;
      if (part.length > 0 && (tokens + length > most || !fits(sequence))) {
        yield part;
        [part, tokens, fits] = [[], 0, session.microBatchRoom()];
      }
      if (part.length === 0) fits(sequence);
      part.push(sequence);
      tokens += length;
    }
    if (part.length > 0) yield part;
  }

  /** Does what the control asks for: logs, evaluates. */
  async #afterStep(run: Run): Promise<void> {
    const { control, state } = this;
    if (control.should_log && state.global_step > run.lastLogged) {
      const steps = state.global_step - run.lastLogged;
      const { loss, norm } = await this.#readLoss(run);
      control.should_log = false;
      await this.#log({
        loss: loss / steps,
        grad_norm: norm,
        learning_rate: this.args.learning_rate * run.lastFactor,
        ...(run.skips > 0 && { skipped_steps: run.skips }),
      });
    }
    if (this.control.should_evaluate) {
      this.control.should_evaluate = false;
      await this.#evaluateDuring(run);
    }
  }

  /** Reads what the steps since the last log have counted. Throws where too many steps in a row were skipped. */
  async #readLoss(run: Run): Promise<{ loss: number; norm: number }> {
    const { loss, norm, consecutiveSkips, skips } = await until(run.signal, run.session.scalars());
    run.skips = skips;
    run.lastLogged = this.state.global_step;
    if (Number.isFinite(loss)) run.lossSum += loss;
    if (consecutiveSkips > MOST_SKIPS) {
      throw new TrainingError({
        what: 'the gradients of several steps in a row are not finite, so nothing is learned',
        actual: `${consecutiveSkips} steps, the last of them step ${this.state.global_step}`,
        next: 'Use a smaller learning_rate or warmup_steps, and look for numbers in the data that are very large.',
      });
    }
    return { loss, norm };
  }

  async #evaluateDuring({ signal }: Run): Promise<void> {
    const metrics = await this.evaluate(null, { signal: signal ?? null });
    noteBestMetric(this.state, this.args, metrics);
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
    const sequences = Array.from({ length: data.count }, (_, index) =>
      data.sequence({ index, epoch: EVALUATION_EPOCH }),
    );
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
    await this.#call('on_prediction_step');
    return { evaluation, metrics };
  }

  /** Puts numbers into the history, with the epoch and the step, and tells the callbacks. */
  async #log(numbers: Metrics): Promise<void> {
    const { epoch, global_step } = this.state;
    const logs = { ...numbers, epoch };
    this.state.log_history.push({ ...logs, step: global_step });
    await this.#call('on_log', { logs });
  }

  async #call(event: CallbackEventName, context: CallbackContext = {}): Promise<void> {
    this.control = await this.#callbacks.call(event, this.args, this.state, this.control, context);
  }

  async #ready(): Promise<void> {
    if (this.#isReady) return;
    this.#isReady = true;
    await this.#call('on_init_end');
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
      trainable: trainedTensors(this.#engine, args.trainable),
      dropout: dropoutRates(task.config, args.dropout),
      smoothing: args.label_smoothing_factor,
    });
  }

  #update(rates: LearningRates): UpdateOptions {
    const { args } = this;
    const trains = trainedTensors(this.#engine, args.trainable);
    return {
      kind: args.optim === 'adamw_bert' ? 'bert' : 'torch',
      beta1: args.adam_beta1,
      beta2: args.adam_beta2,
      epsilon: args.adam_epsilon,
      maxNorm: args.max_grad_norm,
      tensor: tensor =>
        trains(tensor) ? { group: rates.group(tensor), decay: decays(tensor) ? args.weight_decay : 0 } : undefined,
    };
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
