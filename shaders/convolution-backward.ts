import { columnFactors, type DepthwiseVariant, type DynamicConvolutionVariant, windowKernel } from './convolution.ts';
import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import { ITEM_TOKENS, LANES, reduce, SEQUENCE_START } from './snippets.ts';

/**
 * WGSL: `fn neighbour(n: u32, offset: i32, start: u32, end: u32) -> u32`, the token that is `offset` places after token n of a sequence, or the
 * end of the sequence: looked for as in unfold.ts.
 */
export const NEIGHBOUR = `fn neighbour(n: u32, offset: i32, start: u32, end: u32) -> u32 {
  let place = i32(tokens[n].w) + offset;
  let L = i32(end - start);
  for (var step = 0; step <= min(abs(offset), L - 1); step++) {
    let turned = i32(n - start) + step * sign(offset);
    let t = start + u32(select(select(turned, turned - L, turned >= L), turned + L, turned < 0));
    if (i32(tokens[t].w) == place) { return t; }
  }
  return end;
}`;

/**
 * The way back through `depthwise` to its input: dx[n, c] = the sum over o of weight[c, o] dy[t, c], where t is the token whose neighbour
 * number o is n: the same window with its factors in the other order.
 *
 *   x: dy [T, C]    y: dx [T, C]    the others and the grid: see `depthwise`
 */
export function depthwiseInput({ columns, width }: DepthwiseVariant): Kernel {
  return windowKernel({
    name: `depthwise input ${columns}x${width}`,
    factors: 'weight',
    columns4: padded(columns) / 4,
    width,
    text: columnFactors(width),
    before: '',
    factor: `factors_of(c, ${width - 1}u - o)`,
  });
}

/**
 * The gradient of the factors of `depthwise`: gradient[c, o] += the sum over t of dy[t, c] x[n, c], where n is neighbour number o of token t.
 * A workgroup has four columns: its invocation l adds up the tokens of the work items l, l + 64, ..., and the 64 sums are added as a tree.
 *
 *   tiles, sequences, tokens: as of `depthwise`    dy, x [T, C]    gradient [C, width] f32      grid: C / 4
 */
export function depthwiseWeight({ columns, width }: DepthwiseVariant): Kernel {
  const half = (width - 1) / 2;
  const C4 = padded(columns) / 4;
  const bindings = [
    read('tiles', 'array<vec4u>'),
    read('sequences', 'array<vec4u>'),
    read('tokens', 'array<vec4u>'),
    read('dy'),
    read('x'),
    write('gradient', 'array<f32>'),
  ];
  const params = [u32('tiles'), u32('sequences')];
  return {
    name: `depthwise weight ${columns}x${width}`,
    bindings,
    params,
    workgroups: () => [C4, 1, 1],
    code: `
${declarations(bindings, params)}
${SEQUENCE_START}
${NEIGHBOUR}
var<workgroup> sums: array<vec4f, ${LANES}>;

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let lane = local.x;
  let c = group.x;
  for (var o = 0; o < ${width}; o++) {
    var sum = vec4f();
    for (var item = lane; item < params.tiles; item += ${LANES}u) {
      let tile = tiles[item];
      var end = tile.y;
      if (item + 1u < params.tiles) {
        let next = tiles[item + 1u];
        if (next.x == tile.x) { end = next.z; }
      }
      let start = sequence_start(tile.z);
      for (var t = tile.z; t < end; t++) {
        let n = neighbour(t, o - ${half}, start, tile.y);
        if (n < tile.y) { sum += dy[t * ${C4}u + c] * x[n * ${C4}u + c]; }
      }
    }
    sums[lane] = sum;${reduce(LANES, 'sums[lane] += sums[other];')}
    if (lane < 4u && 4u * c + lane < ${columns}u) { gradient[(4u * c + lane) * ${padded(width)}u + u32(o)] += sums[0][lane]; }
    workgroupBarrier();
  }
}`,
  };
}

