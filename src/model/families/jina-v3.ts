import type { Fields } from '../../json.ts';
import type { EncoderConfig } from '../encoder-config.ts';
import { ENCODER, type Family } from '../family.ts';
import { rotaryOf } from '../rotary.ts';
import { ROBERTA } from './bert.ts';

/** Sturua et al., arXiv 2409.10173: XLM-RoBERTa with rotary positions in place of the table. Names and defaults of transformers 5. */
export const JINA_V3: Family = {
  ...ROBERTA,
  fairseqPositions: undefined,
  types: 1,
  eps: 1e-5,
  supported: ENCODER,
  sizes: { max_position_embeddings: 8194 },
  variant: (fields, config) => rotary(fields, config, { missing: 20_000 }),
};

function rotary(
  fields: Fields,
  { layers, headSize, maxPositions }: EncoderConfig,
  settings: { theta?: string; missing: number },
): Partial<EncoderConfig> {
  return {
    hasPositionTable: false,
    attentions: new Array(layers).fill({ rotary: rotaryOf(fields, { headSize, maxPositions, ...settings }) }),
  };
}
