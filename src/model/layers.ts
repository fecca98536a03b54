import type { BiasOptions, Builder, Value } from '../plan/index.ts';
import { distanceRows } from './disentangled.ts';
import type { EncoderConfig } from './encoder-config.ts';
import { attentionProjection, distanceKeys, distanceQueries } from './preparation.ts';
import type { EncoderRequest } from './request.ts';

/** What a pass gives back of the layers. */
type LayerRequest = Pick<EncoderRequest, 'hiddenStates' | 'attentions'>;

/** Adds the embeddings and all layers to a graph -> the last hidden state [T, C]. */
export function encoderLayers(b: Builder, config: EncoderConfig, request: LayerRequest): Value {
  return LAYERS[config.layerOrder](b, config, request);
}

const LAYERS: Readonly<
  Record<EncoderConfig['layerOrder'], (b: Builder, config: EncoderConfig, request: LayerRequest) => Value>
> = { 'post-norm': postNormLayers, 'pre-norm': preNormLayers, sandwich: sandwichLayers };

/**
 * Layers with a norm after each sum: BERT (Devlin et al., arXiv 1810.04805) and all families that keep its order.
 *   a = norm(x + attention(x))    x' = norm(a + feedForward(a))
 * With a second norm behind the attention a is norm(x + norm(x + attention(x))).
 */
function postNormLayers(b: Builder, config: EncoderConfig, request: LayerRequest): Value {
  const { norm } = config;
  const embedded = embeddings(b, config); // [T, C]
  let x = embedded;
  hiddenState(b, request, 0, x);
  for (const [i, weights] of config.layerWeights.entries()) {
    const layer = `encoder.layer.${weights}`;
    const attended = attention(b, config, request, { layer, i, x }); // [T, C]
    const once = b.norm(attended, { from: `${layer}.attention.output.LayerNorm`, ...norm, residual: x }); // [T, C]
    const second = { from: `${layer}.attention.outer.LayerNorm`, ...norm, residual: x };
    const normed = config.hasSecondAttentionNorm ? b.norm(once, second) : once; // [T, C]
    const outer = feedForward(b, config, { layer, x: normed }); // [T, C]
    x = b.norm(outer, { from: `${layer}.output.LayerNorm`, ...norm, residual: normed }); // [T, C]
    if (i === 0) x = convolved(b, config, { x: embedded, residual: x });
    hiddenState(b, request, i + 1, x);
  }
  return x;
}

/**
 * Layers with a norm before each part, and one after all of them (Xiong et al., arXiv 2002.04745).
 *   a = x + attention(norm(x))    x' = a + feedForward(norm(a))
 * Hidden states are the sums; the last one is normed, as in transformers.
 */
