import type { Engine } from '../engine/index.ts';
import { InputError } from '../errors.ts';
import {
  countItems,
  scalesOf,
  type TrainingGraph,
  type TrainingMemory,
  type UpdateOptions,
} from '../gradients/index.ts';
import { inTurns, until } from '../runtime/index.ts';
import type { TrainingArguments } from './arguments.ts';
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
import {
  checkpointFiles,
  type Progress,
  type Resumed,
  restoreStates,
  savedTraining,
  warnOfChanges,
} from './checkpoint.ts';
import { CheckpointFolders, removeOldest } from './checkpoint-folders.ts';
import type { Course, CourseData, Metrics } from './course.ts';
import { adaptersOf, trainedParts } from './lora/adapted.ts';
import { largestMicroBatch, microBatches } from './micro-batches.ts';
import { corrections, updateOptions } from './optimizer.ts';
import { epochOrder } from './sampler.ts';
import { batchCount, type RunLength, runLength } from './schedule.ts';
import { openSession, sessionMemory, type TrainingSession } from './session.ts';
import { loadTrained, trainedFiles } from './trained-files.ts';
import { type LearningRates, learningRates } from './trained-tensors.ts';
import { TrainingError } from './training-error.ts';

export interface TrainOptions {
  /** Ends the training within a step: `train` rejects with its reason, and the weights are those after the last whole step. */
  readonly signal?: AbortSignal | null;
  /**
   * Goes on from a checkpoint, to the same bits as if nothing had happened: the latest one of output_dir (true), one of it by its name
   * ('checkpoint-500'), or one in a folder of its own ('opfs:name/checkpoint-500', or a folder that the user has picked). Default: false.
   */
  readonly resume_from_checkpoint?: boolean | string | FileSystemDirectoryHandle | null;
}

/** What `train` resolves to. */
export interface TrainOutput {
  /** Steps that are done. */
  readonly global_step: number;
  /** The mean loss of all steps that were not skipped; NaN where all were. */
  readonly training_loss: number;
  /** train_runtime in seconds, train_samples_per_second, train_steps_per_second, train_loss, epoch. */
  readonly metrics: Metrics;
}

/** So many steps in a row may be skipped. */
const MOST_SKIPS = 4;

const noWholeBatch = (records: number, batchSize: number): InputError =>
  new InputError({
    what: 'train_dataset has no whole batch, and smaller ones are left out',
    actual: `${records} records`,
    expected: `at least ${batchSize} that may stand in one batch`,
    next: 'Pass a smaller per_device_train_batch_size, or dataloader_drop_last: false.',
  });

/** What a run needs before anything is on the device. */
interface Begun<Data> {
  readonly graph: TrainingGraph;
  readonly data: Data;
  readonly length: RunLength;
  readonly signal: AbortSignal | undefined;
  /** Where checkpoints go. */
  readonly folders: CheckpointFolders | undefined;
}

/** A run under way. */
interface Run<Data> extends Begun<Data> {
  readonly session: TrainingSession;
  readonly rates: LearningRates;
  readonly factor: (step: number) => number;
  /** Where it stands. */
  readonly progress: Progress;
  /** The names of those that this run has written, or goes on from. Others in the folder are of other trainings. */
  readonly own: Set<string>;
  /** The steps of this call of `train`. */
  firstStep: number;
  /** The factor of the last step's learning rates. */
  lastFactor: number;
  /** Steps that were not finite. */
  skips: number;
}

/** The models that are trained now: two trainings of one would undo each other's steps. */
const TRAINED_NOW = new WeakSet<Engine>();

/** The loop of every training: steps, logs, evaluations, and the callbacks that steer it. */
export class TrainingLoop<Data extends CourseData> {
  readonly args: TrainingArguments;
  state = new TrainerState();
  control = new TrainerControl();
  readonly callbacks: CallbackHandler;
  readonly #course: Course<Data>;
  #isReady = false;

  constructor(
    args: TrainingArguments,
    course: Course<Data>,
    callbacks: readonly TrainerCallback[],
    context: CallbackContext,
  ) {
    this.args = args;
    this.#course = course;
    this.callbacks = new CallbackHandler([new DefaultFlowCallback(), ...callbacks], context);
  }

