import { describe, SourceError, wrong } from '../../errors.ts';
import { linkedAbort } from '../../runtime/index.ts';
import { joined } from './bytes.ts';
import { kept } from './cache.ts';
import type { Environment } from './environment.ts';
import { isSafePath } from './folder.ts';
import { type LocationOptions, type ModelLocation, resolveLocation } from './location.ts';
import { progressReporter } from './progress.ts';
import { type Clock, realClock } from './retry.ts';
import { sha256 } from './sha256.ts';
import type { FileStore, KeptFile, StoredFile } from './store.ts';
import type { ModelFile, ModelSource, ProgressCallback } from './types.ts';

export interface SourceOptions extends LocationOptions {
  /** Called with transformers.js's events for every file. */
  progress_callback?: ProgressCallback | null;
  /** Aborts everything that the source has under way; it rejects with the signal's reason. */
  signal?: AbortSignal;
  /** The SHA-256 of files by their names, in hex; a file with another one is refused before a model is handed out. */
  integrity?: Readonly<Record<string, string>>;
}

/** Enough to tell what kind of file it is. */
const HEAD_BYTES = 32;

interface OpenedFile extends StoredFile {
  /** Ends the reading at the store. Idempotent. */
  close(): Promise<unknown>;
}

/** What is known of a file of a model without reading it. */
export interface SourceFile {
  readonly exists: boolean;
  /** Bytes; undefined where the server does not say. */
  readonly size: number | undefined;
  readonly contentType?: string | undefined;
  /** Whether it comes from the cache. */
  readonly isKept: boolean;
  /** Whether there is nothing to download: it is kept, or on the disk, or in memory. */
  readonly isAtHand: boolean;
}

/** A source whose files can be asked about. */
export interface ManagedSource extends ModelSource {
  /**
   * Throws SourceError. With `kept` no server is asked; then it is undefined where it is not at hand whether there is such a file.
   */
  stat(file: string, options?: { kept?: boolean }): Promise<SourceFile | undefined>;
  /** What the cache holds of a file, of whatever commit; undefined for nothing. */
  kept(file: string): Promise<KeptFile | undefined>;
  /** Removes what the cache holds of a file; whether it held anything. */
  forget(file: string): Promise<boolean>;
  /** The names of all files that are kept of the model; none where the cache cannot list. */
  keptFiles(): Promise<readonly string[]>;
  /**
   * The commit that the files are of; undefined before a server has told one, and where none does. It may be kept for as long as a
   * model lives: it holds nothing of the load, neither its callback nor its signal.
   */
  readonly commit: () => string | undefined;
}

export interface SourceSettings {
  /** Time and chance. Default: the real ones. */
  clock?: Clock;
  /** Whether files are kept that come from the web. Default: true. */
  keeps?: boolean;
  /** The commit of the branch that all files shall be of. Default: the first that is told. */
  commit?: string | undefined;
}

/**
 * The files of one model. Nothing is requested before a file is opened.
 * @throws InputError where the location or an option is malformed
 */
