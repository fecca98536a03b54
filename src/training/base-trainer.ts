import type { Engine, OtherFiles } from '../engine/index.ts';
import { InputError, wrong } from '../errors.ts';
import type { TrainingGraph, TrainingMemory } from '../gradients/index.ts';
import type { TrainingArguments } from './arguments.ts';
import type { CallbackContext, TrainerCallback, TrainerControl, TrainerState } from './callbacks.ts';
import { writeIntoFolder } from './checkpoint-folders.ts';
import type { Course, CourseData, Metrics } from './course.ts';
import { dropoutRates } from './dropout-rates.ts';
import { TrainingLoop, type TrainOptions, type TrainOutput } from './loop.ts';
import { trainedParts } from './lora/adapted.ts';
import type { GraphOptions } from './task.ts';
import { checkedStep } from './trained-tensors.ts';
import type { Dataset } from './trainer-data.ts';

export interface EvaluateOptions {
  /** Default: 'eval', for `predict` 'test'. */
  readonly metric_key_prefix?: string | null;
  readonly signal?: AbortSignal | null;
}

/** What a trainer is made of. */
export interface TrainerParts<Args extends TrainingArguments> {
  /** The class, as errors have it. */
  readonly name: string;
  readonly engine: Engine;
  readonly args: Args;
  readonly train_dataset: Dataset | null | undefined;
  /** Whether `evaluate` has something to evaluate on, where it is given nothing. */
  readonly isEvaluated: boolean;
  readonly callbacks: readonly TrainerCallback[] | null | undefined;
  /** What callbacks are told of the model. */
  readonly context: CallbackContext;
}

/** The name of what is predicted, whose records may lack labels. */
export const TEST_DATASET = 'test_dataset';

/** A data set that is read, or is being read. */
interface DataReading {
  readonly name: string;
  /** Its records, where it is a list. */
  readonly list: readonly object[];
  readonly reading: Promise<CourseData>;
}

/**
 * What all trainers have: the loop and what steers it. A class of its own says what its data are, and what a step computes of them. The
 * class of the data is no parameter: it would stand in the types of the package, with all that it knows of the engine.
 */
export abstract class BaseTrainer<Args extends TrainingArguments> {
  readonly args: Args;
  /** @internal */
  protected readonly engine: Engine;
  /** @internal */
  protected readonly loop: TrainingLoop<CourseData>;
  /** By the data set, and no longer than the caller keeps it: lists that are made for one evaluation each go with their tokens. */
  readonly #data = new WeakMap<Dataset, DataReading>();

  /** @internal */
  constructor({ name, engine, args, train_dataset, isEvaluated, callbacks, context }: TrainerParts<Args>) {
    if (!isEvaluated && (args.eval_strategy !== 'no' || args.eval_on_start)) {
      throw new InputError({
        what: 'the arguments ask for evaluations, and there is nothing to evaluate on',
        actual: args.eval_on_start ? 'eval_on_start' : `eval_strategy '${args.eval_strategy}'`,
        next: `Pass eval_dataset to the ${name}, or leave it out of the arguments.`,
      });
    }
    this.args = args;
    this.engine = engine;
    const course: Course = {
      engine,
      data: signal => {
        if (train_dataset) return this.read('train_dataset', train_dataset, signal);
        throw new InputError({ what: 'there is nothing to train on', next: `Pass train_dataset to the ${name}.` });
      },
      graph: data => {
        const dropout = dropoutRates(engine.config, engine.head, args.dropout);
        return checkedStep(this.graph(data, { ...trainedParts(engine, args.trainable), dropout }), args.trainable);
      },
      begin: data => this.begin(data),
      evaluate: signal => this.evaluate(null, { signal: signal ?? null }),
      files: signal => this.files(signal),
      opened: files => this.opened(files),
    };
    this.loop = new TrainingLoop(args, course, callbacks ?? [], context);
  }

  /** Where the training stands, with all that was logged in `log_history`. */
  get state(): TrainerState {
    return this.loop.state;
  }

  /** What the loop is asked to do next. */
  get control(): TrainerControl {
    return this.loop.control;
  }

  /** Adds a callback behind the others. Throws InputError for what is no callback. */
  add_callback(callback: TrainerCallback): void {
    this.loop.callbacks.add_callback(callback);
  }

