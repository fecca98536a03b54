import { oneOf } from '../../errors.ts';
import type { Fields } from '../../json.ts';
import type { EncoderConfig } from '../encoder-config.ts';
import { ENCODER, type Family } from '../family.ts';
import { BERT_HEADS } from '../head-kind.ts';
import { BERT } from './bert.ts';

/** The activation of a gated layer, by `feed_forward_type`. */
const GATES = { geglu: 'gelu', reglu: 'relu' } as const;

/**
 * JinaBERT v2 (Günther et al., arXiv 2310.19923): BERT with ALiBi for positions and gated layers. Code models also normalise queries
 * and keys, and have one more norm behind the attention; the names of their tensors tell them from the others.
 * Sources: modeling_bert.py of jinaai/jina-bert-implementation and of jinaai/jina-bert-v2-qk-post-norm.
 */
export const JINA_BERT: Family = {
  ...BERT,
  headKinds: BERT_HEADS,
  supported: ENCODER,
  fixedActivation: true,
  variant: jinaBert,
  byTensors: names =>
    names.some(name => name.endsWith('attention.self.layer_norm_q.weight'))
      ? { queryKeyNorm: 'row', hasSecondAttentionNorm: true }
      : {},
};

function jinaBert(fields: Fields, { heads, layers }: EncoderConfig): Partial<EncoderConfig> {
  oneOf('"position_embedding_type" of config.json', fields.json.position_embedding_type ?? 'absolute', ['alibi']);
  const type = oneOf(
    '"feed_forward_type" of config.json',
    fields.text('feed_forward_type', 'original') as keyof typeof GATES,
    Object.keys(GATES) as (keyof typeof GATES)[],
  );
  const activation = GATES[type];
  return {
    activation,
    hasPositionTable: false,
    isGated: true,
    biases: { qkv: true, attention: true, intermediate: false, output: true },
    attentions: new Array(layers).fill({ slopes: slopesOf(heads) }),
  };
}

/**
 * The slopes of ALiBi (Press et al., arXiv 2108.12409): 2^(-8 (h + 1) / H) where H is a power of two; else those of the power p below
 * it, and then every other one of 2 p.
 */
export function slopesOf(heads: number): number[] {
  const power = 2 ** Math.floor(Math.log2(heads));
  const ofPower = (n: number) => Array.from({ length: n }, (_, h) => 2 ** ((-8 * (h + 1)) / n));
  const more = ofPower(2 * power).filter((_, h) => h % 2 === 0);
  return [...ofPower(power), ...more.slice(0, heads - power)];
}
