import { env, FORMATS } from '../api/index.ts';
import { cachedFiles, inside, type ModelLocation } from '../checkpoint/source/index.ts';
import { SourceError } from '../errors.ts';
import type { Task } from '../tasks/index.ts';
import { cacheSize, checkCache, clearCache } from './cache.ts';
import { CONFIG } from './file-lister.ts';
import { footprint } from './footprint.ts';
import { Inquiry } from './inquiry.ts';
import type {
  CacheCheckResult,
  CacheClearResult,
  CachedModel,
  CacheSize,
  DownloadSize,
  FileMetadata,
  MemoryFootprint,
  RegistryOptions,
} from './types.ts';

const names = (files: readonly { file: string }[]): string[] => files.map(({ file }) => file);

/**
 * The files that models need, and those that are in the cache: transformers.js's ModelRegistry with its names, arguments and results,
 * and the sizes of downloads, of the cache and on the GPU, which that one lacks. A model is named as everywhere (see ModelLocation);
 * local files count as cached. Nothing here writes to the cache; `is_…`, `clear_…` and the cache's sizes ask no server.
 * Methods without a task are about what `AutoModel` and `AutoTokenizer` load, or the class that the option `model_class` names:
 *
 *   await ModelRegistry.get_download_size('naver/splade-v3', { model_class: 'SparseEncoder' });
 *
 * Every method throws InputError for a malformed location, SourceError where a server or a file cannot be had, UnsupportedError for a
 * task or a class that is not built and for a repository that is none of the class, or the signal's reason.
 */
export const ModelRegistry = {
  /** The files that a model and its tokenizer are loaded from, in the order of a load: those of `model_class`, where it is given. */
  async get_files(model: ModelLocation, options?: RegistryOptions | null): Promise<string[]> {
    return names(await new Inquiry(model, options).files());
  },

  /** The files that `pipeline(task, model)` loads. */
  async get_pipeline_files(task: Task, model: ModelLocation, options?: RegistryOptions | null): Promise<string[]> {
    return names(await new Inquiry(model, options, task).files());
  },

  /** config.json and the weights. */
  async get_model_files(model: ModelLocation, options?: RegistryOptions | null): Promise<string[]> {
    return names(await new Inquiry(model, options).modelFiles());
  },

  /** tokenizer.json, or else the files of a vocabulary, and the settings beside them. */
  async get_tokenizer_files(model: ModelLocation, options?: RegistryOptions | null): Promise<string[]> {
    return names(await new Inquiry(model, options).tokenizerFiles());
  },

  /** Always empty: models of text have no processor. */
  async get_processor_files(_model: ModelLocation, _options?: RegistryOptions | null): Promise<string[]> {
    return [];
  },

  /** The dtypes that a model can be loaded in: all that are built; none where its weights are in no format that is read. */
  async get_available_dtypes(model: ModelLocation, options?: RegistryOptions | null): Promise<string[]> {
    const inquiry = new Inquiry(model, options);
    // A model that does not exist is an error; one without such weights is not.
    const { folder } = await inquiry.parts();
    await inquiry.source.json(inside(folder, CONFIG));
    try {
      await inquiry.modelFiles();
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
    const stat = await new Inquiry(model, options).source.stat(filename);
    if (!stat?.exists) return { exists: false, fromCache: false };
    const { size, contentType, isCached } = stat;
    return {
      exists: true,
      ...(size !== undefined && { size }),
      ...(contentType !== undefined && { contentType }),
      fromCache: isCached,
    };
  },

  /** Whether a model and its tokenizer could be loaded without a connection. */
  async is_cached(model: ModelLocation, options?: RegistryOptions | null): Promise<boolean> {
    return (await ModelRegistry.is_cached_files(model, options)).allCached;
  },

  async is_cached_files(model: ModelLocation, options?: RegistryOptions | null): Promise<CacheCheckResult> {
    return checkCache(new Inquiry(model, options));
  },

  /** Whether `pipeline(task, model)` needs no connection. */
  async is_pipeline_cached(task: Task, model: ModelLocation, options?: RegistryOptions | null): Promise<boolean> {
    return (await ModelRegistry.is_pipeline_cached_files(task, model, options)).allCached;
  },

  async is_pipeline_cached_files(
    task: Task,
    model: ModelLocation,
    options?: RegistryOptions | null,
  ): Promise<CacheCheckResult> {
    return checkCache(new Inquiry(model, options, task));
  },

  /** Removes all cached files of a model's revision; from a cache that cannot list its entries, those of the model and tokenizer. */
  async clear_cache(model: ModelLocation, options?: RegistryOptions | null): Promise<CacheClearResult> {
    return clearCache(new Inquiry(model, options), { otherFiles: true });
  },

  /** Removes the files of `pipeline(task, model)`. */
  async clear_pipeline_cache(
    task: Task,
    model: ModelLocation,
    options?: RegistryOptions | null,
  ): Promise<CacheClearResult> {
    return clearCache(new Inquiry(model, options, task), { otherFiles: false });
  },

  /** The bytes that loading a model and its tokenizer would download. */
  async get_download_size(model: ModelLocation, options?: RegistryOptions | null): Promise<DownloadSize> {
    return new Inquiry(model, options).downloadSize();
  },

  /** The bytes that `pipeline(task, model)` would download. */
  async get_pipeline_download_size(
    task: Task,
    model: ModelLocation,
    options?: RegistryOptions | null,
  ): Promise<DownloadSize> {
    return new Inquiry(model, options, task).downloadSize();
  },

  /**
   * The bytes of a model's weights on the GPU in each dtype, as `(await model.bytes()).weights` gives them once the model is loaded: by
   * `AutoModel`, or by `model_class`. Reads config.json and the headers of the weights. The further memory of a call grows with its length.
   */
  async get_memory_footprint(model: ModelLocation, options?: RegistryOptions | null): Promise<MemoryFootprint> {
    return footprint(new Inquiry(model, options));
  },

  /** The same for `pipeline(task, model)`, with the weights of its head and its modules. */
  async get_pipeline_memory_footprint(
    task: Task,
    model: ModelLocation,
    options?: RegistryOptions | null,
  ): Promise<MemoryFootprint> {
    return footprint(new Inquiry(model, options, task));
  },

  /** The bytes of all cached files of a model; in a cache that cannot list its entries, of the files of the model and tokenizer. */
  async get_cache_size(model: ModelLocation, options?: RegistryOptions | null): Promise<CacheSize> {
    return cacheSize(new Inquiry(model, options));
  },

  /** All cached files, by models; empty for a cache that cannot list its entries. */
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
