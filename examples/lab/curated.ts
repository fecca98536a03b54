/**
 * The models that the lab offers by name: a few for each task, the first of each the one that is taken where nothing else is named. Sizes
 * are of model.safetensors on the hub, in MB of a million bytes; licences are those of the model cards. Any other id can be typed.
 */

export interface CuratedModel {
  readonly id: string;
  readonly megabytes: number;
  readonly licence: string;
  /** What it is good for, in a few words. */
  readonly note: string;
}

const miniLM: CuratedModel = {
  id: 'sentence-transformers/all-MiniLM-L6-v2',
  megabytes: 91,
  licence: 'Apache-2.0',
  note: 'Small English embedder, 6 layers of 12 heads',
};
const bgeSmall: CuratedModel = {
  id: 'BAAI/bge-small-en-v1.5',
  megabytes: 133,
  licence: 'MIT',
  note: 'English embedder, 12 layers of 12 heads',
};
const bertBase: CuratedModel = {
  id: 'google-bert/bert-base-uncased',
  megabytes: 440,
  licence: 'Apache-2.0',
  note: 'The BERT of the paper, 12 layers of 12 heads',
};
const distilBert: CuratedModel = {
  id: 'distilbert/distilbert-base-uncased',
  megabytes: 268,
  licence: 'Apache-2.0',
  note: 'BERT distilled to 6 layers of 12 heads',
};
const robertaBase: CuratedModel = {
  id: 'FacebookAI/roberta-base',
  megabytes: 499,
  licence: 'MIT',
  note: 'BERT trained longer, with cased words',
};
const modernBert: CuratedModel = {
  id: 'answerdotai/ModernBERT-base',
  megabytes: 599,
  licence: 'Apache-2.0',
  note: 'Of 2024, 22 layers of 12 heads, texts of 8,192 tokens',
};

export const curated = {
  attention: [miniLM, distilBert, bgeSmall, bertBase, robertaBase, modernBert],
  'fill-mask': [distilBert, bertBase, robertaBase, modernBert],
  'next-sentence-prediction': [bertBase],
  'feature-extraction': [miniLM, bgeSmall],
  'sentence-similarity': [miniLM, bgeSmall],
  'text-classification': [
    {
      id: 'distilbert/distilbert-base-uncased-finetuned-sst-2-english',
      megabytes: 268,
      licence: 'Apache-2.0',
      note: 'English film reviews: positive or negative',
    },
  ],
  'zero-shot-classification': [
    {
      id: 'cross-encoder/nli-deberta-v3-xsmall',
      megabytes: 283,
      licence: 'Apache-2.0',
      note: 'Small, English, any labels',
    },
    {
      id: 'cross-encoder/nli-deberta-v3-base',
      megabytes: 738,
      licence: 'Apache-2.0',
      note: 'Larger and more often right, English, any labels',
    },
  ],
  'text-ranking': [
    {
      id: 'cross-encoder/ms-marco-MiniLM-L6-v2',
      megabytes: 91,
      licence: 'Apache-2.0',
      note: 'Small English reranker of passages',
    },
    {
      id: 'mixedbread-ai/mxbai-rerank-xsmall-v1',
      megabytes: 142,
      licence: 'Apache-2.0',
      note: 'DeBERTa reranker, English',
    },
  ],
  'token-classification': [
    {
      id: 'dslim/distilbert-NER',
      megabytes: 261,
      licence: 'Apache-2.0',
      note: 'English people, places, organisations',
    },
    {
      id: 'dslim/bert-base-NER',
      megabytes: 433,
      licence: 'MIT',
      note: 'The same with twice as many layers',
    },
  ],
  training: [miniLM, bgeSmall, distilBert, bertBase],
  'question-answering': [
    {
      id: 'distilbert/distilbert-base-uncased-distilled-squad',
      megabytes: 265,
      licence: 'Apache-2.0',
      note: 'English answers out of a text',
    },
  ],
} satisfies Readonly<Record<string, readonly CuratedModel[]>>;

export type CuratedTask = keyof typeof curated;

export const curatedById: ReadonlyMap<string, CuratedModel> = new Map(
  Object.values(curated).flatMap((models: readonly CuratedModel[]) => models.map(model => [model.id, model] as const)),
);
