import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readTensors, safetensors } from './checkpoint-bytes.ts';
import { type Files, filesBelow, fixtures } from './fixture-files.ts';

/** Checkpoints of sentence-transformers below tests/fixtures/sentence, for tests that run in Node. */

export const fixture = <T>(name: string): T =>
  JSON.parse(readFileSync(join(fixtures, 'sentence', name, 'expected.json'), 'utf8'));

/** The files of a checkpoint, with the weights and the tokenizer of the fixture that it shares them with. */
export function checkpointFiles(name: string): Files {
  const { weights } = fixture<{ weights?: string }>(name);
  const shared = ['model.safetensors', 'tokenizer.json'].flatMap(file => {
    const path = join(fixtures, 'random', weights ?? '', file);
    return weights !== undefined && existsSync(path) ? [[file, new Uint8Array(readFileSync(path))] as const] : [];
  });
  return { ...Object.fromEntries(shared), ...filesBelow(join(fixtures, 'sentence', name)) };
}

export const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)) as Uint8Array<ArrayBuffer>;

/** The largest |a - e| / (1 + |e|). */
export function worstDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) throw new Error(`${actual.length} numbers, not ${expected.length}`);
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!) / (1 + Math.abs(expected[i]!));
    worst = Math.max(worst, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
  }
  return worst;
}

/** The tensors of a safetensors file, renamed, and more of them. */
export function withTensors(
  file: Uint8Array<ArrayBuffer>,
  rename: (name: string) => string,
  more: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  return safetensors({
    ...Object.fromEntries(Object.entries(readTensors(file)).map(([name, tensor]) => [rename(name), tensor])),
    ...readTensors(more),
  });
}

/** The files of a fixture; Stanford's has the projection among the tensors of the encoder. */
export function colbertFiles(name: string): Files {
  const files = checkpointFiles(name);
  if (name !== 'colbert-stanford') return files;
  const linear = checkpointFiles('colbert')['1_Dense/model.safetensors']!;
  return {
    ...files,
    'model.safetensors': withTensors(files['model.safetensors']!, tensor => `bert.${tensor}`, linear),
  };
}

const STATIC = 'sentence_transformers.sparse_encoder.models.SparseStaticEmbedding';
/** A model whose queries are looked up: the layout of opensearch-neural-sparse-encoding-doc-v3. */
export function routed(more: Files, parameters: object = { default_route: 'document' }): Files {
  const { 'modules.json': _, '1_SpladePooling/config.json': pooling, ...files } = checkpointFiles('splade-twice');
  const inDocument = Object.fromEntries(
    Object.entries(files)
      .filter(([name]) => name !== 'config_sentence_transformers.json')
      .map(([name, bytes]) => [`document_0_MLMTransformer/${name}`, bytes]),
  );
  const tokenizer = ['tokenizer.json', 'tokenizer_config.json'].map(
    name => [`query_0_SparseStaticEmbedding/${name}`, files[name]!] as const,
  );
  return {
    ...inDocument,
    ...Object.fromEntries(tokenizer),
    'modules.json': json([{ idx: 0, name: '0', path: '', type: 'sentence_transformers.models.Router' }]),
    'config_sentence_transformers.json': files['config_sentence_transformers.json']!,
    'document_1_SpladePooling/config.json': pooling!,
    'router_config.json': json({
      types: {
        query_0_SparseStaticEmbedding: STATIC,
        document_0_MLMTransformer: 'sentence_transformers.sparse_encoder.models.MLMTransformer',
        document_1_SpladePooling: 'sentence_transformers.sparse_encoder.models.SpladePooling',
      },
      structure: {
        query: ['query_0_SparseStaticEmbedding'],
        document: ['document_0_MLMTransformer', 'document_1_SpladePooling'],
      },
      parameters,
    }),
    ...more,
  };
}
