import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, f32, type Kernel, padded, read, u32, write } from './kernel.ts';
import type { RowShape } from './norm.ts';
import { GROUP_INDEX, groupGrid, LANES, reduce, total } from './snippets.ts';

export interface CrossEntropyVariant {
  /** N, unpadded. 'param': a param of this name, for scores of a batch against another, whose sizes change. */
  readonly columns: number | 'param';
  /** Whether the label shares its probability with all classes: the param `smoothing`. */
  readonly smoothing: boolean;
  /** Whether classes have weights. */
  readonly weights: boolean;
}

/** A label or a place that counts for nothing. Every negative number, -100 too, is one by its bits. */
export const IGNORED = 0xffffffff;

/**
 * `fn wrong(x: vecNf) -> vecNu`: the bits of |x| where x is finite, NaN or plus infinity; 0 for minus infinity, the logit of what is ruled
 * out. From 0x7f800000 on, a logit is none: exp, log and max of a driver may give a finite number for it.
 */
export const wrongLogit = (n: 2 | 4): string => `fn wrong(x: vec${n}f) -> vec${n}u {
  let bits = bitcast<vec${n}u>(x);
  return select(bits & vec${n}u(0x7fffffffu), vec${n}u(), bits == vec${n}u(0xff800000u));
}`;

/** From so many columns on, 64 invocations share a row on every device. */
const LONG_ROW = 8192;

/**
 * How the rows of a loss are divided: as `shape` says, unless they are short, then 64 are a workgroup's; or long. A sum of many thousand
 * exponentials has less rounding in 64 parts, and llvmpipe ends the loops of an invocation after 65,535 turns in all.
 */
export function lossShape(columns: number, shape: RowShape): RowShape {
  if (padded(columns) <= 16) return { lanes: 1, rows: LANES };
  return columns < LONG_ROW ? shape : { lanes: LANES, rows: 1 };
}

/**
 * WGSL: `top` and `sum` of each lane, the maximum of its numbers and the sum of exp(number - top), become those of all lanes, by way of
 * `tops` and `sums` in workgroup memory. Numbers or vectors.
 */
export const mergedSoftmax = (lanes: number): string =>
  lanes === 1
    ? ''
    : `  tops[lane] = top;
  sums[lane] = sum;${reduce(
    lanes,
    `let greater = max(tops[lane], tops[other]);
      sums[lane] = sums[lane] * exp(tops[lane] - greater) + sums[other] * exp(tops[other] - greater);
      tops[lane] = greater;`,
  )}
  top = tops[0];
  sum = sums[0];
  workgroupBarrier();`;

/**
 * The cross-entropy of logits[R, N] with a label for each row, and its gradient, as torch.nn.functional.cross_entropy has it with
 * ignore_index, weight and label_smoothing. With p = softmax(logits), w the weights of the classes (1 without), s the smoothing:
 *
 *   loss[r] = scale ((1 - s) w[label] (-log p[label]) + s / N (sum over c of w[c] (-log p[c])))
 *   dlogits = scale ((1 - s) w[label] (p - onehot(label)) + s / N (p (sum of w) - w))
 *
 * `scale` is 1 / items of the whole batch: 1 / rows with a label, or for weights 1 / the sum of w[label] over them. A row whose label is
 * negative, as IGNORED is, has the loss 0 and the gradient 0.
 *
 *   logits, dlogits [R, N]    labels [R] u32    class_weights [N]    loss [R] f32      grid: R / rows
 *
 * The row is read twice. The first time each invocation keeps the maximum so far of four numbers and the sums of exponentials relative to
 * it (Milakov and Gimelshein, arXiv 1805.02867); a smaller number adds one exponential, a larger one rescales the sum by one.
 */
