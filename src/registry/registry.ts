import { env, FORMATS, readTokenizerFiles } from '../api/index.ts';
import { openCheckpoint, tensorFinder } from '../checkpoint/file/index.ts';
import {
  cachedFiles,
  inFolder,
  inside,
  type LocationOptions,
  type ManagedSource,
  type ModelLocation,
  openSource,
} from '../checkpoint/source/index.ts';
import { openSentence, type SentenceModules } from '../engine/index.ts';
import { SourceError } from '../errors.ts';
import { openGpu } from '../gpu/index.ts';
import { encoderGraph, everything, type HeadKind, POOLER_TENSOR, readConfig } from '../model/index.ts';
import { type Task, taskOf } from '../pipeline.ts';
import { plan, USUAL_GPU, weightBytes } from '../plan/index.ts';
import { CONFIG, type FileLister, fileLister, type ListedFile } from './files.ts';

/** What asks about a model takes; names as in transformers.js. One file serves every dtype, so none is asked for. */
export interface RegistryOptions extends LocationOptions {
  /** Whether the tokenizer's files belong to the answer. Default: true. */
  include_tokenizer?: boolean;
  /** Of `get_memory_footprint`: the device that the model will be on. Default: one without limits worth a mention. */
  device?: GPUDevice | null;
  signal?: AbortSignal;
}

export interface FileMetadata {
  exists: boolean;
  /** Bytes; undefined where the server does not say. */
  size?: number;
  contentType?: string;
  /** Whether it comes from the cache. */
  fromCache?: boolean;
}

export interface CacheCheckResult {
  allCached: boolean;
  files: { file: string; cached: boolean }[];
}

export interface CacheClearResult {
  filesDeleted: number;
  filesCached: number;
  files: { file: string; deleted: boolean; wasCached: boolean }[];
}

/** What the load of a model costs, in bytes. */
export interface DownloadSize {
  /** Of all files. */
  total: number;
  /** Of those that need no download: they are kept, or local. */
  cached: number;
  /** What is still to be downloaded: the rest. */
  download: number;
  /** Undefined, and counted as nothing, where the server does not say. */
  files: { file: string; size: number | undefined; cached: boolean }[];
}

/** Bytes of the weights on the GPU, by dtype. */
export type MemoryFootprint = Record<'fp32' | 'fp16' | 'q8', number>;

/** What is kept of a model. */
export interface CacheSize {
  /** Bytes of all its files. */
  total: number;
  files: { file: string; size: number }[];
}

/** A model of which something is kept in the cache. */
export interface CachedModel {
  /** A hub id, or a base URL: what the other methods take. */
  model: string;
  /** Of a hub model. */
  revision?: string;
  /** Bytes of all its files. */
  total: number;
  /** By their paths in the model, a subfolder included. */
  files: { file: string; size: number }[];
}

/** What is asked about: the files of a model, with those that a task reads beside them. */
interface Subject {
  source: ManagedSource;
  /** Undefined for a model without a task. */
  task: ReturnType<typeof taskOf> | undefined;
  options: RegistryOptions;
}

const subject = (model: ModelLocation, options: RegistryOptions | null | undefined, task?: string): Subject => {
  const known = task === undefined ? undefined : taskOf(task);
  const { revision, subfolder, local_files_only, signal } = options ?? {};
  // To ask keeps nothing: the page has not decided yet.
  const source = openSource(model, { revision, subfolder, local_files_only, signal }, env, { keeps: false });
  return { source, task: known, options: options ?? {} };
};

/** What sentence-transformers has written beside the encoder, where the task asks for that. */
interface SentencePart {
  files: ListedFile[];
  /** Of the encoder's own files. */
  folder: string;
  modules: SentenceModules | undefined;
}

async function sentencePart({ source, task }: Subject, kept: boolean): Promise<SentencePart> {
  const part: SentencePart = { files: [], folder: '', modules: undefined };
  const kind = task?.info.kind;
  if (!kind) return part;
  part.files = await fileLister(source, kept).read(async noting => {
    const { folder, settings, modules } = openSentence(noting, kind);
    part.folder = await folder;
    const [, read] = await Promise.allSettled([settings, modules]);
    if (read.status === 'rejected') throw read.reason;
    part.modules = read.value;
  });
  return part;
}

/** What a tokenizer is read from, beside config.json: its class decides, so it is read as a load reads it. */
async function tokenizerFiles(lister: FileLister, name: string, folder: string): Promise<ListedFile[]> {
  const files = await lister.read(noting =>
    readTokenizerFiles({
      name,
      open: (file, options) => noting.open(inside(folder, file), options),
      json: (file, options) => noting.json(inside(folder, file), options),
    }),
  );
  const isMain = ({ file }: ListedFile) => file === inside(folder, 'tokenizer.json');
  return [...files.filter(isMain), ...files.filter(each => !isMain(each) && each.file !== inside(folder, CONFIG))];
}

