import { signal } from '@preact/signals';
import { Work, type WorkProgress } from '../../../shell/work.ts';
import { best, RowScores, rowOf } from '../rank.ts';
import { inSlices } from '../slices.ts';
import type { TextIndex, Vectors } from '../text-index.ts';
import type { MapJob, MapMessage, MapRequest } from './map-worker.ts';
import { type Plane, placeOf } from './pca.ts';

/** Where each passage lies on the map. */
export interface SentenceMap {
  readonly id: string;
  readonly space: string;
  readonly rows: number;
  readonly kind: 'pca' | 'umap';
  readonly plane: Plane;
  /** x and y of each passage. */
  readonly positions: Float32Array;
  /** How far UMAP has moved the points: a map that was stopped stays as it was then. */
  readonly moved?: WorkProgress;
}

/** Fewer passages have no plane. */
export const FEWEST_FOR_MAP = 3;
/** Fewer passages have no neighbourhoods that UMAP could keep. */
export const FEWEST_FOR_UMAP = 10;
/** Neighbours of a passage that are drawn and listed. */
const LISTED = 6;
/** A query is put between so many passages. */
const BESIDE = 5;
/** The worker gets the vectors in pieces of so many numbers (1 MiB): a copy of all of them would hold the page's thread. */
const PIECE = 262_144;

export const sentenceMap = signal<SentenceMap | undefined>(undefined);
export const mapping = new Work();
/** What the work is at: UMAP looks for neighbours, then moves the points. */
export const mapStep = signal('');

/** A copy of the numbers of some rows, piece by piece. */
function* piecesOf({ data, dims }: Vectors, rows: number): Generator<MapRequest & { kind: 'rows' }> {
  const end = rows * dims;
  for (let at = 0; at < end; at += PIECE) yield { kind: 'rows', at, data: data.slice(at, Math.min(end, at + PIECE)) };
}

/** A job in a worker of its own, until its last message. Rejects with the signal's reason, and ends the worker. */
function runJob(
  job: MapJob,
  vectors: Vectors,
  signal: AbortSignal,
  onMessage: (message: MapMessage) => boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./map-worker.ts', import.meta.url), { type: 'module' });
    const post = (request: MapRequest, transfer: Transferable[] = []) => worker.postMessage(request, transfer);
    const fail = (error: unknown) => {
      worker.terminate();
      reject(error);
    };
    signal.addEventListener('abort', () => fail(signal.reason), { once: true });
    worker.onerror = event =>
      fail(new Error(`The map could not be computed: ${event.message || 'its worker did not start'}.`));
    worker.onmessage = ({ data: message }: MessageEvent<MapMessage>) => {
      if (!onMessage(message)) return;
      worker.terminate();
      resolve();
    };
    post({ kind: 'job', job });
    inSlices(piecesOf(vectors, job.rows), signal, piece => post(piece, [piece.data.buffer])).catch(fail);
  });
}

/** The texts whose map was begun last. */
let mapped: string | undefined;

/** These texts are open: the map of others is not needed any more. The work goes on while the tab is left. */
export function followTexts(id: string): void {
  if (id !== mapped) mapping.stop();
}

/** Draws the map of the passages that are embedded by now. */
export function drawMap({ id, vectors }: TextIndex, kind: 'pca' | 'umap'): void {
  if (!vectors || vectors.rows < FEWEST_FOR_MAP) return;
  mapped = id;
  const { space, dims, rows } = vectors;
  mapping.run(async signal => {
    mapStep.value = kind === 'umap' ? 'Looking for neighbours' : 'Drawing the map';
    let plane: Plane | undefined;
    await runJob({ kind, dims, rows }, vectors, signal, message => {
      if (signal.aborted) return true;
      if (message.kind === 'plane') {
        plane = message.plane;
        sentenceMap.value = { id, space, rows, kind: 'pca', plane, positions: plane.positions };
        return kind === 'pca';
      }
      const { done, total } = message;
      mapping.progress.value = { done, total };
      if (message.kind === 'neighbours') return false;
      mapStep.value = 'Moving the points';
      const { positions } = message;
      sentenceMap.value = { id, space, rows, kind: 'umap', plane: plane!, positions, moved: { done, total } };
      return done === total;
    });
  });
}

/** Where a query lies: on the plane exactly, on a map of UMAP between the passages that it is nearest to. */
export function placeOfQuery(map: SentenceMap, vector: Float32Array, scores: Float32Array): readonly [number, number] {
  if (map.kind === 'pca') return placeOf(vector, map.plane);
  const rows = best(scores.subarray(0, map.rows), BESIDE);
  const weights = rows.map(row => Math.exp((scores[row]! - scores[rows[0]!]!) / 0.05));
  const sum = weights.reduce((a, b) => a + b, 0);
  const along = (axis: number) =>
    rows.reduce((at, row, i) => at + map.positions[2 * row + axis]! * weights[i]!, 0) / sum;
  return [along(0), along(1)];
}

/** A passage and those that are nearest to it, in all dimensions, with their cosines. */
export interface Surroundings {
  readonly vectors: Vectors;
  /** So many rows were compared. */
  readonly rows: number;
  readonly row: number;
  readonly neighbours: readonly { readonly row: number; readonly score: number }[];
}

/** Of the passage that was pointed at or chosen last. */
export const surroundings = signal<Surroundings | undefined>(undefined);
let stopLooking = new AbortController();

/**
 * Looks for the neighbours of a passage, in slices. The newest call wins: a pointer that goes over many passages has only the one
 * compared on which it rests. What was found last stays until then, and is not looked for again.
 */
export async function lookAround(vectors: Vectors, row: number): Promise<void> {
  const { rows } = vectors;
  stopLooking.abort();
  const last = surroundings.peek();
  if (row >= rows || (last?.vectors === vectors && last.rows === rows && last.row === row)) return;
  stopLooking = new AbortController();
  const { signal } = stopLooking;
  try {
    const scores = await new RowScores(rowOf(vectors, row), vectors).all(signal);
    if (signal.aborted) return;
    const neighbours = best(scores, LISTED, row).map(other => ({ row: other, score: scores[other]! }));
    surroundings.value = { vectors, rows, row, neighbours };
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
