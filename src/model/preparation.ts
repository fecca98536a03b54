import { builder, type Graph, type SequenceOutputs } from '../plan/index.ts';
import type { Disentangled } from './disentangled.ts';
import type { EncoderConfig } from './encoder-config.ts';

/**
 * Tensors that a model computes of its weights alone: once, when the weights are there, not in every pass. They are weights of the
 * encoder's graph that no file has. A preparation is one pass of a graph of its own over one sequence, whose tokens are the rows of a
 * table.
 */
export interface Preparation {
  readonly graph: Graph;
  /** The ids of the sequence. */
  readonly ids: readonly number[];
  /** The tensors, from the outputs of the pass. */
  readonly tensors: readonly PreparedTensor[];
}

export interface PreparedTensor {
  /** Its name in the encoder's graph. */
  readonly tensor: string;
  readonly shape: readonly [rows: number, columns: number];
  /** The output of the preparation's graph that it is a part of: `shape[0] * 4` columns, a multiple of four, from column `first` on. */
  readonly output: string;
  readonly first: number;
}

/** The keys and the queries of distances of a layer, as the encoder's graph names them. */
export const distanceKeys = (self: string): string => `${self}.distance_keys`;
export const distanceQueries = (self: string): string => `${self}.distance_queries`;

/** What the model of this configuration computes before its first pass. */
export function preparationsOf(config: EncoderConfig): Preparation[] {
  const { disentangled } = config;
  if (!disentangled) return [];
  return [...new Set(config.layerWeights)].map(layer =>
    distancesOf(config, disentangled, `encoder.layer.${layer}.attention.self`),
  );
}

/** The keys and queries of distances of one layer: its projections of the table of relative embeddings. */
function distancesOf(config: EncoderConfig, disentangled: Disentangled, self: string): Preparation {
  const { hiddenSize, heads, headSize, norm } = config;
  const { count, hasKeys, hasQueries, sharesProjections, hasKeyBias } = disentangled;
  const b = builder();
  const table = b.embed({
    words: { table: 'encoder.rel_embeddings', rows: count },
    norm: disentangled.isNormed ? { from: 'encoder.LayerNorm', ...norm } : undefined,
    columns: hiddenSize,
  }); // [R, C]
  const width = heads * Math.ceil(headSize / 4) * 4;
  const shape = [width / 4, 4 * count] as const;
  const keys = { tensor: distanceKeys(self), shape };
  const queries = { tensor: distanceQueries(self), shape };
  const tensors: PreparedTensor[] = [];
  if (sharesProjections) {
    // The weight of the layer itself, so that it is on the device once.
    b.output('qkv', b.linear(table, attentionProjection(config, self))); // [R, 3 H D]
    if (hasQueries) tensors.push({ ...queries, output: 'qkv', first: 0 });
    if (hasKeys) tensors.push({ ...keys, output: 'qkv', first: width });
  } else {
    const project = (output: string, from: string, bias: boolean) =>
      b.output(output, b.linear(table, { from, outputs: heads * headSize, outputHead: headSize, bias })); // [R, H D]
    if (hasKeys) {
      project('keys', `${self}.pos_key_proj`, hasKeyBias);
      tensors.push({ ...keys, output: 'keys', first: 0 });
    }
    if (hasQueries) {
      project('queries', `${self}.pos_query_proj`, true);
      tensors.push({ ...queries, output: 'queries', first: 0 });
    }
  }
  return { graph: b.graph(), ids: [...new Array(count).keys()], tensors };
}

const PROJECTION = ['query', 'key', 'value'] as const;
export type ProjectionPart = (typeof PROJECTION)[number];

/** The projection to q, k and v of a layer, or to some of them. */
export function attentionProjection(
  { heads, keyHeads, headSize, biases, groups }: EncoderConfig,
  self: string,
  parts: readonly ProjectionPart[] = PROJECTION,
) {
  const { qkv } = biases;
  return {
    from: parts.map(part => `${self}.${part}`),
    outputs: parts.map(part => (part === 'query' ? heads : keyHeads) * headSize),
    outputHead: headSize,
    bias: typeof qkv === 'boolean' ? qkv : parts.map(part => qkv[PROJECTION.indexOf(part)]!),
    groups: groups && parts.map(part => groups[part]),
  };
}

/**
 * The numbers of a prepared tensor, in the order of DisentangledBias: groups of four columns one below the other, in each the rows of
 * the output side by side.
 */
export function preparedNumbers({ output, first, shape: [groups, columns] }: PreparedTensor, outputs: SequenceOutputs) {
  const numbers = new Float32Array(groups * columns);
  for (const slice of outputs) {
    if (slice.name !== output) continue;
    for (let column = 0; column < slice.columns; column++) {
      const c = slice.first + column - first;
      if (c < 0 || c >= 4 * groups) continue;
      const to = Math.floor(c / 4) * columns + (c % 4);
      for (let row = 0; row < columns / 4; row++) numbers[to + 4 * row] = slice.data[row * slice.columns + column]!;
    }
  }
  return numbers;
}
