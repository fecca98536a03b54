import { InputError, wrong } from '../errors.ts';
import { OPFS, type OutputDirectory } from './checkpoint-folders.ts';
import { GivenFields, patternOf } from './given-fields.ts';
import { SCHEDULER_OPTIONS, type SchedulerOptions, type SchedulerType } from './schedule.ts';

/**
 * What the fields of TrainingArguments may be: the types of those that are no plain numbers, and how they are read and checked. What is
 * wrong is an InputError.
 */

/** When something is done: never, every so many steps, or at the end of every epoch. */
export type IntervalStrategy = 'no' | 'steps' | 'epoch';
/** The same for checkpoints; 'best' is whenever an evaluation was better than all before. */
export type SaveStrategy = IntervalStrategy | 'best';
/**
 * In which order an epoch goes through the examples: drawn anew for each epoch; as they stand; or drawn, with examples of like length side
 * by side.
 */
export type SamplingStrategy = 'random' | 'sequential' | 'group_by_length';
/**
 * 'adamw_torch' is torch.optim.AdamW. 'adamw_bert' is that of google-research/bert: no bias correction, decay in the update, an epsilon of
 * 1e-6, and with 'linear' a learning rate that goes down from step 0 on.
 */
export type Optimizer = 'adamw_torch' | 'adamw_bert';
/**
 * Which weights are trained: all; those of the head alone; those of the head and the last layers; or those whose names in the checkpoint
 * match.
 */
export type Trainable = 'all' | 'head' | { readonly last_layers: number } | RegExp;

/** A field without a default: undefined where it is not given. */
export const optional = <T>(given: GivenFields, name: string, read: (name: string) => T): T | undefined =>
  given.value(name) === undefined ? undefined : read(name);

/** A number that may not be 0. */
export function positive(name: string, value: number): number {
  if (value > 0) return value;
  throw wrong(name, value, 'a number above 0');
}

/** The folder of checkpoints: `opfs:` and names of folders, or a handle. */
export function outputDirectory(value: unknown): OutputDirectory | undefined {
  if (value === undefined) return undefined;
  // A handle by what it can do: the class is not in every runtime.
  if (typeof value === 'object' && typeof Object(value).getFileHandle === 'function')
    return value as FileSystemDirectoryHandle;
  const path = typeof value === 'string' && value.startsWith(OPFS) ? value.slice(OPFS.length) : '';
  const isFine = path.split('/').every(part => part !== '' && part !== '.' && part !== '..');
  if (isFine) return value as string;
  throw wrong(
    'output_dir',
    value,
    "'opfs:name' or a FileSystemDirectoryHandle",
    'A page has no other folders: take the one of showDirectoryPicker(), or leave it out to save nothing.',
  );
}

/** The steps of the warmup, or their share of all steps: warmup_steps, or its older name warmup_ratio. */
export function warmupSteps(given: GivenFields): number {
  const steps = given.steps('warmup_steps', 0, { mayBeZero: true });
  const ratio = given.value('warmup_ratio');
  if (ratio === undefined) return steps;
  // Of both, transformers takes the steps, unless they are 0.
  return steps > 0 ? steps : given.number('warmup_ratio', 0, { min: 0, below: 1 });
}

/** Learning rates by regular expressions. */
export function rateMapping(value: unknown): Readonly<Record<string, number>> {
  const given = new GivenFields('learning_rate_mapping', value);
  const mapping: Record<string, number> = {};
  for (const source of Object.keys(value as object)) {
    patternOf('a name in learning_rate_mapping', source);
    mapping[source] = given.number(source, 0, { min: 0 });
  }
  return mapping;
}

