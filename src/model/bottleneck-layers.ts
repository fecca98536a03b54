import type { Builder, Value } from '../plan/index.ts';
import { embeddings } from './embeddings.ts';
import type { Bottleneck, EncoderConfig } from './encoder-config.ts';
import { attention, feedForward, hiddenState, type LayerRequest } from './layer-parts.ts';

/**
 * Layers that compute in fewer columns than hidden states have, and have several feed-forward layers (MobileBERT: Sun et al.,
 * arXiv 2004.02984). With C' columns inside, and a linear with a norm for each way in and for the way out:
 *   s = in(x)    a = norm(s + attention(q and k of x, in(x) or another in'(x); v of x or in(x)))
 *   a = norm(a + feedForward_i(a)) for every feed-forward layer i but the last, and for the last    x' = norm(x + out(a))
 * Without a bottleneck in(x) = x, and x' = a.
 */
export function bottleneckLayers(b: Builder, config: EncoderConfig, request: LayerRequest, states: Value[]): Value {
  const { norm, hiddenSize, layerSize } = config;
  const { isNarrow, queries, values, feedForwards, outputNorm } = config.bottleneck!;
  let x = embeddings(b, config); // [T, C]
  hiddenState(b, request, { states, layer: 0, value: x });
  for (const [i, weights] of config.layerWeights.entries()) {
    const layer = `encoder.layer.${weights}`;
    const narrowed = (name: string): Value => {
      const y = b.linear(x, { from: `${layer}.bottleneck.${name}.dense`, outputs: layerSize }); // [T, C']
      return b.norm(y, { from: `${layer}.bottleneck.${name}.LayerNorm`, ...norm });
    };
    const input = isNarrow ? narrowed('input') : x; // [T, C']
    const sources: Readonly<Record<Bottleneck['queries'], () => Value>> = {
      hidden: () => x,
      input: () => input,
      attention: () => narrowed('attention'),
    };
    const part = { layer, i, x: sources[queries](), values: queries === values ? undefined : sources[values]() };
    const attended = attention(b, config, request, part); // [T, C']
    let a = b.norm(attended, { from: `${layer}.attention.output.LayerNorm`, ...norm, residual: input }); // [T, C']
    for (let ffn = 0; ffn < feedForwards - 1; ffn++) {
      const inner = `${layer}.ffn.${ffn}`;
      a = b.norm(feedForward(b, config, { layer: inner, x: a }), {
        from: `${inner}.output.LayerNorm`,
        ...norm,
        residual: a,
      });
    }
    const last = feedForward(b, config, { layer, x: a }); // [T, C']
    const inside = b.norm(last, { from: `${layer}.output.LayerNorm`, ...outputNorm, residual: a }); // [T, C']
    if (isNarrow) {
      const outer = b.linear(inside, { from: `${layer}.output.bottleneck.dense`, outputs: hiddenSize }); // [T, C]
      x = b.norm(outer, { from: `${layer}.output.bottleneck.LayerNorm`, ...norm, residual: x });
    } else x = inside;
    hiddenState(b, request, { states, layer: i + 1, value: x });
  }
  return x;
}
