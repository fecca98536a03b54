import { SourceError } from '../../errors.ts';
import { openCache } from './cache.ts';
import { decoded } from './cached-files.ts';
import { COMMIT_HEADER, CommitChoice, commitOf, UNTOLD } from './commit.ts';
import { type Answer, type Connection, download, type Retries, request, sizeOf, validatorOf } from './download.ts';
import type { Environment, ModelCache } from './environment.ts';
import { type Clock, isPassing } from './retry.ts';
import type { FileStat, FileStore, KeptFile, StoredFile } from './store.ts';

/** What a status means here, and what to do about it. */
const PRIVATE = 'Check its id; for a private or gated model let env.fetch send an Authorization header.';
const LATER = 'Try again later.';
const MEANING: Record<number, readonly [meaning: string, next: string]> = {
  401: ['there is no such model, or it is private or gated', PRIVATE],
  403: ['access is forbidden', PRIVATE],
  408: ['the server waited too long', LATER],
  429: ['too many requests', LATER],
};

const ABSENT = [403, 404, 410];

/** The file whose answer decides which commit a load is of, where it is asked for. */
const LEADER = 'config.json';
/** The hub redirects large files to another server, which tells no commit. */
const isLarge = (file: string) => /\.safetensors$|(^|\/)tokenizer\.json$/.test(file);

/** Where files are on the web. */
export interface WebPlace {
  /** Ends in a slash. */
  base: string;
  /** Of a hub: its kept copies are used without asking the server, while those of another server are compared by ETag. */
  hub?: {
    /** Where the revision is one already. */
    commit?: string;
    /** The base at a commit; absent where the addresses have no place for it. */
    baseAt?: (commit: string) => string;
  };
  /** Whether no other place is looked in after this one. */
  isLast: boolean;
}

export interface WebSettings {
  clock: Clock;
  /** Whether anything is written to the cache. */
  keeps: boolean;
  /** The commit of a hub's branch that all files shall be of, where it is known beforehand. */
  commit?: string | undefined;
}

/**
 * Files under a base URL, kept in the cache by their URLs. Those of a branch of the hub are all of one commit: the first answer,
 * or kept copy, that tells one decides, and whatever else is asked for is asked for at that commit.
 */
