/**
 * Opens the files of a model, wherever they are: on a hub, at a URL, in a directory, Blobs or memory. Caches, retries, checks digests, and
 * takes all files of a load from one commit. `checkpoint/file`, `engine`, `api` and `registry` import it. It never knows what a file means.
 */

export { joined } from './bytes.ts';
export { cachedFiles } from './cached-files.ts';
export { type Environment, LogLevel, type ModelCache } from './environment.ts';
export { inFolder, inside, isSafePath } from './folder.ts';
export { isHubId, type LocalFile, type LocationOptions, type ModelLocation } from './location.ts';
export { openSource, type SourceOptions } from './source.ts';
export type { ManagedSource, ModelFile, ModelSource, ProgressCallback, ProgressInfo, SourceFile } from './types.ts';
