import type { Format } from '../../shaders/matrix.ts';
import type { LocationOptions, SourceOptions } from '../checkpoint/source/index.ts';
import { checkSignals, oneOf } from '../errors.ts';
import type { ProblemType } from '../model/index.ts';

/** The options of `pipeline` and `from_pretrained`: transformers.js's names, and in addition `signal` and `integrity`. */
export interface PretrainedOptions extends LocationOptions, SourceOptions {
  /**
   * How the weights are kept on the GPU, whatever the file has: 'fp32'; 'fp16', half as large; 'q8', bytes with a scale for every 64
   * numbers of a row, a little over a quarter as large. Sums are float32, within 64 numbers of q8 whole numbers. Default: 'fp32', which
   * 'auto' means too.
   */
  dtype?: string | null;
  /** 'webgpu', or a GPUDevice of yours, which this library never destroys. Default: 'webgpu'. */
  device?: string | GPUDevice | null;
  /**
   * The task whose weights are taken, where a checkpoint has weights for several (`lora_adaptations` of config.json): 'retrieval.query' of
   * jina-embeddings-v3. They are merged when the model is loaded. Default: the weights that all tasks share.
   */
  default_task?: string | null;
}

/**
 * The options of `from_pretrained` of a class with a head. With `num_labels`, `id2label`, `label2id` or `seed` a head that the checkpoint
 * lacks is made, with random numbers, to be trained: the model's `newly_initialized` lists its tensors. Without them it is an error, since
 * the answers of such a head mean nothing.
 */
export interface NewHeadOptions extends PretrainedOptions {
  /** How many classes there are. Default: as many as `id2label` has, or as config.json says. */
  num_labels?: number | null;
  /** The names of the classes by their ids, 0 to the number of classes - 1. Default: those of config.json, or LABEL_0, LABEL_1, ... */
  id2label?: Readonly<Record<number, string>> | null;
  /** The ids of the classes by their names. Default: as `id2label` says. */
  label2id?: Readonly<Record<string, number>> | null;
  /** What the labels of training are: as of Python's `config.problem_type`. Default: as config.json says. */
  problem_type?: ProblemType | null;
  /** A head of another size, which the checkpoint has for other classes, is made anew. Default: false, it is an error. */
  ignore_mismatched_sizes?: boolean | null;
  /** Of the random numbers: a whole number below 2^32. The same seed gives the same weights in every browser. Default: 42. */
  seed?: number | null;
}

/** The names of the options that NewHeadOptions has beside those of any load. */
export const NEW_HEAD_OPTIONS: readonly string[] = [
  'num_labels',
  'id2label',
  'label2id',
  'problem_type',
  'ignore_mismatched_sizes',
  'seed',
];

/** The format of the weights on the GPU, by `dtype`. */
const FORMATS_BY_DTYPE = { fp32: 'f32', fp16: 'f16', q8: 'i8', auto: 'f32' } as const satisfies Record<string, Format>;
export const FORMATS: Readonly<Record<string, Format>> = FORMATS_BY_DTYPE;
/** Values of the option `dtype`, under transformers.js's name for their type. */
export type DataType = keyof typeof FORMATS_BY_DTYPE;
export const DTYPES: readonly string[] = Object.keys(FORMATS);
export const DEVICES = ['webgpu', 'gpu', 'auto', 'a GPUDevice'] as const;
/** Values of the option `device` but a GPUDevice, under transformers.js's name for their type. */
export type DeviceType = Exclude<(typeof DEVICES)[number], 'a GPUDevice'>;

const OPTION_NAMES: readonly string[] = [
  'dtype',
  'device',
  'default_task',
  'revision',
  'subfolder',
  'local_files_only',
  'progress_callback',
  'signal',
  'integrity',
];

/**
 * Throws UnsupportedError for an option by another name, InputError for a `signal` or a `progress_callback` that is none.
 * @param next what to do about another name
 */
export function checkOptionNames(options: object, names: readonly string[], next?: string): void {
  for (const [name, value] of Object.entries(options)) {
    // An option of transformers.js that is switched off asks for nothing: it is ignored.
    if (value !== undefined && value !== null && value !== false) oneOf('this option', name, names, next);
  }
  checkSignals(options);
}

/**
 * The caller's device, if there is one, and the format of the weights. Throws UnsupportedError, by name, for what is not built.
 * @param more names of options that are read elsewhere
 */
export function checkOptions(
  options: PretrainedOptions,
  more: readonly string[] = [],
): { device: GPUDevice | undefined; format: Format } {
  const { dtype, device } = options;
  checkOptionNames(options, [...OPTION_NAMES, ...more]);
  const format = FORMATS[oneOf('this dtype', dtype || 'auto', DTYPES)]!;
  if ('createComputePipelineAsync' in Object(device)) return { device: device as GPUDevice, format };
  oneOf('this device', device || 'auto', DEVICES, 'This library computes on the GPU only.');
  return { device: undefined, format };
}
