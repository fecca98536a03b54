import { describe, expect, it } from 'vitest';
import { readConfig } from '../src/model/config.ts';
import { paddingRows } from '../src/model/index.ts';
import { drawnConfig } from './drawn-configs.ts';

/** padding_idx of the tables of transformers 5.24's models: by the default of the class, and with pad_token_id 2. */
const PYTHON: Readonly<Record<string, { default: [number, number?]; two: [number, number?] }>> = {
  bert: { default: [0], two: [2] },
  distilbert: { default: [0], two: [2] },
  roberta: { default: [1, 1], two: [2, 2] },
  'xlm-roberta': { default: [1, 1], two: [2, 2] },
  albert: { default: [0], two: [2] },
  electra: { default: [0], two: [2] },
  mpnet: { default: [1, 1], two: [1, 1] },
  modernbert: { default: [50283], two: [2] },
  roformer: { default: [0], two: [2] },
  convbert: { default: [1], two: [2] },
  eurobert: { default: [128001], two: [2] },
  nomic_bert: { default: [0], two: [2] },
  gte: { default: [1], two: [2] },
  gemma3_text: { default: [0], two: [2] },
  jina_embeddings_v3: { default: [1], two: [2] },
};

describe('the rows that stand for padding are those of Python', () => {
  const rowsOf = (modelType: string, more: object) => {
    const { words, positions } = paddingRows(readConfig({ ...drawnConfig(modelType, 1), ...more }));
    return positions === undefined ? [words] : [words, positions];
  };
  it.each(Object.entries(PYTHON))('%s', (modelType, { default: byDefault, two }) => {
    expect(rowsOf(modelType, {})).toEqual(byDefault);
    expect(rowsOf(modelType, { pad_token_id: 2 })).toEqual(two);
  });
  it('none where pad_token_id is null', () => {
    expect(rowsOf('bert', { pad_token_id: null })).toEqual([undefined]);
  });
});
