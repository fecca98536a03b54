import { SourceError, wrong } from '../../errors.ts';
import { linkedAbort } from '../../runtime/index.ts';
import { collected } from './bytes.ts';
import { copiedToCache } from './cache.ts';
import { type Environment, LogLevel } from './environment.ts';
import { HEAD_BYTES, missing, notJson, substituted, unsafeName, wrongDigest } from './file-errors.ts';
import { isSafePath } from './folder.ts';
import { type LocationOptions, type ModelLocation, resolveLocation } from './location.ts';
import { OpenFile } from './open-file.ts';
import { ProgressReporter } from './progress.ts';
import { type Clock, realClock } from './retry.ts';
import { Sha256 } from './sha256.ts';
import type { FileStore, StoredFile } from './store.ts';
import type { CachedCopy, ManagedSource, ModelFile, ProgressCallback, SourceFile } from './types.ts';

export interface SourceOptions extends LocationOptions {
  /** Called with transformers.js's events for every file. */
  progress_callback?: ProgressCallback | null;
  /** Aborts everything that the source has under way; it rejects with the signal's reason. */
  signal?: AbortSignal;
  /** SHA-256 digests in hex, by file name. A file with another digest is refused before a model is handed out. */
  integrity?: Readonly<Record<string, string>>;
}

export interface SourceSettings {
  /** Time and chance. Default: the real ones. */
  clock?: Clock;
  /** Whether files from the web are written to the cache. Default: true. */
  keeps?: boolean;
  /** The commit of the branch that all files are taken from. Default: the first one that a server tells. */
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
  const location = resolveLocation(where, options, env, { clock, keeps, commit });
  for (const [file, digest] of Object.entries(options.integrity ?? {})) {
    if (/^[\da-f]{64}$/i.test(digest)) continue;
    throw wrong(`integrity["${file}"]`, digest, 'a SHA-256 in 64 hex digits');
  }
  return new Source(location, options, () => env.logLevel <= LogLevel.WARNING);
}

/** A file of a store whose beginning has been checked. */
interface CheckedFile extends StoredFile {
  /** The first bytes, which have been taken from `bytes`. */
  head: Uint8Array;
}

class Source implements ManagedSource {
  readonly name: string;
  readonly commit: () => string | undefined;
  /** In the order in which they are asked. */
  readonly #stores: readonly FileStore[];
  readonly #signal: AbortSignal | undefined;
  readonly #integrity: Readonly<Record<string, string>>;
  readonly #reporter: ProgressReporter;

  constructor(
    { name, stores }: { name: string; stores: readonly FileStore[] },
    { signal, integrity = {}, progress_callback }: SourceOptions,
    mayWarn: () => boolean,
  ) {
    this.name = name;
    this.commit = commitOf(stores);
    this.#stores = stores;
    this.#signal = signal;
    this.#integrity = integrity;
    this.#reporter = new ProgressReporter(name, progress_callback, mayWarn);
  }