export function openSource(
  where: ModelLocation,
  options: SourceOptions,
  env: Environment,
  { clock = realClock, keeps = true, commit }: SourceSettings = {},
): ManagedSource {
  const { name, stores } = resolveLocation(where, options, env, { clock, keeps, commit });
  const { signal, integrity = {} } = options;
  for (const [file, digest] of Object.entries(integrity)) {
    if (/^[\da-f]{64}$/i.test(digest)) continue;
    throw wrong(`integrity["${file}"]`, digest, 'a SHA-256 in 64 hex digits');
  }
  const report = progressReporter(name, options.progress_callback);

  /** The file with everything about it checked that can be before its end; the rest is checked by its `bytes`. */
  async function acquire(file: string, optional: boolean, own: AbortSignal): Promise<OpenedFile | undefined> {
    own.throwIfAborted();
    if (!isSafePath(file)) {
      throw new SourceError({ file, what: 'a file of a model has an unsafe name', actual: JSON.stringify(file) });
    }
    report.initiate(file);
    let obstacle: SourceError | undefined;
    for (const [i, store] of stores.entries()) {
      let stored: StoredFile | undefined;
      try {
        stored = await store.open(file, own);
      } catch (error) {
        own.throwIfAborted();
        // A local server that does not answer is no reason not to ask the hub.
        if (error instanceof SourceError && error.status === undefined && i < stores.length - 1) continue;
        throw error;
      }
      if (stored === undefined) continue;
      const { bytes } = stored;
      const head = await collected(bytes, HEAD_BYTES);
      const wrong = foreign(file, head, stored.where);
      if (wrong === undefined) {
        if (own.aborted) await bytes.return(undefined);
        own.throwIfAborted();
        return { ...stored, bytes: checked(file, head, stored, own), close: () => bytes.return(undefined) };
      }
      await bytes.return(undefined);
      await stored.discard?.();
      await stored.absent?.();
      obstacle ??= wrong;
    }
    if (optional) return undefined;
    throw obstacle ?? missing(file, name, stores);
  }

  async function* checked(
    file: string,
    head: Uint8Array,
    { bytes, size, where, discard }: StoredFile,
    own: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const expected = integrity[file]?.toLowerCase();
    const hash = expected === undefined ? undefined : sha256();
    try {
      const progress = report.download(file, size);
      for (let piece: Uint8Array | undefined = head; piece; piece = (await bytes.next()).value) {
        own.throwIfAborted();
        hash?.update(piece);
        progress(piece.length);
        yield piece;
      }
      // Bytes that an abort has closed end early.
      own.throwIfAborted();
    } finally {
      await bytes.return(undefined);
    }
    const actual = hash?.hex();
    if (actual === expected) return;
    await discard?.();
    throw new SourceError({
      file,
      url: where,
      what: `${file} is not the file it should be: its SHA-256 differs`,
      actual,
      expected,
      next: 'It was changed or damaged; correct the digest if the change is wanted.',
    });
  }

  async function open(file: string, { optional = false } = {}): Promise<ModelFile | undefined> {
    // Released as soon as nothing is left to be stopped: the caller's signal may live as long as the page.
    const own = linkedAbort(signal);
    let stored: OpenedFile | undefined;
    try {
      stored = await acquire(file, optional, own.signal);
    } catch (error) {
      own.release();
      throw error;
    }
    if (stored === undefined) {
      own.release();
      return undefined;
    }
    const { size, keep, lends, close } = stored;
    const bytes = keep
      ? kept(
          stored.bytes,
          body => keep(body, size),
          lends,
          error => report.uncached(file, error),
        )
      : stored.bytes;
    // Before the first read the generators around the file have not begun, and to end them would not close it.
    own.signal.addEventListener('abort', () => void close().catch(() => undefined));
    const stream = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          try {
            const { done, value } = await bytes.next();
            if (!done) return controller.enqueue(value);
          } catch (error) {
            own.release();
            throw error;
          }
          own.release();
          // It has been kept, too: whoever waits for this may go offline.
          report.done(file);
          controller.close();
        },
        async cancel(reason) {
          own.release();
          // Ends a pending wait; then all that is open, also around bytes that nobody began to read.
          own.abort(reason);
          await Promise.allSettled([close(), bytes.return(undefined)]);
        },
      },
      { highWaterMark: 0 },
    );
    return { size, stream };
  }

  async function json(file: string, { optional = false } = {}): Promise<unknown> {
    const own = linkedAbort(signal);
    try {
      return await parsed(file, optional, own.signal);
    } finally {
      own.release();
    }
  }

  async function parsed(file: string, optional: boolean, own: AbortSignal): Promise<unknown> {
    for (let attempt = 0; ; attempt++) {
      const stored = await acquire(file, optional, own);
      if (stored === undefined) return undefined;
      const bytes = await collected(stored.bytes);
      let value: unknown;
      try {
        value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
      } catch (cause) {
        if (stored.discard !== undefined && attempt === 0) {
          // The kept copy was damaged: once more, from where it came from.
          await stored.discard();
          continue;
        }
        throw new SourceError({
          file,
          url: stored.where,
          what: `${file} is not valid JSON`,
          actual: describe(new TextDecoder().decode(bytes)),
          next: `See what ${stored.where} gives: if it is cut off or damaged, download it again; else its author has to mend it.`,
          cause,
        });
      }
      // A full cache does not fail the load.
      await stored.keep?.(new Uint8Array(bytes), bytes.length).catch(error => report.uncached(file, error));
      report.done(file);
      return value;
    }
  }

  async function stat(file: string, { kept = false } = {}): Promise<SourceFile | undefined> {
    const own = linkedAbort(signal);
    let isUnknown = false;
    try {
      for (const [i, store] of stores.entries()) {
        own.signal.throwIfAborted();
        const held = await store.kept?.(file);
        if (held?.isUsed && !held.isAbsent) {
          return { exists: true, size: held.size, contentType: held.contentType, isKept: true, isAtHand: true };
        }
        const isHere = store.kept === undefined;
        if (kept && !isHere) {
          isUnknown ||= !held?.isUsed;
          continue;
        }
        try {
          const asked = await store.stat(file, own.signal);
          if (asked) return { exists: true, ...asked, isKept: false, isAtHand: isHere };
        } catch (error) {
          own.signal.throwIfAborted();
          // As when it is opened: a local server that does not answer leads on to the hub.
          if (!(error instanceof SourceError) || error.status !== undefined || i === stores.length - 1) throw error;
        }
      }
    } finally {
      own.release();
    }
    return isUnknown ? undefined : { exists: false, size: undefined, isKept: false, isAtHand: false };
  }

  async function keptOf(file: string): Promise<KeptFile | undefined> {
    for (const store of stores) {
      const found = await store.kept?.(file);
      if (found) return found;
    }
    return undefined;
  }

  const forget = async (file: string): Promise<boolean> => {
    const removed = await Promise.all(stores.map(async store => (await store.forget?.(file)) ?? false));
    return removed.includes(true);
  };

  const keptFiles = async (): Promise<string[]> => {
    const names = new Set<string>();
    for (const store of stores) for (const file of (await store.list?.()) ?? []) names.add(file);
    return [...names];
  };

  return {
    name,
    open,
    json,
    stat,
    kept: keptOf,
    forget,
    keptFiles,
    commit: commitOf(stores),
  };
}

