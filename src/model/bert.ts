import type { Activation } from '../../shaders/activation.ts';
import type { Pooling } from '../../shaders/pool.ts';
import { builder, type Graph, type Value } from '../plan/index.ts';
import type { EncoderConfig } from './config.ts';
import { addHead, type HeadRequest } from './heads.ts';

/** A linear layer on the pooled row: sentence-transformers' Dense. */
export interface DenseLayer {
  readonly outputs: number;
  readonly bias: boolean;
  readonly activation: Activation | undefined;
}

/** What a pass shall give back. A plan is made once for every distinct request. */
export interface EncoderRequest {
  /** [T, C] as `last_hidden_state`. */
  readonly lastHiddenState?: boolean;
  /** [B, C] as `pooler_output`: tanh of a linear on the first token. */
  readonly pooler?: boolean;
  /** [B, C] as `embedding`, of several poolings [B, poolings C], or [B, outputs of the last dense layer]. */
  readonly pool?: {
    readonly pooling: Pooling | readonly Pooling[];
    readonly normalize: boolean;
    readonly dense?: readonly DenseLayer[];
  };
  /** [T, C] as `hidden_states` of layer 0 (the embeddings) to `layers`: those that are listed. */
  readonly hiddenStates?: readonly number[];
  /** [H, L, L] of every sequence as `attentions` of layer 0 to `layers - 1`: those that are listed. */
  readonly attentions?: readonly number[];
  /** What stands on top: see heads.ts for its outputs. */
  readonly head?: HeadRequest;
}

/**
 * A request in the form that equal ones share: poolings as a list, layers in order and each once, and a top-k of a power of two, of which the caller
 * takes the first. So that a person's many wishes make few plans and pipelines.
 */
export function canonicalRequest(request: EncoderRequest): EncoderRequest {
  const { hiddenStates, attentions, head, pool } = request;
  const ordered = (layers: readonly number[]) => [...new Set(layers)].sort((a, b) => a - b);
  return {
    ...request,
    ...(pool && { pool: { pooling: [pool.pooling].flat(), normalize: pool.normalize, dense: pool.dense ?? [] } }),
    ...(hiddenStates && { hiddenStates: ordered(hiddenStates) }),
    ...(attentions && { attentions: ordered(attentions) }),
    ...(head?.topK && { head: { ...head, topK: 2 ** Math.ceil(Math.log2(head.topK)) } }),
  };
}

/** The tensors that only the pooler needs: a checkpoint may lack them. */
export const POOLER_TENSOR = 'pooler.dense.weight';

/** All that a checkpoint can be asked for: what its weights are needed for, whatever is asked for first. */
export const everything = (
  hasPooler: boolean,
  head: HeadRequest['kind'] | undefined,
  sentence: { pooling: readonly Pooling[]; dense: readonly DenseLayer[] } | undefined,
): EncoderRequest => ({
  lastHiddenState: true,
  pooler: hasPooler,
  ...(head && { head: { kind: head } }),
  ...(sentence && { pool: { pooling: sentence.pooling, normalize: false, dense: sentence.dense } }),
});

/**
 * The forward pass of BERT (Devlin et al., arXiv 1810.04805) and of the families that differ from it in what EncoderConfig says,
 * as transformers' modeling_*.py compute it. Weights go by the names that they have in a BertModel checkpoint.
 */
export function encoderGraph(config: EncoderConfig, request: EncoderRequest): Graph {
  const { hiddenSize, heads, headSize, intermediateSize, activation, normEps } = config;
  const b = builder();
  const hiddenState = (layer: number, value: Value) => {
    if (request.hiddenStates?.includes(layer)) b.output('hidden_states', value, layer);
  };

  const { typeVocabSize: types, taskVocabSize: tasks, relativeBuckets } = config;
  let x = b.embed({
    words: { table: 'embeddings.word_embeddings', rows: config.vocabSize },
    positions: { table: 'embeddings.position_embeddings', rows: config.maxPositions + config.positionOffset },
    types: { table: 'embeddings.token_type_embeddings', rows: types },
    tasks: { table: 'embeddings.task_type_embeddings', rows: tasks },
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
      relative: relativeBuckets ? { table: 'encoder.relative_attention_bias', buckets: relativeBuckets } : undefined,
    }); // [T, H D]
    if (probabilities) b.output('attentions', probabilities, i);

    const attended = b.linear(context, {
      from: `${layer}.attention.output.dense`,
      outputs: hiddenSize,
      inputHead: headSize,
    }); // [T, C]
    const normed = b.layerNorm(attended, {
      from: `${layer}.attention.output.LayerNorm`,
      eps: normEps,
      residual: x,
    }); // [T, C]
    const inner = b.linear(normed, { from: `${layer}.intermediate.dense`, outputs: intermediateSize, activation }); // [T, F]
    const outer = b.linear(inner, { from: `${layer}.output.dense`, outputs: hiddenSize }); // [T, C]
    x = b.layerNorm(outer, { from: `${layer}.output.LayerNorm`, eps: normEps, residual: normed }); // [T, C]
    hiddenState(i + 1, x);
  }

  if (request.lastHiddenState) b.output('last_hidden_state', x);
  if (request.pool) {
    let row = b.pool(x, { ...request.pool, name: 'embedding' }); // [B, C]
    for (const [i, { outputs, bias, activation: after }] of (request.pool.dense ?? []).entries()) {
      row = b.linear(row, { from: `sentence.dense.${i}`, outputs, bias, activation: after }); // [B, outputs]
    }
    b.output('embedding', row);
  }
  const made: { first?: Value; pooled?: Value } = {};
  /** [B, C] */
  const first = () => (made.first ??= b.pool(x, { pooling: 'cls', normalize: false, name: 'pooler.first' }));
  /** [B, C] */
  const pooled = () =>
    (made.pooled ??= b.linear(first(), { from: 'pooler.dense', outputs: hiddenSize, activation: 'tanh' }));
  if (request.pooler) b.output('pooler_output', pooled());
  if (request.head) addHead(b, config, request.head, { hidden: x, first, pooled });
  return b.graph();
}