async function listed(about: Subject, kept = false): Promise<ListedFile[]> {
  const lister = fileLister(about.source, kept);
  const { files, folder } = await sentencePart(about, kept);
  const [model, tokenizer] = await Promise.all([
    lister.model(folder),
    about.options.include_tokenizer === false ? [] : tokenizerFiles(lister, about.source.name, folder),
  ]);
  return [...model, ...tokenizer, ...files];
}

const names = (files: readonly ListedFile[]): string[] => files.map(({ file }) => file);

async function checkCache(about: Subject): Promise<CacheCheckResult> {
  const files = (await listed(about, true)).map(({ file, known }) => ({ file, cached: known?.isAtHand ?? false }));
  return { allCached: files.every(({ cached }) => cached), files };
}

/** @param all whatever is kept under the model's address, also of other tasks */
async function clear(about: Subject, all: boolean): Promise<CacheClearResult> {
  const { source } = about;
  const wanted = new Set(await listed(about, true).then(names, () => [CONFIG]));
  // Also what an index names that is not there any more, and that a file was remembered as absent.
  if (all) for (const file of await source.keptFiles()) wanted.add(file);
  const files: CacheClearResult['files'] = [];
  for (const file of wanted) {
    const held = await source.kept(file);
    const deleted = held !== undefined && (await source.forget(file));
    if (held?.isAbsent) continue;
    files.push({ file, deleted, wasCached: held !== undefined });
  }
  return {
    filesDeleted: files.filter(({ deleted }) => deleted).length,
    filesCached: files.filter(({ wasCached }) => wasCached).length,
    files,
  };
}

async function downloadSize(about: Subject): Promise<DownloadSize> {
  const files = (await listed(about)).map(({ file, known }) => ({
    file,
    size: known?.size,
    cached: known?.isAtHand ?? false,
  }));
  const sum = (some: typeof files) => some.reduce((total, { size = 0 }) => total + size, 0);
  const cached = sum(files.filter(each => each.cached));
  const total = sum(files);
  return { total, cached, download: total - cached, files };
}

async function footprint(about: Subject): Promise<MemoryFootprint> {
  const { source, options } = about;
  const head: HeadKind | undefined = about.task?.info.head;
  const caps = options.device ? (await openGpu(options.device)).caps : USUAL_GPU;
  const { folder, modules: sentence } = await sentencePart(about, false);
  const encoder = inFolder(source, Promise.resolve(folder));
  const [config, checkpoint] = await Promise.all([
    encoder.json(CONFIG).then(json => readConfig(json)),
    openCheckpoint(encoder, { signal: options.signal }),
  ]);
  await checkpoint.cancel();
  const hasPooler = tensorFinder(checkpoint, config)(POOLER_TENSOR) !== undefined;
  const bytesIn = (dtype: keyof MemoryFootprint) =>
    plan(encoderGraph(config, everything(hasPooler, head, sentence), caps, FORMATS[dtype]), caps).weights.reduce(
      (sum, weight) => sum + weightBytes(weight),
      0,
    );
  return { fp32: bytesIn('fp32'), fp16: bytesIn('fp16'), q8: bytesIn('q8') };
}

/**
 * What models need and what is kept of them: transformers.js's ModelRegistry with its names, arguments and results, and beside it
 * what that one lacks: sizes of downloads, of the cache and on the GPU. A model is given as everywhere (see ModelLocation); files
 * that are local count as cached. Nothing here keeps a file, and `is_…`, `clear_…` and the cache's sizes ask no server.
 * Every method throws InputError for a location that is none, SourceError where a server or a file cannot be had, or the signal's
 * reason; those that take a task UnsupportedError for one that is not built.
 */
