import type { Builder, Value } from '../plan/index.ts';
import type { EncoderConfig } from './encoder-config.ts';

interface SpanConvolution {
  /** What the names of its tensors begin with. */
  readonly self: string;
  /** [T, C] */
  readonly x: Value;
  /** The q of the attention: [T, H D]. */
  readonly query: Value;
  /** Tokens that the convolution reads: an odd number. */
  readonly width: number;
}

/**
 * Heads that read the neighbours of a token, with factors that depend on these neighbours and on the token's q (span-based dynamic
 * convolution: Jiang et al., arXiv 2008.02496):
 *   k = pointwise(depthwise(x)) + bias      y = the sum over the neighbours of softmax(kernel(k q)) out(x)
 * -> [T, H D]
 */
export function spanConvolution(
  b: Builder,
  { heads, headSize }: EncoderConfig,
  { self, x, query, width }: SpanConvolution,
): Value {
  const outputs = heads * headSize;
  const near = b.depthwise(x, { from: `${self}.key_conv_attn_layer.depthwise`, width }); // [T, C]
  const product = b.linear(near, {
    from: `${self}.key_conv_attn_layer.pointwise`,
    outputs,
    outputHead: headSize,
    innerShape: [x.columns, 1],
    biasShape: [1],
    gate: query,
  }); // [T, H D]
  const scores = b.linear(product, {
    from: `${self}.conv_kernel_layer`,
    outputs: heads * width,
    inputHead: headSize,
  }); // [T, H width]
  const values = b.linear(x, { from: `${self}.conv_out_layer`, outputs, outputHead: headSize }); // [T, H D]
  return b.dynamicConvolution(values, scores, { heads, width });
}
