import { namedWords, normalNumbers } from '../src/random.ts';

/** 32 bits of the bits of 100,000 normal numbers, in float64: FNV-1a (Fowler, Noll and Vo). */
export function digestOfNormals(seed: number, name: string): string {
  const next = normalNumbers(namedWords(seed, name));
  const words = new Uint32Array(Float64Array.from({ length: 100_000 }, next).buffer);
  let hash = 0x811c9dc5;
  for (const word of words) hash = Math.imul(hash ^ word, 0x01000193);
  return (hash >>> 0).toString(16);
}

/** That of seed 42 and "classifier.weight", in every engine. */
export const NORMALS = 'ae07cdc4';
