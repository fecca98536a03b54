import { Tensor } from '../api/index.ts';
import type { MaxSimInput } from '../engine/index.ts';
import { describe, InputError, wrong } from '../errors.ts';

/** The score of a document without vectors: below every real one (sentence-transformers, util/similarity.py). */
const EMPTY_DOCUMENT = -1e9;

/** The vectors of one text, or of a list of at least one. Throws InputError where they are none of so many columns. */
export function vectorsOf(name: string, value: unknown, columns: number): Float32Array[] {
  const list = Array.isArray(value) ? value : [value];
  if (list.length === 0) throw wrong(name, value, 'the vectors of at least one text');
  return list.map((tensor, i) => {
    const at = Array.isArray(value) ? `${name}[${i}]` : name;
    const isMatrix = tensor instanceof Tensor && tensor.type === 'float32' && tensor.dims.length === 2;
    if (!isMatrix || tensor.dims[1] !== columns) {
      const actual =
        tensor instanceof Tensor ? `a tensor ${tensor.type} [${tensor.dims.join(', ')}]` : describe(tensor);
      throw new InputError({
        what: `${at} has no vectors of this model`,
        actual,
        expected: `a tensor float32 [tokens, ${columns}]`,
        next: 'Pass what encode_query or encode_document gives.',
      });
    }
    const data = tensor.data as Float32Array;
    const bad = data.findIndex(number => !Number.isFinite(number));
    if (bad < 0) return data;
    throw new InputError({
      what: `${at} has a number that is not finite`,
      actual: `${data[bad]} at ${bad}`,
      expected: 'finite numbers',
    });
  });
}

/**
 * Scores [queries, documents]. Texts without vectors are scored here: the GPU has one for each text that it compares.
 * @param isMean whether a score is divided by the number of the query's vectors
 */
export async function maxSimScores(
  { queries, documents, columns }: MaxSimInput,
  { isMean, score }: { isMean: boolean; score: (input: MaxSimInput) => Promise<Float32Array> },
): Promise<Float32Array<ArrayBuffer>> {
  const filled = (texts: readonly Float32Array[]) => [...texts.keys()].filter(i => texts[i]!.length > 0);
  const [rows, others] = [filled(queries), filled(documents)];
  const input = { queries: rows.map(q => queries[q]!), documents: others.map(d => documents[d]!), columns };
  const some = rows.length > 0 && others.length > 0 ? await score(input) : new Float32Array();
  const scores = new Float32Array(queries.length * documents.length);
  for (const [d, document] of documents.entries()) {
    if (document.length === 0)
      for (let q = 0; q < queries.length; q++) scores[q * documents.length + d] = EMPTY_DOCUMENT;
  }
  for (const [i, q] of rows.entries()) {
    for (const [j, d] of others.entries()) scores[q * documents.length + d] = some[i * others.length + j]!;
  }
  if (isMean) {
    for (const [q, query] of queries.entries()) {
      const row = scores.subarray(q * documents.length, (q + 1) * documents.length);
      row.forEach((sum, d) => {
        row[d] = sum / Math.max(1, query.length / columns);
      });
    }
  }
  const bad = scores.findIndex(number => !Number.isFinite(number));
  if (bad < 0) return scores;
  throw new InputError({
    what: 'the vectors are too large to be compared',
    actual: `the score ${scores[bad]} of query ${Math.floor(bad / documents.length)} and document ${bad % documents.length}`,
    expected: 'finite scores',
  });
}
