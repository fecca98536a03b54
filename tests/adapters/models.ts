import { pipeline } from 'webgpu-bert';
import { type Files, fixtureFiles } from '../fixture-files.ts';

/** Small models with random weights, for the adapters: an embedder with prompts, and a cross-encoder. */

const PROMPTS = { query: 'query: ', document: 'passage: ' };

export function embedderFiles(): Files {
  const config = new TextEncoder().encode(JSON.stringify({ prompts: PROMPTS })) as Uint8Array<ArrayBuffer>;
  const files = { ...fixtureFiles('random/bert-base'), ...fixtureFiles('sentence/st-prompts') };
  return { ...files, 'config_sentence_transformers.json': config };
}

export const rankerFiles = (): Files => fixtureFiles('random/bert-rerank');

export const QUERY = 'Where is the tower?';
export const DOCUMENTS = ['It rains.', 'In the north of the town.', 'Paris is the capital of France.'];

/** What the embedder's pipeline gives with a prompt. */
export async function embeddingsOf(texts: readonly string[], prompt = '', options: object = {}): Promise<number[][]> {
  const extractor = await pipeline('feature-extraction', embedderFiles());
  const rows = (await extractor(texts, { pooling: 'model', prompt, ...options })).tolist() as number[][];
  await extractor.dispose();
  return rows;
}

/** What the cross-encoder's pipeline gives. */
export async function rankingOf(
  query: string,
  documents: readonly string[],
): Promise<{ corpus_id: number; score: number }[]> {
  const ranker = await pipeline('text-ranking', rankerFiles());
  const ranking = [...(await ranker(query, documents))];
  await ranker.dispose();
  return ranking;
}
