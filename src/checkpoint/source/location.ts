import { InputError, wrong } from '../../errors.ts';
import { isText } from '../../json.ts';
import { globalOf, hasFileSystem } from '../../runtime/index.ts';
import { isCommit } from './commit.ts';
import type { Environment } from './environment.ts';
import { DirectoryStore, MemoryStore, notTwice } from './local-stores.ts';
import type { FileStore } from './store.ts';
import type { WebPlace, WebSettings } from './web-requests.ts';
import { WebStore } from './web-store.ts';

/** A file from memory or from an <input type="file">; the name may be a path, '1_Pooling/config.json'. */
export type LocalFile = File | { name: string; blob: Blob };

/**
 * Where a model's files are:
 * - a hub id, 'org/name': looked for under env.localModelPath where env.allowLocalModels, then at env.remoteHost;
 * - a base URL: 'https://host/path/', a URL object, or './path/' and '/path/' beside the page;
 * - in Node and Deno a directory, './path' or absolute, or a file: URL;
 * - a FileList or an array of files, found by their paths below the folder of config.json;
 * - an object from file names to their bytes or blobs.
 */
export type ModelLocation =
  | string
  | URL
  | FileList
  | readonly LocalFile[]
  | Readonly<Record<string, Uint8Array | ArrayBuffer | Blob>>;

export interface LocationOptions {
  /** A branch, tag or commit of a hub model. Default: 'main'. */
  revision?: string;
  /** The folder inside the model that holds its files. */
  subfolder?: string;
  /** Nothing is loaded from env.remoteHost. Default: false. */
  local_files_only?: boolean;
}

/**
 * The places where the files of a model may be, in the order in which they are asked.
 * @throws InputError where the location is of no known kind, or the settings of `env` allow none of its places
 */
export function resolveLocation(
  where: ModelLocation,
  { revision = 'main', subfolder = '', local_files_only = false }: LocationOptions,
  env: Environment,
  settings: WebSettings,
): { name: string; stores: FileStore[] } {
  if (typeof where !== 'string' && !(where instanceof URL)) {
    return { name: 'files', stores: [inMemory(where)] };
  }
  const name = String(where);
  const remote = env.allowRemoteModels && !local_files_only;
  const stores: FileStore[] = [];
  const baseIn = (place: string) => baseOf(place, subfolder, env.baseURL);
  /** Adds a directory where there is a file system; else a URL, which may be relative to the page. */
  const add = (place: string, { isAllowed, isLast = true, hub }: PlaceOptions) => {
    const isFile = /^file:/i.test(place);
    if (hasFileSystem() && (isFile || !isUrl(place))) {
      const { fileURLToPath } = process.getBuiltinModule('node:url');
      stores.push(new DirectoryStore(joinPath(isFile ? fileURLToPath(place) : place, subfolder)));
    } else if (isAllowed) stores.push(new WebStore({ base: baseIn(place), hub, isLast }, env, settings));
  };
  if (isUrl(name)) add(name, { isAllowed: remote });
  else if (/^(\.{0,2}[\\/]|[a-z]:[\\/])|[\\/]$/i.test(name)) add(name, { isAllowed: true });
  else {
    if (!isHubId(name)) throw wrong('the model', where, KINDS);
    if (env.allowLocalModels) add(`${env.localModelPath}/${name}`, { isAllowed: true, isLast: !remote });
    const folderAt = (commit: string) =>
      `${env.remoteHost}/${env.remotePathTemplate.replaceAll('{model}', name).replaceAll('{revision}', encodeURIComponent(commit))}`;
    const hub = {
      ...(isCommit(revision) && { commit: revision }),
      ...(env.remotePathTemplate.includes('{revision}') && {
        baseAt: (commit: string) => baseIn(folderAt(commit)),
      }),
    };
    if (remote) add(folderAt(revision), { isAllowed: true, hub });
  }
  if (stores.length > 0) return { name, stores };
  throw new InputError({
    what: `${name} may not be loaded`,
    actual: `env.allowLocalModels = ${env.allowLocalModels} and ${local_files_only ? 'local_files_only: true' : 'env.allowRemoteModels = false'}`,
    expected: 'a place that is allowed',
    next: 'Allow one of these, or pass a path such as "./models/my-model/", or files.',
  });
}

