/**
 * Bytes of a model's files, wherever they are: hub, URL, folder, Blobs, memory; with cache, retries, integrity and one commit for a load.
 * `checkpoint/file`, `engine`, `api` and `registry` import it. It never knows what is in a file.
 */

export { joined, piecesOf } from './bytes.ts';
export { cachedFiles } from './cached-files.ts';
export { type Environment, hasFileSystem, type ModelCache } from './environment.ts';
export { inFolder, inside, isSafePath } from './folder.ts';
export type { LocalFile, LocationOptions, ModelLocation } from './location.ts';
export { type ManagedSource, openSource, type SourceFile, type SourceOptions } from './source.ts';
export type { ModelFile, ModelSource, ProgressCallback, ProgressInfo } from './types.ts';
