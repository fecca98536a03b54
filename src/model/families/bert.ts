import { ENCODER, type Family } from '../family.ts';
import { BERT_HEADS, COMMON_HEADS, MASKED_HEADS } from '../head-kind.ts';

/** Devlin et al., arXiv 1810.04805. Defaults are those of transformers' config classes, here and in the other files. */
export const BERT: Family = {
  headKinds: BERT_HEADS,
  types: 2,
  activation: 'gelu',
  eps: 1e-12,
  supported: { position_embedding_type: 'absolute', ...ENCODER },
};

export const ROBERTA: Family = {
  ...BERT,
  headKinds: MASKED_HEADS,
  fairseqPositions: 'configured',
  classifier: { dense: 'head', activation: 'tanh' },
  choiceDense: 'pooler',
  maskedActivation: 'gelu',
};

/** BERT and the families that differ from it in little. */
export const BERT_FAMILIES: Readonly<Record<string, Family>> = {
  bert: BERT,
  distilbert: {
    ...BERT,
    headKinds: MASKED_HEADS,
    types: 0,
    fixedEps: true,
    classifier: { dense: 'head', activation: 'relu' },
    fields: {
      hidden_size: 'dim',
      num_attention_heads: 'n_heads',
      num_hidden_layers: 'n_layers',
      intermediate_size: 'hidden_dim',
      hidden_act: 'activation',
    },
  },
  roberta: ROBERTA,
  'xlm-roberta': ROBERTA,
  camembert: ROBERTA,
  // Baevski et al., arXiv 2202.03555.
  'data2vec-text': ROBERTA,
  electra: {
    ...BERT,
    headKinds: { ...COMMON_HEADS, PreTraining: 'PreTraining' },
    projection: 'if needed',
    classifier: { dense: 'head', activation: 'gelu' },
    summary: { type: 'first', dense: true, activation: 'gelu' },
    maskedActivation: 'gelu',
  },
  albert: {
    ...BERT,
    headKinds: { ...COMMON_HEADS, PreTraining: 'PreTraining' },
    activation: 'gelu_new',
    projection: 'always',
    sharedLayers: true,
  },
  mpnet: { ...ROBERTA, fairseqPositions: 'fixed', types: 0, relativeBias: true },
  ernie: { ...BERT, tasks: true },
};
