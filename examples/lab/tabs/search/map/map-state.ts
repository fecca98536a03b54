import { signal } from '@preact/signals';
import { Work } from '../../../shell/work.ts';
import { best, rowOf, scoresOf } from '../rank.ts';
import type { TextIndex } from '../text-index.ts';
import type { MapJob, MapMessage } from './map-worker.ts';
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
}

/** Fewer passages have no neighbourhoods that UMAP could keep. */
export const FEWEST_FOR_UMAP = 10;
/** Neighbours of a passage that are drawn and listed. */
const LISTED = 6;
/** A query is put between so many passages. */
const BESIDE = 5;

export const sentenceMap = signal<SentenceMap | undefined>(undefined);
export const mapping = new Work();
/** What the work is at: UMAP looks for neighbours, then moves the points. */
export const mapStep = signal('');

/** A job in a worker of its own, until its last message. Rejects with the signal's reason, and ends the worker. */
function runJob(job: MapJob, signal: AbortSignal, onMessage: (message: MapMessage) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./map-worker.ts', import.meta.url), { type: 'module' });
    const end = () => worker.terminate();
    signal.addEventListener(
      'abort',
      () => {
        end();
        reject(signal.reason);
      },
      { once: true },
    );
    worker.onerror = event => {
      end();
      reject(new Error(`The map could not be computed: ${event.message || 'its worker did not start'}.`));
    };
    worker.onmessage = ({ data: message }: MessageEvent<MapMessage>) => {
      if (!onMessage(message)) return;
      end();
      resolve();
    };
    worker.postMessage(job, [job.data.buffer]);
  });
}

/** Draws the map of the passages that are embedded by now. */
export function drawMap({ id, vectors }: TextIndex, kind: 'pca' | 'umap'): void {
  if (!vectors || vectors.rows < 3) return;
  const { space, dims, rows } = vectors;
  mapping.run(async signal => {
    mapStep.value = kind === 'umap' ? 'Looking for neighbours' : 'Drawing the map';
    const job: MapJob = { kind, data: vectors.data.slice(0, rows * dims), dims, rows };
    let plane: Plane | undefined;
    await runJob(job, signal, message => {
      if (signal.aborted) return true;
      if (message.kind === 'plane') {
        plane = message.plane;
        sentenceMap.value = { id, space, rows, kind: 'pca', plane, positions: plane.positions };
        return kind === 'pca';
      }
      mapping.progress.value = { done: message.done, total: message.total };
      if (message.kind === 'neighbours') return false;
      mapStep.value = 'Moving the points';
      sentenceMap.value = { id, space, rows, kind: 'umap', plane: plane!, positions: message.positions };
      return message.done === message.total;
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

/** The passages that are nearest to one, in all dimensions, with their cosines. */
export function neighboursOfRow({ vectors }: TextIndex, row: number): { row: number; score: number }[] {
  if (!vectors || row >= vectors.rows) return [];
  const scores = scoresOf(rowOf(vectors, row), vectors);
  return best(scores, LISTED, row).map(other => ({ row: other, score: scores[other]! }));
}
