import { describe, InputError, wrong } from '../errors.ts';
import { ranked } from '../tasks/index.ts';

/** A vector of which few numbers are not zero. */
export interface SparseVector {
  /** The dimensions whose numbers are not zero, in ascending order. Of a SPLADE model: token ids. */
  readonly indices: Uint32Array;
  /** Their numbers. */
  readonly values: Float32Array;
}

/**
 * The numbers of a row that are not zero; with `maxActiveDims` only so many, those of the greatest absolute values, and of equal ones
 * the first.
 */
export function sparseVector(row: Float32Array, maxActiveDims?: number): SparseVector {
  const active: number[] = [];
  for (let i = 0; i < row.length; i++) if (row[i] !== 0) active.push(i);
  const kept =
    maxActiveDims !== undefined && maxActiveDims < active.length
      ? ranked(
          active.map(i => Math.abs(row[i]!)),
          maxActiveDims,
        )
          .map(place => active[place]!)
          .sort((a, b) => a - b)
      : active;
  return { indices: Uint32Array.from(kept), values: Float32Array.from(kept, i => row[i]!) };
}

/**
 * One vector, or a list of at least one, as a list. Throws InputError where one is no sparse vector of so many dimensions: then a
 * similarity would be computed of other dimensions than the caller means.
 */
export function vectorList(name: string, vectors: unknown, dimensions: number): readonly SparseVector[] {
  const list = Array.isArray(vectors) ? vectors : [vectors];
  if (list.length === 0) throw wrong(name, vectors, 'at least one vector');
  for (const [i, vector] of list.entries())
    checkVector(Array.isArray(vectors) ? `${name}[${i}]` : name, vector, dimensions);
  return list;
}

const EXPECTED = '{ indices: Uint32Array, values: Float32Array } of one length, as `encode` gives it';
const NEXT = 'Lists of a JSON text become these by Uint32Array.from and Float32Array.from.';

function checkVector(name: string, vector: unknown, dimensions: number): void {
  const { indices, values } = Object(vector) as Partial<SparseVector>;
  const isPair = indices instanceof Uint32Array && values instanceof Float32Array;
  if (!isPair || indices.length !== values.length) throw wrong(name, vector, EXPECTED, NEXT);
  const bad = values.findIndex(value => !Number.isFinite(value));
  if (bad >= 0) throw wrong(name, values[bad], 'finite numbers in `values`');
  for (let i = 0; i < indices.length; i++) {
    const isInOrder = i === 0 || indices[i]! > indices[i - 1]!;
    if (isInOrder && indices[i]! < dimensions) continue;
    throw new InputError({
      what: `the indices of ${name} are wrong`,
      actual: `${describe(indices[i])} at ${i}`,
      expected: `ascending ones below ${dimensions}`,
      next: 'Pass vectors of this model.',
    });
  }
}

/** Calls `visit` with the numbers of both vectors in every dimension in which one of them is not zero. */
function walk(a: SparseVector, b: SparseVector, visit: (a: number, b: number) => void): void {
  let [i, j] = [0, 0];
  while (i < a.indices.length || j < b.indices.length) {
    const inA = a.indices[i] ?? Number.POSITIVE_INFINITY;
    const inB = b.indices[j] ?? Number.POSITIVE_INFINITY;
    visit(inA <= inB ? a.values[i++]! : 0, inB <= inA ? b.values[j++]! : 0);
  }
}

function sumOver(a: SparseVector, b: SparseVector, term: (a: number, b: number) => number): number {
  let sum = 0;
  walk(a, b, (x, y) => {
    sum += term(x, y);
  });
  return sum;
}

const dot = (a: SparseVector, b: SparseVector): number => sumOver(a, b, (x, y) => x * y);
const norm = (a: SparseVector): number => Math.max(1e-12, Math.sqrt(dot(a, a)));

/** How two vectors are compared, by the names of sentence-transformers. A distance is negated, so that more is always nearer. */
export const SPARSE_SIMILARITIES = {
  cosine: (a, b) => dot(a, b) / (norm(a) * norm(b)),
  dot,
  euclidean: (a, b) => -Math.sqrt(sumOver(a, b, (x, y) => (x - y) ** 2)),
  manhattan: (a, b) => -sumOver(a, b, (x, y) => Math.abs(x - y)),
} as const satisfies Readonly<Record<string, (a: SparseVector, b: SparseVector) => number>>;

export type SparseSimilarity = keyof typeof SPARSE_SIMILARITIES;

/** The dimensions of a vector with their numbers, the greatest first, of equal ones the first; `topK` of them at most. */
export function strongest({ indices, values }: SparseVector, topK: number): [index: number, value: number][] {
  if (values.length === 0) return [];
  return ranked(values, Math.min(topK, values.length)).map(i => [indices[i]!, values[i]!]);
}
