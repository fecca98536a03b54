import { dot, norm } from './feature-extraction.ts';

type Score = (a: Float32Array, b: Float32Array) => number;

/** How two embeddings are compared, as sentence-transformers' similarity(): of a distance the negative. */
const SCORES: Readonly<Record<'cosine' | 'dot' | 'euclidean' | 'manhattan', Score>> = {
  // 0 where one of the two is zero.
  cosine: (a, b) => dot(a, b) / (norm(a) * norm(b)),
  dot,
  euclidean: (a, b) => -Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0)),
  manhattan: (a, b) => -a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0),
};

/** The similarity of one embedding [C] with each of others [n, C], in their order. */
export function similarityScores(source: Float32Array, others: Float32Array, name: keyof typeof SCORES): number[] {
  const columns = source.length;
  return Array.from({ length: others.length / columns }, (_, i) =>
    SCORES[name](source, others.subarray(i * columns, (i + 1) * columns)),
  );
}