  /** Takes a callback out, given as it was added or by its class; undefined where there is none. */
  pop_callback(callback: TrainerCallback | (new (...args: never[]) => TrainerCallback)): TrainerCallback | undefined {
    return this.loop.callbacks.pop_callback(callback);
  }

  /**
   * Trains the model, from its weights as they are. Rejects with InputError where the data are wrong, before the first step; with
   * UnsupportedError for a model that cannot be trained; with DeviceError; with TrainingError where five steps in a row were not finite; with
   * what a callback throws; or with the signal's reason. In all these cases the weights are those after the last whole step, as far as the
   * device is there.
   */
  train(options: TrainOptions = {}): Promise<TrainOutput> {
    return this.loop.train(options);
  }

  /** Evaluates the model as it is, by default on `eval_dataset`, and logs what it finds. */
  abstract evaluate(eval_dataset?: Dataset | null, options?: EvaluateOptions): Promise<Metrics>;

  /**
   * Saves the model and its tokenizer into a folder: 'opfs:name', or one that the user has picked. Default: output_dir. Files to download are
   * those of `model.save_pretrained()`. Rejects with InputError without a folder, DeviceError, SourceError, or the signal's reason.
   */
  async save_model(
    output_dir: string | FileSystemDirectoryHandle | null = null,
    { signal }: { readonly signal?: AbortSignal | null } = {},
  ): Promise<void> {
    const directory = output_dir ?? this.args.output_dir;
    if (directory === undefined) {
      throw new InputError({ what: 'there is no folder to save to', next: 'Pass output_dir.' });
    }
    await writeIntoFolder(directory, await this.files(signal ?? undefined));
  }

  /**
   * The bytes that a training will hold on the GPU, before anything is made: weights, gradients, moments, activations, and their total.
   * Rejects as `train` does where the data or the model are wrong; undefined on a device that is no WebGPU device.
   */
  memory(): Promise<TrainingMemory | undefined> {
    return this.loop.memory();
  }

  /**
   * @internal A data set in tokens, of the class that `readData` gives. It is read once; anew after a failure, and where a list has other
   * records than before.
   */
  protected read(name: string, dataset: Dataset, signal: AbortSignal | undefined): Promise<CourseData> {
    const list: readonly object[] = Array.isArray(dataset) ? dataset.slice() : [];
    const existing = this.#data.get(dataset);
    const isSame = existing?.list.length === list.length && list.every((record, i) => record === existing.list[i]);
    // Tokens that were read for a prediction may be without the labels that are there.
    const isEnough = existing?.name !== TEST_DATASET || name === TEST_DATASET;
    if (existing && isSame && isEnough) return existing.reading;
    const reading = this.readData(name, dataset, signal);
    // What is no object is refused while it is read.
    if (Object(dataset) === dataset) this.#data.set(dataset, { name, list, reading });
    reading.catch(() => {
      if (this.#data.get(dataset)?.reading === reading) this.#data.delete(dataset);
    });
    return reading;
  }

  /** @internal Reads a data set, `name` in errors. */
  protected abstract readData(name: string, dataset: Dataset, signal: AbortSignal | undefined): Promise<CourseData>;

  /** @internal A step as a graph. */
  protected abstract graph(data: CourseData, options: GraphOptions): TrainingGraph;

  /** @internal Is told that a training begins. */
  protected begin(_data: CourseData): void {}

  /** @internal The files of the model as it is, with its tokenizer. */
  protected abstract files(signal: AbortSignal | undefined): Promise<File[]>;

  /** @internal The weights among such files. */
  protected abstract opened(files: readonly File[]): OtherFiles;
}

/**
 * Numbers that a function of the caller's has computed, by names that begin with the prefix. Throws InputError for what is no number.
 * @param source the function, as errors have it
 */
export function prefixed(
  computed: Readonly<Record<string, unknown>> | null | undefined,
  prefix: string,
  source: string,
): Metrics {
  const metrics: Metrics = {};
  for (const [key, value] of Object.entries(computed ?? {})) {
    if (typeof value !== 'number') throw wrong(`"${key}" of ${source}`, value, 'a number');
    metrics[key.startsWith(`${prefix}_`) ? key : `${prefix}_${key}`] = value;
  }
  return metrics;
}
