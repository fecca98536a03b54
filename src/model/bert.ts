import { builder, type Graph, type Value } from '../plan/index.ts';
import type { EncoderConfig } from './config.ts';
import { addHead, type HeadRequest } from './heads.ts';
import { addEmbedding, canonicalPool, type PoolRequest } from './sentence-chain.ts';

/** The outputs that a pass gives back. A plan is made once for each distinct request. */
export interface EncoderRequest {
  /** `last_hidden_state` [T, C] */
  readonly lastHiddenState?: boolean;
  /** `pooler_output` [B, C]: tanh of a linear on the first token. */
  readonly pooler?: boolean;
  /** `embedding` [B, embeddingColumns(C)] */
  readonly pool?: PoolRequest;
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

/** A tensor that only the pooler needs. A checkpoint without it has no pooler. */
export const POOLER_TENSOR = 'pooler.dense.weight';

/** The request for every output that a checkpoint can give. Its plan has all the weights that any later request needs. */
export const everything = (
  hasPooler: boolean,
  head: HeadRequest['kind'] | undefined,
  sentence: PoolRequest | undefined,
): EncoderRequest => ({
  lastHiddenState: true,
  pooler: hasPooler,
  ...(head && { head: { kind: head } }),
  ...(sentence && { pool: { ...canonicalPool(sentence), normalize: false } }),
});

/**
 * The forward pass of BERT (Devlin et al., arXiv 1810.04805) and of the families that differ from it in fields of EncoderConfig, as
 * transformers' modeling_*.py compute it. Weights have the names of a BertModel checkpoint.
 */
export function encoderGraph(config: EncoderConfig, request: EncoderRequest): Graph {
  const { hiddenSize, heads, headSize, intermediateSize, activation, normEps } = config;
  const b = builder();
  const hiddenState = (layer: number, value: Value) => {
    if (request.hiddenStates?.includes(layer)) b.output('hidden_states', value, layer);
  };

  const { relativeBuckets } = config;
  let x = b.embed({
    words: { table: 'embeddings.word_embeddings', rows: config.vocabSize },
    positions: { table: 'embeddings.position_embeddings', rows: config.maxPositions + config.positionOffset },
    types: { table: 'embeddings.token_type_embeddings', rows: config.typeVocabSize },
    tasks: { table: 'embeddings.task_type_embeddings', rows: config.taskVocabSize },
    norm: { from: 'embeddings.LayerNorm', eps: normEps },
    columns: config.embeddingSize,
  }); // [T, E]
  if (config.projectsEmbedding) x = b.linear(x, { from: 'embeddings_project', outputs: hiddenSize }); // [T, C]
  hiddenState(0, x);

  for (const [i, weights] of config.layerWeights.entries()) {
    const layer = `encoder.layer.${weights}`;
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
      probabilities: request.attentions?.includes(i) === true,
      bias: relativeBuckets ? { table: 'encoder.relative_attention_bias', buckets: relativeBuckets } : undefined,
    }); // [T, H D]
    if (probabilities) b.output('attentions', probabilities, i);

    const attended = b.linear(context, {
      from: `${layer}.attention.output.dense`,
      outputs: hiddenSize,
      inputHead: headSize,
    }); // [T, C]
    const normed = b.norm(attended, {
      from: `${layer}.attention.output.LayerNorm`,
      eps: normEps,
      residual: x,
    }); // [T, C]
    const inner = b.linear(normed, { from: `${layer}.intermediate.dense`, outputs: intermediateSize, activation }); // [T, F]
    const outer = b.linear(inner, { from: `${layer}.output.dense`, outputs: hiddenSize }); // [T, C]
    x = b.norm(outer, { from: `${layer}.output.LayerNorm`, eps: normEps, residual: normed }); // [T, C]
    hiddenState(i + 1, x);
  }

  if (request.lastHiddenState) b.output('last_hidden_state', x);
  if (request.pool) b.output('embedding', addEmbedding(b, x, request.pool));
  let firstTokens: Value | undefined;
  let poolerOutput: Value | undefined;
  /** [B, C] */
  const first = () => (firstTokens ??= b.pool(x, { pooling: 'cls', normalize: false, name: 'pooler.first' }));
  /** [B, C] */
  const pooled = () =>
    (poolerOutput ??= b.linear(first(), { from: 'pooler.dense', outputs: hiddenSize, activation: 'tanh' }));
  if (request.pooler) b.output('pooler_output', pooled());
  if (request.head) addHead(b, config, request.head, { hidden: x, first, pooled });
  return b.graph();
}
