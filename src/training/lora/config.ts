import { describe, InputError, UnsupportedError, wrong } from '../../errors.ts';
import { isText, isWhole, type Json } from '../../json.ts';
import { GivenFields } from '../given-fields.ts';

/** What a PEFT model is for: it says which modules are trained whole, beside the adapters. */
export const TASK_TYPES = ['SEQ_CLS', 'TOKEN_CLS', 'QUESTION_ANS', 'FEATURE_EXTRACTION'] as const;
export type TaskType = (typeof TASK_TYPES)[number];

const BIASES = ['none', 'all', 'lora_only'] as const;
export type LoraBias = (typeof BIASES)[number];

/** The fields of PEFT's LoraConfig that there are here. */
export interface LoraConfigInit {
  /** The rank of the adapters. Default: 8. */
  readonly r?: number | null;
  /**
   * The names of the linears that get adapters, each whole or from some dot on: 'query'; or a regular expression that matches the whole of
   * names; or 'all-linear', all linears but those of the output. Default: PEFT's of the family, which for BERT is ['query', 'value'].
   */
  readonly target_modules?: string | readonly string[] | null;
  /** Names, or a regular expression, of linears that get none. */
  readonly exclude_modules?: string | readonly string[] | null;
  /** What adapters compute is multiplied by lora_alpha / r. Default: 8. */
  readonly lora_alpha?: number | null;
  /** The probability of dropout before adapters. Default: 0. */
  readonly lora_dropout?: number | null;
  /** Which biases are trained: none, all, or those of the linears with adapters. Default: 'none'. */
  readonly bias?: LoraBias | null;
  /** Whether what adapters compute is multiplied by lora_alpha / sqrt(r) instead (Kalajdzievski, arXiv 2312.03732). Default: false. */
  readonly use_rslora?: boolean | null;
  /** Modules that are trained whole and saved with the adapters, by the ends of their names. A task_type adds the head. */
  readonly modules_to_save?: readonly string[] | null;
  /** true: A is random and B zero, so that nothing changes at first; 'gaussian': the same with another A; false: both random. Default: true. */
  readonly init_lora_weights?: boolean | 'gaussian' | null;
  /** The numbers of the layers that get adapters. Default: all. */
  readonly layers_to_transform?: number | readonly number[] | null;
  /** What the list of layers is called, where that is not clear: 'layer'. */
  readonly layers_pattern?: string | readonly string[] | null;
  /** Adds modules_to_save: 'SEQ_CLS' and 'TOKEN_CLS' classifier and score, 'QUESTION_ANS' qa_outputs. */
  readonly task_type?: TaskType | null;
  /** For the file: what the adapters belong to. Default: where the model was loaded from. */
  readonly base_model_name_or_path?: string | null;
  /** For the file: the revision of that. */
  readonly revision?: string | null;
  readonly peft_type?: 'LORA' | null;
  readonly inference_mode?: boolean | null;
}

const FIELD_NAMES = [
  'r',
  'target_modules',
  'exclude_modules',
  'lora_alpha',
  'lora_dropout',
  'bias',
  'use_rslora',
  'modules_to_save',
  'init_lora_weights',
  'layers_to_transform',
  'layers_pattern',
  'task_type',
  'base_model_name_or_path',
  'revision',
  'peft_type',
  'inference_mode',
] as const satisfies readonly (keyof LoraConfigInit)[];

/** Fields of PEFT's that say nothing where what they belong to is off. */
const SAY_NOTHING = ['auto_mapping', 'peft_version', 'megatron_core', 'qalora_group_size'];

/** Values of a field of PEFT's that is off. */
const isOff = (value: unknown): boolean =>
  (value ?? false) === false || (typeof value === 'object' && value !== null && Object.keys(value).length === 0);

/** How adapters are made: PEFT's LoraConfig, with its names and defaults. Fields that there are not, and wrong values, throw. */
export class LoraConfig {
  readonly r: number;
  readonly target_modules: string | readonly string[] | null;
  readonly exclude_modules: string | readonly string[] | null;
  readonly lora_alpha: number;
  readonly lora_dropout: number;
  readonly bias: LoraBias;
  readonly use_rslora: boolean;
  readonly modules_to_save: readonly string[] | null;
  readonly init_lora_weights: boolean | 'gaussian';
  readonly layers_to_transform: number | readonly number[] | null;
  readonly layers_pattern: string | readonly string[] | null;
  readonly task_type: TaskType | null;
  readonly base_model_name_or_path: string | null;
  readonly revision: string | null;

