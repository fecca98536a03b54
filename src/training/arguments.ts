import { checkSeed } from '../random.ts';
import {
  checkStrategies,
  classWeights,
  type IntervalStrategy,
  type Optimizer,
  optional,
  outputDirectory,
  positive,
  rateMapping,
  type SamplingStrategy,
  type SaveStrategy,
  schedulerOptions,
  type Trainable,
  trainable,
  warmupSteps,
} from './argument-values.ts';
import { GivenFields } from './given-fields.ts';
import {
  learningRateSchedule,
  SCHEDULER_TYPES,
  type Schedule,
  type SchedulerOptions,
  type SchedulerType,
  stepsOf,
} from './schedule.ts';

const INTERVALS: readonly IntervalStrategy[] = ['no', 'steps', 'epoch'];

/** What `new TrainingArguments` takes: any of its fields. undefined and null stand for the default. */
export type TrainingArgumentsInit = {
  [Name in Exclude<keyof TrainingArguments, keyof Methods>]?: TrainingArguments[Name] | null;
} & {
  /** The older name of a `warmup_steps` that is a share of all steps. */
  warmup_ratio?: number | null;
};
type Methods = Pick<TrainingArguments, 'get_warmup_steps' | 'schedule' | 'to_dict'>;

/**
 * How a model is trained: transformers' TrainingArguments, names and defaults of transformers 5, with what makes sense in a page. Fields
 * are checked when they are given, and do not change.
 *
 *   new TrainingArguments({ num_train_epochs: 5, learning_rate: 3e-5, warmup_steps: 0.1, eval_strategy: 'epoch' })
 *
 * Throws InputError for a field that there is not, and for a value that a field cannot have; UnsupportedError for a name that is not one of
 * a field's.
 */
export class TrainingArguments {
  /**
   * Where checkpoints go: 'opfs:name' is a folder of the origin's private file system; or a folder that the user has picked. Default: none,
   * and nothing is saved.
   */
  readonly output_dir: string | FileSystemDirectoryHandle | undefined;

  /** The examples of a batch. Default: 8. */
  readonly per_device_train_batch_size: number;
  /**
   * The records that a loss of embeddings compares with one another in an evaluation. A Trainer counts eval_steps_per_second by it and nothing
   * else: what a pass holds is the engine's choice, and the numbers do not depend on it. Default: 8.
   */
  readonly per_device_eval_batch_size: number;
  /** The batches of one step. The loss is that of all their items together. Default: 1. */
  readonly gradient_accumulation_steps: number;
  /** The most tokens that are on the GPU at once: larger batches are split, which changes results by rounding alone. Default: by the device. */
  readonly max_tokens_per_batch: number | undefined;
  /** Default: 3. It need not be whole. */
  readonly num_train_epochs: number;
  /** How many steps are made, whatever num_train_epochs says. Default: -1, as many as the epochs have. */
  readonly max_steps: number;

  /** The greatest learning rate. Default: 5e-5. */
  readonly learning_rate: number;
  /** Learning rates of the weights whose names match a regular expression (its source), the first that matches. Default: {}. */
  readonly learning_rate_mapping: Readonly<Record<string, number>>;
  /** Default: 'linear'. */
  readonly lr_scheduler_type: SchedulerType;
  /** Default: {}. */
  readonly lr_scheduler_kwargs: Readonly<SchedulerOptions>;
  /** The steps in which the learning rate goes up from 0: their number, or below 1 a share of all steps. Default: 0. */
  readonly warmup_steps: number;

  /** Default: 'adamw_torch'. */
  readonly optim: Optimizer;
  /** Biases and norms do not decay. Default: 0. */
  readonly weight_decay: number;
  /** Default: 0.9. */
  readonly adam_beta1: number;
  /** Default: 0.999. */
  readonly adam_beta2: number;
  /** Default: 1e-8; with 'adamw_bert' 1e-6. */
  readonly adam_epsilon: number;
  /** The norm that gradients are scaled down to; 0: they are not. Default: 1. */
  readonly max_grad_norm: number;
  /** The share of the target that goes to all classes alike. Default: 0. */
  readonly label_smoothing_factor: number;
  /**
   * What an example counts in the loss, by its label: a number for each label of the model, in the order of id2label, as `weight` of torch's
   * CrossEntropyLoss. For classifiers of sequences and of tokens. Transformers has no such field: there one overrides compute_loss.
   * Default: all count the same.
   */
  readonly class_weights: readonly number[] | undefined;
  /** The probability of dropout at every place. Default: what the model's config says. */
  readonly dropout: number | undefined;
  /** Default: 'all'. */
  readonly trainable: Trainable;
  /** Whether layers are computed again on the way back, so that less is kept: never. Default: false. */
  readonly gradient_checkpointing: false;

