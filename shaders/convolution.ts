import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, padded, read, u32, write } from './kernel.ts';
import { ITEM_TOKENS, LANES, SEQUENCE_START, unrolled } from './snippets.ts';

export interface DepthwiseVariant {
  /** C */
  readonly columns: number;
  /** An odd number. */
  readonly width: number;
}

export interface DynamicConvolutionVariant {
  /** H */
  readonly heads: number;
  /** Columns of a head with its padding: a multiple of four. */
  readonly columns: number;
  /** An odd number. */
  readonly width: number;
}

/**
 * y[t, c] = the sum over o of weight[c, o] x[n, c], where n is the token of the same sequence whose place is o - (width - 1) / 2 after that
 * of t; a term without such a token is 0. One workgroup writes the rows of one attention work item.
 *
 *   tiles[i] = (first key, end, first token, ...)    sequences[B] = (first token, ...)    tokens[T] = (id, position, type, place)
 *   x [T, C]    weight [C, width]    y [T, C]      grid: tiles
 */
export function depthwise({ columns, width }: DepthwiseVariant): Kernel {
  return windowKernel({
    name: `depthwise ${columns}x${width}`,
    factors: 'weight',
    columns4: padded(columns) / 4,
    width,
    text: columnFactors(width),
    before: '',
    factor: 'factors_of(c, o)',
  });
}

/** WGSL: `fn factors_of(c: u32, o: u32) -> vec4f`, the factors of four columns, whose rows stand one below the other. */
export const columnFactors = (width: number): string => `
fn factor_of(column: u32, o: u32) -> f32 { return weight[column * ${padded(width) / 4}u + o / 4u][o % 4u]; }
fn factors_of(c: u32, o: u32) -> vec4f {
  return vec4f(${unrolled(4, j => `factor_of(4u * c + ${j}u, o),`)});
}`;

/**
 * y[t, h D + d] = the sum over o of softmax(scores[t, h])[o] x[n, h D + d] with the tokens n of `depthwise`; a term without such a token is
 * 0, and its score still has a part in the softmax. Every invocation computes the softmax of its four numbers for itself: it is short.
 *
 *   tiles, sequences, tokens as above    x [T, H D]    scores [T, H width]    y [T, H D]      grid: tiles
 */
export function dynamicConvolution({ heads, columns, width }: DynamicConvolutionVariant): Kernel {
  const S4 = padded(heads * width) / 4;
  return windowKernel({
    name: `dynamic convolution ${heads}x${columns}x${width}`,
    factors: 'scores',
    columns4: (heads * columns) / 4,
    width,
    text: `
fn score_of(t: u32, i: u32) -> f32 { return scores[t * ${S4}u + i / 4u][i % 4u]; }`,
    before: `
    let first_score = c / ${columns / 4}u * ${width}u;
    var greatest = score_of(t, first_score);
    for (var o = 1u; o < ${width}u; o++) { greatest = max(greatest, score_of(t, first_score + o)); }
    var total = 0.0;
    for (var o = 0u; o < ${width}u; o++) { total += exp(score_of(t, first_score + o) - greatest); }`,
    factor: 'exp(score_of(t, first_score + o) - greatest) / total',
  });
}

export interface Window {
  readonly name: string;
  /** The binding of the factors. */
  readonly factors: string;
  /** Columns of x and y in fours. */
  readonly columns4: number;
  readonly width: number;
  /** WGSL: functions that read the factors. */
  readonly text: string;
  /** WGSL: what is computed once for the four columns from 4 c on of the row of token t. */
  readonly before: string;
  /** WGSL: the factor of the neighbour number `o` for these columns. */
  readonly factor: string;
}

/**
 * A sum over the tokens whose places differ by at most half a window, each with a factor. Places are those before padding was removed. They
 * grow from token to token, and from the last one to the first where tokens stand before the others because none attends to them: so
 * every token of the window is among as many tokens, counted around the sequence. It is read whether or not it is attended to.
 */
export function windowKernel({ name, factors, columns4, width, text, before, factor }: Window): Kernel {
  const half = (width - 1) / 2;
  const bindings = [
    read('tiles', 'array<vec4u>'),
    read('sequences', 'array<vec4u>'),
    read('tokens', 'array<vec4u>'),
    read('x'),
    read(factors),
    write('y'),
  ];
  const params = [u32('tiles'), u32('sequences')];
  return {
    name,
    bindings,
    params,
    workgroups: ({ tiles }) => [tiles!, 1, 1],
    code: wgsl`
${declarations(bindings, params)}${text}
${SEQUENCE_START}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  ${ITEM_TOKENS}
  let start = sequence_start(tile.z);
  let L = tile.y - start;
  let count = min(L, ${width}u);
  for (var i = local.x; i < (end - tile.z) * ${columns4}u; i += ${LANES}u) {
    let t = tile.z + i / ${columns4}u;
    let c = i % ${columns4}u;
    let place = i32(tokens[t].w);${before}
    var sum = vec4f();
    let index = t - start;
    // The whole of a sequence that is shorter than the window.
    let first = select(select(index + L, index, index >= ${half}u) - ${half}u, 0u, L <= ${width}u);
    for (var step = 0u; step < count; step++) {
      let turned = first + step;
      let n = start + select(turned, turned - L, turned >= L);
      let distance = i32(tokens[n].w) - place;
      if (abs(distance) > ${half}) { continue; }
      let o = u32(distance + ${half});
      sum += x[n * ${columns4}u + c] * (${factor});
    }
    y[t * ${columns4}u + c] = sum;
  }
}`,
  };
}
