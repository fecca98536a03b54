import { UnsupportedError } from '../errors.ts';
import type { Value } from '../plan/index.ts';

/** The families every op of which has a gradient, as config.json names them. */
export const TRAINED_FAMILIES = [
  'bert',
  'distilbert',
  'roberta',
  'xlm-roberta',
  'camembert',
  'data2vec-text',
  'electra',
  'albert',
  'mpnet',
  'ernie',
  'deberta',
  'deberta-v2',
  'modernbert',
  'megatron-bert',
  'roberta-prelayernorm',
  'rembert',
  'dpr',
  'esm',
  'jina_bert',
  'neobert',
  'roformer',
  'mobilebert',
  'squeezebert',
  'convbert',
  'eurobert',
  'nomic_bert',
  'gte',
  'new',
  'gemma3_text',
  'jina_embeddings_v3',
  'xlm-roberta-flash',
];

/** The error of a model that computes a value by an op without a gradient. */
export const noRule = (op: string, { name }: Pick<Value, 'name'>): UnsupportedError =>
  new UnsupportedError({
    what: 'this model cannot be trained yet',
    actual: `it computes "${name}" by an op without a gradient: ${op}`,
    next: "Train only what is above that op (TrainingArguments.trainable: 'head'), or another model.",
    supported: TRAINED_FAMILIES,
  });