  /** Default: 'random'. */
  readonly train_sampling_strategy: SamplingStrategy;
  /** Whether a last batch that is smaller is left out. Default: false. */
  readonly dataloader_drop_last: boolean;
  /** Decides every random number: of new weights, masks, and the order where there is no data_seed. Default: 42. */
  readonly seed: number;
  /** Decides the order of the examples. Default: `seed`. */
  readonly data_seed: number;

  /** Default: 'steps'. */
  readonly logging_strategy: IntervalStrategy;
  /** Default: 500. Below 1 a share of all steps, as for eval_steps and save_steps. */
  readonly logging_steps: number;
  /** Default: false. */
  readonly logging_first_step: boolean;

  /** Default: 'no'. */
  readonly eval_strategy: IntervalStrategy;
  /** Default: `logging_steps`. */
  readonly eval_steps: number;
  /** Steps or epochs, as eval_strategy is, before the first evaluation. Default: 0. */
  readonly eval_delay: number;
  /** Whether the model is evaluated before the first step. Default: false. */
  readonly eval_on_start: boolean;

  /** Default: 'steps' with an output_dir, else 'no'. */
  readonly save_strategy: SaveStrategy;
  /** Default: 500. */
  readonly save_steps: number;
  /** How many checkpoints are kept, the best always. Default: all. */
  readonly save_total_limit: number | undefined;
  /** Whether checkpoints are the model alone, from which training cannot go on. Default: false. */
  readonly save_only_model: boolean;

  /** Whether the best checkpoint is loaded at the end. It needs evaluation and saving at the same steps. Default: false. */
  readonly load_best_model_at_end: boolean;
  /** The metric, with or without 'eval_', by which evaluations are compared. Default: none; 'loss' with load_best_model_at_end. */
  readonly metric_for_best_model: string | undefined;
  /** Default: true, unless the metric's name ends in 'loss'. */
  readonly greater_is_better: boolean | undefined;

  constructor(fields?: TrainingArgumentsInit | null) {
    const given = new GivenFields('TrainingArguments', fields);
    given.checkNames([...TRAINING_ARGUMENT_NAMES, 'warmup_ratio'], ADVICE);

    this.output_dir = outputDirectory(given.value('output_dir'));
    this.per_device_train_batch_size = given.count('per_device_train_batch_size', 8);
    this.per_device_eval_batch_size = given.count('per_device_eval_batch_size', 8);
    this.gradient_accumulation_steps = given.count('gradient_accumulation_steps', 1);
    this.max_tokens_per_batch = optional(given, 'max_tokens_per_batch', name => given.count(name, 1));
    this.num_train_epochs = positive('num_train_epochs', given.number('num_train_epochs', 3, { min: 0 }));
    const maxSteps = given.count('max_steps', -1, -1);
    this.max_steps = maxSteps === 0 ? -1 : maxSteps;

    this.learning_rate = given.number('learning_rate', 5e-5, { min: 0 });
    this.learning_rate_mapping = rateMapping(given.value('learning_rate_mapping') ?? {});
    this.lr_scheduler_type = given.choice('lr_scheduler_type', 'linear', SCHEDULER_TYPES);
    this.lr_scheduler_kwargs = schedulerOptions(this.lr_scheduler_type, given.value('lr_scheduler_kwargs'));
    this.warmup_steps = warmupSteps(given);

    this.optim = given.choice('optim', 'adamw_torch', ['adamw_torch', 'adamw_bert']);
    this.weight_decay = given.number('weight_decay', 0, { min: 0 });
    this.adam_beta1 = given.number('adam_beta1', 0.9, { min: 0, below: 1 });
    this.adam_beta2 = given.number('adam_beta2', 0.999, { min: 0, below: 1 });
    const epsilon = given.number('adam_epsilon', this.optim === 'adamw_bert' ? 1e-6 : 1e-8, { min: 0 });
    this.adam_epsilon = positive('adam_epsilon', epsilon);
    this.max_grad_norm = given.number('max_grad_norm', 1, { min: 0 });
    this.label_smoothing_factor = given.number('label_smoothing_factor', 0, { min: 0, below: 1 });
    this.class_weights = optional(given, 'class_weights', () => classWeights(given.value('class_weights')));
    this.dropout = optional(given, 'dropout', name => given.number(name, 0, { min: 0, below: 1 }));
    this.trainable = trainable(given.value('trainable') ?? 'all');
    this.gradient_checkpointing = given.choice<false>(
      'gradient_checkpointing',
      false,
      [false],
      'Activations are kept. Pass a smaller max_tokens_per_batch: a batch is then split, and less is kept at once.',
    );

    const orders: readonly SamplingStrategy[] = ['random', 'sequential', 'group_by_length'];
    this.train_sampling_strategy = given.choice('train_sampling_strategy', 'random', orders);
    this.dataloader_drop_last = given.flag('dataloader_drop_last', false);
    this.seed = checkSeed('seed', given.value('seed') ?? 42);
    this.data_seed = checkSeed('data_seed', given.value('data_seed') ?? this.seed);

    this.logging_strategy = given.choice('logging_strategy', 'steps', INTERVALS);
    this.logging_steps = given.steps('logging_steps', 500);
    this.logging_first_step = given.flag('logging_first_step', false);

    this.eval_strategy = given.choice('eval_strategy', 'no', INTERVALS);
    this.eval_steps = given.steps('eval_steps', this.logging_steps);
    this.eval_delay = given.number('eval_delay', 0, { min: 0 });
    this.eval_on_start = given.flag('eval_on_start', false);

    const saves: readonly SaveStrategy[] = [...INTERVALS, 'best'];
    this.save_strategy = given.choice('save_strategy', this.output_dir === undefined ? 'no' : 'steps', saves);
    this.save_steps = given.steps('save_steps', 500);
    this.save_total_limit = optional(given, 'save_total_limit', name => given.count(name, 1));
    this.save_only_model = given.flag('save_only_model', false);

    this.load_best_model_at_end = given.flag('load_best_model_at_end', false);
    this.metric_for_best_model =
      given.text('metric_for_best_model') ?? (this.load_best_model_at_end ? 'loss' : undefined);
    const isLoss = this.metric_for_best_model?.endsWith('loss');
    this.greater_is_better =
      optional(given, 'greater_is_better', name => given.flag(name, true)) ??
      (isLoss === undefined ? undefined : !isLoss);
    checkStrategies(this);
  }