/** Made here, because a function holds whatever any function beside it uses. */
const commitOf = (stores: readonly FileStore[]) => () => stores.find(store => store.commit?.())?.commit?.();

/** A copy of at least so many bytes, by whole pieces; fewer only where there are no more. */
async function collected(bytes: AsyncGenerator<Uint8Array>, least = Number.POSITIVE_INFINITY): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (let length = 0; length < least; ) {
    const { done, value } = await bytes.next();
    if (done) break;
    pieces.push(value.slice());
    length += value.length;
  }
  return joined(pieces);
}

/** A page or pointer that a server gives in place of the file. A safetensors header has zeros in its first 8 bytes. */
function foreign(file: string, head: Uint8Array, where: string): SourceError | undefined {
  if (head.subarray(0, 8).includes(0)) return undefined;
  const start = new TextDecoder().decode(head.subarray(0, HEAD_BYTES)).trimStart();
  // A vocabulary may begin with a token in angle brackets ("<s>"), which JSON and weights do not.
  const page = file.endsWith('.txt') ? /^<(!doctype|!--|html|\?xml)/i : /^<[!?a-z]/i;
  const isPage = page.test(start);
  if (!isPage && !start.startsWith('version https://git-lfs')) return undefined;
  return new SourceError({
    file,
    url: where,
    what: isPage ? `${where} gives a web page` : `${file} is a pointer of Git LFS`,
    actual: describe(start),
    expected: file.endsWith('.json') ? 'JSON' : `the file itself, ${file}`,
    next: isPage
      ? 'Check the path of the model: the server has no such file.'
      : 'Run "git lfs pull" where it was cloned.',
  });
}

function missing(file: string, name: string, stores: readonly FileStore[]): SourceError {
  const places = stores.map(store => store.where(file));
  return new SourceError({
    file,
    url: places.at(-1)!,
    status: 404,
    what: `${name} has no file ${file}`,
    actual: `nothing at ${places.join(' or ')}`,
    next: 'Check the model, its revision and subfolder, and what env allows.',
  });
}
