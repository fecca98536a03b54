/** Names in RoBERTa's masked-LM head, which XLM-RoBERTa, CamemBERT and MPNet have too. */
const LM_HEAD = {
  'cls.predictions.transform.LayerNorm': 'lm_head.layer_norm',
  'cls.predictions.transform': 'lm_head',
  'cls.predictions': 'lm_head',
};

/**
 * Some rows of a tensor that the file keeps under one name for several: block `block` of `of` blocks of equally many rows. With `perHead`
 * the rows of each head are cut into such blocks: head 0 of q, of k, of v, head 1 of q, ...
 */
export interface Block {
  readonly name: string;
  readonly block: number;
  readonly of: number;
  readonly perHead?: true;
}

/**
 * Where a family's names differ from BERT's: a part of a canonical name, and the part in its place in the file. All that occur are
 * replaced, in this order.
 */
export type Spelling = Readonly<Record<string, string | Block>>;

/** The attention of a layer whose q, k and v are the blocks of one tensor. */
const fused = (name: string, perHead?: true): Spelling => ({
  'attention.self.query': { name, block: 0, of: 3, ...(perHead && { perHead }) },
  'attention.self.key': { name, block: 1, of: 3, ...(perHead && { perHead }) },
  'attention.self.value': { name, block: 2, of: 3, ...(perHead && { perHead }) },
});

/** Both halves of a gated layer in one tensor: `dense` is the half that the activation is applied to. */
const gated = (name: string, activated: 'first' | 'second'): Spelling => ({
  'intermediate.dense': { name, block: activated === 'first' ? 0 : 1, of: 2 },
  'intermediate.gate': { name, block: activated === 'first' ? 1 : 0, of: 2 },
});

/** By family: its spelling, or several that files have; of several, the first whose encoder the file has. */
export const SPELLINGS: Readonly<Record<string, Spelling | readonly Spelling[]>> = {
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
  'data2vec-text': LM_HEAD,
  'megatron-bert': {
    'encoder.LayerNorm': 'encoder.ln',
    'attention.LayerNorm': 'attention.ln',
    'intermediate.LayerNorm': 'ln',
  },
  'roberta-prelayernorm': { 'encoder.LayerNorm': 'LayerNorm', ...LM_HEAD },
  rembert: {
    embeddings_project: 'encoder.embedding_hidden_mapping_in',
    'cls.predictions.transform': 'cls.predictions',
  },
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
  deberta: {
    embeddings_project: 'embeddings.embed_proj',
    // The key has no bias.
    'attention.self.query.bias': 'attention.self.q_bias',
    'attention.self.value.bias': 'attention.self.v_bias',
    ...fused('attention.self.in_proj', true),
    'attention.self.pos_key_proj': 'attention.self.pos_proj',
    'attention.self.pos_query_proj': 'attention.self.pos_q_proj',
    'classifier.dense': 'pooler.dense',
    'classifier.out_proj': 'classifier',
  },
  'deberta-v2': {
    embeddings_project: 'embeddings.embed_proj',
    'attention.self.query': 'attention.self.query_proj',
    'attention.self.key': 'attention.self.key_proj',
    'attention.self.value': 'attention.self.value_proj',
    'classifier.dense': 'pooler.dense',
    'classifier.out_proj': 'classifier',
  },
  modernbert: {
    'embeddings.word_embeddings': 'embeddings.tok_embeddings',
    'embeddings.LayerNorm': 'embeddings.norm',
    'encoder.LayerNorm': 'final_norm',
    'encoder.layer.': 'layers.',
    ...fused('attn.Wqkv'),
    'attention.output.dense': 'attn.Wo',
    'attention.LayerNorm': 'attn_norm',
    'intermediate.LayerNorm': 'mlp_norm',
    ...gated('mlp.Wi', 'first'),
    'output.dense': 'mlp.Wo',
    'cls.predictions.transform.dense': 'head.dense',
    'cls.predictions.transform.LayerNorm': 'head.norm',
    'cls.predictions.decoder': 'decoder',
    'cls.predictions': 'decoder',
    'classifier.dense': 'head.dense',
    'classifier.LayerNorm': 'head.norm',
    'classifier.out_proj': 'classifier',
  },
};
