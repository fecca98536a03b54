import { openCache } from './cache.ts';
import type { Environment } from './environment.ts';
import { sizeOf } from './request.ts';

/** A file in the cache. */
export interface CachedFile {
  /** The hub id; or for a file of no hub, the URL of its folder. */
  model: string;
  revision: string | undefined;
  /** Its path in the model. */
  file: string;
  /** Bytes. */
  size: number;
}

/** A part of a URL without its escapes; unchanged where they are malformed. */
export function decoded(part: string, decode = decodeURI): string {
  try {
    return decode(part);
  } catch {
    return part;
  }
}

/** All files in the cache; none for a cache that cannot list its entries. */
export async function cachedFiles(env: Environment): Promise<CachedFile[]> {
  const cache = await openCache(env);
  const keys = (await cache?.keys?.()) ?? [];
  const files: CachedFile[] = [];
  for (const key of keys) {
    const url = typeof key === 'string' ? key : key.url;
    const entry = await cache!.match(url);
    // Other entries note that a file does not exist.
    if (entry?.ok) files.push({ ...placeOf(url, env), size: sizeOf(entry) ?? (await entry.blob()).size });
    await entry?.body?.cancel().catch(() => undefined);
  }
  // A folder inside another folder with files belongs to that one's model: '1_Pooling/'.
  const folders = files.map(({ model }) => model).filter(model => model.endsWith('/'));
  return files.map(cached => {
    const { model, file } = cached;
    const top = folders.filter(folder => model.startsWith(folder)).sort((a, b) => a.length - b.length)[0];
    return top === undefined ? cached : { ...cached, model: top, file: decoded(model.slice(top.length)) + file };
  });
}

/** The parts of a file's URL on the hub, found with the template that such URLs are made from. */
function placeOf(url: string, { remoteHost, remotePathTemplate }: Environment): Omit<CachedFile, 'size'> {
  const address = `${remoteHost}/${remotePathTemplate}/`.replace(/([^:])\/{2,}/g, '$1/');
  // An id has at most one slash; slashes of a revision are escaped.
  const pattern = address
    .split(/(\{model\}|\{revision\})/)
    .map(part => {
      if (part === '{model}') return '(?<model>[^/]+(?:/[^/]+)?)';
      if (part === '{revision}') return '(?<revision>[^/]+)';
      return part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    })
    .join('');
  const slash = url.lastIndexOf('/') + 1;
  const other = { model: url.slice(0, slash), revision: undefined, file: decoded(url.slice(slash)) };
  try {
    const groups = new RegExp(`^${pattern}(?<file>.+)$`).exec(url)?.groups;
    if (!groups?.model) return other;
    const { model, revision, file = '' } = groups;
    return {
      model: decoded(model),
      revision: revision === undefined ? undefined : decoded(revision, decodeURIComponent),
      file: decoded(file),
    };
  } catch {
    // The template has the model or the revision twice, which makes a malformed pattern.
    return other;
  }
}
