import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, f32, type Kernel, read, u32, write } from './kernel.ts';
import {
  softmaxDeclarations,
  softmaxEnds,
  softmaxLogarithm,
  softmaxStart,
  softmaxStep,
  wrongLogit,
} from './running-softmax.ts';
import { type RowShape, rowGrid, rowMain } from './snippets.ts';

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
export function spanCrossEntropy(shape: RowShape): Kernel {
  const { lanes } = shape;
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
    workgroups: ({ sequences }) => rowGrid(sequences!, shape),
    code: wgsl`
${declarations(bindings, params)}
${softmaxDeclarations(lanes, 2)}
${wrongLogit(2)}

${rowMain(shape, 'params.sequences', 'b')}
  let lane = local.x;
  let sequence = sequences[b];
  let span = spans[b].xy;
${softmaxStart(2)}
  for (var t = sequence.x + lane; t < sequence.y; t += ${lanes}u) {
    let z = logits[t].xy;
${softmaxStep(2)}
  }
${softmaxEnds(lanes)}
  let counts = select(vec2f(0.5 * params.scale), vec2f(), span >= vec2u(sequence.y - sequence.x));
  for (var t = sequence.x + lane; t < sequence.y; t += ${lanes}u) {
    let p = exp(logits[t].xy - top) / sum;
    let gradient = p - select(vec2f(), vec2f(1.0), vec2u(t - sequence.x) == span);
    dlogits[t] = vec4f(select(gradient * counts, vec2f(), counts == vec2f()), 0.0, 0.0);
  }
  if (lane != 0u) { return; }
${softmaxLogarithm(2)}
  var value = 0.0;
  if (counts.x != 0.0) { value += counts.x * (top.x - logits[sequence.x + span.x].x + logarithm.x); }
  if (counts.y != 0.0) { value += counts.y * (top.y - logits[sequence.x + span.y].y + logarithm.y); }
  loss[b] = value;
}`,
  };
}
