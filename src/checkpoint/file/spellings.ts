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

/** Llama's layers, as transformers names their parts; some families have norms behind the parts, too. */
const LLAMA_LAYER = {
  'encoder.layer.': 'layers.',
  'attention.self.query': 'self_attn.q_proj',
  'attention.self.key': 'self_attn.k_proj',
  'attention.self.value': 'self_attn.v_proj',
  'attention.output.dense': 'self_attn.o_proj',
};

/** A gated layer of two linears. */
const GATED_MLP = {
  'intermediate.dense': 'mlp.gate_proj',
  'intermediate.gate': 'mlp.up_proj',
  'output.dense': 'mlp.down_proj',
};

/** The layers of transformers 5's classes that keep BERT's order. */
const POST_NORM_LAYER = {
  ...LLAMA_LAYER,
  'attention.output.LayerNorm': 'post_attention_layernorm',
  'output.LayerNorm': 'post_mlp_layernorm',
};

/** RoBERTa's masked-LM head with the vocabulary's bias in its decoder alone. */
const GTE_HEAD = {
  'cls.predictions.transform.dense': 'lm_head.dense',
  'cls.predictions.decoder': 'lm_head.decoder',
  'cls.predictions.bias': 'lm_head.decoder.bias',
};

/** The layers of flash attention's BERT: nomic's and Jina's remote code. */
const FLASH_LAYER = {
  'embeddings.LayerNorm': 'emb_ln',
  'encoder.layer.': 'encoder.layers.',
  'attention.output.LayerNorm': 'norm1',
  'output.LayerNorm': 'norm2',
};

const NOMIC_HEAD = { 'cls.predictions.transform.LayerNorm': 'cls.predictions.transform.layer_norm' };

const GTE: readonly Spelling[] = [
  {
    ...fused('attention.qkv_proj'),
    'attention.output.dense': 'attention.o_proj',
    'attention.output.LayerNorm': 'attn_ln',
    ...gated('mlp.up_gate_proj', 'second'),
    'output.dense': 'mlp.down_proj',
    'output.LayerNorm': 'mlp_ln',
    'cls.predictions.transform.LayerNorm': 'lm_head.norm',
    ...GTE_HEAD,
  },
  // With pack_qkv false.
  {
    'attention.self.query': 'attention.q_proj',
    'attention.self.key': 'attention.k_proj',
    'attention.self.value': 'attention.v_proj',
    'attention.output.dense': 'attention.o_proj',
    'attention.output.LayerNorm': 'attn_ln',
    ...gated('mlp.up_gate_proj', 'second'),
    'output.dense': 'mlp.down_proj',
    'output.LayerNorm': 'mlp_ln',
    'cls.predictions.transform.LayerNorm': 'lm_head.norm',
    ...GTE_HEAD,
  },
  {
    ...POST_NORM_LAYER,
    ...GATED_MLP,
    'cls.predictions.transform.LayerNorm': 'lm_head.layer_norm',
    ...GTE_HEAD,
  },
];

const JINA: readonly Spelling[] = [
  {
    ...FLASH_LAYER,
    ...fused('mixer.Wqkv'),
    'attention.output.dense': 'mixer.out_proj',
    'intermediate.dense': 'mlp.fc1',
    'output.dense': 'mlp.fc2',
    ...LM_HEAD,
  },
  { ...POST_NORM_LAYER, 'intermediate.dense': 'mlp.fc1', 'output.dense': 'mlp.fc2', ...LM_HEAD },
];

/** JinaBERT's: the output of the attention is called as in BERT, so its name is kept out of the way of the other output's. */
const jinaBert = (dense: string, norm: string, more: Spelling): Spelling => ({
  'attention.output': 'attention.kept',
  'output.dense': dense,
  'output.LayerNorm': norm,
  'attention.kept': 'attention.output',
  ...more,
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
  jina_bert: [
    jinaBert('mlp.wo', 'mlp.layernorm', gated('mlp.gated_layers', 'first')),
    jinaBert('mlp.down_layer', 'layer_norm_2', {
      'attention.outer.LayerNorm': 'layer_norm_1',
      ...gated('mlp.up_gated_layer', 'second'),
    }),
  ],
  neobert: {
    'embeddings.word_embeddings': 'encoder',
    'encoder.LayerNorm': 'layer_norm',
    'encoder.layer.': 'transformer_encoder.',
    ...fused('qkv', true),
    'attention.output.dense': 'wo',
    'attention.LayerNorm': 'attention_norm',
    'intermediate.LayerNorm': 'ffn_norm',
    ...gated('ffn.w12', 'first'),
    'output.dense': 'ffn.w3',
    'cls.predictions.decoder': 'decoder',
    'cls.predictions': 'decoder',
    'classifier.dense': 'dense',
    'classifier.out_proj': 'classifier',
  },
  dpr: { 'pooler.dense': 'encode_proj' },
  mobilebert: { embeddings_project: 'embeddings.embedding_transformation' },
  convbert: {
    'key_conv_attn_layer.pointwise.bias': 'key_conv_attn_layer.bias',
    'cls.predictions.transform': 'generator_predictions',
    'cls.predictions.decoder': 'generator_lm_head',
    'cls.predictions': 'generator_lm_head',
  },
  squeezebert: {
    'encoder.layer.': 'encoder.layers.',
    'attention.self': 'attention',
    'attention.output.dense': 'post_attention.conv1d',
    'attention.output.LayerNorm': 'post_attention.layernorm',
    'intermediate.dense': 'intermediate.conv1d',
    'output.dense': 'output.conv1d',
    'output.LayerNorm': 'output.layernorm',
  },
  esm: {
    'encoder.LayerNorm': 'encoder.emb_layer_norm_after',
    'embeddings.LayerNorm': 'embeddings.layer_norm',
    'intermediate.LayerNorm': 'LayerNorm',
    ...LM_HEAD,
  },
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
  eurobert: {
    'embeddings.word_embeddings': 'embed_tokens',
    ...LLAMA_LAYER,
    'encoder.LayerNorm': 'norm',
    'attention.LayerNorm': 'input_layernorm',
    'intermediate.LayerNorm': 'post_attention_layernorm',
    ...GATED_MLP,
    'cls.predictions.decoder': 'lm_head',
    'cls.predictions': 'lm_head',
    'classifier.dense': 'dense',
    'classifier.out_proj': 'classifier',
  },
  nomic_bert: [
    {
      ...FLASH_LAYER,
      ...fused('attn.Wqkv'),
      'attention.output.dense': 'attn.out_proj',
      'intermediate.dense': 'mlp.fc12',
      'intermediate.gate': 'mlp.fc11',
      'output.dense': 'mlp.fc2',
      ...NOMIC_HEAD,
    },
    { ...POST_NORM_LAYER, ...GATED_MLP, ...NOMIC_HEAD },
  ],
  gte: GTE,
  new: GTE,
  gemma3_text: {
    'embeddings.word_embeddings': 'embed_tokens',
    ...LLAMA_LAYER,
    'encoder.LayerNorm': 'norm',
    'attention.LayerNorm': 'input_layernorm',
    'attention.self.layer_norm_q': 'self_attn.q_norm',
    'attention.self.layer_norm_k': 'self_attn.k_norm',
    'attention.output.LayerNorm': 'post_attention_layernorm',
    'intermediate.LayerNorm': 'pre_feedforward_layernorm',
    ...GATED_MLP,
    'output.LayerNorm': 'post_feedforward_layernorm',
    classifier: 'score',
  },
  jina_embeddings_v3: JINA,
  'xlm-roberta-flash': JINA,
};
