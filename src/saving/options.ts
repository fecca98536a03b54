import { checkNames, oneOf, UnsupportedError } from '../errors.ts';

export interface SaveOptions {
  /**
   * The type of the numbers in the files: 'float32', or rounded to nearest even 'float16' and 'bfloat16'. Default: 'float32'; of a model
   * that keeps its weights as fp16 'float16': its matrices are halves already, its vectors are rounded.
   */
  dtype?: SavedDtype | null;
  /** Aborts the saving: it rejects at once with the signal's reason. */
  signal?: AbortSignal;
}

/** The types of numbers that files are saved with, by their names in PyTorch, and in the header of a file. */
export const SAVED_DTYPES = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' } as const;
export type SavedDtype = keyof typeof SAVED_DTYPES;

/** Throws UnsupportedError, InputError. */
export const checkSaveOptions = (options: SaveOptions | null | undefined): SaveOptions => {
  const checked = checkNames<SaveOptions>('save_pretrained', options, ['dtype', 'signal']);
  if ((checked.dtype ?? null) !== null) oneOf('this dtype of files', checked.dtype, Object.keys(SAVED_DTYPES));
  return checked;
};

/**
 * The type that a model is saved with. Rounded weights are never written as if they were more exact: throws UnsupportedError for those kept
 * as q8, and for any other type than 'float16' for those kept as fp16.
 * @param format how the weights are kept
 */
export function savedDtype({ dtype }: SaveOptions, format: 'f32' | 'f16' | 'i8'): SavedDtype {
  if (format === 'f32') return dtype ?? 'float32';
  const kept = format === 'f16' ? 'fp16' : 'q8';
  const wanted = dtype ?? (format === 'f16' ? 'float16' : 'float32');
  if (format === 'f16' && wanted === 'float16') return wanted;
  const halves =
    format === 'f16' ? "Pass { dtype: 'float16' }, which writes its matrices as they are, or load" : 'Load';
  throw new UnsupportedError({
    what: `this model cannot be saved as ${wanted}, because its weights are rounded`,
    actual: `they are kept as ${kept}`,
    expected: 'a model loaded with dtype "fp32"',
    supported: format === 'f16' ? ['float16'] : [],
    next: `${halves} the model with { dtype: 'fp32' }.`,
  });
}
