import type { Format } from '../../shaders/matrix.ts';
import type { LocationOptions, SourceOptions } from '../checkpoint/source/index.ts';
import { oneOf } from '../errors.ts';

/** What `pipeline` and `from_pretrained` take: transformers.js's names, and `signal` and `integrity` beside them. */
export interface PretrainedOptions extends LocationOptions, SourceOptions {
  /**
   * How the weights are kept on the GPU, whatever the file has: 'fp32'; 'fp16', half as large; 'q8', bytes with a scale for every 64
   * numbers of a row, a quarter and a little more. Sums are float32 (of q8 whole numbers) in each. Default: 'fp32', which is also what 'auto' means.
   */
  dtype?: string | null;
  /** 'webgpu', or a device of your own, which is never destroyed by this library. Default: 'webgpu'. */
  device?: string | GPUDevice | null;
}

/** Each dtype, and the format of the kernels' weights that it means. */
export const FORMATS: Readonly<Record<string, Format>> = { fp32: 'f32', fp16: 'f16', q8: 'i8', auto: 'f32' };
export const DTYPES: readonly string[] = Object.keys(FORMATS);
export const DEVICES = ['webgpu', 'gpu', 'auto', 'a GPUDevice'] as const;

const NAMES: readonly string[] = [
  'dtype',
  'device',
  'revision',
  'subfolder',
  'local_files_only',
  'progress_callback',
  'signal',
  'integrity',
];

/** Refuses what is not built, by name; gives back the caller's device where there is one, and the format of the weights. */
export function checkOptions(options: PretrainedOptions): { device: GPUDevice | undefined; format: Format } {
  const { dtype, device } = options;
  for (const [name, value] of Object.entries(options)) {
    // An option of transformers.js that is switched off asks for nothing.
    if (value !== undefined && value !== null && value !== false) oneOf('this option', name, NAMES);
  }
  const format = FORMATS[oneOf('this dtype', dtype || 'auto', DTYPES)]!;
  if ('createComputePipelineAsync' in Object(device)) return { device: device as GPUDevice, format };
  oneOf('this device', device || 'auto', DEVICES, 'This library computes on the GPU only.');
  return { device: undefined, format };
}
