import { FAMILIES } from '../src/model/families/index.ts';
import type { FieldName } from '../src/model/family.ts';

/** A whole number from `least` to `most`, both included. */
export type Pick = (least: number, most: number) => number;

/** Fields beyond those that every family has. */
type MoreFields = (
  pick: Pick,
  sizes: { readonly layers: number; readonly headSize: number; readonly heads: number },
) => object;

/** What is drawn for a family beside its sizes. A family without a row has nothing more to draw. */
const MORE_FIELDS: Readonly<Record<string, MoreFields>> = {
  electra: pick => ({ embedding_size: pick(5, 40) }),
  albert: (pick, { layers }) => ({
    embedding_size: pick(5, 40),
    num_hidden_groups: pick(1, layers),
    inner_group_num: pick(1, 2),
  }),
  mpnet: pick => ({ relative_attention_num_buckets: pick(32, 48) }),
  ernie: pick => ({ use_task_id: pick(0, 1) === 1 }),
  modernbert: pick => ({
    local_attention: pick(0, 40),
    global_attn_every_n_layers: pick(1, 3),
    norm_bias: pick(0, 1) === 1,
    attention_bias: pick(0, 1) === 1,
    mlp_bias: pick(0, 1) === 1,
    classifier_pooling: pick(0, 1) ? 'mean' : 'cls',
  }),
  eurobert: (pick, { heads }) => ({
    num_key_value_heads: divisor(pick, heads),
    attention_bias: pick(0, 1) === 1,
    mlp_bias: pick(0, 1) === 1,
    tie_word_embeddings: pick(0, 1) === 1,
    classifier_pooling: ['bos', 'mean', 'late'][pick(0, 2)],
  }),
  // The longer ones of the sequences stretch the frequencies.
  nomic_bert: pick => ({
    type_vocab_size: pick(0, 2),
    max_position_embeddings: 45,
    rope_parameters: { rope_type: pick(0, 1) ? 'dynamic' : 'default', rope_theta: 1000, factor: 2 },
  }),
  gte: pick => ({ type_vocab_size: pick(0, 2) }),
  new: pick => ({
    type_vocab_size: pick(0, 2),
    rope_scaling: pick(0, 1) ? { type: 'ntk', factor: pick(2, 8) } : null,
  }),
  gemma3_text: (pick, { heads, headSize }) => ({
    head_dim: headSize,
    num_key_value_heads: divisor(pick, heads),
    use_bidirectional_attention: true,
    sliding_window: pick(1, 40),
    sliding_window_pattern: pick(1, 3),
    query_pre_attn_scalar: pick(1, 40),
  }),
  deberta: (pick, sizes) => deberta(pick, sizes),
  'deberta-v2': (pick, sizes) => ({
    ...deberta(pick, sizes),
    position_buckets: pick(0, 1) ? pick(4, 16) : -1,
    share_att_key: pick(0, 1) === 1,
    norm_rel_ebd: pick(0, 1) ? 'layer_norm' : 'none',
    conv_kernel_size: [0, 3, 5][pick(0, 2)],
    embedding_size: pick(5, 40),
  }),
  jina_bert: pick => ({ position_embedding_type: 'alibi', feed_forward_type: pick(0, 1) ? 'geglu' : 'reglu' }),
  neobert: () => ({ hidden_act: 'SwiGLU' }),
  esm: pick => ({
    position_embedding_type: pick(0, 1) ? 'rotary' : 'absolute',
    token_dropout: pick(0, 1) === 1,
    mask_token_id: 4,
    pad_token_id: 1,
  }),
  rembert: pick => ({ input_embedding_size: pick(5, 40), output_embedding_size: pick(5, 40) }),
  roformer: pick => ({ embedding_size: pick(5, 40), rotary_value: pick(0, 1) === 1 }),
  mobilebert: (pick, { heads, headSize }) => {
    const narrow = heads * pick(1, 9);
    const hasOwn = pick(0, 2) > 0;
    return {
      embedding_size: [heads * headSize, pick(5, 40)][pick(0, 1)],
      trigram_input: pick(0, 2) > 0,
      use_bottleneck: pick(0, 3) > 0,
      use_bottleneck_attention: pick(0, 1) === 1,
      key_query_shared_bottleneck: hasOwn,
      // Queries of hidden states need a bottleneck that is as wide as these.
      intra_bottleneck_size: hasOwn ? narrow : heads * headSize,
      num_feedforward_networks: pick(1, 4),
      normalization_type: pick(0, 1) ? 'no_norm' : 'layer_norm',
      classifier_activation: pick(0, 1) === 1,
    };
  },
  convbert: (pick, { heads, headSize }) => {
    const size = 2 * heads * headSize;
    return {
      hidden_size: size,
      embedding_size: [size, pick(5, 40)][pick(0, 1)],
      head_ratio: pick(0, 2) ? 1 : heads,
      conv_kernel_size: [1, 3, 9][pick(0, 2)],
      num_groups: pick(0, 1) ? 1 : divisor(pick, size),
      intermediate_size: size * pick(1, 2),
    };
  },
  squeezebert: (pick, { heads, headSize }) => {
    const size = heads * headSize;
    const intermediate = size * pick(1, 3);
    return {
      embedding_size: size,
      intermediate_size: intermediate,
      q_groups: divisor(pick, size),
      k_groups: divisor(pick, size),
      v_groups: divisor(pick, size),
      post_attention_groups: divisor(pick, size),
      intermediate_groups: divisor(pick, size),
      output_groups: divisor(pick, size),
    };
  },
  'xlm-roberta-flash': pick => ({
    type_vocab_size: 1,
    hidden_act: pick(0, 1) ? 'gelu' : 'gelu_new',
    position_embedding_type: pick(0, 1) ? 'rotary' : 'absolute',
  }),
};

