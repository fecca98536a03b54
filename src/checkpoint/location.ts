import { InputError, wrong } from '../errors.ts';
import { isText } from '../fields.ts';
import { type Environment, hasFileSystem } from './environment.ts';

/** A file given from memory or from an <input type="file">; the name may be a path, '1_Pooling/config.json'. */
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

/** A place to look in, in the order of trying. */
export type Place =
  /** `fixed`: a kept copy is used without asking the server, as for a revision of the hub; else its ETag is compared. */
  | { kind: 'web'; base: string; fixed: boolean }
  | { kind: 'directory'; path: string }
  | { kind: 'memory'; files: ReadonlyMap<string, Blob | Uint8Array> };

export interface LocationOptions {
  /** A branch, tag or commit of a hub model. Default: 'main'. */
  revision?: string;
  /** The folder of the model that holds its files. */
  subfolder?: string;
  /** Nothing is loaded from env.remoteHost. Default: false. */
  local_files_only?: boolean;
}

/** @throws InputError where the location is none of the kinds, or the settings of `env` leave no place to look in */
export function resolveLocation(
  where: ModelLocation,
  { revision = 'main', subfolder = '', local_files_only = false }: LocationOptions,
  env: Environment,
): { name: string; places: Place[] } {
  if (typeof where !== 'string' && !(where instanceof URL)) {
    return { name: 'files', places: [{ kind: 'memory', files: inMemory(where) }] };
  }
  const name = String(where);
  const remote = env.allowRemoteModels && !local_files_only;
  // Two letters at least: 'C:\models' is a path.
  if (/^[a-z][a-z\d+.-]+:/i.test(name)) {
    if (/^file:/i.test(name) && hasFileSystem()) return { name, places: [path(new URL(name), subfolder)] };
    if (!remote) throw notAllowed(name, local_files_only, 'a path or files');
    return { name, places: [web(name, subfolder, false)] };
  }
  if (/^(\.{0,2}[\\/]|[a-z]:[\\/])|[\\/]$/i.test(name)) return { name, places: [path(name, subfolder)] };
  if (!isHubId(name)) throw wrong('the model', where, KINDS);
  const places: Place[] = [];
  if (env.allowLocalModels) places.push(path(`${env.localModelPath.replace(/\/*$/, '/')}${name}`, subfolder));
  if (remote) {
    const folder = env.remotePathTemplate
      .replaceAll('{model}', name)
      .replaceAll('{revision}', encodeURIComponent(revision));
    places.push(web(`${env.remoteHost.replace(/\/*$/, '/')}${folder.replace(/^\/+/, '')}`, subfolder, true));
  }
  if (places.length > 0) return { name, places };
  throw notAllowed(name, local_files_only, 'one of the two allowed');
}

const KINDS =
  "a hub id ('org/name'), a URL, a path that starts with './' or '/', a list of files ({ name, blob }), or an object from names to bytes";

function notAllowed(name: string, localOnly: boolean, expected: string): InputError {
  const remote = localOnly ? 'local_files_only: true' : 'env.allowRemoteModels = false';
  return new InputError({
    what: `${name} may not be loaded`,
    actual: `env.allowLocalModels = false and ${remote}`,
    expected,
  });
}

/** The rule of the hub for repository names (huggingface_hub, utils/_validators.py). */
function isHubId(id: string): boolean {
  return /^(\b[\w.-]+\b\/)?\b[\w.-]{1,96}\b$/.test(id) && !/\.\.|--|\.git$|\.ipynb$/.test(id);
}

/** A path or page-relative URL: a directory where there is a file system, a URL on a page. */
function path(where: string | URL, subfolder: string): Place {
  if (typeof where === 'string' && (/^https?:/i.test(where) || !hasFileSystem())) return web(where, subfolder, false);
  const directory = where instanceof URL ? decodeURIComponent(where.pathname).replace(/^\/(?=[a-z]:)/i, '') : where;
  return { kind: 'directory', path: joinPath(directory, subfolder) };
}

function web(where: string, subfolder: string, fixed: boolean): Place {
  const page = typeof document === 'object' ? document.baseURI : globalThis.location?.href;
  if (!URL.canParse(where, page)) throw wrong('the model', where, 'a URL that is valid');
  const base = new URL(where, page);
  base.search = base.hash = '';
  base.pathname = joinPath(base.pathname, encodeURI(subfolder));
  return { kind: 'web', base: base.href, fixed };
}

/** Ends in a slash. */
function joinPath(folder: string, subfolder: string): string {
  return `${folder}/${subfolder}/`.replace(/[\\/]+$/, '/').replace(/([^:])\/{2,}/g, '$1/');
}

function inMemory(where: Exclude<ModelLocation, string | URL>): ReadonlyMap<string, Blob | Uint8Array> {
  const files = new Map<string, Blob | Uint8Array>();
  const add = (name: unknown, value: unknown) => {
    const file = value instanceof ArrayBuffer ? new Uint8Array(value) : value;
    if (!isText(name) || !(file instanceof Uint8Array || file instanceof Blob)) throw wrong('the model', value, KINDS);
    if (files.has(name)) throw wrong('the model', name, 'no two files of one name: choose the folder');
    files.set(name, file);
  };
  if (typeof where !== 'object' || where === null || where instanceof Blob) throw wrong('the model', where, KINDS);
  if (!('length' in where)) {
    for (const [name, value] of Object.entries(where)) add(name, value);
    return files;
  }
  for (const file of Array.from(where as ArrayLike<LocalFile>)) {
    // Of a chosen folder, what is below it; a selection of files has names only.
    const chosen = file instanceof Blob && file.webkitRelativePath;
    add(chosen ? chosen.slice(chosen.indexOf('/') + 1) : file?.name, file instanceof Blob ? file : file?.blob);
  }
  const root = rootOf([...files.keys()]);
  // A file directly in the folder of the model is the one of its name: 'config.json', not 'onnx/config.json'.
  for (const [path, file] of [...files]) {
    const name = path.slice(root.length);
    if (path.startsWith(root) && !files.has(name)) files.set(name, file);
  }
  return files;
}

/** The folder of the model, with its slash: the one nearest to the top that has a config.json, or else any file. */
function rootOf(paths: readonly string[]): string {
  const configs = paths.filter(path => /(^|\/)config\.json$/.test(path));
  const folders = (configs.length > 0 ? configs : paths).map(path => path.slice(0, path.lastIndexOf('/') + 1));
  const depth = (folder: string) => folder.split('/').length;
  return folders.length === 0 ? '' : folders.reduce((a, b) => (depth(b) < depth(a) ? b : a));
}
