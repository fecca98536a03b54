import type { Caps } from '../../shaders/kernel.ts';
import type { Pooling } from '../../shaders/pool.ts';
import { Builder, type Graph } from '../plan/builder.ts';
import type { Value } from '../plan/op.ts';
import type { EncoderConfig } from './config.ts';

/** What a pass shall give back. A plan is made once for every distinct request. */
export interface EncoderRequest {
  /** [T, C] as `last_hidden_state`. */
  readonly lastHiddenState?: boolean;
  /** [B, C] as `pooler_output`: tanh of a linear on the first token. */
  readonly pooler?: boolean;
  /** [B, C] as `embedding`. */
  readonly pool?: { readonly pooling: Pooling; readonly normalize: boolean };
  /** [T, C] as `hidden_states.0` (the embeddings) to `hidden_states.{layers}`. */
  readonly hiddenStates?: boolean;
  /** [H, L, L] of every sequence as `attentions.0` to `attentions.{layers - 1}`. */
  readonly attentions?: boolean;
}

/** The tensors that only the pooler needs: a checkpoint may lack them. */
export const POOLER_TENSOR = 'pooler.dense.weight';

/**
 * The forward pass of BERT (Devlin et al., arXiv 1810.04805), as transformers' BertModel computes it. Weights go by the names
 * that they have in a BertModel checkpoint.
 */
export function encoderGraph(config: EncoderConfig, request: EncoderRequest, caps: Caps): Graph {
  const { hiddenSize, heads, headSize, intermediateSize, activation, normEps } = config;
  const b = new Builder(caps);
  const give = (name: string, value: Value | undefined, asked: boolean | undefined) => {
    if (asked && value) b.output(name, value);
  };

  let x = b.embed({
    words: { table: 'embeddings.word_embeddings', rows: config.vocabSize },
    positions: { table: 'embeddings.position_embeddings', rows: config.maxPositions },
    types: { table: 'embeddings.token_type_embeddings', rows: config.typeVocabSize },
    norm: { from: 'embeddings.LayerNorm', eps: normEps },
    columns: hiddenSize,
  }); // [T, C]
  give('hidden_states.0', x, request.hiddenStates);

  for (let i = 0; i < config.layers; i++) {
    const layer = `encoder.layer.${i}`;
    const self = `${layer}.attention.self`;
    const qkv = b.linear(x, {
      from: [`${self}.query`, `${self}.key`, `${self}.value`],
      outputs: hiddenSize,
      outputHead: headSize,
    }); // [T, 3 H D]
    const { context, probabilities } = b.attention(qkv, {
      heads,
      headSize,
      name: self,
      probabilities: request.attentions === true,
    }); // [T, H D]
    give(`attentions.${i}`, probabilities, request.attentions);

    const attended = b.linear(context, {
      from: `${layer}.attention.output.dense`,
      outputs: hiddenSize,
      inputHead: headSize,
      residual: x,
    }); // [T, C]
    const normed = b.layerNorm(attended, `${layer}.attention.output.LayerNorm`, normEps); // [T, C]
    const inner = b.linear(normed, { from: `${layer}.intermediate.dense`, outputs: intermediateSize, activation }); // [T, F]
    const outer = b.linear(inner, { from: `${layer}.output.dense`, outputs: hiddenSize, residual: normed }); // [T, C]
    x = b.layerNorm(outer, `${layer}.output.LayerNorm`, normEps); // [T, C]
    give(`hidden_states.${i + 1}`, x, request.hiddenStates);
  }

  give('last_hidden_state', x, request.lastHiddenState);
  if (request.pool) b.output('embedding', b.pool(x, { ...request.pool, name: 'embedding' })); // [B, C]
  if (request.pooler) {
    const first = b.pool(x, { pooling: 'cls', normalize: false, name: 'pooler.first' }); // [B, C]
    b.output('pooler_output', b.linear(first, { from: 'pooler.dense', outputs: hiddenSize, activation: 'tanh' })); // [B, C]
  }
  return b.graph();
}
