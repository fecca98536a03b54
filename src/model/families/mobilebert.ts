import { oneOf } from '../../errors.ts';
import type { Fields } from '../../json.ts';
import type { NormStyle } from '../../plan/index.ts';
import type { Bottleneck, EncoderConfig } from '../encoder-config.ts';
import { type Family, MAX_COLUMNS } from '../family.ts';
import { BERT_HEADS } from '../head-kind.ts';

/** Sun et al., arXiv 2004.02984. */
export const MOBILEBERT: Family = {
  headKinds: BERT_HEADS,
  types: 2,
  activation: 'relu',
  eps: 1e-12,
  // Python reads neither position_embedding_type nor is_decoder.
  supported: { normalization_type: ['no_norm', 'layer_norm'] },
  sizes: {
    vocab_size: 30522,
    hidden_size: 512,
    num_hidden_layers: 24,
    num_attention_heads: 4,
    intermediate_size: 512,
    max_position_embeddings: 512,
  },
  // Heads divide the columns of the bottleneck: see mobileBert.
  headSize: 32,
  projection: 'if needed',
  variant: mobileBert,
};

/** What torch.nn.LayerNorm has where Python hands it no eps: the norm of the embeddings, and the one behind the last feed-forward layer. */
const TORCH_EPS = 1e-5;

/** Many times that of any model. */
const MAX_FEED_FORWARDS = 64;

function mobileBert(fields: Fields, config: EncoderConfig): Partial<EncoderConfig> {
  const { hiddenSize, embeddingSize, heads, masked, norm: layerNorm } = config;
  const bottleneck = bottleneckOf(fields);
  const layerSize = layerSizeOf(fields, hiddenSize, bottleneck);
  if (layerSize % heads !== 0) {
    throw fields.malformed(heads, `a divisor of ${layerSize}, the columns inside of a layer`, 'num_attention_heads');
  }
  const headSize = layerSize / heads;
  const kind = fields.text('normalization_type', 'no_norm') === 'no_norm' ? 'affine' : 'layer';
  const norm: NormStyle = { ...layerNorm, kind };
  const torchNorm: NormStyle = { ...norm, eps: TORCH_EPS };
  const hasTrigrams = fields.flag('trigram_input', true);
  return {
    layerOrder: 'bottleneck',
    bottleneck: { ...bottleneck, outputNorm: torchNorm },
    layerSize,
    headSize,
    attentionScale: 1 / Math.sqrt(headSize),
    norm,
    embeddingNorm: torchNorm,
    projectsWords: hasTrigrams || embeddingSize !== hiddenSize,
    hasTrigrams,
    decoderSize: hiddenSize,
    hasPoolerDense: fields.flag('classifier_activation', true),
    masked: { ...masked, norm: layerNorm, rest: 'cls.predictions.dense.weight' },
  };
}

/** Python's Bottleneck.forward: what q and k, and v, are computed from. */
function bottleneckOf(fields: Fields): Omit<Bottleneck, 'outputNorm'> {
  const isNarrow = fields.flag('use_bottleneck', true);
  const sharesAll = fields.flag('use_bottleneck_attention', false);
  const hasOwn = fields.flag('key_query_shared_bottleneck', true);
  const feedForwards = fields.integer('num_feedforward_networks', 4, { min: 1, max: MAX_FEED_FORWARDS });
  if (!isNarrow) return { isNarrow, queries: 'hidden', values: 'hidden', feedForwards };
  if (sharesAll) return { isNarrow, queries: 'input', values: 'input', feedForwards };
  return { isNarrow, queries: hasOwn ? 'attention' : 'hidden', values: 'hidden', feedForwards };
}

/** The columns inside of a layer. */
function layerSizeOf(
  fields: Fields,
  hiddenSize: number,
  { isNarrow, queries }: Pick<Bottleneck, 'isNarrow' | 'queries'>,
): number {
  const narrow = fields.integer('intra_bottleneck_size', 128, { min: 1, max: MAX_COLUMNS });
  const size = isNarrow ? narrow : hiddenSize;
  // Python writes it, and computes with what it finds.
  const name = '"true_hidden_size" of config.json';
  oneOf(name, fields.integer('true_hidden_size', size, { min: 1, max: MAX_COLUMNS }), [size]);
  // The projections of q and k read intra_bottleneck_size columns, and are given hidden_size: Python fails in its first pass.
  if (isNarrow && queries === 'hidden' && size !== hiddenSize) {
    throw fields.malformed(
      false,
      `true where use_bottleneck_attention is false and intra_bottleneck_size, ${size}, is not hidden_size, ${hiddenSize}`,
      'key_query_shared_bottleneck',
    );
  }
  return size;
}
