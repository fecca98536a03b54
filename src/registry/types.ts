import type { LocationOptions } from '../checkpoint/source/index.ts';
import type { ModelClass } from './model-class.ts';

/** Options of all methods, with the names of transformers.js. One file serves every dtype, so there is no option for it. */
export interface RegistryOptions extends LocationOptions {
  /**
   * The class whose `from_pretrained` loads the model: 'SparseEncoder', 'MultiVectorEncoder', or 'AutoModel' or one of its sisters, whose
   * heads count in `get_memory_footprint`. Methods that take a task have no such option. Default: 'AutoModel'.
   */
  model_class?: ModelClass | null;
  /** Whether the answer includes the tokenizer's files. Default: true. */
  include_tokenizer?: boolean;
  /** For `get_memory_footprint`: the device that will hold the model. Default: a usual GPU. */
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

/** The bytes that loading a model takes. */
export interface DownloadSize {
  /** Of all files. */
  total: number;
  /** Of the files that need no download: they are in the cache, or local. */
  cached: number;
  /** Of the files that are still to be downloaded. */
  download: number;
  /** A size is undefined, and counted as nothing, where the server does not say. */
  files: { file: string; size: number | undefined; cached: boolean }[];
}

/** Bytes of the weights on the GPU, by dtype. */
export type MemoryFootprint = Record<'fp32' | 'fp16' | 'q8', number>;

/** The files of a model in the cache. */
export interface CacheSize {
  /** Bytes of all its files. */
  total: number;
  files: { file: string; size: number }[];
}

/** A model with files in the cache. */
export interface CachedModel {
  /** A hub id or a base URL, as the other methods take it. */
  model: string;
  /** Set for a hub model. */
  revision?: string;
  /** Bytes of all its files. */
  total: number;
  /** By their paths in the model, a subfolder included. */
  files: { file: string; size: number }[];
}
