import { CachedCopies } from './cached-copies.ts';
import { COMMIT_HEADER, commitOf, UNTOLD } from './commit.ts';
import { download } from './download.ts';
import type { Environment } from './environment.ts';
import { type RequestOptions, sizeOf } from './request.ts';
import { isPassing } from './retry.ts';
import { moved, refused, saysAbsent } from './statuses.ts';
import type { FileStat, FileStore, StoredFile } from './store.ts';
import type { CachedCopy } from './types.ts';
import { type CommitAnswer, LEADER, type WebPlace, WebRequests, type WebSettings } from './web-requests.ts';

/** Headers of an answer that are cached with the file. */
const CACHED_HEADERS = ['content-type', 'etag', 'last-modified'];

/** Files below a base URL, with copies in the cache. */
export class WebStore implements FileStore {
  readonly #env: Environment;
  readonly #isHub: boolean;
  readonly #keeps: boolean;
  readonly #requests: WebRequests;
  readonly #copies: CachedCopies;

  constructor(place: WebPlace, env: Environment, settings: WebSettings) {
    this.#env = env;
    this.#isHub = place.hub !== undefined;
    this.#keeps = settings.keeps;
    this.#requests = new WebRequests(place, env, settings);
    this.#copies = new CachedCopies(env, place, this.#requests);
  }

  address(file: string): string {
    return this.#requests.url(file);
  }

  commit(): string | undefined {
    return this.#requests.choice.commit;
  }

  open(file: string, signal: AbortSignal): Promise<StoredFile | undefined> {
    const { choice } = this.#requests;
    // The leader looks into the cache first, and the other files wait for that, too.
    if (file === LEADER && choice.needsLead) return choice.lead(() => this.#open(file, signal, true));
    return this.#open(file, signal, false);
  }

  async stat(file: string, signal: AbortSignal): Promise<FileStat | undefined> {
    const copies = this.#copies;
    await copies.recallCommit();
    const entry = await copies.entry(file);
    await entry?.body?.cancel().catch(() => undefined);
    if (entry && copies.isGone(entry)) return undefined;
    const wasAbsent = entry?.status === 404 && copies.belongs(entry);
    const retries = wasAbsent ? 'none' : this.#requests.retries;
    // The browser's HTTP cache may hold a compressed copy, whose size is another one.
    const options: RequestOptions = { headers: { range: 'bytes=0-0' }, cache: 'no-store', retries };
    let answer: CommitAnswer;
    try {
      answer = await this.#requests.ask(file, signal, options);
    } catch (error) {
      if (wasAbsent && !signal.aborted) return undefined;
      throw error;
    }
    const { response, connection } = answer;
    await response.body?.cancel().catch(() => undefined);
    if (wasAbsent && isPassing(response)) return undefined;
    const contentType = response.headers.get('content-type') ?? undefined;
    // An empty file has no first byte.
    if (response.status === 416) return { size: 0, contentType };
    if (!response.ok) {
      if (saysAbsent(response, this.#isHub)) return undefined;
      throw refused(file, connection.url, answer);
    }
    if (response.status === 200 && contentType?.startsWith('text/html')) return undefined;
    const total = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1];
    return { size: total === undefined ? sizeOf(response) : Number(total), contentType };
  }

  cachedCopy(file: string): Promise<CachedCopy | undefined> {
    return this.#copies.describe(file);
  }

  forget(file: string): Promise<boolean> {
    return this.#copies.remove(file);
  }

  cachedNames(): Promise<readonly string[]> {
    return this.#copies.names();
  }

  async #open(file: string, signal: AbortSignal, isLeader: boolean): Promise<StoredFile | undefined> {
    const copies = this.#copies;
    let entry = await copies.entry(file);
    if (!isLeader) {
      await this.#requests.choice.settled(signal);
      await copies.recallCommit();
    }
    const isCurrent = entry !== undefined && !signal.aborted && (await copies.isCurrent(entry, file, signal));
    if (!isCurrent || signal.aborted) await entry?.body?.cancel().catch(() => undefined);
    signal.throwIfAborted();
    if (entry && isCurrent) return this.#fromCache(file, entry, signal);
    if (entry && copies.isGone(entry)) return undefined;
    // That another commit has no such file says nothing about this one.
    if (entry?.status === 404 && !copies.belongs(entry)) entry = undefined;
    // A file that was absent is asked for each time, because it may have been added; but once, so that nobody waits for it.
    const wasAbsent = entry?.status === 404;
    const options: RequestOptions = { retries: wasAbsent ? 'none' : this.#requests.retries };
    let answer: CommitAnswer;
    try {
      answer = isLeader
        ? await this.#requests.askAsLeader(file, signal, options)
        : await this.#requests.ask(file, signal, options);
    } catch (error) {
      if (wasAbsent && !signal.aborted) return undefined;
      throw error;
    }
    if (answer.response.ok) {
      if (entry !== undefined) await copies.remove(file);
      return this.#fromServer(file, answer);
    }
    await answer.response.body?.cancel().catch(() => undefined);
    if (wasAbsent && isPassing(answer.response)) return undefined;
    await this.#failUnlessAbsent(file, answer);
    return undefined;
  }

  #fromCache(file: string, entry: Response, signal: AbortSignal): StoredFile {
    const discard = async () => void (await this.#copies.remove(file));
    // A damaged copy is continued from the server, at the commit of the copy.
    const connection = this.#requests.connection(file, commitOf(entry) ?? this.commit(), signal);
    const bytes = download(entry, connection, { discard });
    return { size: sizeOf(entry), bytes, address: this.address(file), discard };
  }

  async #fromServer(file: string, { response, connection, commit }: CommitAnswer): Promise<StoredFile> {
    const cache = await this.#copies.cache();
    const stored: StoredFile = {
      size: sizeOf(response),
      bytes: download(response, connection),
      address: connection.url,
      mayDetach: cache !== this.#env.customCache,
    };
    if (!cache || !this.#keeps) return stored;
    const headers = new Headers();
    for (const name of CACHED_HEADERS) {
      const value = response.headers.get(name);
      if (value !== null) headers.set(name, value);
    }
    if (this.#isHub) headers.set(COMMIT_HEADER, commit ?? UNTOLD);
    const url = this.address(file);
    return {
      ...stored,
      markAbsent: () => this.#copies.markAbsent(file),
      async keep(body, size) {
        if (size !== undefined) headers.set('content-length', String(size));
        await cache.put(url, new Response(body, { headers }));
      },
    };
  }

  /** Notes that a file is absent. Throws SourceError where the answer says something else. */
  async #failUnlessAbsent(file: string, answer: CommitAnswer): Promise<void> {
    const { response, connection, commit } = answer;
    const isAtCommit = connection.url !== this.address(file);
    if (response.headers.get('x-error-code') === 'RevisionNotFound' && isAtCommit) {
      // The branch was rewritten since: without these copies the next load begins anew.
      await this.#copies.remove(LEADER);
      await this.#copies.remove(file);
      throw moved(file, connection.url, undefined, commit!);
    }
    if (!saysAbsent(response, this.#isHub)) throw refused(file, connection.url, answer);
    if (this.#keeps) await this.#copies.markAbsent(file, commitOf(response));
  }
}