/**
 * The way back through `dynamicConvolution` to its scores. With p = softmax(scores[t, h]) and g[o] = the sum over d of dy[t, h D + d]
 * x[n, h D + d] for neighbour number o, 0 where there is none:
 *
 *   dscores[t, h width + o] = p[o] (g[o] - the sum of p g)      probabilities[t, h width + o] = p[o]
 *
 *   tiles, sequences, tokens: as of `dynamicConvolution`    x, dy [T, H D]    scores, probabilities, dscores [T, H width]      grid: tiles
 *
 * An invocation has a token and a head.
 */
export function dynamicConvolutionScores({ heads, columns, width }: DynamicConvolutionVariant): Kernel {
  const half = (width - 1) / 2;
  const D4 = columns / 4;
  const S = padded(heads * width);
  const bindings = [
    read('tiles', 'array<vec4u>'),
    read('sequences', 'array<vec4u>'),
    read('tokens', 'array<vec4u>'),
    read('x'),
    read('scores', 'array<f32>'),
    read('dy'),
    write('probabilities', 'array<f32>'),
    write('dscores', 'array<f32>'),
  ];
  const params = [u32('tiles'), u32('sequences')];
  return {
    name: `dynamic convolution scores ${heads}x${columns}x${width}`,
    bindings,
    params,
    workgroups: ({ tiles }) => [tiles!, 1, 1],
    code: `
${declarations(bindings, params)}
${SEQUENCE_START}
${NEIGHBOUR}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  ${ITEM_TOKENS}
  let start = sequence_start(tile.z);
  for (var i = local.x; i < (end - tile.z) * ${heads}u; i += ${LANES}u) {
    let t = tile.z + i / ${heads}u;
    let h = i % ${heads}u;
    let at = t * ${S}u + h * ${width}u;
    var greatest = scores[at];
    for (var o = 1u; o < ${width}u; o++) { greatest = max(greatest, scores[at + o]); }
    var total = 0.0;
    for (var o = 0u; o < ${width}u; o++) { total += exp(scores[at + o] - greatest); }
    var products = 0.0;
    for (var o = 0u; o < ${width}u; o++) {
      let p = exp(scores[at + o] - greatest) / total;
      let n = neighbour(t, i32(o) - ${half}, start, tile.y);
      var four = vec4f();
      if (n < tile.y) {
        for (var d = h * ${D4}u; d < (h + 1u) * ${D4}u; d++) { four += dy[t * ${heads * D4}u + d] * x[n * ${heads * D4}u + d]; }
      }
      let product = p * dot(four, vec4f(1.0));
      products += product;
      probabilities[at + o] = p;
      dscores[at + o] = product;
    }
    for (var o = 0u; o < ${width}u; o++) { dscores[at + o] -= probabilities[at + o] * products; }
    if (h == ${heads - 1}u) {
      for (var o = ${heads * width}u; o < ${S}u; o++) {
        probabilities[t * ${S}u + o] = 0.0;
        dscores[t * ${S}u + o] = 0.0;
      }
    }
  }
}`,
  };
}

/**
 * The way back through `dynamicConvolution` to its input: dx[n, h D + d] = the sum over o of probabilities[t, h width + o] dy[t, h D + d],
 * where t is the token whose neighbour number o is n.
 *
 *   x: dy [T, H D]    probabilities: see dynamicConvolutionScores    y: dx [T, H D]    the others and the grid: see `dynamicConvolution`
 */
export function dynamicConvolutionInput({ heads, columns, width }: DynamicConvolutionVariant): Kernel {
  const S4 = padded(heads * width) / 4;
  return windowKernel({
    name: `dynamic convolution input ${heads}x${columns}x${width}`,
    factors: 'probabilities',
    columns4: (heads * columns) / 4,
    width,
    text: `
fn probability_of(t: u32, i: u32) -> f32 { return probabilities[t * ${S4}u + i / 4u][i % 4u]; }`,
    before: '',
    factor: `probability_of(n, c / ${columns / 4}u * ${width}u + ${width - 1}u - o)`,
  });
}
