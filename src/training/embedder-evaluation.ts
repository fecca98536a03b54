import { outputOf } from '../api/index.ts';
import type { TextReader } from '../tasks/index.ts';
import type { EmbedderData } from './embedder-data.ts';
import {
  type CoSENTLoss,
  CosineSimilarityLoss,
  type EmbeddingLoss,
  MatryoshkaLoss,
  MultipleNegativesRankingLoss,
} from './embedder-losses.ts';

type Rows = readonly Float64Array[];

/**
 * The mean loss of the batches of a data set, in its order and as its sampler makes them, without dropout: computed on the host in float64
 * of float32 embeddings. Losses that compare the records of a batch depend on the size of the batches, as they do in
 * sentence-transformers, whose batches of an evaluation come of the same sampler.
 */
export async function evaluateEmbedder(
  { engine, pool }: TextReader,
  data: EmbedderData,
  { batchSize, signal }: { batchSize: number; signal: AbortSignal | undefined },
): Promise<number> {
  const { loss, texts } = data.task;
  const order = Uint32Array.from({ length: data.count }, (_, i) => i);
  let sum = 0;
  for (const batch of data.batches(order, batchSize, false)) {
    const sequences = data.sequences(batch);
    const rows: Float64Array[] = [];
    await engine.run(
      sequences,
      { pool },
      {
        signal,
        done: results => {
          for (const { outputs } of results) rows.push(Float64Array.from(outputOf(outputs, 'embedding')));
        },
      },
    );
    const count = sequences.length / texts;
    const columns = Array.from({ length: texts }, (_, column) => rows.slice(column * count, (column + 1) * count));
    const labels = sequences.slice(0, count).map(({ labels = [] }) => labels[0]!);
    sum += lossOf(loss, columns, labels) * count;
  }
  return sum / data.count;
}

function lossOf(loss: EmbeddingLoss | MatryoshkaLoss, columns: readonly Rows[], labels: readonly number[]): number {
  if (!(loss instanceof MatryoshkaLoss)) return wholeLoss(loss, columns, labels);
  return loss.matryoshka_dims.reduce((sum, dim, i) => {
    const cut = columns.map(rows => rows.map(row => unit(row.subarray(0, dim))));
    return sum + loss.matryoshka_weights[i]! * wholeLoss(loss.loss, cut, labels);
  }, 0);
}

function wholeLoss(loss: EmbeddingLoss, columns: readonly Rows[], labels: readonly number[]): number {
  const [anchors = [], positives = []] = columns;
  if (loss instanceof MultipleNegativesRankingLoss) {
    const compare = loss.similarity_fct === 'cos_sim' ? cosine : dot;
    const candidates = columns.slice(1).flat();
    const losses = anchors.map((anchor, i) => {
      const scores = candidates.map(candidate => loss.scale * compare(anchor, candidate));
      return logSumExp(scores) - scores[i]!;
    });
    return losses.reduce((a, b) => a + b, 0) / losses.length;
  }
  const cosines = anchors.map((anchor, i) => cosine(anchor, positives[i]!));
  if (loss instanceof CosineSimilarityLoss) {
    return cosines.reduce((sum, value, i) => sum + (value - labels[i]!) ** 2, 0) / cosines.length;
  }
  const { scale } = loss satisfies CoSENTLoss;
  const exponents = [0];
  for (const [i, lower] of labels.entries()) {
    for (const [j, higher] of labels.entries()) {
      if (lower < higher) exponents.push(scale * (cosines[i]! - cosines[j]!));
    }
  }
  return logSumExp(exponents);
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

const cosine = (a: Float64Array, b: Float64Array): number => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b) || 1);

function unit(row: Float64Array): Float64Array {
  const length = Math.sqrt(dot(row, row)) || 1;
  return row.map(value => value / length);
}

function logSumExp(values: readonly number[]): number {
  const most = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
}
