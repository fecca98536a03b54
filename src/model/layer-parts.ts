import type { BiasOptions, Builder, Value } from '../plan/index.ts';
import { distanceRows } from './disentangled.ts';
import type { EncoderConfig } from './encoder-config.ts';
import { attentionProjection, distanceKeys, distanceQueries, type ProjectionPart } from './preparation.ts';
import type { EncoderRequest } from './request.ts';
import { spanConvolution } from './span-convolution.ts';

/** What layers of any order are made of. */

/** What a pass gives back of the layers. */
export type LayerRequest = Pick<EncoderRequest, 'hiddenStates' | 'attentions'>;

/** Keeps a hidden state, and names it as an output where it is asked for. */
export function hiddenState(
  b: Builder,
  { hiddenStates }: LayerRequest,
  { states, layer, value }: { states: Value[]; layer: number; value: Value },
): void {
  states[layer] = value;
  if (hiddenStates?.includes(layer)) b.output('hidden_states', value, layer);
}

/** A part of layer i, whose tensors are called `layer`. */
export interface LayerPart {
  readonly layer: string;
  /** [T, C] */
  readonly x: Value;
  /** Added to the result. */
  readonly residual?: Value;
}

export interface AttentionPart extends LayerPart {
  readonly i: number;
  /** What v is computed from. Default: x. */
  readonly values?: Value | undefined;
}

/** The attention of a layer with its output projection -> [T, layerSize] */
export function attention(
  b: Builder,
  config: EncoderConfig,
  request: LayerRequest,
  { layer, i, x, values, residual }: AttentionPart,
): Value {
  const { heads, keyHeads, headSize, biases, queryKeyNorm: span, norm, groups } = config;
  const { spanConvolution: convolution } = config;
  const { rotary, slopes, window } = config.attentions[i]!;
  const self = `${layer}.attention.self`;
  const layout = { heads, keyHeads, headSize };
  const project = (from: Value, ...parts: ProjectionPart[]) => b.linear(from, attentionProjection(config, self, parts));
  // The convolution reads q as a value of its own.
  const query = convolution && project(x, 'query'); // [T, H D]
  const projected = query
    ? b.join(query, project(x, 'key', 'value'))
    : values
      ? b.join(project(x, 'query', 'key'), project(values, 'value'))
      : project(x, 'query', 'key', 'value'); // [T, (H + 2 G) D]
  const normed = span
    ? b.queryKeyNorm(projected, {
        ...layout,
        span,
        query: { from: `${self}.layer_norm_q`, ...norm },
        key: { from: `${self}.layer_norm_k`, ...norm },
      })
    : projected; // [T, (H + 2 G) D]
  const qkv = rotary ? b.rotary(normed, { ...layout, ...rotary }) : normed; // [T, (H + 2 G) D]
  const { context, probabilities } = b.attention(qkv, {
    ...layout,
    name: self,
    probabilities: request.attentions?.includes(i) === true,
    asScores: config.attentionsAreScores,
    scale: config.attentionScale * (rotary?.magnitude ?? 1) ** 2,
    bias: slopes ? { slopes } : biasOf(config, self),
    window,
  }); // [T, H D]
  if (probabilities) b.output('attentions', probabilities, i);
  const convolved = convolution && query && spanConvolution(b, config, { self, x, query, ...convolution }); // [T, H D]
  return b.linear(convolved ? b.join(context, convolved) : context, {
    from: `${layer}.attention.output.dense`,
    outputs: config.layerSize,
    inputHead: headSize,
    groups: groups?.attention,
    bias: biases.attention,
    residual,
  }); // [T, layerSize]
}

/** The buckets of MPNet's distances: Python computes with so many, however many rows config.json gives to the table. */
export const BUCKETS = 32;

/** What the scores of a layer have by distance. */
function biasOf({ relativeRows, disentangled }: EncoderConfig, self: string): BiasOptions | undefined {
  if (relativeRows) {
    return { table: 'encoder.relative_attention_bias', tableRows: relativeRows, buckets: BUCKETS };
  }
  if (!disentangled) return undefined;
  return {
    keys: disentangled.hasKeys ? distanceKeys(self) : undefined,
    queries: disentangled.hasQueries ? distanceQueries(self) : undefined,
    count: disentangled.count,
    rows: distanceRows(disentangled),
  };
}

/** The feed-forward layer: act(x W1) W2, or gated (act(x W1) (x W3)) W2 -> [T, layerSize] */
export function feedForward(b: Builder, config: EncoderConfig, { layer, x, residual }: LayerPart): Value {
  const { layerSize, intermediateSize: outputs, activation, isGated, biases, groups, groupMatrices } = config;
  const bias = biases.intermediate;
  // The half without activation is the gate of the other, so that the product is made where the activation is.
  const gate = isGated ? b.linear(x, { from: `${layer}.intermediate.gate`, outputs, bias }) : undefined; // [T, F]
  const inner = b.linear(x, {
    from: `${layer}.intermediate.dense`,
    outputs,
    activation,
    gate,
    groups: groups?.intermediate,
    groupMatrices,
    bias,
  }); // [T, F]
  return b.linear(inner, {
    from: `${layer}.output.dense`,
    outputs: layerSize,
    groups: groups?.output,
    groupMatrices,
    bias: biases.output,
    residual,
  });
}
