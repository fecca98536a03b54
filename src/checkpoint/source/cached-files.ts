import { openCache } from './cache.ts';
import { sizeOf } from './download.ts';
import type { Environment } from './environment.ts';

/** A file in the cache. */
export interface CachedFile {
  /** A hub id; or the folder that its URL names, where it is of no hub. */
  model: string;
  revision: string | undefined;
  /** Its path in the model. */
  file: string;
  /** Bytes. */
  size: number;
}

/** A part of a URL as people write it; as it is where it is no escaped text. */
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
    const found = await cache!.match(url);
    // What is remembered as absent is no file.
    if (found?.ok) files.push({ ...placeOf(url, env), size: sizeOf(found) ?? (await found.blob()).size });
    await found?.body?.cancel().catch(() => undefined);
  }
  // A folder below another one that holds files is a part of that model: '1_Pooling/'.
  const folders = files.map(({ model }) => model).filter(model => model.endsWith('/'));
  return files.map(each => {
    const top = folders.filter(folder => each.model.startsWith(folder)).sort((a, b) => a.length - b.length)[0];
    return top === undefined ? each : { ...each, model: top, file: decoded(each.model.slice(top.length)) + each.file };
  });
}

/** What a URL of the hub is made of: the address of one file, read backwards. */
function placeOf(url: string, { remoteHost, remotePathTemplate }: Environment): Omit<CachedFile, 'size'> {
  const address = `${remoteHost}/${remotePathTemplate}/`.replace(/([^:])\/{2,}/g, '$1/');
  // An id has one slash at most; that of a revision is escaped.
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
    // A template that names one of them twice.
    return other;
  }
}
