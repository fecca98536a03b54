import { CommitChoice, commitOf } from './commit.ts';
import type { Environment } from './environment.ts';
import { type Answer, type Connection, type RequestOptions, type Retries, request } from './request.ts';
import type { Clock } from './retry.ts';
import { isConclusive, moved } from './statuses.ts';

/** The file whose answer decides which commit a load is of, where it is asked for. */
export const LEADER = 'config.json';
/** The hub redirects large files to another server, which tells no commit. */
const isLarge = (file: string) => /\.safetensors$|(^|\/)tokenizer\.json$/.test(file);

/** A folder of files on the web. */
export interface WebPlace {
  /** Ends in a slash. */
  base: string;
  /** Set for a hub, whose cached copies are used without asking; those of other servers are compared by ETag. */
  hub?: {
    /** Set where the revision is a commit. */
    commit?: string;
    /** The base at a commit; absent where the addresses have no place for one. */
    baseAt?: (commit: string) => string;
  };
  /** Whether no other place is looked in after this one. */
  isLast: boolean;
}

export interface WebSettings {
  clock: Clock;
  /** Whether anything is written to the cache. */
  keeps: boolean;
  /** The commit of a hub's branch that all files are taken from, where it is known beforehand. */
  commit?: string | undefined;
}

/** An answer for a file, of the commit of the load. */
export interface CommitAnswer extends Answer {
  /** Where the rest is asked for if the body breaks off: at the commit. */
  connection: Connection;
  commit: string | undefined;
}

/**
 * Requests to one place on the web. On a branch of a hub, the first answer, or cached copy, that tells a commit decides, and all other
 * files are asked for at that commit.
 */
export class WebRequests {
  /** Whether the files are those of a branch, which may move. */
  readonly isBranch: boolean;
  readonly choice: CommitChoice;
  /** A server that cannot be reached is waited for only where there is no other place to look in. */
  readonly retries: Retries;
  readonly #place: WebPlace;
  readonly #fetch: Environment['fetch'];
  readonly #clock: Clock;

  constructor(place: WebPlace, { fetch }: Pick<Environment, 'fetch'>, { clock, commit }: WebSettings) {
    const { base, hub, isLast } = place;
    this.#place = place;
    this.#fetch = fetch;
    this.#clock = clock;
    this.isBranch = hub !== undefined && hub.commit === undefined;
    this.choice = new CommitChoice(base, hub && (hub.commit ?? commit));
    if (!this.isBranch) this.choice.giveUp();
    this.retries = isLast ? 'all' : 'answers';
  }

  /** The address under which a file is cached: on the branch, also where it was fetched at a commit. */
  url(file: string): string {
    return this.#place.base + encodeURI(file);
  }

  connection(file: string, commit: string | undefined, signal: AbortSignal): Connection {
    return { url: this.#urlAt(file, commit), file, fetch: this.#fetch, signal, clock: this.#clock };
  }

  /** Waits until it is decided which commit to ask for, or makes that decision by asking; then asks. */
  async ask(file: string, signal: AbortSignal, options: RequestOptions): Promise<CommitAnswer> {
    const { choice } = this;
    for (;;) {
      await choice.settled(signal);
      signal.throwIfAborted();
      if (!choice.needsLead) return this.#askAtCommit(file, signal, options);
      if (!isLarge(file)) return choice.lead(() => this.askAsLeader(file, signal, options));
      // Once the commit is looked up, or is not to be had, this file is asked for.
      await choice.lead(() => this.#lookUp(signal)).catch(() => signal.throwIfAborted());
    }
  }

  /** Asks without waiting for another request of this load: called inside of `choice.lead`. */
  async askAsLeader(file: string, signal: AbortSignal, options: RequestOptions): Promise<CommitAnswer> {
    signal.throwIfAborted();
    await this.choice.join(signal);
    return this.#askAtCommit(file, signal, options);
  }

  #urlAt(file: string, commit: string | undefined): string {
    const { hub } = this.#place;
    return commit !== undefined && hub?.baseAt ? hub.baseAt(commit) + encodeURI(file) : this.url(file);
  }

  /** Learns the commit without reading a file. */
  async #lookUp(signal: AbortSignal): Promise<void> {
    const { choice, retries } = this;
    await choice.join(signal);
    if (choice.commit === undefined) {
      const { response } = await request(this.connection(LEADER, undefined, signal), { method: 'HEAD', retries });
      choice.tell(commitOf(response));
    }
    choice.giveUp();
  }

  /** Asks at the commit of the load; asks again where that becomes known by an answer of another commit. */
  async #askAtCommit(file: string, signal: AbortSignal, options: RequestOptions): Promise<CommitAnswer> {
    for (;;) {
      const commitBefore = this.choice.commit;
      const connection = this.connection(file, commitBefore, signal);
      const answer = await request(connection, options);
      const { response } = answer;
      const told = commitOf(response);
      if (this.isBranch) this.#learn(file, response, told);
      const { commit } = this.choice;
      if (this.#belongs(response, { told, commitBefore })) {
        return { ...answer, connection: { ...connection, url: this.#urlAt(file, commit) }, commit };
      }
      await response.body?.cancel().catch(() => undefined);
      // An answer of another commit than the one in its address.
      if (commitBefore === commit || !this.#place.hub?.baseAt) throw moved(file, connection.url, told, commit!);
    }
  }

  #learn(file: string, response: Response, told: string | undefined): void {
    this.choice.tell(told);
    // An answer without a commit ends the waiting, unless it only says that there is no such file.
    const decides = file === LEADER || response.ok || !isConclusive(response);
    if (told === undefined && decides) this.choice.giveUp();
  }

  /** Whether an answer can be used: it is of the commit of the load, or no commit is asked for. */
  #belongs(response: Response, { told, commitBefore }: { told: string | undefined; commitBefore: string | undefined }) {
    const { commit } = this.choice;
    if (!this.isBranch || commit === undefined || !isConclusive(response)) return true;
    if (told !== undefined) return told === commit;
    return commitBefore === commit || !this.#place.hub?.baseAt;
  }
}
