import { openCache } from './cache.ts';
import { decoded } from './cached-files.ts';
import { COMMIT_HEADER, commitOf } from './commit.ts';
import type { Environment, ModelCache } from './environment.ts';
import { type Connection, sizeOf, validatorOf } from './request.ts';
import type { CachedCopy } from './types.ts';
import { LEADER, type WebPlace, type WebRequests } from './web-requests.ts';

/**
 * The copies of one place's files in the cache, which are entries under the files' URLs. An entry with the status 404 notes that a
 * file does not exist.
 */
export class CachedCopies {
  readonly #env: Environment;
  readonly #place: WebPlace;
  readonly #requests: WebRequests;
  #cache: Promise<ModelCache | undefined> | undefined;

  constructor(env: Environment, place: WebPlace, requests: WebRequests) {
    this.#env = env;
    this.#place = place;
    this.#requests = requests;
  }

  /** Undefined where there is none. Throws InputError where `env.customCache` is no cache. */
  cache(): Promise<ModelCache | undefined> {
    this.#cache ??= openCache(this.#env);
    return this.#cache;
  }

  async entry(file: string): Promise<Response | undefined> {
    const cache = await this.cache();
    return cache?.match(this.#requests.url(file)).catch(() => undefined);
  }

  async remove(file: string): Promise<boolean> {
    const cache = await this.cache();
    return (await cache?.delete?.(this.#requests.url(file)).catch(() => false)) ?? false;
  }

  /** Notes that a file does not exist; with `commit`, that this commit has no such file. */
  async markAbsent(file: string, commit?: string): Promise<void> {
    const cache = await this.cache();
    const headers = commit === undefined ? undefined : { [COMMIT_HEADER]: commit };
    await cache?.put(this.#requests.url(file), new Response(null, { status: 404, headers })).catch(() => undefined);
  }

  async describe(file: string): Promise<CachedCopy | undefined> {
    await this.recallCommit();
    const entry = await this.entry(file);
    if (!entry) return undefined;
    // A file that came compressed was cached without its size.
    const size = sizeOf(entry) ?? (await entry.blob()).size;
    await entry.body?.cancel().catch(() => undefined);
    const contentType = entry.headers.get('content-type') ?? undefined;
    return { isAbsent: !entry.ok, size, contentType, isUsed: this.belongs(entry) };
  }

  async names(): Promise<readonly string[]> {
    const { base } = this.#place;
    const keys = (await (await this.cache())?.keys?.()) ?? [];
    return keys.flatMap(key => {
      const url = typeof key === 'string' ? key : key.url;
      return url.startsWith(base) ? [decoded(url.slice(base.length))] : [];
    });
  }

  /** The commit of the cached config.json decides for all files, so that the model in the cache stays whole. */
  async recallCommit(): Promise<void> {
    const { choice } = this.#requests;
    if (!choice.needsLead) return;
    const leader = await this.entry(LEADER);
    await leader?.body?.cancel().catch(() => undefined);
    if (leader?.ok) choice.tell(commitOf(leader));
  }

  /** Whether an entry is of the commit of this load. Any entry is, before a commit is known. */
  belongs(entry: Response): boolean {
    const { isBranch, choice } = this.#requests;
    if (!isBranch || choice.commit === undefined) return true;
    const told = entry.headers.get(COMMIT_HEADER);
    // Copies that were cached before commits were noted are compared by their ETag.
    return told === null || told === choice.commit;
  }

  /** Whether an entry notes that the commit of this load has no such file, which holds for ever. */
  isGone(entry: Response): boolean {
    const told = commitOf(entry);
    return entry.status === 404 && told !== undefined && told === this.#requests.choice.commit;
  }

  /** Whether a copy may be used. Its commit decides for all files where nothing has decided before. */
  async isCurrent(entry: Response, file: string, signal: AbortSignal): Promise<boolean> {
    if (!entry.ok || !this.belongs(entry)) return false;
    const { isBranch, choice } = this.#requests;
    const hasCommit = entry.headers.get(COMMIT_HEADER) !== null;
    if (this.#place.hub && (!isBranch || hasCommit || validatorOf(entry) === undefined)) {
      if (isBranch) choice.tell(commitOf(entry));
      return true;
    }
    const { isOutdated, commit } = await compare(entry, this.#requests.connection(file, choice.commit, signal));
    if (isBranch && !isOutdated) choice.tell(commit);
    return !isOutdated;
  }
}

/**
 * Whether the server has another version than the cached one, or none, and the commit that it tells. It is asked once: without a
 * connection, with a server in trouble or after an abort the copy is used.
 */
async function compare(
  entry: Response,
  { url, fetch, signal }: Connection,
): Promise<{ isOutdated: boolean; commit?: string | undefined }> {
  const response = await fetch(url, { method: 'HEAD', signal }).catch(() => undefined);
  if (response === undefined) return { isOutdated: false };
  if (!response.ok) return { isOutdated: response.status === 404 || response.status === 410 };
  const now = validatorOf(response);
  const then = validatorOf(entry);
  return { isOutdated: now !== undefined && then !== undefined && now !== then, commit: commitOf(response) };
}
