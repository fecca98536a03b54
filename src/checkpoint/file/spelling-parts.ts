/** What spellings of several families have in common. */

/** Names in RoBERTa's masked-LM head, which XLM-RoBERTa, CamemBERT and MPNet have too. */
export const LM_HEAD = {
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
export const fused = (name: string, perHead?: true): Spelling => ({
  'attention.self.query': { name, block: 0, of: 3, ...(perHead && { perHead }) },
  'attention.self.key': { name, block: 1, of: 3, ...(perHead && { perHead }) },
  'attention.self.value': { name, block: 2, of: 3, ...(perHead && { perHead }) },
});

/** Both halves of a gated layer in one tensor: `dense` is the half that the activation is applied to. */
export const gated = (name: string, activated: 'first' | 'second'): Spelling => ({
  'intermediate.dense': { name, block: activated === 'first' ? 0 : 1, of: 2 },
  'intermediate.gate': { name, block: activated === 'first' ? 1 : 0, of: 2 },
});

/** Llama's layers, as transformers names their parts; some families have norms behind the parts, too. */
export const LLAMA_LAYER = {
  'encoder.layer.': 'layers.',
  'attention.self.query': 'self_attn.q_proj',
  'attention.self.key': 'self_attn.k_proj',
  'attention.self.value': 'self_attn.v_proj',
  'attention.output.dense': 'self_attn.o_proj',
};

/** A gated layer of two linears. */
export const GATED_MLP = {
  'intermediate.dense': 'mlp.gate_proj',
  'intermediate.gate': 'mlp.up_proj',
  'output.dense': 'mlp.down_proj',
};

/** The layers of transformers 5's classes that keep BERT's order. */
export const POST_NORM_LAYER = {
  ...LLAMA_LAYER,
  'attention.output.LayerNorm': 'post_attention_layernorm',
  'output.LayerNorm': 'post_mlp_layernorm',
};

/** RoBERTa's masked-LM head with the vocabulary's bias in its decoder alone. */
export const GTE_HEAD = {
  'cls.predictions.transform.dense': 'lm_head.dense',
  'cls.predictions.decoder': 'lm_head.decoder',
  'cls.predictions.bias': 'lm_head.decoder.bias',
};

/** The layers of flash attention's BERT: nomic's and Jina's remote code. */
export const FLASH_LAYER = {
  'embeddings.LayerNorm': 'emb_ln',
  'encoder.layer.': 'encoder.layers.',
  'attention.output.LayerNorm': 'norm1',
  'output.LayerNorm': 'norm2',
};

export const NOMIC_HEAD = { 'cls.predictions.transform.LayerNorm': 'cls.predictions.transform.layer_norm' };
