import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { MultiVectorEncoder, pipeline, SparseEncoder } from '../src/index.ts';
import { type Files, filesBelow } from './fixture-files.ts';
import { worstDifference } from './vector-fixtures.ts';

/** Checkpoints that sentence-transformers saved, of modules that were drawn (tests/fixtures/tools/fuzz_sentences.py), without a GPU. */

vi.mock('../src/engine/webgpu-backend.ts', async original => (await import('./on-the-cpu.ts')).onTheCPU(original));

interface Numbers {
  shape: number[];
  data: number[];
}
interface Expected {
  kind: 'sentence' | 'sparse' | 'multi';
  texts: string[];
  calls: {
    method: 'encode' | 'encode_query' | 'encode_document';
    options: {
      prompt?: string;
      prompt_name?: string;
      truncate_dim?: number;
      normalize_embeddings?: boolean;
      max_active_dims?: number;
    };
    embeddings: Numbers;
    rows: Numbers;
    similarity: Numbers;
  }[];
  queries: Numbers[];
  documents: Numbers[];
  similarity: Numbers;
}

/** Float32 results of float64, and Python's float32 angles and norms. */
const TOLERANCE = 2e-5;
const root = process.env.WEBGPU_BERT_SENTENCES ?? join(import.meta.dirname, 'fixtures', 'drawn-sentences');

async function sentence(files: Files, { texts, calls }: Expected): Promise<void> {
  const extractor = await pipeline('feature-extraction', files);
  for (const { method, options, embeddings } of calls) {
    const { normalize_embeddings, ...rest } = options;
    const given = { ...rest, ...(normalize_embeddings && { normalize: true }) };
    const result =
      method === 'encode'
        ? await extractor(texts, { pooling: 'model', ...given })
        : await extractor[method](texts, given);
    const name = `${method} ${JSON.stringify(options)}`;
    expect(result.dims, name).toEqual(embeddings.shape);
    expect(worstDifference(result.data as Float32Array, embeddings.data), name).toBeLessThan(TOLERANCE);
  }
  await extractor.dispose();
}

async function sparse(files: Files, { texts, calls }: Expected): Promise<void> {
  const encoder = await SparseEncoder.from_pretrained(files);
  for (const { method, options, rows, similarity } of calls) {
    const vectors = await encoder[method](texts, options);
    const [, columns] = rows.shape;
    const dense = vectors.flatMap(({ indices, values }) => {
      const row = new Array<number>(columns!).fill(0);
      for (const [i, index] of indices.entries()) row[index] = values[i]!;
      return row;
    });
    const name = `${method} ${JSON.stringify(options)}`;
    expect(worstDifference(dense, rows.data), name).toBeLessThan(TOLERANCE);
    expect(
      worstDifference(encoder.similarity(vectors, vectors).data as Float32Array, similarity.data),
      name,
    ).toBeLessThan(TOLERANCE);
  }
  await encoder.dispose();
}

async function multi(files: Files, { texts, queries, documents, similarity }: Expected): Promise<void> {
  const encoder = await MultiVectorEncoder.from_pretrained(files);
  const q = await encoder.encode_query(texts.slice(0, queries.length));
  const d = await encoder.encode_document(texts);
  for (const [name, vectors, expected] of [
    ['query', q, queries],
    ['document', d, documents],
  ] as const) {
    expect(
      vectors.map(({ dims }) => dims),
      name,
    ).toEqual(expected.map(({ shape }) => shape));
    for (const [i, { data }] of vectors.entries()) {
      expect(worstDifference(data as Float32Array, expected[i]!.data), `${name} ${i}`).toBeLessThan(TOLERANCE);
    }
  }
  const scores = await encoder.similarity(q, d);
  expect(worstDifference(scores.data as Float32Array, similarity.data), 'similarity').toBeLessThan(TOLERANCE);
  await encoder.dispose();
}

test.each(readdirSync(root))('%s', async name => {
  const folder = join(root, name);
  const expected: Expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8'));
  const files = filesBelow(folder);
  if (expected.kind === 'sentence') await sentence(files, expected);
  else if (expected.kind === 'sparse') await sparse(files, expected);
  else await multi(files, expected);
});
