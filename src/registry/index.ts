/**
 * ModelRegistry: which files a model has, which of them are kept, and what it would hold in memory. Only the root imports it. It never
 * loads a model.
 */

export {
  type CacheCheckResult,
  type CacheClearResult,
  type CachedModel,
  type CacheSize,
  type DownloadSize,
  type FileMetadata,
  type MemoryFootprint,
  ModelRegistry,
  type RegistryOptions,
} from './registry.ts';
