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

/**
 * The one commit that all files of a load are of, though the branch may move meanwhile: the first one that is told. One request
 * leads, the others wait until its answer has told the commit, or that the server tells none.
 */
export class CommitChoice {
  #commit: string | undefined;
  #leading: Promise<void> | undefined;
  #isOpen = true;

  /** @param given where it is known from the beginning */
  constructor(given?: string) {
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
    const result = work();
    this.#leading = result.then(
      () => undefined,
      () => this.giveUp(),
    );
    const mine = this.#leading;
    void mine.then(() => {
      if (this.#leading === mine) this.#leading = undefined;
    });
    return result;
  }

  /** Resolves when nobody leads any more, or the commit is known. */
  async settled(): Promise<void> {
    while (this.#commit === undefined && this.#leading !== undefined) await this.#leading;
  }
}