interface PlaceOptions {
  /** Whether a place on the web may be asked. */
  isAllowed: boolean;
  isLast?: boolean;
  hub?: WebPlace['hub'];
}

const KINDS =
  "a hub id ('org/name'), a URL, a path that starts with './' or '/', a list of files ({ name, blob }), or an object from names to bytes";

/** The scheme has two letters at least: 'C:\models' is a path. */
const isUrl = (place: string) => /^[a-z][a-z\d+.-]+:/i.test(place);

/** The rule of the hub for repository names (huggingface_hub, utils/_validators.py). */
export function isHubId(id: string): boolean {
  return /^(\b[\w.-]+\b\/)?\b[\w.-]{1,96}\b$/.test(id) && !/\.\.|--|\.git$|\.ipynb$/.test(id);
}

function baseOf(where: string, subfolder: string, page = globalOf('document')?.baseURI): string {
  const base = urlOf(where, page ?? globalOf('location')?.href);
  if (!base) throw wrong('the model', where, 'a URL that is valid');
  base.search = base.hash = '';
  base.pathname = joinPath(base.pathname.replace(/^\/+/, ''), encodeURI(subfolder));
  return base.href;
}

/** Undefined where it is not a URL. URL.parse and URL.canParse came to browsers after WebGPU. */
function urlOf(where: string, page: string | undefined): URL | undefined {
  try {
    return new URL(where, page);
  } catch {
    return undefined;
  }
}

/** The path of a folder in a folder, which ends in a slash. */
function joinPath(folder: string, subfolder: string): string {
  const path = `${folder}/${subfolder}`;
  let end = path.length;
  while (path[end - 1] === '/' || path[end - 1] === '\\') end--;
  return `${path.slice(0, end)}/`.replace(/([^:])\/{2,}/g, '$1/');
}

const sizeOf = (file: Blob | Uint8Array): number => (file instanceof Blob ? file.size : file.byteLength);

/** The files by the names they were passed under, and by their paths below the folder of the model. */
function inMemory(where: Exclude<ModelLocation, string | URL>): MemoryStore {
  if (typeof where !== 'object' || where === null || where instanceof Blob) throw wrong('the model', where, KINDS);
  const entries: [name: unknown, value: unknown][] =
    'length' in where
      ? Array.from(where as ArrayLike<LocalFile>, file => {
          // The path below a folder that the user chose; files that were chosen one by one have names only.
          const chosen = file instanceof Blob && file.webkitRelativePath;
          return [
            chosen ? chosen.slice(chosen.indexOf('/') + 1) : file?.name,
            file instanceof Blob ? file : file?.blob,
          ];
        })
      : Object.entries(where);
  const files = new Map<string, Blob | Uint8Array>();
  const copies = new Map<Blob | Uint8Array, readonly (Blob | Uint8Array)[]>();
  for (const [name, value] of entries) {
    const file = value instanceof ArrayBuffer ? new Uint8Array(value) : value;
    if (!isText(name) || !(file instanceof Uint8Array || file instanceof Blob)) throw wrong('the model', value, KINDS);
    const other = files.get(name);
    if (other && sizeOf(other) !== sizeOf(file)) throw notTwice(name);
    // The lists of a model and of its tokenizer in one have the files of the tokenizer twice. The store compares them.
    if (other) copies.set(file, [other, ...(copies.get(other) ?? [])]);
    files.set(name, file);
  }
  // The folder of the model is the topmost one with a config.json or modules.json; without these, the topmost one with a file.
  const depth = (path: string) => path.split('/').length;
  const paths = [...files.keys()].sort((a, b) => depth(a) - depth(b));
  const first = paths.find(path => /(^|\/)(config|modules)\.json$/.test(path)) ?? paths[0] ?? '';
  const root = first.slice(0, first.lastIndexOf('/') + 1);
  // Names that were passed win over paths: a file 'config.json' stays what it is.
  for (const path of paths) {
    const name = path.slice(root.length);
    if (path.startsWith(root) && !files.has(name)) files.set(name, files.get(path)!);
  }
  return new MemoryStore(files, copies);
}
