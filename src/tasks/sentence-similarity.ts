import { dot, norm } from './feature-extraction.ts';

/**
 * The cosine of one embedding [C] with each of others [n, C], in their order; 0 where one of the two is zero, as
 * sentence-transformers' cos_sim.
 */
export function cosineScores(source: Float32Array, others: Float32Array): number[] {
  const columns = source.length;
  return Array.from({ length: others.length / columns }, (_, i) => {
    const row = others.subarray(i * columns, (i + 1) * columns);
    return dot(source, row) / (norm(source) * norm(row));
  });
}