function preNormLayers(b: Builder, config: EncoderConfig, request: LayerRequest): Value {
  const { norm, layers, hasFirstAttentionNorm } = config;
  let x = embeddings(b, config); // [T, C]
  for (const [i, weights] of config.layerWeights.entries()) {
    hiddenState(b, request, i, x);
    const layer = `encoder.layer.${weights}`;
    const isNormed = i > 0 || hasFirstAttentionNorm;
    const normed = isNormed ? b.norm(x, { from: `${layer}.attention.LayerNorm`, ...norm }) : x; // [T, C]
    const sum = attention(b, config, request, { layer, i, x: normed, residual: x }); // [T, C]
    const inner = b.norm(sum, { from: `${layer}.intermediate.LayerNorm`, ...norm }); // [T, C]
    x = feedForward(b, config, { layer, x: inner, residual: sum }); // [T, C]
  }
  const last = b.norm(x, { from: 'encoder.LayerNorm', ...norm }); // [T, C]
  hiddenState(b, request, layers, last);
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
function sandwichLayers(b: Builder, config: EncoderConfig, request: LayerRequest): Value {
  const { norm, layers } = config;
  let x = embeddings(b, config); // [T, C]
  for (const [i, weights] of config.layerWeights.entries()) {
    hiddenState(b, request, i, x);
    const layer = `encoder.layer.${weights}`;
    const normed = b.norm(x, { from: `${layer}.attention.LayerNorm`, ...norm }); // [T, C]
    const attended = attention(b, config, request, { layer, i, x: normed }); // [T, C]
    const sum = b.norm(attended, { from: `${layer}.attention.output.LayerNorm`, ...norm, addend: x }); // [T, C]
    const inner = b.norm(sum, { from: `${layer}.intermediate.LayerNorm`, ...norm }); // [T, C]
    const outer = feedForward(b, config, { layer, x: inner }); // [T, C]
    x = b.norm(outer, { from: `${layer}.output.LayerNorm`, ...norm, addend: sum }); // [T, C]
  }
  const last = b.norm(x, { from: 'encoder.LayerNorm', ...norm }); // [T, C]
  hiddenState(b, request, layers, last);
  return last;
}

function hiddenState(b: Builder, { hiddenStates }: LayerRequest, layer: number, value: Value): void {
  if (hiddenStates?.includes(layer)) b.output('hidden_states', value, layer);
}

/** -> [T, C] */
function embeddings(b: Builder, config: EncoderConfig): Value {
  const { vocabSize, maxPositions, positionOffset, typeVocabSize, taskVocabSize, normsProjection } = config;
  const norm = config.hasEmbeddingNorm ? { from: 'embeddings.LayerNorm', ...config.norm } : undefined;
  const x = b.embed({
    words: { table: 'embeddings.word_embeddings', rows: vocabSize },
    positions: {
      table: 'embeddings.position_embeddings',
      rows: config.hasPositionTable ? maxPositions + positionOffset : 0,
    },
    types: { table: 'embeddings.token_type_embeddings', rows: typeVocabSize },
    tasks: { table: 'embeddings.task_type_embeddings', rows: taskVocabSize },
    factor: config.embeddingFactor,
    dropout: config.tokenDropout,
    norm: normsProjection ? undefined : norm,
    columns: config.embeddingSize,
  }); // [T, E]
  if (!config.projectsEmbedding) return x;
  const y = b.linear(x, { from: 'embeddings_project', outputs: config.hiddenSize, bias: !normsProjection }); // [T, C]
  return norm && normsProjection ? b.norm(y, norm) : y;
}

/** A part of layer i, whose tensors are called `layer`. */
interface LayerPart {
  readonly layer: string;
  /** [T, C] */
  readonly x: Value;
  /** Added to the result. */
  readonly residual?: Value;
}

/** The attention of a layer with its output projection -> [T, C] */
function attention(
  b: Builder,
  config: EncoderConfig,
  request: LayerRequest,
  { layer, i, x, residual }: LayerPart & { readonly i: number },
): Value {
  const { heads, keyHeads, headSize, biases, queryKeyNorm: span, norm } = config;
  const { rotary, slopes, window } = config.attentions[i]!;
  const self = `${layer}.attention.self`;
  const layout = { heads, keyHeads, headSize };
  const projected = b.linear(x, attentionProjection(config, self)); // [T, (H + 2 G) D]
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
    scale: config.attentionScale,
    bias: slopes ? { slopes } : biasOf(config, self),
    window,
  }); // [T, H D]
  if (probabilities) b.output('attentions', probabilities, i);
  return b.linear(context, {
    from: `${layer}.attention.output.dense`,
    outputs: config.hiddenSize,
    inputHead: headSize,
    bias: biases.attention,
    residual,
  }); // [T, C]
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

/** The feed-forward layer: act(x W1) W2, or gated (act(x W1) (x W3)) W2 -> [T, C] */
function feedForward(b: Builder, config: EncoderConfig, { layer, x, residual }: LayerPart): Value {
  const { hiddenSize, intermediateSize: outputs, activation, isGated, biases } = config;
  const bias = biases.intermediate;
  // The half without activation is the gate of the other, so that the product is made where the activation is.
  const gate = isGated ? b.linear(x, { from: `${layer}.intermediate.gate`, outputs, bias }) : undefined; // [T, F]
  const inner = b.linear(x, { from: `${layer}.intermediate.dense`, outputs, activation, gate, bias }); // [T, F]
  return b.linear(inner, { from: `${layer}.output.dense`, outputs: hiddenSize, bias: biases.output, residual });
}