/** The options of a schedule, which are not those of another one. */
export function schedulerOptions(type: SchedulerType, value: unknown): Readonly<SchedulerOptions> {
  const given = new GivenFields('lr_scheduler_kwargs', value);
  const names = SCHEDULER_OPTIONS[type];
  if (names.length === 0 && Object.keys(value ?? {}).length > 0) {
    throw wrong('lr_scheduler_kwargs', value, `nothing, since the schedule '${type}' has no options`);
  }
  given.checkNames(names);
  const options: SchedulerOptions = {};
  for (const name of names) {
    if (given.value(name) !== undefined) options[name] = given.number(name, 0, { min: 0 });
  }
  return options;
}

/** A weight for each label. */
export function classWeights(value: unknown): readonly number[] {
  const isFine = (weight: unknown) => typeof weight === 'number' && Number.isFinite(weight) && weight >= 0;
  const list: unknown = ArrayBuffer.isView(value) ? [...(value as Float32Array)] : value;
  if (Array.isArray(list) && list.every(isFine) && list.some(weight => weight > 0)) return list;
  throw wrong('class_weights', value, 'a list of numbers of at least 0, not all of them 0');
}

/** What is trained. */
export function trainable(value: unknown): Trainable {
  if (value === 'all' || value === 'head' || value instanceof RegExp) return value;
  const layers = Object(value).last_layers;
  const isOnlyField = typeof value === 'object' && Object.keys(Object(value)).length === 1;
  if (isOnlyField && Number.isSafeInteger(layers) && layers >= 1) return { last_layers: layers };
  throw wrong(
    'trainable',
    value,
    "'all', 'head', { last_layers: n } with n of at least 1, or a RegExp of names of weights",
  );
}

/** When a training evaluates and saves, and what for. */
interface Strategies {
  readonly eval_strategy: IntervalStrategy;
  readonly save_strategy: SaveStrategy;
  readonly output_dir: unknown;
  readonly load_best_model_at_end: boolean;
  readonly metric_for_best_model: string | undefined;
  readonly eval_steps: number;
  readonly save_steps: number;
}

/** Throws InputError where strategies cannot hold together, as transformers does. */
export function checkStrategies(args: Strategies): void {
  const { eval_strategy: evaluation, save_strategy: saving, output_dir: directory } = args;
  if (saving !== 'no' && directory === undefined) {
    const next = "Pass output_dir: 'opfs:name', or leave save_strategy out.";
    throw new InputError({ what: `save_strategy "${saving}" has no output_dir to save to`, next });
  }
  const needs = args.load_best_model_at_end
    ? 'load_best_model_at_end'
    : saving === 'best'
      ? "save_strategy 'best'"
      : undefined;
  if (needs && evaluation === 'no') {
    throw new InputError({
      what: `${needs} has nothing to compare`,
      actual: "eval_strategy 'no'",
      next: "Pass eval_strategy: 'epoch', or 'steps'.",
    });
  }
  if (saving === 'best' && args.metric_for_best_model === undefined) {
    throw new InputError({
      what: "save_strategy 'best' needs metric_for_best_model",
      next: "Pass 'loss', for example.",
    });
  }
  if (!args.load_best_model_at_end || saving === 'best') return;
  if (evaluation !== saving) {
    throw new InputError({
      what: 'load_best_model_at_end needs evaluation and saving at the same time',
      actual: `eval_strategy '${evaluation}', save_strategy '${saving}'`,
      next:
        directory === undefined
          ? "Pass output_dir: 'opfs:name', and save_strategy as eval_strategy."
          : 'Pass the same for both.',
    });
  }
  const { eval_steps, save_steps } = args;
  const times = save_steps / eval_steps;
  const isMultiple = save_steps < 1 === eval_steps < 1 && Math.abs(times - Math.round(times)) < 1e-9;
  if (evaluation === 'steps' && !isMultiple) {
    throw new InputError({
      what: 'load_best_model_at_end saves at steps that are not evaluated',
      actual: `eval_steps ${eval_steps}, save_steps ${save_steps}`,
      expected: 'save_steps that are a multiple of eval_steps',
    });
  }
}
