import type { Matrix } from '../rank.ts';
import { neighboursOf } from './neighbours.ts';
import { type Plane, planeOf, reduced } from './pca.ts';
import { epochsFor, fuzzyGraphOf, layoutOf, NEIGHBOURS } from './umap.ts';

/** Computes maps beside the page, so that the page stays free. One job a worker: to stop it, the worker is ended. */

export interface MapJob extends Omit<Matrix, 'data'> {
  readonly kind: 'pca' | 'umap';
}

/** First the job, then all numbers of its rows in pieces, in their order; `at` is the place of a piece among them. */
export type MapRequest =
  | { readonly kind: 'job'; readonly job: MapJob }
  | { readonly kind: 'rows'; readonly at: number; readonly data: Float32Array<ArrayBuffer> };

export type MapMessage =
  | { readonly kind: 'plane'; readonly plane: Plane }
  | { readonly kind: 'neighbours'; readonly done: number; readonly total: number }
  | { readonly kind: 'layout'; readonly positions: Float32Array; readonly done: number; readonly total: number };

/** Of more passages the neighbours are looked for in the directions in which they differ most. */
const MANY = 2_000;
const FEW_DIMS = 48;

/** The page is told no more often than this. */
const PAUSE_MS = 80;

const page = self as unknown as {
  postMessage(message: MapMessage): void;
  onmessage: ((event: MessageEvent<MapRequest>) => void) | null;
};

let job: MapJob & { readonly data: Float32Array };

page.onmessage = ({ data: request }) => {
  if (request.kind === 'job') {
    const { dims, rows } = request.job;
    job = { ...request.job, data: new Float32Array(rows * dims) };
    return;
  }
  job.data.set(request.data, request.at);
  if (request.at + request.data.length === job.data.length) draw();
};

function draw(): void {
  const plane = planeOf(job);
  page.postMessage({ kind: 'plane', plane });
  if (job.kind !== 'umap') return;
  let told = performance.now();
  const isTime = () => {
    const now = performance.now();
    if (now - told < PAUSE_MS) return false;
    told = now;
    return true;
  };
  // Every pair of many rows in all their dimensions would take minutes on a phone.
  const isLarge = job.rows > MANY && job.dims > FEW_DIMS;
  const neighbours = neighboursOf(isLarge ? reduced(job, FEW_DIMS) : job, NEIGHBOURS, row => {
    if (isTime()) page.postMessage({ kind: 'neighbours', done: row + 1, total: job.rows });
  });
  const total = epochsFor(job.rows);
  let done = 0;
  for (const positions of layoutOf(fuzzyGraphOf(neighbours), plane.positions)) {
    done += 1;
    if (done === total || isTime()) page.postMessage({ kind: 'layout', positions, done, total });
  }
}
