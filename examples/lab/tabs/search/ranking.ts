import { signal } from '@preact/signals';
import { best, RowScores } from './rank.ts';
import type { Vectors } from './text-index.ts';

/** The passages by their similarity to the query. */

/** So many passages of a ranking can be shown. */
const MOST_HITS = 100;

/** The vector of a query, for the space that it is in. */
export interface Query {
  readonly text: string;
  readonly space: string;
  readonly vector: Float32Array;
  readonly elapsedMs: number;
}

export interface Ranking {
  /** What was compared. A ranking of other vectors than those of the texts that are open says nothing of them. */
  readonly vectors: Vectors;
  readonly query: Query;
  /** Of every passage that is embedded. */
  readonly scores: Float32Array;
  /** The best passages, the best first. */
  readonly rows: readonly number[];
  /** Of all scores and their order. */
  readonly elapsedMs: number;
}

export const ranking = signal<Ranking | undefined>(undefined);

/** What the newest query has of its scores, and how long they took. */
let scored: { readonly rowScores: RowScores; elapsedMs: number } | undefined;
let stop = new AbortController();

/**
 * Ranks the rows that have a vector by now; the ranking before stays until the new one is there. Where only rows have been added since
 * the last call, only those are scored. Nothing is ranked where the two cannot be compared.
 */
export async function rank(vectors: Vectors | undefined, query: Query | undefined): Promise<void> {
  stop.abort();
  if (!vectors || !query || query.space !== vectors.space || vectors.rows === 0) {
    ranking.value = undefined;
    scored = undefined;
    return;
  }
  const isSame = scored?.rowScores.matrix === vectors && scored.rowScores.vector === query.vector;
  const now = isSame ? scored! : { rowScores: new RowScores(query.vector, vectors), elapsedMs: 0 };
  scored = now;
  stop = new AbortController();
  const { signal } = stop;
  const began = performance.now();
  try {
    const scores = await now.rowScores.all(signal);
    if (signal.aborted) return;
    const rows = best(scores, MOST_HITS);
    ranking.value = { vectors, query, scores, rows, elapsedMs: now.elapsedMs + performance.now() - began };
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    now.elapsedMs += performance.now() - began;
  }
}
