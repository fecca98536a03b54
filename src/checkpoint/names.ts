import type { TensorInfo } from './types.ts';

/** What stands before the encoder's names in a checkpoint that has a head: `bert.embeddings...`. */
const PREFIXES = [
  '',
  'bert.',
  'distilbert.',
  'roberta.',
  'electra.',
  'albert.',
  'mpnet.',
  'ernie.',
  'model.',
  'module.',
  'module.bert.',
];

type Rule = readonly [canonical: RegExp, inFile: string];

const LAYER = '^encoder\\.layer\\.(\\d+)\\.';
const layer = (canonical: string, inFile: string): Rule => [
  new RegExp(`${LAYER}${canonical.replaceAll('.', '\\.')}\\.`),
  inFile,
];

/** RoBERTa's masked-LM head, which XLM-RoBERTa, CamemBERT and MPNet have too. */
const LM_HEAD: readonly Rule[] = [
  [/^cls\.predictions\.transform\.dense\./, 'lm_head.dense.'],
  [/^cls\.predictions\.transform\.LayerNorm\./, 'lm_head.layer_norm.'],
  [/^cls\.predictions\.decoder\./, 'lm_head.decoder.'],
  [/^cls\.predictions\.bias$/, 'lm_head.bias'],
];

/** How a family names what BERT names otherwise: the start of a canonical name, and what stands there in the file. */
const RULES: Readonly<Record<string, readonly Rule[]>> = {
  distilbert: [
    layer('attention.self.query', 'transformer.layer.$1.attention.q_lin.'),
    layer('attention.self.key', 'transformer.layer.$1.attention.k_lin.'),
    layer('attention.self.value', 'transformer.layer.$1.attention.v_lin.'),
    layer('attention.output.dense', 'transformer.layer.$1.attention.out_lin.'),
    layer('attention.output.LayerNorm', 'transformer.layer.$1.sa_layer_norm.'),
    layer('intermediate.dense', 'transformer.layer.$1.ffn.lin1.'),
    layer('output.dense', 'transformer.layer.$1.ffn.lin2.'),
    layer('output.LayerNorm', 'transformer.layer.$1.output_layer_norm.'),
    [/^cls\.predictions\.transform\.dense\./, 'vocab_transform.'],
    [/^cls\.predictions\.transform\.LayerNorm\./, 'vocab_layer_norm.'],
    [/^cls\.predictions\.(decoder\.)?(bias|weight)$/, 'vocab_projector.$2'],
    [/^classifier\.dense\./, 'pre_classifier.'],
    [/^classifier\.out_proj\./, 'classifier.'],
  ],
  roberta: LM_HEAD,
  'xlm-roberta': LM_HEAD,
  camembert: LM_HEAD,
  electra: [
    [/^cls\.predictions\.transform\./, 'generator_predictions.'],
    [/^cls\.predictions\.(decoder\.)?(bias|weight)$/, 'generator_lm_head.$2'],
  ],
  albert: [
    layer('attention.self', 'encoder.albert_layer_groups.$1.albert_layers.0.attention.'),
    layer('attention.output', 'encoder.albert_layer_groups.$1.albert_layers.0.attention.'),
    layer('intermediate.dense', 'encoder.albert_layer_groups.$1.albert_layers.0.ffn.'),
    layer('output.dense', 'encoder.albert_layer_groups.$1.albert_layers.0.ffn_output.'),
    layer('output.LayerNorm', 'encoder.albert_layer_groups.$1.albert_layers.0.full_layer_layer_norm.'),
    [/^embeddings_project\./, 'encoder.embedding_hidden_mapping_in.'],
    [/^pooler\.dense\./, 'pooler.'],
    [/^cls\.predictions\.transform\./, 'predictions.'],
    [/^cls\.predictions\./, 'predictions.'],
    [/^cls\.seq_relationship\./, 'sop_classifier.classifier.'],
  ],
  mpnet: [
    layer('attention.self.query', 'encoder.layer.$1.attention.attn.q.'),
    layer('attention.self.key', 'encoder.layer.$1.attention.attn.k.'),
    layer('attention.self.value', 'encoder.layer.$1.attention.attn.v.'),
    layer('attention.output.dense', 'encoder.layer.$1.attention.attn.o.'),
    layer('attention.output.LayerNorm', 'encoder.layer.$1.attention.LayerNorm.'),
    ...LM_HEAD,
  ],
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
  const prefix = PREFIXES.find(p => tensors.has(`${p}embeddings.word_embeddings.weight`)) ?? '';
  const rules = RULES[modelType] ?? [];
  return canonical => {
    const rule = rules.find(([pattern]) => pattern.test(canonical));
    const inFile = rule ? canonical.replace(rule[0], rule[1]) : canonical;
    for (const name of spellings(inFile)) {
      const tensor = tensors.get(prefix + name) ?? tensors.get(name);
      if (tensor) return tensor;
    }
    return undefined;
  };
}
