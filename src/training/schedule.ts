import { InputError } from '../errors.ts';

/**
 * How the learning rate goes from step to step, as a factor of `learning_rate`: the schedules of transformers' optimization.py, and that
 * of google-research/bert's. And how many steps a run has.
 */

export const SCHEDULER_TYPES = [
  'linear',
  'cosine',
  'cosine_with_restarts',
  'cosine_with_min_lr',
  'polynomial',
  'constant',
  'constant_with_warmup',
  'inverse_sqrt',
] as const;
export type SchedulerType = (typeof SCHEDULER_TYPES)[number];

/** `lr_scheduler_kwargs`: what some schedules take besides. */
export interface SchedulerOptions {
  /** Of 'cosine' and 'cosine_with_min_lr': waves, default 0.5 (down once). Of 'cosine_with_restarts': restarts, default 1. */
  num_cycles?: number;
  /** Of 'polynomial': the learning rate at the end, default 1e-7, and the power, default 1. */
  lr_end?: number;
  power?: number;
  /** Of 'inverse_sqrt'. Default: the steps of the warmup, or 10,000 without. */
  timescale?: number;
  /** Of 'cosine_with_min_lr': the least learning rate, as such or as a share of `learning_rate`. One of the two. */
  min_lr?: number;
  min_lr_rate?: number;
}

/** Which options belong to which schedule. */
export const SCHEDULER_OPTIONS: Readonly<Record<SchedulerType, readonly (keyof SchedulerOptions)[]>> = {
  linear: [],
  cosine: ['num_cycles'],
  cosine_with_restarts: ['num_cycles'],
  cosine_with_min_lr: ['num_cycles', 'min_lr', 'min_lr_rate'],
  polynomial: ['lr_end', 'power'],
  constant: [],
  constant_with_warmup: [],
  inverse_sqrt: ['timescale'],
};

export interface ScheduleSettings {
  readonly type: SchedulerType;
  /** The steps in which the rate goes up from 0. */
  readonly warmupSteps: number;
  readonly totalSteps: number;
  /** `learning_rate`: schedules that end at a given rate need it. */
  readonly learningRate: number;
  readonly options?: SchedulerOptions;
  /**
   * Whether the linear schedule is that of google-research/bert (`optim: 'adamw_bert'`): it goes down from step 0 on, so that behind the
   * warmup it stands at 1 - warmup / total already.
   */
  readonly decaysFromStart?: boolean;
}

/** The factor of `learning_rate` by step; step 0 is the first. */
export type Schedule = (step: number) => number;

/** The schedule of a run. Throws InputError where its options contradict one another. */
export function learningRateSchedule(settings: ScheduleSettings): Schedule {
  const { type, warmupSteps: warmup } = settings;
  const after = decay(settings);
  if (type === 'constant') return after;
  return step => (step < warmup ? step / Math.max(1, warmup) : after(step));
}

/** The factor after the warmup. */
function decay(settings: ScheduleSettings): Schedule {
  const { type, warmupSteps: warmup, totalSteps: total, learningRate, options = {}, decaysFromStart } = settings;
  const progress = (step: number) => (step - warmup) / Math.max(1, total - warmup);
  switch (type) {
    case 'linear':
      if (decaysFromStart) return step => 1 - Math.min(step, total) / Math.max(1, total);
      return step => Math.max(0, (total - step) / Math.max(1, total - warmup));
    case 'cosine': {
      const { num_cycles: cycles = 0.5 } = options;
      return step => Math.max(0, 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progress(step))));
    }
    case 'cosine_with_restarts': {
      const { num_cycles: cycles = 1 } = options;
      return step =>
        progress(step) >= 1 ? 0 : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * ((cycles * progress(step)) % 1))));
    }
    case 'cosine_with_min_lr': {
      const { num_cycles: cycles = 0.5 } = options;
      const least = leastShare(options, learningRate);
      return step => {
        const factor = 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progress(step)));
        return Math.max(0, factor * (1 - least) + least);
      };
    }
    case 'polynomial': {
      const { lr_end: end = 1e-7, power = 1 } = options;
      if (end >= learningRate) {
        throw new InputError({
          what: 'lr_end is not below learning_rate',
          actual: `${end} and ${learningRate}`,
          next: 'Pass a smaller lr_scheduler_kwargs.lr_end.',
        });
      }
      return step => {
        if (step > total) return end / learningRate;
        const remaining = 1 - (step - warmup) / (total - warmup);
        return ((learningRate - end) * remaining ** power + end) / learningRate;
      };
    }
    case 'inverse_sqrt': {
      const { timescale = warmup || 10_000 } = options;
      return step => 1 / Math.sqrt((step + timescale - warmup) / timescale);
    }
    case 'constant':
    case 'constant_with_warmup':
      return () => 1;
    default:
      return type satisfies never;
  }
}

function leastShare({ min_lr: rate, min_lr_rate: share }: SchedulerOptions, learningRate: number): number {
  if ((rate === undefined) === (share === undefined)) {
    throw new InputError({
      what: 'the schedule "cosine_with_min_lr" needs one of two options',
      actual: rate === undefined ? 'neither' : 'both',
      expected: 'lr_scheduler_kwargs with min_lr or min_lr_rate',
    });
  }
  return share ?? rate! / learningRate;
}

/** How long a run is. */
export interface RunLength {
  /** The steps of one epoch: updates of the weights. */
  readonly stepsPerEpoch: number;
  /** `max_steps`, or what the epochs have. */
  readonly totalSteps: number;
  /** The epochs that are begun. */
  readonly epochs: number;
}

export interface RunLengthSettings {
  /** The batches of one epoch. */
  readonly batches: number;
  readonly gradient_accumulation_steps: number;
  readonly num_train_epochs: number;
  /** -1 for as many as the epochs have. */
  readonly max_steps: number;
}

/** The batches of one epoch: the last may be smaller, unless it is dropped. */
export const batchCount = (examples: number, batchSize: number, dropLast = false): number =>
  dropLast ? Math.floor(examples / batchSize) : Math.ceil(examples / batchSize);

/** Steps and epochs as transformers' Trainer counts them (set_initial_training_values). */
export function runLength(settings: RunLengthSettings): RunLength {
  const {
    batches,
    gradient_accumulation_steps: accumulation,
    num_train_epochs: epochs,
    max_steps: maxSteps,
  } = settings;
  const stepsPerEpoch = Math.max(1, Math.ceil(batches / accumulation));
  if (maxSteps > 0) return { stepsPerEpoch, totalSteps: maxSteps, epochs: Math.ceil(maxSteps / stepsPerEpoch) };
  return { stepsPerEpoch, totalSteps: Math.ceil(epochs * stepsPerEpoch), epochs: Math.ceil(epochs) };
}

/** The steps of a setting that is a number of steps, or below 1 a share of all steps; rounded up, as transformers rounds. */
export const stepsOf = (value: number, totalSteps: number): number =>
  value >= 1 ? Math.trunc(value) : Math.ceil(totalSteps * value);
