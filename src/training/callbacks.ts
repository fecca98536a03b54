import { describe, InputError, wrong } from '../errors.ts';
import type { TrainingArguments } from './arguments.ts';
import { GivenFields } from './given-fields.ts';
import { stepsOf } from './schedule.ts';

/** One entry of the history: numbers by their names, with `step` and `epoch`. */
export type LogEntry = Readonly<Record<string, number>>;

/** What a callback that is saved with a checkpoint gives: the arguments of its class, and the fields that are set afterwards. */
export interface CallbackState {
  readonly args: Readonly<Record<string, unknown>>;
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** Where training stands: transformers' TrainerState, saved as trainer_state.json. A step is one update of the weights. */
export class TrainerState {
  /** Epochs that are done, with the part of the one under way. */
  epoch = 0;
  /** Steps that are done. */
  global_step = 0;
  max_steps = 0;
  logging_steps = 500;
  eval_steps = 500;
  save_steps = 500;
  train_batch_size: number | null = null;
  num_train_epochs = 0;
  num_input_tokens_seen = 0;
  total_flos = 0;
  log_history: LogEntry[] = [];
  /** The best value so far of metric_for_best_model, its step, and the checkpoint made of it. */
  best_metric: number | null = null;
  best_global_step: number | null = null;
  best_model_checkpoint: string | null = null;
  /** By the names of their classes. */
  stateful_callbacks: Record<string, CallbackState> = {};

  /** Takes the intervals of the arguments; those that are shares of all steps become steps. */
  compute_steps(args: Pick<TrainingArguments, 'logging_steps' | 'eval_steps' | 'save_steps'>, max_steps: number): void {
    this.logging_steps = stepsOf(args.logging_steps, max_steps);
    this.eval_steps = stepsOf(args.eval_steps, max_steps);
    this.save_steps = stepsOf(args.save_steps, max_steps);
  }

  /** The text of trainer_state.json: keys in order, as Python writes it. */
  to_json_string(): string {
    const sorted = Object.fromEntries(Object.entries(this).sort(([a], [b]) => (a < b ? -1 : 1)));
    return `${JSON.stringify(sorted, null, 2)}\n`;
  }

  /** The state of a trainer_state.json, also of one that Python wrote; what is unknown here is left out. Throws InputError. */
  static from_json(text: string): TrainerState {
    const state = new TrainerState();
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch (cause) {
      throw new InputError({ what: 'trainer_state.json is not JSON', actual: describe(text), cause });
    }
    const given = new GivenFields('trainer_state.json', json);
    for (const name of Object.keys(state) as (keyof TrainerState)[]) {
      const value = given.value(name);
      if (value === undefined) continue;
      const expected = Array.isArray(state[name]) ? 'a list' : typeof (state[name] ?? value);
      const actual = Array.isArray(value) ? 'a list' : typeof value;
      if (expected !== actual) throw wrong(`${name} in trainer_state.json`, value, expected);
      Object.assign(state, { [name]: value });
    }
    return state;
  }
}

/** What the loop of training asks after each event: transformers' TrainerControl. Callbacks change it. */
export class TrainerControl {
  /** Ends the training, for good. */
  should_training_stop = false;
  /** Ends the epoch under way. */
  should_epoch_stop = false;
  /** Once, behind this step: */
  should_save = false;
  should_evaluate = false;
  should_log = false;

  /** At the beginning of a training, of an epoch, of a step: what was asked for before is done. */
  new_training(): void {
    this.should_training_stop = false;
  }

  new_epoch(): void {
    this.should_epoch_stop = false;
  }

  new_step(): void {
    this.should_save = false;
    this.should_evaluate = false;
    this.should_log = false;
  }
}

/** What an event tells besides arguments, state and control. */
export interface CallbackContext {
  /** The model that is trained. */
  readonly model?: unknown;
  /** Its tokenizer. */
  readonly processing_class?: unknown;
  /** Of on_evaluate and on_predict. */
  readonly metrics?: Readonly<Record<string, number>>;
  /** Of on_log. */
  readonly logs?: Readonly<Record<string, number>>;
}

/** What it returns is the loop's control from then on, if it is a TrainerControl. A promise is awaited: meanwhile training stands still. */
export type CallbackEvent = (
  args: TrainingArguments,
  state: TrainerState,
  control: TrainerControl,
  context: CallbackContext,
) => unknown;

export const CALLBACK_EVENTS = [
  'on_init_end',
  'on_train_begin',
  'on_train_end',
  'on_epoch_begin',
  'on_epoch_end',
  'on_step_begin',
  'on_pre_optimizer_step',
  'on_optimizer_step',
  'on_substep_end',
  'on_step_end',
  'on_evaluate',
  'on_predict',
  'on_save',
  'on_log',
  'on_prediction_step',
] as const;
export type CallbackEventName = (typeof CALLBACK_EVENTS)[number];

/**
 * What a Trainer calls while it trains: any object with some of these events. `on_prediction_step` comes once for each data set that was
 * evaluated or predicted, where transformers calls it for each batch.
 *
 *   { on_log(args, state, control, { logs }) { console.log(state.global_step, logs.loss); } }
 */
export type TrainerCallback = { [Name in CallbackEventName]?: CallbackEvent } & {
  /** If it is to be saved with checkpoints: what it is made of again. */
  state?(): CallbackState;
};

/** Calls the events of several callbacks, one after the other, in the order in which they were added. */
export class CallbackHandler {
  readonly #callbacks: TrainerCallback[] = [];
  readonly #context: CallbackContext;

