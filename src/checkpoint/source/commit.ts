import { until } from '../../runtime/index.ts';

/** The header in which the hub tells the commit that a file is of; cached copies carry it too. */
export const COMMIT_HEADER = 'x-repo-commit';
/** The value of that header in a cached copy whose server told no commit. */
export const UNTOLD = 'none';

export const isCommit = (revision: string): boolean => /^[\da-f]{40}$/.test(revision);

/**
 * The commit that an answer, or a cached copy, is of: the one in the header; or where a page may not read that header, the one in the
 * address to which the hub redirects small files.
 */
export function commitOf(response: Response | undefined): string | undefined {
  const header = response?.headers.get(COMMIT_HEADER) ?? '';
  if (isCommit(header)) return header;
  return /\/resolve-cache\/[^?#]*?\/([\da-f]{40})\//.exec(response?.url ?? '')?.[1];
}

/** The leading requests that are under way, by branch, and the commits they will tell. AutoModel and AutoTokenizer share one. */
const leadingRequests = new Map<string, Promise<string | undefined>>();

/**
 * The one commit that all files of a load are of, though the branch may move meanwhile: the first one that a server tells. One request
 * leads; the others wait until its answer has told the commit, or that the server tells none.
 */
export class CommitChoice {
  readonly #branch: string;
  #commit: string | undefined;
  #leading: Promise<void> | undefined;
  #isOpen = true;

  /**
   * @param branch its address: loads of the same branch that are under way share their leading request
   * @param commit where it is known beforehand
   */
  constructor(branch: string, commit?: string) {
    this.#branch = branch;
    this.#commit = commit;
  }

  get commit(): string | undefined {
    return this.#commit;
  }

  /** Whether the commit is still open, and no request under way will tell it. */
  get needsLead(): boolean {
    return this.#isOpen && this.#commit === undefined && this.#leading === undefined;
  }

  /** The first commit that is told counts. */
  tell(commit: string | undefined): void {
    this.#commit ??= commit;
  }

  /** The server tells no commit: files are taken as they come. */
  giveUp(): void {
    this.#isOpen = false;
  }

  /** Runs the request that the others wait for. */
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

  /** Called by the leading request before it asks the server: waits for the leader of another load of the branch, or registers as one. */
  async join(signal: AbortSignal): Promise<void> {
    if (this.#commit !== undefined || !this.#isOpen) return;
    const other = leadingRequests.get(this.#branch);
    if (other !== undefined) return this.tell(await until(signal, other));
    const told = this.#leading?.then(() => this.#commit);
    if (told === undefined) return;
    leadingRequests.set(this.#branch, told);
    void told.then(() => leadingRequests.delete(this.#branch));
  }

  /** Resolves when the commit is known or no request leads any more. Rejects with the signal's reason. */
  async settled(signal: AbortSignal): Promise<void> {
    while (this.#commit === undefined && this.#leading !== undefined) await until(signal, this.#leading);
  }
}
