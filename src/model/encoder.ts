import { builder, type Graph, type Value } from '../plan/index.ts';
import type { EncoderConfig } from './encoder-config.ts';
import { addHead, type HeadRequest } from './heads.ts';
import { encoderLayers } from './layers.ts';
import type { EncoderRequest } from './request.ts';
import { addEmbedding, canonicalPool, type PoolRequest } from './sentence-chain.ts';
import { staticTokens } from './static.ts';

/** A tensor that only the pooler needs. A checkpoint without it has no pooler. */
const POOLER_TENSOR = 'pooler.dense.weight';

/** Whether a checkpoint has a pooler. @param find Gives a tensor of it by its canonical name. */
export const hasPoolerIn = ({ mayPool }: EncoderConfig, find: (canonical: string) => unknown): boolean =>
  mayPool && find(POOLER_TENSOR) !== undefined;

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
 * The forward pass of an encoder: the embeddings, the layers in the order of config.layerOrder, pooling, and a head. Weights have the
 * canonical names (checkpoint/file/names.ts).
 */
export function encoderGraph(config: EncoderConfig, request: EncoderRequest): Graph {
  const b = builder();
  const x = config.static ? staticTokens(b, config, config.static) : encoderLayers(b, config, request); // [T, C]
  if (request.lastHiddenState) b.output('last_hidden_state', x);
  if (request.pool) b.output('embedding', addEmbedding(b, x, request.pool));
  let firstTokens: Value | undefined;
  let poolerOutput: Value | undefined;
  /** [B, C] */
  const first = () => (firstTokens ??= b.pool(x, { pooling: 'cls', normalize: false, name: 'pooler.first' }));
  /** [B, C] */
  const pooled = () =>
    (poolerOutput ??= b.linear(first(), {
      from: 'pooler.dense',
      outputs: config.hiddenSize,
      activation: config.poolerActivation,
    }));
  if (request.pooler) b.output('pooler_output', pooled());
  if (request.head) addHead(b, config, request.head, { hidden: x, first, pooled });
  return b.graph();
}
