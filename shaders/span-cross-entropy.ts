import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { mergedSoftmax, wrongLogit } from './cross-entropy.ts';
import { declarations, f32, type Kernel, read, u32, write } from './kernel.ts';
import type { RowShape } from './norm.ts';
import { GROUP_INDEX, groupGrid } from './snippets.ts';

/**
 * The loss of extractive question answering and its gradient, as BertForQuestionAnswering has it: column 0 of logits[T, 2] tells where an
 * answer starts, column 1 where it ends, each with a softmax over the tokens of its sequence.
 *
 *   loss[b] = scale (-log p0[start] - log p1[end]) / 2, dlogits = scale (p - onehot) / 2
 *
 *   sequences [B] = (first token, end, _, _)    spans [B] = (start, end, 0, 0), counted from the first token of the sequence
 *   logits, dlogits [T, 2]    loss [B] f32      grid: B / rows
 *
 * A place outside of the sequence, as IGNORED is (cross-entropy.ts), adds neither to the loss nor to the gradient.
 */
export function spanCrossEntropy({ lanes, rows: height }: RowShape): Kernel {
  const bindings = [
    read('sequences', 'array<vec4u>'),
    read('logits'),
    read('spans', 'array<vec4u>'),
    write('loss', 'array<f32>'),
    write('dlogits'),
  ];
  const params = [u32('sequences'), f32('scale')];
  return {
    name: 'span cross-entropy',
    bindings,
    params,
    workgroups: ({ sequences }) => groupGrid(Math.ceil(sequences! / height)),
    code: wgsl`
${declarations(bindings, params)}
const LOWEST = -3.4e38;
#if ${lanes > 1}
var<workgroup> tops: array<vec2f, ${lanes}>;
var<workgroup> sums: array<vec2f, ${lanes}>;
#endif
${wrongLogit(2)}

@compute @workgroup_size(${lanes}, ${height})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let b = ${lanes > 1 ? `${GROUP_INDEX}` : `(${GROUP_INDEX}) * ${height}u + local.y`};
  if (b >= params.sequences) { return; }
  let lane = local.x;
  let sequence = sequences[b];
  let span = spans[b].xy;
  var top = vec2f(LOWEST);
  var sum = vec2f();
  var wrong2 = vec2u();
  for (var t = sequence.x + lane; t < sequence.y; t += ${lanes}u) {
    let z = logits[t].xy;
    let difference = z - top;
    let e = exp(-abs(difference));
    sum = select(sum + e, sum * e + 1.0, difference > vec2f());
    top = max(top, z);
    wrong2 = max(wrong2, wrong(z));
  }
  sum = select(sum, bitcast<vec2f>(wrong2 | vec2u(0x400000u)), wrong2 >= vec2u(0x7f800000u));
${mergedSoftmax(lanes)}
  let counts = select(vec2f(0.5 * params.scale), vec2f(), span >= vec2u(sequence.y - sequence.x));
  for (var t = sequence.x + lane; t < sequence.y; t += ${lanes}u) {
    let p = exp(logits[t].xy - top) / sum;
    let gradient = p - select(vec2f(), vec2f(1.0), vec2u(t - sequence.x) == span);
    dlogits[t] = vec4f(select(gradient * counts, vec2f(), counts == vec2f()), 0.0, 0.0);
  }
  if (lane != 0u) { return; }
  let logarithm = select(log(sum), sum, (bitcast<vec2u>(sum) & vec2u(0x7f800000u)) == vec2u(0x7f800000u));
  var value = 0.0;
  if (counts.x != 0.0) { value += counts.x * (top.x - logits[sequence.x + span.x].x + logarithm.x); }
  if (counts.y != 0.0) { value += counts.y * (top.y - logits[sequence.x + span.y].y + logarithm.y); }
  loss[b] = value;
}`,
  };
}