  /** Trains: see Trainer. */
  async train({ signal, resume_from_checkpoint }: TrainOptions = {}): Promise<TrainOutput> {
    const { engine } = this.#course;
    if (TRAINED_NOW.has(engine)) {
      const next = 'Wait for the train() that was called before to end.';
      throw new InputError({ what: 'this model is being trained already, by this trainer or another', next });
    }
    TRAINED_NOW.add(engine);
    try {
      return await this.#train(signal ?? undefined, resume_from_checkpoint ?? false);
    } finally {
      TRAINED_NOW.delete(engine);
    }
  }

  /** The bytes that a training will hold: see Trainer. */
  async memory(): Promise<TrainingMemory | undefined> {
    const { engine } = this.#course;
    const data = await this.#course.data(undefined);
    const graph = this.#course.graph(data);
    const update = this.#update(this.#rates());
    const merges = adaptersOf(engine)?.merges;
    return sessionMemory(await engine.backend(), graph, update, largestMicroBatch(data, this.args), merges);
  }

  async #train(signal: AbortSignal | undefined, resumed: Resumed | false): Promise<TrainOutput> {
    signal?.throwIfAborted();
    await this.ready();
    const { args } = this;
    const data = await this.#course.data(signal);
    const batches = batchCount(data.count, args.per_device_train_batch_size, args.dataloader_drop_last);
    if (batches === 0) throw noWholeBatch(data.count, args.per_device_train_batch_size);
    const length = runLength({ batches, ...args });
    const graph = this.#course.graph(data);
    // What is wrong with any record is found before the first step.
    await inTurns([...data.lengths.keys()], index => data.sequences([index], 0).length, signal);
    const folders = await this.#folders(resumed === true);
    try {
      return await this.#trainOn({ data, length, graph, signal, folders }, resumed);
    } finally {
      folders?.close();
    }
  }

  async #trainOn(
    { data, length, graph, signal, folders }: Begun<Data>,
    resumed: Resumed | false,
  ): Promise<TrainOutput> {
    const { args } = this;
    const { engine } = this.#course;
    const rates = this.#rates();
    const factor = args.schedule(length.totalSteps);
    const saved = resumed === false ? undefined : await savedTraining(resumed, folders);
    this.state = saved?.state ?? new TrainerState();
    const { best_model_checkpoint: best } = this.state;
    if (best !== null && !(await folders?.list())?.some(({ name }) => name === best)) {
      console.warn(`${saved?.name} says that ${best} is the best, which is not in output_dir: it is none of this run.`);
      this.state.best_model_checkpoint = null;
    }
    this.state.compute_steps(args, length.totalSteps);
    Object.assign(this.state, {
      max_steps: length.totalSteps,
      num_train_epochs: length.epochs,
      train_batch_size: args.per_device_train_batch_size,
    });
    if (saved) {
      warnOfChanges(saved, args, data.count);
      this.callbacks.restore(this.state.stateful_callbacks);
    }
    this.control = new TrainerControl();
    const backend = await until(signal, engine.backendForTraining());
    this.#course.begin(data);
    if (saved) await loadTrained(this.#course, saved.files, signal);
    const session = await openSession(backend, graph, this.#update(rates), adaptersOf(engine)?.merges);
    const run: Run<Data> = {
      session,
      graph,
      data,
      length,
      rates,
      factor,
      signal,
      folders,
      own: new Set([this.state.best_model_checkpoint ?? []].flat()),
      progress: {
        ...(saved?.progress ?? { epoch: 0, batch: 0, loggedLoss: 0, lossSteps: 0, lastLogged: 0 }),
        records: data.count,
      },
      firstStep: this.state.global_step,
      lastFactor: factor(0),
      skips: 0,
    };
    try {
      if (saved) restoreStates(session, saved);
      await session.reserve(largestMicroBatch(data, args));
      return await this.#steps(run);
    } finally {
      await session.finish().catch(() => undefined);
      session.destroy();
    }
  }

  async #steps(run: Run<Data>): Promise<TrainOutput> {
    const { args, state } = this;
    const { data, length, session } = run;
    const started = performance.now();
    await this.call('on_train_begin');
    // As in transformers it is no candidate for the best: there is no checkpoint of it.
    if (args.eval_on_start) await this.#course.evaluate(run.signal);
    while (run.progress.epoch < length.epochs && state.global_step < length.totalSteps) {
      await this.#epoch(run, run.progress.epoch);
      if (this.control.should_training_stop) break;
    }
    await session.finish();
    await this.#readLoss(run);
    if (args.load_best_model_at_end) await this.#loadBest(run);
    const seconds = (performance.now() - started) / 1000;
    const { loggedLoss, lossSteps } = run.progress;
    const training_loss = state.global_step === 0 ? 0 : loggedLoss / lossSteps;
    const steps = state.global_step - run.firstStep;
    const samples = Math.min(steps * this.#stepSize, (steps / length.stepsPerEpoch) * data.count);
    const metrics: Metrics = {
      train_runtime: seconds,
      train_samples_per_second: samples / seconds,
      train_steps_per_second: steps / seconds,
      ...(Number.isFinite(training_loss) && { train_loss: training_loss }),
      ...(run.skips > 0 && { skipped_steps: run.skips }),
    };
    const logged = await this.log(metrics);
    await this.call('on_train_end');
    return { global_step: state.global_step, training_loss, metrics: logged };
  }

  /** The examples of a step. */
  get #stepSize(): number {
    return this.args.per_device_train_batch_size * this.args.gradient_accumulation_steps;
  }

  async #epoch(run: Run<Data>, epoch: number): Promise<void> {
    const { args, state } = this;
    const { data } = run;
    this.control.new_epoch();
    await this.call('on_epoch_begin');
    const order = epochOrder({
      strategy: args.train_sampling_strategy,
      count: data.count,
      seed: args.data_seed,
      epoch,
      batchSize: this.#stepSize,
      lengths: data.lengths,
    });
    const batches = [...data.batches(order, args.per_device_train_batch_size, args.dataloader_drop_last)];
    if (batches.length === 0) throw noWholeBatch(data.count, args.per_device_train_batch_size);
    const { progress } = run;
    while (progress.batch < batches.length) {
      const own = batches.slice(progress.batch, progress.batch + args.gradient_accumulation_steps);
      this.control.new_step();
      await this.call('on_step_begin');
      await this.#step(run, epoch, own);
      state.global_step++;
      progress.batch += own.length;
      state.epoch = epoch + progress.batch / batches.length;
      await this.call('on_step_end');
      await this.#afterStep(run);
      if (this.control.should_epoch_stop || this.control.should_training_stop) break;
    }
    Object.assign(progress, { epoch: epoch + 1, batch: 0 });
    await this.call('on_epoch_end');
    await this.#afterStep(run);
  }

  /** One step: the gradients of its batches, and the update. */
  async #step(run: Run<Data>, epoch: number, batches: readonly ArrayLike<number>[]): Promise<void> {
    const { args, state } = this;
    const { session, graph, data, signal } = run;
    const sequences = batches.map(batch => data.sequences(batch, epoch));
    const scales = scalesOf(countItems(graph.ops, sequences.flat()));
    const step = state.global_step;
    let number = 0;
    await session.begin();
    for (const [i, batch] of sequences.entries()) {
      for (const part of data.isDivisible ? microBatches(session, batch, args) : [batch]) {
        signal?.throwIfAborted();
        // The step has random numbers of its own, so that the place within it tells the masks of dropout apart.
        const numbers = part.map(() => number++);
        await session.accumulate(part, { scales, step, seed: args.seed, numbers });
      }
      if (i + 1 < sequences.length) await this.call('on_substep_end');
    }
    signal?.throwIfAborted();
    await this.call('on_pre_optimizer_step');
    run.lastFactor = run.factor(step);
    const rates = Object.fromEntries(run.rates.rates.map((rate, group) => [`rate ${group}`, rate * run.lastFactor]));
    await session.update({ ...rates, ...corrections(step + 1, args.adam_beta1, args.adam_beta2) });
    this.#course.engine.markTrained();
    state.num_input_tokens_seen += sequences.flat().reduce((sum, { ids }) => sum + ids.length, 0);
    await this.call('on_optimizer_step');
  }

  /** Does what the control asks for: logs, evaluates, saves. */
  async #afterStep(run: Run<Data>): Promise<void> {
    const { state, args } = this;
    const { progress } = run;
    if (this.control.should_log && state.global_step > progress.lastLogged) {
      this.control.should_log = false;
      const { loss, norm } = await this.#readLoss(run);
      await this.log({
        ...(loss !== undefined && { loss }),
        // Of a last step that was skipped it is NaN or infinite, which JSON has no number for.
        ...(Number.isFinite(norm) && { grad_norm: norm }),
        learning_rate: args.learning_rate * run.lastFactor,
        ...(run.skips > 0 && { skipped_steps: run.skips }),
      });
    }
    if (this.control.should_evaluate) {
      this.control.should_evaluate = false;
      const isBest = await this.#evaluateDuring(run);
      if (args.save_strategy === 'best') this.control.should_save = isBest;
    }
    if (this.control.should_save) {
      this.control.should_save = false;
      await this.#save(run);
    }
  }

  /** Opens the folder of checkpoints, where there are to be some. */
  async #folders(isNeeded: boolean): Promise<CheckpointFolders | undefined> {
    const { output_dir, save_strategy, load_best_model_at_end } = this.args;
    if (output_dir === undefined) return undefined;
    if (!isNeeded && save_strategy === 'no' && !load_best_model_at_end) return undefined;
    return CheckpointFolders.open(output_dir);
  }

  /** Writes a checkpoint of the last whole step, and removes those that are too many. */
  async #save(run: Run<Data>): Promise<void> {
    const { args, state } = this;
    const { folders, own, session, progress, signal } = run;
    if (!folders) {
      throw new InputError({
        what: 'a callback asked for a checkpoint, and there is no folder for it',
        next: "Pass output_dir: 'opfs:name' in the arguments.",
      });
    }
    const name = `checkpoint-${state.global_step}`;
    own.add(name);
    const best = `checkpoint-${state.best_global_step}`;
    if (own.has(best)) state.best_model_checkpoint = best;
    state.stateful_callbacks = this.callbacks.states();
    const files = [
      ...(await trainedFiles(this.#course, signal)),
      ...(await checkpointFiles({ state, args, progress, session: args.save_only_model ? undefined : session })),
    ];
    signal?.throwIfAborted();
    await folders.write(name, files);
    await this.call('on_save');
    await removeOldest(folders, { name, best: state.best_model_checkpoint, own, limit: args.save_total_limit });
  }

  async #loadBest({ folders, signal }: Run<Data>): Promise<void> {
    const { best_model_checkpoint: best, best_global_step, global_step } = this.state;
    if (best === null || !folders || best_global_step === global_step) return;
    await loadTrained(this.#course, await folders.read(best), signal);
    this.#course.engine.markTrained();
  }

  #rates(): LearningRates {
    const { engine } = this.#course;
    return learningRates(engine, this.args, adaptersOf(engine)?.fileNames);
  }

  /**
   * Reads what the steps since the last log have counted -> their mean loss, undefined where none of them has one that is finite. Throws where
   * too many steps in a row were skipped.
   */
  async #readLoss(run: Run<Data>): Promise<{ loss: number | undefined; norm: number }> {
    const { progress } = run;
    const { loss, droppedLosses, norm, longestSkips, skips } = await until(run.signal, run.session.scalars());
    const steps = this.state.global_step - progress.lastLogged - droppedLosses;
    run.skips = skips;
    progress.lastLogged = this.state.global_step;
    progress.loggedLoss += loss;
    progress.lossSteps += steps;
    if (longestSkips > MOST_SKIPS) {
      throw new TrainingError({
        what: 'the gradients of several steps in a row are not finite, so nothing is learned',
        actual: `${longestSkips} steps, up to step ${this.state.global_step} or before it`,
        next: 'Use a smaller learning_rate or warmup_steps, and look for numbers in the data that are very large.',
      });
    }
    return { loss: steps > 0 ? loss / steps : undefined, norm };
  }

  /** Evaluates, and says whether the model is better than ever. */
  async #evaluateDuring({ signal }: Run<Data>): Promise<boolean> {
    const metrics = await this.#course.evaluate(signal);
    return noteBestMetric(this.state, this.args, metrics);
  }

  /** Puts numbers into the history, with the epoch and the step, and tells the callbacks -> the numbers with the epoch. */
  async log(numbers: Metrics): Promise<Metrics> {
    const { epoch, global_step } = this.state;
    const logs = { ...numbers, epoch };
    this.state.log_history.push({ ...logs, step: global_step });
    await this.call('on_log', { logs });
    return logs;
  }

  /** Tells the callbacks of an event. */
  async call(event: CallbackEventName, context: CallbackContext = {}): Promise<void> {
    this.control = await this.callbacks.call(event, this.args, this.state, this.control, context);
  }

  /** Tells the callbacks, once, that all is there. */
  async ready(): Promise<void> {
    if (this.#isReady) return;
    this.#isReady = true;
    await this.call('on_init_end');
  }

  #update(rates: LearningRates): UpdateOptions {
    const { trainable: trains } = trainedParts(this.#course.engine, this.args.trainable);
    return updateOptions(this.args, rates, trains);
  }
}