export function webStore(
  { base, hub, isLast }: WebPlace,
  env: Environment,
  { clock, keeps, commit }: WebSettings,
): FileStore {
  const where = (file: string) => base + encodeURI(file);
  const choice = new CommitChoice(base, hub && (hub.commit ?? commit));
  const isBranch = hub !== undefined && hub.commit === undefined;
  if (!isBranch) choice.giveUp();
  // Where there is another place, a server that cannot be reached is no reason to wait.
  const retries: Retries = isLast ? 'all' : 'answers';

  const urlAt = (file: string, commit: string | undefined) =>
    commit !== undefined && hub?.baseAt ? hub.baseAt(commit) + encodeURI(file) : where(file);
  const connectionTo = (file: string, commit: string | undefined, signal: AbortSignal): Connection => ({
    url: urlAt(file, commit),
    file,
    fetch: env.fetch,
    signal,
    clock,
  });
  const match = (cache: ModelCache | undefined, file: string) => cache?.match(where(file)).catch(() => undefined);
  const remove = async (cache: ModelCache | undefined, file: string) =>
    (await cache?.delete?.(where(file)).catch(() => false)) ?? false;

  /** The commit that the kept config.json is of decides for all: the model on the disk shall not fall apart. */
  async function recall(cache: ModelCache | undefined): Promise<void> {
    if (!choice.needsLead) return;
    const leader = await match(cache, LEADER);
    await leader?.body?.cancel().catch(() => undefined);
    if (leader?.ok) choice.tell(commitOf(leader));
  }

  /** Whether a kept copy, or what is remembered as absent, belongs to this load; it is so also before a commit is known. */
  function belongs(kept: Response): boolean {
    if (!isBranch || choice.commit === undefined) return true;
    const told = kept.headers.get(COMMIT_HEADER);
    // One that was kept before commits were noted is compared by its ETag.
    return told === null || told === choice.commit;
  }

  /** Whether a kept copy may be used; it decides on the commit where nothing else has. */
  async function isCurrent(kept: Response, file: string, signal: AbortSignal): Promise<boolean> {
    if (!kept.ok || !belongs(kept)) return false;
    const told = kept.headers.get(COMMIT_HEADER);
    if (hub && (!isBranch || told !== null || validatorOf(kept) === undefined)) {
      if (isBranch) choice.tell(commitOf(kept));
      return true;
    }
    const { isOutdated, commit } = await compare(kept, connectionTo(file, choice.commit, signal));
    if (isBranch && !isOutdated) choice.tell(commit);
    return !isOutdated;
  }

  /** Waits until it is decided which commit to ask for; or is the one who decides, by asking in `work`. */
  async function decided<T>(file: string, signal: AbortSignal, leads: boolean, work: () => Promise<T>): Promise<T> {
    for (;;) {
      if (!leads) await choice.settled(signal);
      signal.throwIfAborted();
      if (!leads && !choice.needsLead) return work();
      const first = async () => {
        await choice.join(signal);
        return work();
      };
      if (leads) return first();
      if (!isLarge(file)) return choice.lead(first);
      await choice.lead(() => lookUp(signal)).catch(() => signal.throwIfAborted());
    }
  }

  /** Learns the commit without a file. */
  async function lookUp(signal: AbortSignal): Promise<void> {
    await choice.join(signal);
    if (choice.commit === undefined) {
      const { response } = await request(connectionTo(LEADER, undefined, signal), { method: 'HEAD', retries });
      choice.tell(commitOf(response));
    }
    choice.giveUp();
  }

  /** Asks the server, at the commit of the load where that is known by the time of the answer. */
  async function fetched(
    file: string,
    signal: AbortSignal,
    init: RequestInit & { retries: Retries },
  ): Promise<Answer & { connection: Connection; commit: string | undefined }> {
    for (;;) {
      const asked = choice.commit;
      const connection = connectionTo(file, asked, signal);
      const answer = await request(connection, init);
      const { response } = answer;
      const told = commitOf(response);
      if (isBranch) choice.tell(told);
      // An answer that tells nothing ends the waiting, unless it just says that there is no such file.
      if (isBranch && told === undefined && (file === LEADER || !ABSENT.includes(response.status))) choice.giveUp();
      const { commit } = choice;
      const isAnswer = response.ok || ABSENT.includes(response.status);
      const isProven = told === undefined ? asked === commit || !hub?.baseAt : told === commit;
      if (!isBranch || !isAnswer || commit === undefined || isProven) {
        // What breaks off later is continued at the commit.
        return { ...answer, connection: { ...connection, url: urlAt(file, commit) }, commit };
      }
      await response.body?.cancel().catch(() => undefined);
      if (asked === commit || !hub.baseAt) throw moved(file, connection.url, told, commit);
    }
  }

  async function opened(file: string, signal: AbortSignal, leads: boolean): Promise<StoredFile | undefined> {
    const url = where(file);
    const cache = await openCache(env);
    const discard = async () => void (await remove(cache, file));
    const absent = async (commit?: string) => {
      if (!keeps) return;
      const headers = commit === undefined ? undefined : { [COMMIT_HEADER]: commit };
      await cache?.put(url, new Response(null, { status: 404, headers })).catch(() => undefined);
    };
    let found = await match(cache, file);
    if (!leads) {
      await choice.settled(signal);
      await recall(cache);
    }
    const current = found !== undefined && !signal.aborted && (await isCurrent(found, file, signal));
    if (!current || signal.aborted) await found?.body?.cancel().catch(() => undefined);
    signal.throwIfAborted();
    if (current && found) {
      const connection = connectionTo(file, commitOf(found) ?? choice.commit, signal);
      return { size: sizeOf(found), bytes: download(found, connection, discard), where: url, discard };
    }
    // What a commit does not hold it never will.
    if (found && isGone(found)) return undefined;
    // Absent things of another commit say nothing.
    if (found?.status === 404 && !belongs(found)) found = undefined;
    let answer: Awaited<ReturnType<typeof fetched>>;
    // What is remembered as absent is asked for again each time, so that a file may still be added; but nobody waits for it.
    const isUrgent = found?.status === 404;
    try {
      answer = await decided(file, signal, leads, () =>
        fetched(file, signal, { retries: isUrgent ? 'none' : retries }),
      );
    } catch (error) {
      if (isUrgent && !signal.aborted) return undefined;
      throw error;
    }
    const { response, connection, commit, effort } = answer;
    const told = commitOf(response);
    if (!response.ok) {
      await response.body?.cancel().catch(() => undefined);
      if (isUrgent && isPassing(response)) return undefined;
      if (response.headers.get('x-error-code') === 'RevisionNotFound' && connection.url !== url) {
        // The branch was rewritten since: the next load begins anew.
        for (const each of [LEADER, file]) await remove(cache, each);
        throw moved(file, connection.url, undefined, commit!);
      }
      // An object store without the right to list says 403 for what does not exist.
      if (!ABSENT.includes(response.status) || (response.status === 403 && hub)) {
        throw refused(file, connection.url, response, effort);
      }
      await absent(told);
      return undefined;
    }
    if (found !== undefined) await discard();
    const headers = new Headers();
    for (const name of ['content-type', 'etag', 'last-modified']) {
      const value = response.headers.get(name);
      if (value !== null) headers.set(name, value);
    }
    if (hub) headers.set(COMMIT_HEADER, commit ?? UNTOLD);
    return {
      size: sizeOf(response),
      bytes: download(response, connection),
      where: connection.url,
      absent: () => absent(),
      lends: cache !== env.customCache,
      ...(cache &&
        keeps && {
          async keep(body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer>, size: number | undefined) {
            if (size !== undefined) headers.set('content-length', String(size));
            await cache.put(url, new Response(body, { headers }));
          },
        }),
    };
  }

  /** Whether it is remembered that the commit of this load has no such file. */
  const isGone = (kept: Response) => {
    const told = commitOf(kept);
    return kept.status === 404 && told !== undefined && told === choice.commit;
  };

  return {
    where,
    commit: () => choice.commit,

    open(file, signal) {
      const leads = file === LEADER && choice.needsLead;
      const work = () => opened(file, signal, leads);
      return leads ? choice.lead(work) : work();
    },

    async kept(file): Promise<KeptFile | undefined> {
      const cache = await openCache(env);
      await recall(cache);
      const found = await match(cache, file);
      if (!found) return undefined;
      // Of what came compressed the size was not known beforehand.
      const size = sizeOf(found) ?? (await found.blob()).size;
      await found.body?.cancel().catch(() => undefined);
      const contentType = found.headers.get('content-type') ?? undefined;
      return { isAbsent: !found.ok, size, contentType, isUsed: belongs(found) };
    },

    async stat(file, signal): Promise<FileStat | undefined> {
      // What the browser's own cache holds of it may be compressed, and its size another one.
      const init: RequestInit & { retries: Retries } = { headers: { range: 'bytes=0-0' }, cache: 'no-store', retries };
      await recall(await openCache(env));
      const { response, connection, effort } = await decided(file, signal, false, () => fetched(file, signal, init));
      await response.body?.cancel().catch(() => undefined);
      const contentType = response.headers.get('content-type') ?? undefined;
      // A file of no bytes has no first one.
      if (response.status === 416) return { size: 0, contentType };
      if (!response.ok) {
        if (ABSENT.includes(response.status) && !(response.status === 403 && hub)) return undefined;
        throw refused(file, connection.url, response, effort);
      }
      const [, total] = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '') ?? [];
      if (response.status === 200 && contentType?.startsWith('text/html')) return undefined;
      return { size: total === undefined ? sizeOf(response) : Number(total), contentType };
    },

    async forget(file) {
      return remove(await openCache(env), file);
    },

    async list() {
      const keys = (await (await openCache(env))?.keys?.()) ?? [];
      return keys.flatMap(key => {
        const url = typeof key === 'string' ? key : key.url;
        return url.startsWith(base) ? [decoded(url.slice(base.length))] : [];
      });
    },
  };
}

