/**
 * ModelRegistry: which files a model has, which of them are in the cache, and what the model would hold in GPU memory. Only the root
 * imports it. It never loads a model.
 */

export type { ModelClass } from './model-class.ts';
export { ModelRegistry } from './registry.ts';
export type {
  CacheCheckResult,
  CacheClearResult,
  CachedModel,
  CacheSize,
  DownloadSize,
  FileMetadata,
  MemoryFootprint,
  RegistryOptions,
} from './types.ts';