  /** Throws InputError for what is no callback. */
  constructor(callbacks: readonly TrainerCallback[] = [], context: CallbackContext = {}) {
    this.#context = context;
    for (const callback of callbacks) this.add_callback(callback);
  }

  get callbacks(): readonly TrainerCallback[] {
    return this.#callbacks;
  }

  /** Throws InputError for what has no event, or an event that is no function: a misspelt one would never be called. */
  add_callback(callback: TrainerCallback): void {
    const given: Readonly<Record<string, unknown>> = Object(callback);
    const events = CALLBACK_EVENTS.filter(name => given[name] !== undefined);
    const isFine = callback === given && events.length > 0 && events.every(name => typeof given[name] === 'function');
    if (!isFine) throw wrong('a callback', callback, `an object with functions, some of ${CALLBACK_EVENTS.join(', ')}`);
    const misspelt = Object.keys(given).find(name => name.startsWith('on_') && !events.some(event => event === name));
    if (misspelt !== undefined) {
      throw new InputError({
        what: `there is no event "${misspelt}" for a callback`,
        expected: `one of ${CALLBACK_EVENTS.join(', ')}`,
      });
    }
    this.#callbacks.push(callback);
  }

  /** Takes the callback out, given as it was added or by its class; undefined where there is none. */
  pop_callback(callback: TrainerCallback | (new (...args: never[]) => TrainerCallback)): TrainerCallback | undefined {
    const index = this.#callbacks.findIndex(each =>
      typeof callback === 'function' ? each instanceof callback : each === callback,
    );
    return index < 0 ? undefined : this.#callbacks.splice(index, 1)[0];
  }

