import { UnsupportedError } from '../../errors.ts';
import type { Fields } from '../../json.ts';
import type { EncoderConfig } from '../encoder-config.ts';
import { type Family, MAX_COLUMNS } from '../family.ts';
import { BERT } from './bert.ts';

/**
 * Dense passage retrieval (Karpukhin et al., arXiv 2004.04906): BERT, of a question or of a passage. Its pooler_output is the first
 * token, through a linear where there is a projection.
 */
export const DPR: Family = { ...BERT, headKinds: {}, variant: dpr };

function dpr(fields: Fields, config: EncoderConfig): Partial<EncoderConfig> {
  const classes = fields.list('architectures', []);
  if (classes.includes('DPRReader')) {
    throw new UnsupportedError({
      what: 'the reader of DPR is not supported',
      actual: 'DPRReader',
      supported: ['DPRQuestionEncoder', 'DPRContextEncoder'],
      next: 'For answers in passages take a model for question answering, such as deepset/roberta-base-squad2.',
    });
  }
  const projection = fields.integer('projection_dim', 0, { max: MAX_COLUMNS });
  return {
    hasPoolerDense: projection > 0,
    poolerSize: projection || config.hiddenSize,
    poolerActivation: undefined,
  };
}
