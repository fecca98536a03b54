import { type ManagedSource, type ModelLocation, type ModelSource, openSource } from '../checkpoint/source/index.ts';
import { linkedAbort } from '../runtime/index.ts';
import { type FoundFiles, noting } from '../saving/index.ts';
import { env } from './env.ts';
import { checkOptions, type PretrainedOptions } from './options.ts';
import { PreTrainedTokenizer } from './tokenizer.ts';
import { readTokenizerFiles, type TokenizerFiles } from './tokenizer-files.ts';

/** The caller's options as the engine takes them; those of the names `more` are read elsewhere. Throws UnsupportedError. */
export const readOptions = (options: PretrainedOptions, more?: readonly string[]) => ({
  ...checkOptions(options, more),
  defaultTask: options.default_task ?? undefined,
  progress: options.progress_callback ?? undefined,
  signal: options.signal ?? undefined,
});

/**
 * A function that opens the files of a model again, after its device was lost: from the same place, at the same commit, with the
 * settings of `env` as they are now, except for `fetch`, which is looked up when it is called. The model keeps the function, so it
 * holds no other option of the load, such as its callback.
 */
export function reopening(
  { commit }: Pick<ManagedSource, 'commit'>,
  location: ModelLocation,
  { revision, subfolder, local_files_only, integrity }: PretrainedOptions,
): Reopen {
  const settings = { ...env, fetch: (input: string, init?: RequestInit) => env.fetch(input, init) };
  return signal =>
    openSource(location, { revision, subfolder, local_files_only, integrity, signal }, settings, {
      commit: commit(),
    });
}

/**
 * Runs a load. If a part of it fails, the signal that it was given aborts, so that its other parts stop. The caller's signal is listened
 * to only until the load settles.
 */
export async function stopping<T>(
  callerSignal: AbortSignal | undefined,
  load: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const stop = linkedAbort(callerSignal);
  try {
    return await load(stop.signal);
  } catch (error) {
    stop.abort(error);
    throw error;
  } finally {
    stop.release();
  }
}

/** Opens the files of a load again: see `reopening`. */
export type Reopen = (signal: AbortSignal) => ModelSource;

/**
 * Reads the files of a tokenizer, and notes which they were. Throws SourceError, UnsupportedError.
 * @param open opens them again. Default: the tokenizer is never saved
 */
export async function foundTokenizer(
  source: ModelSource,
  open: Reopen | undefined,
): Promise<TokenizerFiles & { readonly found: FoundFiles | undefined }> {
  const names = new Set<string>();
  const files = await readTokenizerFiles(noting(source, names));
  // It may name the class of the tokenizer, but it is the model's file.
  names.delete('config.json');
  return { ...files, found: open && { names, open } };
}

/**
 * Reads a tokenizer. Throws SourceError, UnsupportedError.
 * @param open opens its files again. Default: it is never saved
 * @param isPlain whether it is tokenizer.json alone, as the tokenizers library reads it: without the class of tokenizer_config.json
 */
export async function loadTokenizer(
  source: ModelSource,
  open?: Reopen,
  isPlain: Promise<boolean> | false = false,
): Promise<PreTrainedTokenizer> {
  const [{ tokenizer, config, found }, isAlone] = await Promise.all([foundTokenizer(source, open), isPlain]);
  return new PreTrainedTokenizer(tokenizer, isAlone ? {} : config, found);
}

/** A source that reads each JSON file once, however many parts of a load ask for it: the tokenizer may need config.json too. */
export function withSharedJson(source: ModelSource): ModelSource {
  const files = new Map<string, Promise<unknown>>();
  return {
    name: source.name,
    open: (file, options) => source.open(file, options),
    async json(file, options) {
      const reading = files.get(file) ?? source.json(file, { optional: true });
      files.set(file, reading);
      // A file that failed, or was not there, is asked for again.
      const forget = () => files.delete(file);
      reading.then(value => value === undefined && forget(), forget);
      const value = await reading;
      if (value !== undefined || options?.optional) return value;
      // Asked for without `optional`, a file that is not there gives the error that says where it was looked for.
      return source.json(file, options);
    },
  };
}
