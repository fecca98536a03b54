import type { Builder, Value } from '../plan/index.ts';
import { bottleneckLayers } from './bottleneck-layers.ts';
import { embeddings } from './embeddings.ts';
import type { EncoderConfig } from './encoder-config.ts';
import { attention, feedForward, hiddenState, type LayerRequest } from './layer-parts.ts';

/**
 * Adds the embeddings and all layers to a graph -> the last hidden state [T, C].
 * @param states is given all hidden states [T, C]: that of the embeddings, then those of the layers
 */
export function encoderLayers(b: Builder, config: EncoderConfig, request: LayerRequest, states: Value[]): Value {
  return LAYERS[config.layerOrder](b, config, request, states);
}

const LAYERS: Readonly<
  Record<
    EncoderConfig['layerOrder'],
    (b: Builder, config: EncoderConfig, request: LayerRequest, states: Value[]) => Value
  >
> = {
  'post-norm': postNormLayers,
  'pre-norm': preNormLayers,
  sandwich: sandwichLayers,
  bottleneck: bottleneckLayers,
};

/**
 * Layers with a norm after each sum: BERT (Devlin et al., arXiv 1810.04805) and all families that keep its order.
 *   a = norm(x + attention(x))    x' = norm(a + feedForward(a))
 * With a second norm behind the attention a is norm(x + norm(x + attention(x))).
 */
function postNormLayers(b: Builder, config: EncoderConfig, request: LayerRequest, states: Value[]): Value {
  const { norm } = config;
  const embedded = embeddings(b, config); // [T, C]
  let x = embedded;
  hiddenState(b, request, { states, layer: 0, value: x });
  for (const [i, weights] of config.layerWeights.entries()) {
    const layer = `encoder.layer.${weights}`;
    const attended = attention(b, config, request, { layer, i, x }); // [T, C]
    const once = b.norm(attended, { from: `${layer}.attention.output.LayerNorm`, ...norm, residual: x }); // [T, C]
    const second = { from: `${layer}.attention.outer.LayerNorm`, ...norm, residual: x };
    const normed = config.hasSecondAttentionNorm ? b.norm(once, second) : once; // [T, C]
    const outer = feedForward(b, config, { layer, x: normed }); // [T, C]
    x = b.norm(outer, { from: `${layer}.output.LayerNorm`, ...norm, residual: normed }); // [T, C]
    if (i === 0) x = convolved(b, config, { x: embedded, residual: x });
    hiddenState(b, request, { states, layer: i + 1, value: x });
  }
  return x;
}

/**
 * Layers with a norm before each part, and one after all of them (Xiong et al., arXiv 2002.04745).
 *   a = x + attention(norm(x))    x' = a + feedForward(norm(a))
 * Hidden states are the sums; the last one is normed, as in transformers.
 */
function preNormLayers(b: Builder, config: EncoderConfig, request: LayerRequest, states: Value[]): Value {
  const { norm, layers, hasFirstAttentionNorm } = config;
  let x = embeddings(b, config); // [T, C]
  for (const [i, weights] of config.layerWeights.entries()) {
    hiddenState(b, request, { states, layer: i, value: x });
    const layer = `encoder.layer.${weights}`;
    const isNormed = i > 0 || hasFirstAttentionNorm;
    const normed = isNormed ? b.norm(x, { from: `${layer}.attention.LayerNorm`, ...norm }) : x; // [T, C]
    const sum = attention(b, config, request, { layer, i, x: normed, residual: x }); // [T, C]
    const inner = b.norm(sum, { from: `${layer}.intermediate.LayerNorm`, ...norm }); // [T, C]
    x = feedForward(b, config, { layer, x: inner, residual: sum }); // [T, C]
  }
  const last = b.norm(x, { from: 'encoder.LayerNorm', ...norm }); // [T, C]
  hiddenState(b, request, { states, layer: layers, value: last });
  return last;
}

/** norm(residual + activation(conv(x))): a convolution over the tokens, where there is one -> [T, C] */
function convolved(b: Builder, config: EncoderConfig, { x, residual }: { x: Value; residual: Value }): Value {
  const { convolution, hiddenSize, norm } = config;
  if (!convolution) return residual;
  const { width, activation } = convolution;
  const neighbours = b.unfold(x, width); // [T, C width]
  const from = 'encoder.conv.conv';
  const y = b.linear(neighbours, { from, outputs: hiddenSize, innerShape: [hiddenSize, width], activation }); // [T, C]
  return b.norm(y, { from: 'encoder.conv.LayerNorm', ...norm, residual });
}

/**
 * Layers with a norm before and after each part, and one after all of them (Gemma 3, arXiv 2503.19786).
 *   a = x + norm(attention(norm(x)))    x' = a + norm(feedForward(norm(a)))
 * Hidden states are those of layers with norms before their parts.
 */
function sandwichLayers(b: Builder, config: EncoderConfig, request: LayerRequest, states: Value[]): Value {
  const { norm, layers } = config;
  let x = embeddings(b, config); // [T, C]
  for (const [i, weights] of config.layerWeights.entries()) {
    hiddenState(b, request, { states, layer: i, value: x });
    const layer = `encoder.layer.${weights}`;
    const normed = b.norm(x, { from: `${layer}.attention.LayerNorm`, ...norm }); // [T, C]
    const attended = attention(b, config, request, { layer, i, x: normed }); // [T, C]
    const sum = b.norm(attended, { from: `${layer}.attention.output.LayerNorm`, ...norm, addend: x }); // [T, C]
    const inner = b.norm(sum, { from: `${layer}.intermediate.LayerNorm`, ...norm }); // [T, C]
    const outer = feedForward(b, config, { layer, x: inner }); // [T, C]
    x = b.norm(outer, { from: `${layer}.output.LayerNorm`, ...norm, addend: sum }); // [T, C]
  }
  const last = b.norm(x, { from: 'encoder.LayerNorm', ...norm }); // [T, C]
  hiddenState(b, request, { states, layer: layers, value: last });
  return last;
}