export function crossEntropy(variant: CrossEntropyVariant, rowShape: RowShape): Kernel {
  const { columns: N, smoothing, weights } = variant;
  const { lanes, rows: height } = N === 'param' ? rowShape : lossShape(N, rowShape);
  const [n, n4] = N === 'param' ? ['params.columns', '(params.columns + 3u) / 4u'] : [`${N}u`, `${padded(N) / 4}u`];
  const bindings = [
    read('logits'),
    read('labels', 'array<u32>'),
    ...(weights ? [read('class_weights')] : []),
    write('loss', 'array<f32>'),
    write('dlogits'),
  ];
  const params = [
    u32('rows'),
    ...(N === 'param' ? [u32('columns')] : []),
    f32('scale'),
    ...(smoothing ? [f32('smoothing')] : []),
  ];
  const columnsOf = 'vec4u(4u * i) + vec4u(0u, 1u, 2u, 3u)';
  const inRow = (text: string, outside = 'vec4f()') =>
    N !== 'param' && N % 4 === 0 ? text : `select(${outside}, ${text}, ${columnsOf} < vec4u(${n}))`;
  return {
    name: `cross-entropy${N === 'param' ? '' : ` ${N}`}${smoothing ? ' smoothing' : ''}${weights ? ' weights' : ''}`,
    bindings,
    params,
    workgroups: ({ rows }) => groupGrid(Math.ceil(rows! / height)),
    code: wgsl`
${declarations(bindings, params)}
const LOWEST = -3.4e38;
#if ${lanes > 1}
var<workgroup> tops: array<f32, ${lanes}>;
var<workgroup> sums: array<f32, ${lanes}>;
#endif
#if ${smoothing}
${total(lanes)}
#endif
${wrongLogit(4)}

@compute @workgroup_size(${lanes}, ${height})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = ${lanes > 1 ? `${GROUP_INDEX}` : `(${GROUP_INDEX}) * ${height}u + local.y`};
  if (row >= params.rows) { return; }
  let lane = local.x;
  let N4 = ${n4};
  let at = row * N4;
  let label = labels[row];
  if (label >= 0x80000000u) {
    for (var i = lane; i < N4; i += ${lanes}u) { dlogits[at + i] = vec4f(); }
    if (lane == 0u) { loss[row] = 0.0; }
    return;
  }
  var top4 = vec4f(LOWEST);
  var sum4 = vec4f();
  var wrong4 = vec4u();
#if ${smoothing && weights}
  var weights4 = vec4f();
#endif
  for (var i = lane; i < N4; i += ${lanes}u) {
    let z = ${inRow('logits[at + i]', 'vec4f(LOWEST)')};
    let difference = z - top4;
    let e = exp(-abs(difference));
    sum4 = select(sum4 + e, sum4 * e + 1.0, difference > vec4f());
    top4 = max(top4, z);
    wrong4 = max(wrong4, wrong(z));
#if ${smoothing && weights}
    weights4 += class_weights[i];
#endif
  }
  var top = max(max(top4.x, top4.y), max(top4.z, top4.w));
  var sum = dot(sum4, exp(top4 - top));
  let wrong_bits = max(max(wrong4.x, wrong4.y), max(wrong4.z, wrong4.w));
  if (wrong_bits >= 0x7f800000u) { sum = bitcast<f32>(wrong_bits | 0x400000u); }
${mergedSoftmax(lanes)}
  let logarithm = select(log(sum), sum, (bitcast<u32>(sum) & 0x7f800000u) == 0x7f800000u);
  let weight = ${weights ? 'class_weights[label / 4u][label % 4u]' : '1.0'};
#if ${smoothing}
  let direct = (1.0 - params.smoothing) * weight;
  let spread = params.smoothing / f32(${n});
  let all_weights = ${weights ? 'total(dot(weights4, vec4f(1.0)), lane)' : `f32(${n})`};
  let whole = direct + spread * all_weights;
  var rest = 0.0;
#else
  let direct = weight;
  let whole = weight;
#endif
  for (var i = lane; i < N4; i += ${lanes}u) {
    let z = logits[at + i];
    var gradient = whole * (exp(z - top) / sum) - select(vec4f(), vec4f(direct), ${columnsOf} == vec4u(label));
#if ${smoothing}
    let w = ${weights ? 'class_weights[i]' : 'vec4f(1.0)'};
    gradient -= spread * w;
    rest += dot(w, ${inRow('top - z')});
#endif
    gradient *= params.scale;
    dlogits[at + i] = ${inRow('gradient')};
  }
  var value = direct * (top - logits[at + label / 4u][label % 4u] + logarithm);
#if ${smoothing}
  value += spread * (total(rest, lane) + all_weights * logarithm);
#endif
  if (lane == 0u) { loss[row] = params.scale * value; }
}`,
  };
}
