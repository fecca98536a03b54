import { oneOf } from '../../errors.ts';
import { type Fields, isText } from '../../json.ts';
import type { EncoderConfig } from '../encoder-config.ts';
import { ENCODER, type Family } from '../family.ts';
import { FEW_HEADS } from '../head-kind.ts';
import { frequenciesOf } from '../rotary.ts';

/**
 * Le Breton et al., arXiv 2502.19587: RMS norms before the layers, rotary positions that turn neighbouring columns, gated layers, no
 * biases. Source: model.py and rotary.py of chandar-lab/NeoBERT.
 */
export const NEOBERT: Family = {
  headKinds: { ...FEW_HEADS, QuestionAnswering: 'QuestionAnswering' },
  types: 0,
  activation: 'silu',
  fixedActivation: true,
  eps: 1e-6,
  norm: { kind: 'rms', bias: false },
  // Variants that its training code has; no published model is one.
  supported: { rope: true, rms_norm: true, ngpt: false, ...ENCODER },
  fields: { layer_norm_eps: 'norm_eps', max_position_embeddings: 'max_length' },
  sizes: { max_position_embeddings: 1024 },
  classifier: { dense: 'head', activation: 'tanh', ofTokens: true },
  variant: neoBert,
};

function neoBert(fields: Fields, config: EncoderConfig): Partial<EncoderConfig> {
  const { hidden_act } = fields.json;
  oneOf('"hidden_act" of config.json', isText(hidden_act) ? hidden_act.toLowerCase() : (hidden_act ?? 'swiglu'), [
    'swiglu',
  ]);
  const rotary = { frequencies: frequenciesOf(10_000, config.headSize), interleaved: true };
  return {
    layerOrder: 'pre-norm',
    hasEmbeddingNorm: false,
    hasPositionTable: false,
    // intermediate_size is that of a layer without a gate, which has as many weights.
    intermediateSize: 8 * Math.ceil(Math.floor((2 * config.intermediateSize) / 3) / 8),
    isGated: true,
    biases: { qkv: false, attention: false, intermediate: false, output: false },
    attentions: new Array(config.layers).fill({ rotary }),
    tiedDecoder: false,
    masked: { ...config.masked, transform: false },
  };
}
