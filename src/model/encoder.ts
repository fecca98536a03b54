import { builder, type Graph, type Value } from '../plan/index.ts';
import type { EncoderConfig } from './encoder-config.ts';
import { addHead, type HeadRequest } from './heads.ts';
import { encoderLayers } from './layers.ts';
import type { EncoderRequest } from './request.ts';
import { addEmbedding, addSteps, type ChainStep, canonicalPool, type PoolRequest } from './sentence-chain.ts';
import { staticTokens } from './static.ts';

/** Whether a checkpoint has a pooler: the tensor that only the pooler needs, or a pooler that needs none. */
export const hasPooler = ({ mayPool, hasPoolerDense }: EncoderConfig, find: (canonical: string) => unknown): boolean =>
  mayPool && (!hasPoolerDense || find('pooler.dense.weight') !== undefined);

/** The request for every output that a checkpoint can give. Its plan has all the weights that any later request needs. */
export const everything = (
  hasPooler: boolean,
  head: HeadRequest['kind'] | undefined,
  sentence: PoolRequest | undefined,
  tokens?: readonly ChainStep[] | undefined,
): EncoderRequest => ({
  lastHiddenState: true,
  pooler: hasPooler,
  ...(head && { head: { kind: head } }),
  ...(sentence && { pool: { ...canonicalPool(sentence), normalize: false } }),
  ...(tokens && { tokens }),
});

/**
 * The forward pass of an encoder: the embeddings, the layers in the order of config.layerOrder, pooling, and a head. Weights have the
 * canonical names (checkpoint/file/names.ts).
 */
export function encoderGraph(config: EncoderConfig, request: EncoderRequest): Graph {
  const b = builder();
  const states: Value[] = [];
  const x = config.static ? staticTokens(b, config, config.static) : encoderLayers(b, config, request, states); // [T, C]
  if (request.lastHiddenState) b.output('last_hidden_state', x);
  if (request.pool) b.output('embedding', addEmbedding(b, x, request.pool, states));
  if (request.tokens) b.output('token_embeddings', addSteps(b, x, request.tokens, states));
  let firstTokens: Value | undefined;
  let poolerOutput: Value | undefined;
  /** [B, C] */
  const first = () => (firstTokens ??= b.pool(x, { pooling: 'cls', normalize: false, name: 'pooler.first' }));
  const poolerDense = () =>
    b.linear(first(), { from: 'pooler.dense', outputs: config.poolerSize, activation: config.poolerActivation });
  /** [B, poolerSize] */
  const pooled = () => (poolerOutput ??= config.hasPoolerDense ? poolerDense() : first());
  if (request.pooler) b.output('pooler_output', pooled());
  if (request.head) addHead(b, config, request.head, { hidden: x, first, pooled });
  return b.graph();
}