  async open(file: string, { optional = false } = {}): Promise<ModelFile | undefined> {
    // Released as soon as there is nothing left to stop: the caller's signal may live as long as the page.
    const link = linkedAbort(this.#signal);
    let checked: CheckedFile | undefined;
    try {
      checked = await this.#find(file, optional, link.signal);
    } catch (error) {
      link.release();
      throw error;
    }
    if (checked === undefined) {
      link.release();
      return undefined;
    }
    const { size, keep, mayDetach, bytes: stored } = checked;
    const verified = this.#verified(file, checked, link.signal);
    const pieces = keep
      ? copiedToCache(verified, {
          keep: body => keep(body, size),
          mayDetach,
          onFailure: error => this.#reporter.uncached(file, error),
        })
      : verified;
    return new OpenFile({ size, stored, pieces, link, done: () => this.#reporter.done(file) });
  }

  async json(file: string, { optional = false } = {}): Promise<unknown> {
    const link = linkedAbort(this.#signal);
    try {
      return await this.#parsed(file, optional, link.signal);
    } finally {
      link.release();
    }
  }

  async stat(file: string, { cachedOnly = false } = {}): Promise<SourceFile | undefined> {
    const link = linkedAbort(this.#signal);
    try {
      return await this.#described(file, cachedOnly, link.signal);
    } finally {
      link.release();
    }
  }

  async cachedCopy(file: string): Promise<CachedCopy | undefined> {
    for (const store of this.#stores) {
      const copy = await store.cachedCopy?.(file);
      if (copy) return copy;
    }
    return undefined;
  }

  async forget(file: string): Promise<boolean> {
    const removed = await Promise.all(this.#stores.map(async store => (await store.forget?.(file)) ?? false));
    return removed.includes(true);
  }

  async cachedNames(): Promise<string[]> {
    const names = new Set<string>();
    for (const store of this.#stores) for (const file of (await store.cachedNames?.()) ?? []) names.add(file);
    return [...names];
  }

  /** Opens the file in the first store that has it and gives it itself, not a web page in its place. */
  async #find(file: string, optional: boolean, signal: AbortSignal): Promise<CheckedFile | undefined> {
    signal.throwIfAborted();
    if (!isSafePath(file)) throw unsafeName(file);
    this.#reporter.initiate(file);
    let obstacle: SourceError | undefined;
    for (const store of this.#stores) {
      let stored: StoredFile | undefined;
      try {
        stored = await store.open(file, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (this.#mayAskNext(store, error)) continue;
        throw error;
      }
      if (stored === undefined) continue;
      const { bytes, address } = stored;
      const head = await collected(bytes, HEAD_BYTES);
      const problem = substituted(file, head, address);
      if (problem === undefined) {
        if (signal.aborted) await bytes.return(undefined);
        signal.throwIfAborted();
        return { ...stored, head };
      }
      await bytes.return(undefined);
      await stored.discard?.();
      await stored.markAbsent?.();
      obstacle ??= problem;
    }
    if (optional) return undefined;
    throw obstacle ?? missing(file, this.name, this.#stores);
  }

  /** A local server that cannot be reached is no reason not to ask the hub. */
  #mayAskNext(store: FileStore, error: unknown): boolean {
    return error instanceof SourceError && error.status === undefined && store !== this.#stores.at(-1);
  }

  /** The pieces of a file, reported as they pass; at the end their digest is compared. */
  async *#verified(
    file: string,
    { head, bytes, size, address, discard }: CheckedFile,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const expected = this.#integrity[file]?.toLowerCase();
    const hash = expected === undefined ? undefined : new Sha256();
    try {
      const progress = this.#reporter.download(file, size);
      for (let piece: Uint8Array | undefined = head; piece; piece = (await bytes.next()).value) {
        signal.throwIfAborted();
        hash?.update(piece);
        progress(piece.length);
        yield piece;
      }
      // Bytes that were closed by an abort end early and without an error.
      signal.throwIfAborted();
    } finally {
      await bytes.return(undefined);
    }
    if (hash === undefined || expected === undefined) return;
    const actual = hash.hex();
    if (actual === expected) return;
    await discard?.();
    throw wrongDigest(file, address, { actual, expected });
  }

  async #parsed(file: string, optional: boolean, signal: AbortSignal): Promise<unknown> {
    for (let attempt = 0; ; attempt++) {
      const checked = await this.#find(file, optional, signal);
      if (checked === undefined) return undefined;
      const bytes = await collected(this.#verified(file, checked, signal));
      let value: unknown;
      try {
        value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
      } catch (cause) {
        if (checked.discard === undefined || attempt > 0) throw notJson(file, checked.address, bytes, cause);
        // The cached copy was damaged: it is fetched once more from where it came from.
        await checked.discard();
        continue;
      }
      // A full cache does not fail the load.
      await checked.keep?.(new Uint8Array(bytes), bytes.length).catch(error => this.#reporter.uncached(file, error));
      this.#reporter.done(file);
      return value;
    }
  }

  async #described(file: string, cachedOnly: boolean, signal: AbortSignal): Promise<SourceFile | undefined> {
    let isUnknown = false;
    for (const store of this.#stores) {
      signal.throwIfAborted();
      const copy = await store.cachedCopy?.(file);
      if (copy?.isUsed && !copy.isAbsent) {
        return { exists: true, size: copy.size, contentType: copy.contentType, isCached: true, isAtHand: true };
      }
      // Stores without a cache are on this machine.
      const isLocal = store.cachedCopy === undefined;
      if (cachedOnly && !isLocal) {
        isUnknown ||= !copy?.isUsed;
        continue;
      }
      try {
        const stat = await store.stat(file, signal);
        if (stat) return { exists: true, ...stat, isCached: false, isAtHand: isLocal };
      } catch (error) {
        signal.throwIfAborted();
        if (!this.#mayAskNext(store, error)) throw error;
      }
    }
    return isUnknown ? undefined : { exists: false, size: undefined, isCached: false, isAtHand: false };
  }
}

/** Made outside of the class: a model keeps this function, which must not keep the source and its signal alive. */
const commitOf = (stores: readonly FileStore[]) => () => stores.find(store => store.commit?.())?.commit?.();
