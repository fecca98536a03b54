/** The header in which the hub tells the commit that a file is of; it stands in kept copies too. */
export const COMMIT_HEADER = 'x-repo-commit';
/** Stands in a kept copy in place of a commit: its server did not tell one. */
export const UNTOLD = 'none';

export const isCommit = (revision: string): boolean => /^[\da-f]{40}$/.test(revision);

/**
 * The commit that an answer, or a kept copy, is of: as the header tells; or where a page may not see that one, as the address says
 * to which the hub redirects small files.
 */
export function commitOf(response: Response | undefined): string | undefined {
  const told = response?.headers.get(COMMIT_HEADER) ?? '';
  if (isCommit(told)) return told;
  return /\/resolve-cache\/[^?#]*?\/([\da-f]{40})\//.exec(response?.url ?? '')?.[1];
}

/** The promise's value; or a rejection with the signal's reason as soon as it aborts. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

/** The leads that are under way, by branch, and the commits they will tell. AutoModel and AutoTokenizer that begin together share one. */
const underWay = new Map<string, Promise<string | undefined>>();

/**
 * The one commit that all files of a load are of, though the branch may move meanwhile: the first one that is told. One request
 * leads, the others wait until its answer has told the commit, or that the server tells none.
 */
export class CommitChoice {
  readonly #branch: string;
  #commit: string | undefined;
  #leading: Promise<void> | undefined;
  #isOpen = true;

  /**
   * @param branch its address: other loads of it that are under way lead for this one, too
   * @param given where the commit is known from the beginning
   */
  constructor(branch: string, given?: string) {
    this.#branch = branch;
    this.#commit = given;
  }

  get commit(): string | undefined {
    return this.#commit;
  }

  /** Whether nobody has decided yet, nor is about to. */
  get needsLead(): boolean {
    return this.#isOpen && this.#commit === undefined && this.#leading === undefined;
  }

  /** The first that is told counts. */
  tell(commit: string | undefined): void {
    this.#commit ??= commit;
  }

  /** The server tells none: every file is taken as it comes. */
  giveUp(): void {
    this.#isOpen = false;
  }

  /** Runs what others wait for. */
  lead<T>(work: () => Promise<T>): Promise<T> {
    const result = Promise.resolve().then(work);
    const leading = result.then(
      () => undefined,
      () => this.giveUp(),
    );
    this.#leading = leading;
    void leading.then(() => {
      if (this.#leading === leading) this.#leading = undefined;
    });
    return result;
  }

  /** For whoever leads, before the server is asked: waits for another load of the branch that does so, or leads for it, too. */
  async join(signal: AbortSignal): Promise<void> {
    if (this.#commit !== undefined || !this.#isOpen) return;
    const other = underWay.get(this.#branch);
    if (other !== undefined) return this.tell(await unlessAborted(other, signal));
    const told = this.#leading?.then(() => this.#commit);
    if (told === undefined) return;
    underWay.set(this.#branch, told);
    void told.then(() => underWay.delete(this.#branch));
  }

  /** Resolves when nobody leads any more, or the commit is known. Rejects with the signal's reason. */
  async settled(signal: AbortSignal): Promise<void> {
    while (this.#commit === undefined && this.#leading !== undefined) await unlessAborted(this.#leading, signal);
  }
}
