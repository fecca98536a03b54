import { CONFIG } from './file-lister.ts';
import type { Inquiry } from './inquiry.ts';
import type { CacheCheckResult, CacheClearResult, CacheSize } from './types.ts';

/** Which of the files of a load are in the cache, or local. Asks no server. */
export async function checkCache(inquiry: Inquiry): Promise<CacheCheckResult> {
  const listed = await inquiry.files({ cachedOnly: true });
  const files = listed.map(({ file, stat }) => ({ file, cached: stat?.isAtHand ?? false }));
  return { allCached: files.every(({ cached }) => cached), files };
}

/**
 * Removes the files of a load from the cache. Asks no server.
 * @param otherFiles also whatever else is cached under the model's address: files of other tasks, shards that an index no longer
 *   names, and notes that a file does not exist
 */
export async function clearCache(inquiry: Inquiry, { otherFiles }: { otherFiles: boolean }): Promise<CacheClearResult> {
  const { source } = inquiry;
  const names = new Set(await namesOf(inquiry, [CONFIG]));
  if (otherFiles) for (const file of await source.cachedNames()) names.add(file);
  const files: CacheClearResult['files'] = [];
  for (const file of names) {
    const copy = await source.cachedCopy(file);
    const deleted = copy !== undefined && (await source.forget(file));
    if (copy?.isAbsent) continue;
    files.push({ file, deleted, wasCached: copy !== undefined });
  }
  return {
    filesDeleted: files.filter(({ deleted }) => deleted).length,
    filesCached: files.filter(({ wasCached }) => wasCached).length,
    files,
  };
}

export async function cacheSize(inquiry: Inquiry): Promise<CacheSize> {
  const { source } = inquiry;
  const cached = await source.cachedNames();
  // A cache that cannot list its entries is asked for the files of a load.
  const names = cached.length > 0 ? cached : await namesOf(inquiry, []);
  const files: CacheSize['files'] = [];
  for (const file of new Set(names)) {
    const copy = await source.cachedCopy(file);
    if (copy && !copy.isAbsent) files.push({ file, size: copy.size ?? 0 });
  }
  return { total: files.reduce((sum, { size }) => sum + size, 0), files };
}

/** The files of a load as far as the cache tells them; `otherwise` where that is not enough to list any. */
const namesOf = (inquiry: Inquiry, otherwise: readonly string[]): Promise<readonly string[]> =>
  inquiry.files({ cachedOnly: true }).then(
    files => files.map(({ file }) => file),
    () => otherwise,
  );