/** Position terms of either kind, or of none; distances beyond the last come up. */
const deberta: MoreFields = pick => ({
  relative_attention: pick(0, 3) > 0,
  pos_att_type: [['c2p', 'p2c'], ['c2p'], ['p2c'], []][pick(0, 3)],
  max_relative_positions: pick(20, 60),
  position_biased_input: pick(0, 1) === 1,
  type_vocab_size: pick(0, 2),
});

/** Every kind of DeBERTa's attention, over any drawn shape: both terms of distances and each alone, with projections of their own or shared. */
export const DEBERTA_KINDS: Readonly<Record<string, Record<string, unknown>>> = {
  'deberta with both terms': { pos_att_type: ['c2p', 'p2c'] },
  'deberta with keys of distances': { pos_att_type: ['c2p'] },
  'deberta with queries of distances': { pos_att_type: 'p2c', embedding_size: 12, position_biased_input: false },
  'deberta-v2 with buckets and shared projections': {
    pos_att_type: 'p2c|c2p',
    position_buckets: 8,
    share_att_key: true,
    norm_rel_ebd: 'layer_norm',
    conv_kernel_size: 3,
  },
  'deberta-v2 with projections of its own': {
    pos_att_type: ['c2p', 'p2c'],
    position_buckets: 6,
    share_att_key: false,
    norm_rel_ebd: 'layer_norm',
    conv_kernel_size: 0,
  },
  'deberta-v2 without buckets': {
    pos_att_type: ['c2p', 'p2c'],
    position_buckets: -1,
    share_att_key: true,
    norm_rel_ebd: 'none',
    conv_kernel_size: 5,
    embedding_size: 9,
  },
  'deberta-v2 with keys of distances, shared': {
    pos_att_type: ['c2p'],
    position_buckets: 10,
    share_att_key: true,
    norm_rel_ebd: 'layer_norm',
  },
  'deberta-v2 with keys of distances of its own': { pos_att_type: ['c2p'], position_buckets: -1, share_att_key: false },
  'deberta-v2 with queries of distances, shared': { pos_att_type: ['p2c'], position_buckets: 5, share_att_key: true },
  'deberta-v2 with queries of distances of its own': {
    pos_att_type: ['p2c'],
    position_buckets: 7,
    share_att_key: false,
  },
};

/** A drawn shape of DeBERTa with attention of a kind. */
export const debertaConfig = (kind: string, draw: number): Record<string, unknown> => ({
  ...drawnConfig(kind.split(' ')[0]!, draw),
  relative_attention: true,
  ...DEBERTA_KINDS[kind],
});

const divisor = (pick: Pick, n: number): number => {
  const divisors = Array.from({ length: n }, (_, i) => i + 1).filter(i => n % i === 0);
  return divisors[pick(0, divisors.length - 1)]!;
};

/** Activations by the spellings of config.json. */
const ACTIVATIONS = ['gelu', 'gelu_new', 'relu', 'silu'];

/** Marsaglia's xorshift of 32 bits (Journal of Statistical Software 8, 14), which the text of a seed starts. */
export function picker(seed: string): Pick {
  let state = 0x9e3779b9;
  const step = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  for (const character of seed) {
    state ^= character.charCodeAt(0);
    step();
  }
  return (least, most) => least + Math.floor((step() / 2 ** 32) * (most - least + 1));
}

/** A config.json of a family in a shape that nobody trains: few layers, heads of odd halves, rows that need padding. */
export function drawnConfig(modelType: string, draw: number): Record<string, unknown> {
  const { fields = {} } = FAMILIES[modelType]!;
  const pick = picker(`${modelType} ${draw}`);
  const named = (name: FieldName): string => [fields[name] ?? name].flat()[0]!;
  const layers = pick(1, 3);
  const heads = pick(1, 4);
  // Columns of a head turn in pairs.
  const headSize = 2 * pick(2, 9);
  return {
    model_type: modelType,
    [named('vocab_size')]: pick(40, 300),
    [named('hidden_size')]: heads * headSize,
    [named('num_attention_heads')]: heads,
    [named('num_hidden_layers')]: layers,
    [named('intermediate_size')]: pick(8, 90),
    [named('max_position_embeddings')]: 90,
    [named('hidden_act')]: ACTIVATIONS[pick(0, ACTIVATIONS.length - 1)],
    ...MORE_FIELDS[modelType]?.(pick, { layers, headSize, heads }),
  };
}
