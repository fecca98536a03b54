import type { Format } from '../../shaders/matrix.ts';
import type { LocationOptions, SourceOptions } from '../checkpoint/source/index.ts';
import { checkSignals, oneOf } from '../errors.ts';

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

/** The caller's device, if there is one, and the format of the weights. Throws UnsupportedError, by name, for what is not built. */
export function checkOptions(options: PretrainedOptions): { device: GPUDevice | undefined; format: Format } {
  const { dtype, device } = options;
  for (const [name, value] of Object.entries(options)) {
    // An option of transformers.js that is switched off asks for nothing: it is ignored.
    if (value !== undefined && value !== null && value !== false) oneOf('this option', name, OPTION_NAMES);
  }
  checkSignals(options);
  const format = FORMATS[oneOf('this dtype', dtype || 'auto', DTYPES)]!;
  if ('createComputePipelineAsync' in Object(device)) return { device: device as GPUDevice, format };
  oneOf('this device', device || 'auto', DEVICES, 'This library computes on the GPU only.');
  return { device: undefined, format };
}
