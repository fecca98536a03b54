import type { Fields } from '../../json.ts';
import type { EncoderConfig } from '../encoder-config.ts';
import { ENCODER, type Family, MAX_COLUMNS, MAX_ROWS, paddedVocabulary } from '../family.ts';
import { FEW_HEADS } from '../head-kind.ts';
import { loraOf } from '../lora.ts';
import { flashRotary, rotaryOf } from '../rotary.ts';
import { ROBERTA } from './bert.ts';

/** Sturua et al., arXiv 2409.10173: XLM-RoBERTa with rotary positions in place of the table. Names and defaults of transformers 5. */
export const JINA_V3: Family = {
  ...ROBERTA,
  headKinds: { ...FEW_HEADS, QuestionAnswering: 'QuestionAnswering' },
  fairseqPositions: undefined,
  types: 1,
  eps: 1e-5,
  supported: ENCODER,
  sizes: { max_position_embeddings: 8194 },
  variant: (fields, { layers, headSize, maxPositions }) => ({
    hasPositionTable: false,
    attentions: new Array(layers).fill({ rotary: rotaryOf(fields, { headSize, maxPositions, missing: 20_000 }) }),
  }),
};

/**
 * The same encoder on the hub, whose classes are remote code (jinaai/xlm-roberta-flash-implementation): with rotary positions, or with
 * XLM-RoBERTa's table (jina-reranker-v2-base-multilingual).
 */
export const XLM_ROBERTA_FLASH: Family = {
  ...ROBERTA,
  headKinds: FEW_HEADS,
  types: 1,
  eps: 1e-5,
  sizes: { max_position_embeddings: 8194 },
  supported: {
    ...ENCODER,
    position_embedding_type: ['rotary', 'absolute'],
    // Its classes apply GELU whatever else the field says.
    hidden_act: ['gelu', 'gelu_new', 'gelu_fast', 'gelu_pytorch_tanh'],
    rotary_emb_scale_base: null,
    last_layer_subset: false,
  },
  variant: flash,
};

function flash(fields: Fields, { layers, headSize, vocabSize }: EncoderConfig): Partial<EncoderConfig> {
  const common = { lora: loraOf(fields), vocabSize: paddedVocabulary(fields, vocabSize) };
  if (fields.json.position_embedding_type === 'absolute') return common;
  const maxPositions = fields.integer('max_position_embeddings', 8194, { min: 1, max: MAX_ROWS });
  const columns = fields.integer('rotary_emb_dim', headSize, { min: 1, max: MAX_COLUMNS });
  // Its classes read no rope_scaling.
  const rotary = flashRotary(fields, { columns, headSize, where: 'rotary_emb_dim', missing: 10_000 });
  return {
    ...common,
    hasPositionTable: false,
    positionOffset: 0,
    padTokenId: 0,
    maxPositions,
    attentions: new Array(layers).fill({ rotary }),
  };
}