  /** Calls one event of all callbacks. Resolves to the control that the last one returned, else the given one; rejects as a callback does. */
  async call(
    event: CallbackEventName,
    args: TrainingArguments,
    state: TrainerState,
    control: TrainerControl,
    context: CallbackContext = {},
  ): Promise<TrainerControl> {
    let current = control;
    for (const callback of [...this.#callbacks]) {
      const answer = await callback[event]?.(args, state, current, { ...this.#context, ...context });
      if (answer instanceof TrainerControl) current = answer;
    }
    return current;
  }

  /** The state of the callbacks that have one, for trainer_state.json. */
  states(): Record<string, CallbackState> {
    return Object.fromEntries(
      this.#callbacks.flatMap(callback =>
        typeof callback.state === 'function' ? [[nameOf(callback), callback.state()] as const] : [],
      ),
    );
  }

  /** Sets the fields that callbacks had when the state was saved. */
  restore(states: Readonly<Record<string, CallbackState>>): void {
    for (const callback of this.#callbacks) {
      const name = nameOf(callback);
      if (typeof callback.state === 'function' && Object.hasOwn(states, name)) {
        Object.assign(callback, states[name]!.attributes);
      }
    }
  }
}

/** `callback_name` of a class, since a minified build has other names; else that of its class. */
const nameOf = (callback: TrainerCallback): string =>
  String(Object(callback.constructor).callback_name ?? callback.constructor.name);

/** Asks for logs, evaluations and checkpoints when the arguments say so: transformers' DefaultFlowCallback. */
export class DefaultFlowCallback {
  on_step_end(args: TrainingArguments, state: TrainerState, control: TrainerControl): TrainerControl {
    const { global_step: step } = state;
    const isDue = (strategy: string, every: number) => strategy === 'steps' && step % every === 0;
    const mayEvaluate = args.eval_strategy === 'steps' && args.eval_delay <= step;
    if ((step === 1 && args.logging_first_step) || isDue(args.logging_strategy, state.logging_steps)) {
      control.should_log = true;
    }
    if (mayEvaluate && isDue(args.eval_strategy, state.eval_steps)) control.should_evaluate = true;
    if (isDue(args.save_strategy, state.save_steps)) control.should_save = true;
    if (step >= state.max_steps) {
      control.should_training_stop = true;
      // The last step is evaluated and saved in any case.
      if (mayEvaluate) control.should_evaluate = true;
      if (args.save_strategy === 'steps') control.should_save = true;
    }
    return control;
  }

  on_epoch_end(args: TrainingArguments, state: TrainerState, control: TrainerControl): TrainerControl {
    if (args.logging_strategy === 'epoch') control.should_log = true;
    if (args.eval_strategy === 'epoch' && args.eval_delay <= state.epoch) control.should_evaluate = true;
    if (args.save_strategy === 'epoch') control.should_save = true;
    return control;
  }
}

/** The key of a metric, which is named with or without 'eval_'. */
const metricKey = (name: string): string => (name.startsWith('eval_') ? name : `eval_${name}`);

/** The value of a metric. Throws InputError where the evaluation has none of this name. */
function metricValue(name: string, metrics: Readonly<Record<string, number>>): number {
  const value = metrics[metricKey(name)];
  if (value !== undefined) return value;
  throw new InputError({
    what: `the evaluation gives no "${metricKey(name)}"`,
    actual: Object.keys(metrics).join(', ') || 'no metrics',
    expected: 'the metric_for_best_model',
    next: 'Pass compute_metrics that return it, or another metric_for_best_model.',
  });
}

type BestMetric = Pick<TrainingArguments, 'metric_for_best_model' | 'greater_is_better' | 'save_strategy'>;

/**
 * Notes the metrics of an evaluation in the state, if they are the best so far -> whether they are. To be called behind on_evaluate, whose
 * callbacks compare with the best before. Throws InputError where the metric is missing.
 */
export function noteBestMetric(
  state: TrainerState,
  args: BestMetric,
  metrics: Readonly<Record<string, number>>,
): boolean {
  if (args.metric_for_best_model === undefined) return false;
  const value = metricValue(args.metric_for_best_model, metrics);
  const { best_metric: best } = state;
  if (Number.isNaN(value) || (best !== null && !(args.greater_is_better ? value > best : value < best))) return false;
  state.best_metric = value;
  if (args.save_strategy !== 'no') state.best_global_step = state.global_step;
  return true;
}

/** Ends training when the metric_for_best_model has not become better for a while: transformers' EarlyStoppingCallback. */
export class EarlyStoppingCallback {
  static readonly callback_name = 'EarlyStoppingCallback';
  readonly early_stopping_patience: number;
  readonly early_stopping_threshold: number;
  /** How many evaluations have not been better. */
  early_stopping_patience_counter = 0;

  /**
   * @param options.early_stopping_patience after how many evaluations that are not better it ends; default: 1
   * @param options.early_stopping_threshold by more than this the metric must become better; default: 0
   */
  constructor(options: { early_stopping_patience?: number; early_stopping_threshold?: number } = {}) {
    const given = new GivenFields('EarlyStoppingCallback', options);
    given.checkNames(['early_stopping_patience', 'early_stopping_threshold']);
    this.early_stopping_patience = given.count('early_stopping_patience', 1);
    this.early_stopping_threshold = given.number('early_stopping_threshold', 0, { min: 0 });
  }

  /** Throws InputError where there is no evaluation, or no metric, to go by. */
  on_train_begin({ metric_for_best_model: metric, eval_strategy: strategy }: TrainingArguments): void {
    if (metric !== undefined && strategy !== 'no') return;
    throw new InputError({
      what: 'EarlyStoppingCallback has nothing to go by',
      actual: `metric_for_best_model ${describe(metric)}, eval_strategy "${strategy}"`,
      next: "Pass metric_for_best_model: 'loss' and eval_strategy: 'epoch', for example.",
    });
  }

  on_evaluate(
    args: TrainingArguments,
    state: TrainerState,
    control: TrainerControl,
    { metrics = {} }: CallbackContext,
  ): TrainerControl {
    const { metric_for_best_model: metric } = args;
    // An evaluation on other data, with a prefix of its own, has none. In a training that is an error of the loop's.
    const value = metric === undefined ? undefined : metrics[metricKey(metric)];
    if (value === undefined) return control;
    const { best_metric: best } = state;
    const isBetter =
      best === null
        ? !Number.isNaN(value)
        : (args.greater_is_better ? value > best : value < best) &&
          Math.abs(value - best) > this.early_stopping_threshold;
    this.early_stopping_patience_counter = isBetter ? 0 : this.early_stopping_patience_counter + 1;
    if (this.early_stopping_patience_counter >= this.early_stopping_patience) control.should_training_stop = true;
    return control;
  }

  state(): CallbackState {
    const { early_stopping_patience, early_stopping_threshold, early_stopping_patience_counter } = this;
    return {
      args: { early_stopping_patience, early_stopping_threshold },
      attributes: { early_stopping_patience_counter },
    };
  }
}