export const ModelRegistry = {
  /** The files that a model and its tokenizer are loaded from, in the order of a load. */
  async get_files(model: ModelLocation, options?: RegistryOptions | null): Promise<string[]> {
    return names(await listed(subject(model, options)));
  },

  /** The files that `pipeline(task, model)` loads. */
  async get_pipeline_files(task: Task, model: ModelLocation, options?: RegistryOptions | null): Promise<string[]> {
    return names(await listed(subject(model, options, task)));
  },

  /** config.json and the weights. */
  async get_model_files(model: ModelLocation, options?: RegistryOptions | null): Promise<string[]> {
    return names(await fileLister(subject(model, options).source, false).model());
  },

  /** tokenizer.json, or else the files of a vocabulary, and what is read beside them. */
  async get_tokenizer_files(model: ModelLocation, options?: RegistryOptions | null): Promise<string[]> {
    const { source } = subject(model, options);
    return names(await tokenizerFiles(fileLister(source, false), source.name, ''));
  },

  /** None: models of text have no processor. */
  async get_processor_files(_model: ModelLocation, _options?: RegistryOptions | null): Promise<string[]> {
    return [];
  },

  /** The dtypes that a model can be loaded in: all that are built where it has weights that are read, else none. */
  async get_available_dtypes(model: ModelLocation, options?: RegistryOptions | null): Promise<string[]> {
    const { source } = subject(model, options);
    // A model that does not exist is an error, one without such weights is not.
    await source.json(CONFIG);
    try {
      await fileLister(source, false).model();
    } catch (error) {
      if (error instanceof SourceError && error.status === 404) return [];
      throw error;
    }
    return Object.keys(FORMATS).filter(dtype => dtype !== 'auto');
  },

  /** Whether a file exists, its size and type, without downloading it. */
  async get_file_metadata(
    model: ModelLocation,
    filename: string,
    options?: RegistryOptions | null,
  ): Promise<FileMetadata> {
    const found = await subject(model, options).source.stat(filename);
    if (!found?.exists) return { exists: false, fromCache: false };
    const { size, contentType, isKept } = found;
    return {
      exists: true,
      ...(size !== undefined && { size }),
      ...(contentType !== undefined && { contentType }),
      fromCache: isKept,
    };
  },

  /** Whether a model and its tokenizer could be loaded without a connection. */
  async is_cached(model: ModelLocation, options?: RegistryOptions | null): Promise<boolean> {
    return (await ModelRegistry.is_cached_files(model, options)).allCached;
  },

  async is_cached_files(model: ModelLocation, options?: RegistryOptions | null): Promise<CacheCheckResult> {
    return checkCache(subject(model, options));
  },

  /** Whether `pipeline(task, model)` would do without a connection. */
  async is_pipeline_cached(task: Task, model: ModelLocation, options?: RegistryOptions | null): Promise<boolean> {
    return (await ModelRegistry.is_pipeline_cached_files(task, model, options)).allCached;
  },

  async is_pipeline_cached_files(
    task: Task,
    model: ModelLocation,
    options?: RegistryOptions | null,
  ): Promise<CacheCheckResult> {
    return checkCache(subject(model, options, task));
  },

  /** Removes all that is kept of a model's revision; of a cache that cannot list its entries, the files of the model and tokenizer. */
  async clear_cache(model: ModelLocation, options?: RegistryOptions | null): Promise<CacheClearResult> {
    return clear(subject(model, options), true);
  },

  /** Removes the files of `pipeline(task, model)`. */
  async clear_pipeline_cache(
    task: Task,
    model: ModelLocation,
    options?: RegistryOptions | null,
  ): Promise<CacheClearResult> {
    return clear(subject(model, options, task), false);
  },

  /** The bytes that loading a model and its tokenizer would download. */
  async get_download_size(model: ModelLocation, options?: RegistryOptions | null): Promise<DownloadSize> {
    return downloadSize(subject(model, options));
  },

  /** The bytes that `pipeline(task, model)` would download. */
  async get_pipeline_download_size(
    task: Task,
    model: ModelLocation,
    options?: RegistryOptions | null,
  ): Promise<DownloadSize> {
    return downloadSize(subject(model, options, task));
  },

  /**
   * The bytes of a model's weights on the GPU in each dtype: what `model.bytes()` says of them once it is loaded. Reads config.json
   * and the headers of the weights. What a call needs beside them grows with its length.
   */
  async get_memory_footprint(model: ModelLocation, options?: RegistryOptions | null): Promise<MemoryFootprint> {
    return footprint(subject(model, options));
  },

  /** The same for `pipeline(task, model)`, whose head and modules are on the GPU too. */
  async get_pipeline_memory_footprint(
    task: Task,
    model: ModelLocation,
    options?: RegistryOptions | null,
  ): Promise<MemoryFootprint> {
    return footprint(subject(model, options, task));
  },

  /** The bytes that are kept of a model, of all its files; of a cache that cannot list its entries, of those of the model and tokenizer. */
  async get_cache_size(model: ModelLocation, options?: RegistryOptions | null): Promise<CacheSize> {
    const about = subject(model, options);
    const wanted = new Set(await about.source.keptFiles());
    if (wanted.size === 0) for (const { file } of await listed(about, true).catch(() => [])) wanted.add(file);
    const files: CacheSize['files'] = [];
    for (const file of wanted) {
      const held = await about.source.kept(file);
      if (held && !held.isAbsent) files.push({ file, size: held.size ?? 0 });
    }
    return { total: files.reduce((sum, { size }) => sum + size, 0), files };
  },

  /** Everything that is kept in the cache, by models; empty for a cache that cannot list its entries. */
  async get_cached_models(): Promise<CachedModel[]> {
    const models = new Map<string, CachedModel>();
    for (const { model, revision, file, size } of await cachedFiles(env)) {
      const key = JSON.stringify([model, revision]);
      const entry = models.get(key) ?? { model, ...(revision !== undefined && { revision }), total: 0, files: [] };
      models.set(key, entry);
      entry.files.push({ file, size });
      entry.total += size;
    }
    return [...models.values()];
  },
};
