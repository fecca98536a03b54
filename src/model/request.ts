import type { HeadRequest } from './heads.ts';
import { type ChainStep, canonicalPool, type PoolRequest } from './sentence-chain.ts';

/** The outputs that a pass gives back. A plan is made once for each distinct request. */
export interface EncoderRequest {
  /** `last_hidden_state` [T, C] */
  readonly lastHiddenState?: boolean;
  /** `pooler_output` [B, C]: tanh of a linear on the first token. */
  readonly pooler?: boolean;
  /** `embedding` [B, embeddingColumns(C)] */
  readonly pool?: PoolRequest;
  /** `token_embeddings` [T, N]: the last hidden state after steps, one row for each token (late interaction). */
  readonly tokens?: readonly ChainStep[];
  /** The layers that give `hidden_states` [T, C]: 0 (the embeddings) to the number of layers. */
  readonly hiddenStates?: readonly number[];
  /** The layers that give `attentions` ([H, L, L] of every sequence): 0 to the number of layers - 1. */
  readonly attentions?: readonly number[];
  /** The head on top of the encoder: see `addHead` for its outputs. */
  readonly head?: HeadRequest;
}

/**
 * The form that equivalent requests share, so that few plans and pipelines are made: poolings as a list, each layer once and in order,
 * the k of top-k rounded up to a power of two (the caller takes the first of the results).
 */
export function canonicalRequest(request: EncoderRequest): EncoderRequest {
  const { hiddenStates, attentions, head, pool } = request;
  const sorted = (layers: readonly number[]) => [...new Set(layers)].sort((a, b) => a - b);
  return {
    ...request,
    ...(pool && { pool: canonicalPool(pool) }),
    ...(hiddenStates && { hiddenStates: sorted(hiddenStates) }),
    ...(attentions && { attentions: sorted(attentions) }),
    ...(head?.topK && { head: { ...head, topK: 2 ** Math.ceil(Math.log2(head.topK)) } }),
  };
}