  /** The steps of the warmup, of a run of this many steps. */
  get_warmup_steps(num_training_steps: number): number {
    return stepsOf(this.warmup_steps, num_training_steps);
  }

  /** The factor of every learning rate, by step, of a run of this many steps. Throws InputError. */
  schedule(num_training_steps: number): Schedule {
    return learningRateSchedule({
      type: this.lr_scheduler_type,
      warmupSteps: this.get_warmup_steps(num_training_steps),
      totalSteps: num_training_steps,
      learningRate: this.learning_rate,
      options: this.lr_scheduler_kwargs,
      decaysFromStart: this.optim === 'adamw_bert',
    });
  }

  /** The fields as they may stand in a JSON file: a folder by its name, a regular expression by its source. */
  to_dict(): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(this).map(([name, value]) => {
        if (value instanceof RegExp) return [name, value.source];
        return [name, name === 'output_dir' && typeof value === 'object' ? value.name : (value ?? null)];
      }),
    );
  }
}

/** The names of all fields. */
export const TRAINING_ARGUMENT_NAMES: readonly Exclude<keyof TrainingArguments, keyof Methods>[] = [
  'output_dir',
  'per_device_train_batch_size',
  'per_device_eval_batch_size',
  'gradient_accumulation_steps',
  'max_tokens_per_batch',
  'num_train_epochs',
  'max_steps',
  'learning_rate',
  'learning_rate_mapping',
  'lr_scheduler_type',
  'lr_scheduler_kwargs',
  'warmup_steps',
  'optim',
  'weight_decay',
  'adam_beta1',
  'adam_beta2',
  'adam_epsilon',
  'max_grad_norm',
  'label_smoothing_factor',
  'class_weights',
  'dropout',
  'trainable',
  'gradient_checkpointing',
  'train_sampling_strategy',
  'dataloader_drop_last',
  'seed',
  'data_seed',
  'logging_strategy',
  'logging_steps',
  'logging_first_step',
  'eval_strategy',
  'eval_steps',
  'eval_delay',
  'eval_on_start',
  'save_strategy',
  'save_steps',
  'save_total_limit',
  'save_only_model',
  'load_best_model_at_end',
  'metric_for_best_model',
  'greater_is_better',
];

const IN_FLOAT32 = 'Leave it out: everything is trained in float32.';
/** What to do instead of fields that transformers has, or had. */
const ADVICE: Readonly<Record<string, string>> = {
  evaluation_strategy: 'Use eval_strategy.',
  group_by_length: "Use train_sampling_strategy: 'group_by_length'.",
  activation_checkpointing: 'Pass a smaller max_tokens_per_batch.',
  per_gpu_train_batch_size: 'Use per_device_train_batch_size.',
  per_gpu_eval_batch_size: 'Use per_device_eval_batch_size.',
  resume_from_checkpoint: 'Pass it to train().',
  fp16: IN_FLOAT32,
  bf16: IN_FLOAT32,
  tf32: IN_FLOAT32,
  report_to: 'Pass a callback with on_log to the Trainer.',
};
