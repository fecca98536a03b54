import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, f32, type Kernel, padded, read, u32, write } from './kernel.ts';
import {
  softmaxDeclarations,
  softmaxEnd,
  softmaxLogarithm,
  softmaxStart,
  softmaxStep,
  wrongLogit,
} from './running-softmax.ts';
import { columnsAt, LANES, type RowShape, rowGrid, rowMain, total } from './snippets.ts';

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
 * The row is read twice: for its softmax (running-softmax.ts), and for the gradient.
 */
export function crossEntropy(variant: CrossEntropyVariant, rowShape: RowShape): Kernel {
  const { columns: N, smoothing, weights } = variant;
  const shape = N === 'param' ? rowShape : lossShape(N, rowShape);
  const { lanes } = shape;
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
  const inRow = (text: string, outside = 'vec4f()') =>
    N !== 'param' && N % 4 === 0 ? text : `select(${outside}, ${text}, ${columnsAt('i')} < vec4u(${n}))`;
  return {
    name: `cross-entropy${N === 'param' ? '' : ` ${N}`}${smoothing ? ' smoothing' : ''}${weights ? ' weights' : ''}`,
    bindings,
    params,
    workgroups: ({ rows }) => rowGrid(rows!, shape),
    code: wgsl`
${declarations(bindings, params)}
${softmaxDeclarations(lanes)}
#if ${smoothing}
${total(lanes)}
#endif
${wrongLogit(4)}

${rowMain(shape)}
  let lane = local.x;
  let N4 = ${n4};
  let at = row * N4;
  let label = labels[row];
  if (label >= 0x80000000u) {
    for (var i = lane; i < N4; i += ${lanes}u) { dlogits[at + i] = vec4f(); }
    if (lane == 0u) { loss[row] = 0.0; }
    return;
  }
${softmaxStart(4)}
#if ${smoothing && weights}
  var weights4 = vec4f();
#endif
  for (var i = lane; i < N4; i += ${lanes}u) {
    let z = ${inRow('logits[at + i]', 'vec4f(LOWEST)')};
${softmaxStep(4)}
#if ${smoothing && weights}
    weights4 += class_weights[i];
#endif
  }
${softmaxEnd(lanes)}
${softmaxLogarithm(1)}
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
    var gradient = whole * (exp(z - top) / sum) - select(vec4f(), vec4f(direct), ${columnsAt('i')} == vec4u(label));
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