  /** Throws InputError for a field that there is not, and for a wrong value; UnsupportedError for a value of PEFT's that is not there. */
  constructor(init?: LoraConfigInit | null) {
    const given = new GivenFields('LoraConfig', init);
    given.checkNames(FIELD_NAMES);
    given.choice('peft_type', 'LORA', ['LORA']);
    given.flag('inference_mode', false);
    this.r = given.count('r', 8);
    this.target_modules = namesOf(given, 'target_modules', true);
    this.exclude_modules = namesOf(given, 'exclude_modules', true);
    this.lora_alpha = given.number('lora_alpha', 8);
    this.lora_dropout = given.number('lora_dropout', 0, { min: 0, below: 1 });
    this.bias = given.choice<LoraBias>('bias', 'none', BIASES);
    this.use_rslora = given.flag('use_rslora', false);
    this.modules_to_save = namesOf(given, 'modules_to_save', false) as readonly string[] | null;
    this.init_lora_weights = given.choice<boolean | 'gaussian'>('init_lora_weights', true, [true, false, 'gaussian']);
    this.layers_to_transform = layersOf(given);
    this.layers_pattern = namesOf(given, 'layers_pattern', true);
    this.task_type = given.choice<TaskType | null>('task_type', null, [...TASK_TYPES, null]);
    this.base_model_name_or_path = given.text('base_model_name_or_path') ?? null;
    this.revision = given.text('revision') ?? null;
    if (this.layers_to_transform !== null && isText(this.target_modules)) {
      throw wrong('layers_to_transform', this.layers_to_transform, 'null where target_modules is a string, as in PEFT');
    }
    if (this.layers_pattern !== null && this.layers_to_transform === null) {
      throw wrong('layers_pattern', this.layers_pattern, 'null where layers_to_transform is null, as in PEFT');
    }
  }

  /** The fields of adapter_config.json. Throws UnsupportedError for what PEFT can do and this library cannot. */
  static fromFile(json: Json): LoraConfig {
    const known: Json = {};
    for (const [name, value] of Object.entries(json)) {
      if ((FIELD_NAMES as readonly string[]).includes(name)) known[name] = value;
      else if (!SAY_NOTHING.includes(name) && !isOff(value)) {
        throw new UnsupportedError({
          what: `this adapter needs "${name}", which is not there`,
          actual: describe(value),
          supported: FIELD_NAMES,
          next: 'Merge it into its model in Python, and load that.',
        });
      }
    }
    // It says how weights began, which the file has.
    delete known.init_lora_weights;
    return new LoraConfig(known);
  }

  /** What adapters compute is multiplied by this. */
  get scaling(): number {
    return this.lora_alpha / (this.use_rslora ? Math.sqrt(this.r) : this.r);
  }

  /** `modules_to_save`, and what the task adds. */
  get savedModules(): readonly string[] {
    const added = {
      SEQ_CLS: CLASSIFIERS,
      TOKEN_CLS: CLASSIFIERS,
      QUESTION_ANS: ['qa_outputs'],
      FEATURE_EXTRACTION: [],
    };
    const own = this.modules_to_save ?? [];
    return [...new Set([...own, ...(this.task_type ? added[this.task_type] : [])])];
  }

  /** adapter_config.json as an object, with all fields that PEFT needs; `target_modules` as they were found. */
  toJSON(): Json {
    const saved = this.savedModules;
    return {
      base_model_name_or_path: this.base_model_name_or_path,
      bias: this.bias,
      exclude_modules: this.exclude_modules,
      fan_in_fan_out: false,
      inference_mode: true,
      init_lora_weights: this.init_lora_weights,
      layers_pattern: this.layers_pattern,
      layers_to_transform: this.layers_to_transform,
      lora_alpha: this.lora_alpha,
      lora_dropout: this.lora_dropout,
      modules_to_save: saved.length > 0 ? saved : null,
      peft_type: 'LORA',
      r: this.r,
      revision: this.revision,
      target_modules: this.target_modules,
      task_type: this.task_type,
      use_rslora: this.use_rslora,
    };
  }
}

const CLASSIFIERS = ['classifier', 'score'];

/** A list of strings, null where none is given, or where it may be one a string. */
function namesOf(given: GivenFields, name: string, mayBeText: boolean): string | readonly string[] | null {
  const value = given.value(name) ?? null;
  if (value === null || (mayBeText && isText(value) && value !== '')) return value;
  if (Array.isArray(value) && value.every(isText)) return [...value];
  throw wrong(name, value, `${mayBeText ? 'a string or ' : ''}a list of strings`);
}

function layersOf(given: GivenFields): number | readonly number[] | null {
  const value = given.value('layers_to_transform') ?? null;
  if (value === null || isWhole(value)) return value;
  if (Array.isArray(value) && value.every(isWhole)) return value.length > 0 ? [...value] : null;
  throw wrong('layers_to_transform', value, 'a whole number or a list of whole numbers');
}

/** PEFT's regular expression for names, which must match the whole of one. Throws InputError where it is none. */
export function wholePattern(name: string, source: string): RegExp {
  try {
    return new RegExp(`^(?:${source})$`);
  } catch (cause) {
    throw new InputError({
      what: `${name} is wrong`,
      actual: describe(source),
      expected: 'a list of names, or the source of a regular expression',
      cause,
    });
  }
}