/**
 * Whether the server has another version, or none, of what is in the cache, and the commit that it tells. It is asked once:
 * without a connection, with a server in trouble or after an abort the copy serves.
 */
async function compare(
  kept: Response,
  { url, fetch, signal }: Connection,
): Promise<{ isOutdated: boolean; commit?: string | undefined }> {
  const response = await fetch(url, { method: 'HEAD', signal }).catch(() => undefined);
  if (response === undefined) return { isOutdated: false };
  if (!response.ok) return { isOutdated: response.status === 404 || response.status === 410 };
  const [now, then] = [validatorOf(response), validatorOf(kept)];
  return { isOutdated: now !== undefined && then !== undefined && now !== then, commit: commitOf(response) };
}

function refused(file: string, url: string, response: Response, effort: string): SourceError {
  const { status, statusText, headers } = response;
  const [meaning, next] =
    MEANING[status] ??
    (status >= 500 ? ['the server failed', LATER] : [statusText, 'Check the id, its revision and env.remoteHost.']);
  const details = [headers.get('x-error-message') ?? headers.get('x-error-code'), effort].filter(Boolean);
  return new SourceError({
    file,
    url,
    status,
    what: `${file} could not be loaded from ${url}`,
    actual: `status ${status}, ${meaning}${details.length > 0 ? ` (${details.join('; ')})` : ''}`,
    next,
  });
}

const moved = (file: string, url: string, told: string | undefined, commit: string): SourceError =>
  new SourceError({
    file,
    url,
    what: `the branch of the model moved while it was being loaded, and ${file} cannot be had of the same commit`,
    actual: told === undefined ? 'a commit that is no longer there' : `commit ${told}`,
    expected: `commit ${commit}, of which the other files are`,
    next: 'Load the model again.',
  });
