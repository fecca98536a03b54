import type { Checkpoint, TensorInfo } from './types.ts';

const WORD_TABLE = 'embeddings.word_embeddings.weight';
const DECODER = 'cls.predictions.decoder.weight';

/**
 * Tensors that every encoder has; they tell the prefix of all names of the encoder in a file: `bert.`, `roberta.`. The first one is
 * never tied to another tensor, so files have it under its own name; the others serve files that lack it.
 */
const LANDMARKS = ['encoder.layer.0.attention.self.query.weight', WORD_TABLE, 'embeddings.position_embeddings.weight'];

/** Names in RoBERTa's masked-LM head, which XLM-RoBERTa, CamemBERT and MPNet have too. */
const LM_HEAD = {
  'cls.predictions.transform.LayerNorm': 'lm_head.layer_norm',
  'cls.predictions.transform': 'lm_head',
  'cls.predictions': 'lm_head',
};

/**
 * Where a family's names differ from BERT's: a part of a canonical name, and the part in its place in the file. All that occur are
 * replaced, in this order.
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
    // All layers of a group share its weights, so the number in a name is that of the group.
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

/** The names that one tensor may have: checkpoints converted from TensorFlow call the vectors of a norm gamma and beta. */
const spellings = (name: string): string[] => [
  name,
  name.replace(/LayerNorm\.weight$/, 'LayerNorm.gamma').replace(/LayerNorm\.bias$/, 'LayerNorm.beta'),
  // The bias of the vocabulary has two names, of which newer files keep one or the other.
  name.replace(/(predictions|lm_head)\.bias$/, '$1.decoder.bias'),
];

/**
 * Returns a function from a canonical name to the tensor of the checkpoint, or undefined. Canonical names are those of BertModel, and
 * for heads those of BertForMaskedLM, RobertaForSequenceClassification and ElectraForPreTraining.
 *
 * A file may keep one tensor for several names, as safetensors.torch.save_model does; its metadata lists them. Without such metadata,
 * where the config ties the word table and the masked-LM decoder, either stands in for the other.
 */
export function tensorFinder(
  { tensors, leftOut }: Pick<Checkpoint, 'tensors' | 'leftOut'>,
  { modelType, tiedDecoder }: { readonly modelType: string; readonly tiedDecoder: boolean },
): (canonical: string) => TensorInfo | undefined {
  const rules = Object.entries(RULES[modelType] ?? {});
  const familyName = (canonical: string) => rules.reduce((name, [part, other]) => name.replace(part, other), canonical);
  const prefixes = prefixesOf([...tensors.keys(), ...leftOut.keys()], LANDMARKS.map(familyName));
  const find = (canonical: string): TensorInfo | undefined => {
    for (const name of spellings(familyName(canonical))) {
      for (const prefix of prefixes) {
        const full = prefix + name;
        const tensor = tensors.get(full) ?? tensors.get(leftOut.get(full) ?? full);
        if (tensor) return tensor;
      }
    }
    return undefined;
  };
  return canonical => {
    const tensor = find(canonical);
    if (tensor || !tiedDecoder) return tensor;
    if (canonical === WORD_TABLE) return find(DECODER);
    return canonical === DECODER ? find(WORD_TABLE) : undefined;
  };
}

/**
 * The prefixes that a name may have in the file: that of the encoder, and those of the modules around it. For `model.bert.` they are
 * `model.bert.`, `model.` (where the heads are) and none.
 */
function prefixesOf(names: readonly string[], landmarks: readonly string[]): string[] {
  for (const landmark of landmarks) {
    // Where a file has several encoders, the least nested one counts.
    const [nearest] = names
      .filter(name => name === landmark || name.endsWith(`.${landmark}`))
      .sort((a, b) => a.length - b.length);
    if (nearest === undefined) continue;
    const parts = nearest.slice(0, -landmark.length).split('.').slice(0, -1);
    return [...parts.map((_, i) => `${parts.slice(0, parts.length - i).join('.')}.`), ''];
  }
  return [''];
}
