import { oneOf } from '../../errors.ts';
import type { Fields } from '../../json.ts';
import { bucketsOf, type Disentangled, disentangledOf, positionTypes } from '../disentangled.ts';
import type { EncoderConfig } from '../encoder-config.ts';
import { ACTIVATIONS, ENCODER, type Family, MAX_COLUMNS, MAX_ROWS } from '../family.ts';
import { FEW_HEADS, MASKED_HEADS } from '../head-kind.ts';

/** He et al., arXiv 2006.03654. Sequences are classified through a dense layer that Python calls pooler, and only with that head. */
export const DEBERTA: Family = {
  headKinds: { ...FEW_HEADS, QuestionAnswering: 'QuestionAnswering', PreTraining: 'MaskedLM' },
  types: 0,
  activation: 'gelu',
  eps: 1e-7,
  // Python reads no position_embedding_type.
  supported: { talking_head: false, ...ENCODER },
  sizes: { max_position_embeddings: 512 },
  classifier: { dense: 'head' },
  variant: deBerta,
};

/** Also DeBERTa v3 and mDeBERTa: He et al., arXiv 2111.09543. */
export const DEBERTA_V2: Family = {
  ...DEBERTA,
  headKinds: MASKED_HEADS,
  supported: { conv_groups: 1, ...ENCODER },
  variant: deBertaV2,
};

/** v1: a projection to q, k and v whose rows are those of head after head; no bias of the keys; distances have projections of their own. */
function deBerta(fields: Fields, config: EncoderConfig): Partial<EncoderConfig> {
  const types = positionTypes(fields);
  const terms = disentangledOf(fields, { types, buckets: 0, positions: config.maxPositions });
  return {
    ...common(fields, config, 1 + types.length),
    biases: { ...config.biases, qkv: [true, false, true] },
    disentangled: terms && { ...terms, isNormed: false, sharesProjections: false, hasKeyBias: false },
  };
}

function deBertaV2(fields: Fields, config: EncoderConfig): Partial<EncoderConfig> {
  const { headSize } = config;
  oneOf('"attention_head_size" of config.json', fields.integer('attention_head_size', headSize), [headSize]);
  const types = positionTypes(fields);
  const terms = disentangledOf(fields, { types, buckets: bucketsOf(fields), positions: config.maxPositions });
  const norms = fields.text('norm_rel_ebd', 'none').toLowerCase().split('|');
  const disentangled: Disentangled | undefined = terms && {
    ...terms,
    isNormed: norms.some(norm => norm.trim() === 'layer_norm'),
    sharesProjections: fields.flag('share_att_key', false),
    hasKeyBias: true,
  };
  return {
    ...common(fields, config, 1 + ['c2p', 'p2c'].filter(type => types.includes(type)).length),
    disentangled,
    convolution: convolutionOf(fields),
  };
}

/** What both versions have in common. @param products The products of which a score is the sum: its scale depends on them. */
function common(fields: Fields, config: EncoderConfig, products: number): Partial<EncoderConfig> {
  const { hiddenSize, headSize, classifier, masked } = config;
  const embeddingSize = fields.integer('embedding_size', hiddenSize, { min: 1, max: MAX_COLUMNS });
  const hasPositionTable = fields.flag('position_biased_input', true);
  const act = '"pooler_hidden_act" of config.json';
  const activation = ACTIVATIONS[oneOf(act, fields.text('pooler_hidden_act', 'gelu'), Object.keys(ACTIVATIONS))]!;
  oneOf('"pooler_hidden_size" of config.json', fields.integer('pooler_hidden_size', hiddenSize), [hiddenSize]);
  const isLegacy = fields.flag('legacy', true);
  const names = { transform: 'lm_predictions.lm_head', bias: 'lm_predictions.lm_head.bias' };
  // Python makes a head of random numbers where the file has the other one.
  const other = isLegacy
    ? { tensor: 'lm_predictions.lm_head.dense.weight', setting: '"legacy": false' }
    : { tensor: 'cls.predictions.transform.dense.weight', setting: '"legacy": true' };
  return {
    attentionScale: 1 / Math.sqrt(headSize * products),
    hasPositionTable,
    // Distances beyond the last have its row, so a text may have any length, as in Python.
    maxPositions: hasPositionTable ? config.maxPositions : MAX_ROWS,
    typeVocabSize: fields.integer('type_vocab_size', 0, { max: MAX_ROWS }),
    embeddingSize,
    decoderSize: embeddingSize,
    projectsEmbedding: embeddingSize !== hiddenSize,
    normsProjection: embeddingSize !== hiddenSize,
    mayPool: false,
    classifier: { ...classifier, activation },
    // The newer head multiplies by the word table whatever tie_word_embeddings says.
    masked: { ...masked, other, ...(!isLegacy && { names }) },
    ...(!isLegacy && { tiedDecoder: true }),
  };
}

/** Python counts an even width as an odd one, so that the lengths of its tensors differ, and fails. */
function convolutionOf(fields: Fields): EncoderConfig['convolution'] {
  const width = fields.integer('conv_kernel_size', 0, { max: MAX_WIDTH });
  if (width === 0) return undefined;
  if (width % 2 === 0) throw fields.malformed(width, 'an odd number, or 0', 'conv_kernel_size');
  const act = '"conv_act" of config.json';
  return { width, activation: ACTIVATIONS[oneOf(act, fields.text('conv_act', 'tanh'), Object.keys(ACTIVATIONS))]! };
}

/** Of a convolution: many times that of any encoder. */
const MAX_WIDTH = 99;
