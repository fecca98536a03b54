import type { TensorInfo } from './types.ts';

/** The name that every encoder has; what stands before it in a file stands before all of its tensors: `bert.`, `roberta.`. */
const WORD_TABLE = 'embeddings.word_embeddings.weight';

/** RoBERTa's masked-LM head, which XLM-RoBERTa, CamemBERT and MPNet have too. */
const LM_HEAD = {
  'cls.predictions.transform.LayerNorm': 'lm_head.layer_norm',
  'cls.predictions.transform': 'lm_head',
  'cls.predictions': 'lm_head',
};

/**
 * How a family names what BERT names otherwise: parts of a canonical name, and what stands there in the file. All are replaced, in
 * this order.
 */
const RULES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  distilbert: {
    'encoder.layer': 'transformer.layer',
    'attention.self.query': 'attention.q_lin',
    'attention.self.key': 'attention.k_lin',
    'attention.self.value': 'attention.v_lin',
    'attention.output.dense': 'attention.out_lin',
    'attention.output.LayerNorm': 'sa_layer_norm',
    'intermediate.dense': 'ffn.lin1',
    'output.dense': 'ffn.lin2',
    'output.LayerNorm': 'output_layer_norm',
    'cls.predictions.transform.dense': 'vocab_transform',
    'cls.predictions.transform.LayerNorm': 'vocab_layer_norm',
    'cls.predictions.decoder': 'vocab_projector',
    'cls.predictions': 'vocab_projector',
    'classifier.dense': 'pre_classifier',
    'classifier.out_proj': 'classifier',
  },
  roberta: LM_HEAD,
  'xlm-roberta': LM_HEAD,
  camembert: LM_HEAD,
  electra: {
    'cls.predictions.transform': 'generator_predictions',
    'cls.predictions.decoder': 'generator_lm_head',
    'cls.predictions': 'generator_lm_head',
  },
  albert: {
    // The layers share what a group of them has, so the number is that of the group.
    'encoder.layer': 'encoder.albert_layer_groups',
    'attention.self': 'albert_layers.0.attention',
    'attention.output': 'albert_layers.0.attention',
    'intermediate.dense': 'albert_layers.0.ffn',
    'output.dense': 'albert_layers.0.ffn_output',
    'output.LayerNorm': 'albert_layers.0.full_layer_layer_norm',
    embeddings_project: 'encoder.embedding_hidden_mapping_in',
    'pooler.dense': 'pooler',
    'cls.predictions.transform': 'predictions',
    'cls.predictions': 'predictions',
    'cls.seq_relationship': 'sop_classifier.classifier',
  },
  mpnet: {
    'attention.self.query': 'attention.attn.q',
    'attention.self.key': 'attention.attn.k',
    'attention.self.value': 'attention.attn.v',
    'attention.output.dense': 'attention.attn.o',
    'attention.output.LayerNorm': 'attention.LayerNorm',
    ...LM_HEAD,
  },
};

/** Spellings of one tensor: older checkpoints converted from TensorFlow name the norm's vectors gamma and beta. */
const spellings = (name: string): string[] => [
  name,
  name.replace(/LayerNorm\.weight$/, 'LayerNorm.gamma').replace(/LayerNorm\.bias$/, 'LayerNorm.beta'),
  // The bias of the vocabulary stands under two names, of which newer files keep one or the other.
  name.replace(/(predictions|lm_head)\.bias$/, '$1.decoder.bias'),
];

/**
 * The tensor of a checkpoint that has this canonical name, or undefined. Canonical are the names of a BertModel, and of
 * BertForMaskedLM, RobertaForSequenceClassification and ElectraForPreTraining for heads.
 */
export function tensorFinder(
  tensors: ReadonlyMap<string, TensorInfo>,
  modelType: string,
): (canonical: string) => TensorInfo | undefined {
  // Of several encoders in one file, the one nearest to the top.
  const [table = WORD_TABLE] = [...tensors.keys()]
    .filter(name => `.${name}`.endsWith(`.${WORD_TABLE}`))
    .sort((a, b) => a.length - b.length);
  const prefix = table.slice(0, -WORD_TABLE.length);
  const rules = Object.entries(RULES[modelType] ?? {});
  return canonical => {
    const inFile = rules.reduce((name, [part, other]) => name.replace(part, other), canonical);
    for (const name of spellings(inFile)) {
      const tensor = tensors.get(prefix + name) ?? tensors.get(name);
      if (tensor) return tensor;
    }
    return undefined;
  };
}
