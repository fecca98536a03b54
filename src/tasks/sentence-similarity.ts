/**
 * The cosine of one embedding [C] with each of others [n, C], in their order; 0 where one of the two is zero, as
 * sentence-transformers' cos_sim.
 */
export function cosineScores(source: Float32Array, others: Float32Array): number[] {
  const columns = source.length;
  const norm = (row: Float32Array) => Math.max(Math.sqrt(dot(row, row)), 1e-12);
  return Array.from({ length: others.length / columns }, (_, i) => {
    const row = others.subarray(i * columns, (i + 1) * columns);
    return dot(source, row) / (norm(source) * norm(row));
  });
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}
