import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, f32, type Kernel, read, u32, write } from './kernel.ts';
import {
  softmaxDeclarations,
  softmaxEnd,
  softmaxLogarithm,
  softmaxStart,
  softmaxStep,
  wrongLogit,
} from './running-softmax.ts';
import { columnsAt, FLAT_INDEX, FLAT_LANES, flatGrid, type RowShape, rowGrid, rowMain, total } from './snippets.ts';

/**
 * The cross-entropy of cross-entropy.ts where the logits [R, N] of a vocabulary are never there as a whole: they come in tiles of columns,
 * first .. first + columns. The first kernel reads all tiles, one after the other, and the second one each of them again.
 */
export interface SoftmaxTileVariant {
  /** Whether the label shares its probability with all classes: the params `classes`, N, and `smoothing`. */
  readonly smoothing: boolean;
}

const TILE_PARAMS = [...['rows', 'first', 'columns'].map(u32), f32('scale')];

const paramsOf = ({ smoothing }: SoftmaxTileVariant) => [
  ...TILE_PARAMS,
  ...(smoothing ? [u32('classes'), f32('smoothing')] : []),
];

const label = ({ smoothing }: SoftmaxTileVariant): string => (smoothing ? ' smoothing' : '');

/**
 * What the softmax of each row needs to be known of all its logits, and its loss:
 *
 *   statistics[r] = (top, the sum of exp(logit - top), the label's logit, the sum of all logits, where there is smoothing)
 *   loss[r] = scale ((1 - s) (-log p[label]) + s (mean over c of -log p[c]))
 *
 *   logits [R, columns]    labels [R] u32    statistics [R] vec4f, in place    loss [R] f32      grid: R / rows
 *
 * The tile that begins with column 0 begins the statistics, every other one is merged into what those before have left (Milakov and
 * Gimelshein, arXiv 1805.02867): tiles in one order give the same bits. The loss is that of the columns so far, so it is whole when the
 * last tile has been read; before the label's column it means nothing. A row whose label is negative has statistics and a loss of 0.
 */
export function softmaxStatistics(variant: SoftmaxTileVariant, shape: RowShape): Kernel {
  const { lanes } = shape;
  const { smoothing } = variant;
  const bindings = [read('logits'), read('labels', 'array<u32>'), write('statistics'), write('loss', 'array<f32>')];
  const params = paramsOf(variant);
  return {
    name: `softmax statistics${label(variant)}${lanes > 1 ? ` ${lanes}` : ''}`,
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
  let columns4 = (params.columns + 3u) / 4u;
  let at = row * columns4;
  let label = labels[row];
  if (label >= 0x80000000u) {
    if (lane == 0u) {
      statistics[row] = vec4f();
      loss[row] = 0.0;
    }
    return;
  }
${softmaxStart(4)}
#if ${smoothing}
  var all4 = vec4f();
#endif
  for (var i = lane; i < columns4; i += ${lanes}u) {
    // The padding is 0, which is no logit.
    let z = select(vec4f(LOWEST), logits[at + i], ${columnsAt('i')} < vec4u(params.columns));
${softmaxStep(4)}
#if ${smoothing}
    all4 += logits[at + i];
#endif
  }
${softmaxEnd(lanes)}
  var logit_sum = ${smoothing ? 'total(dot(all4, vec4f(1.0)), lane)' : '0.0'};
  if (lane > 0u) { return; }
  var own = 0.0;
  if (params.first > 0u) {
    let before = statistics[row];
    let greater = max(before.x, top);
    sum = before.y * exp(before.x - greater) + sum * exp(top - greater);
    top = greater;
    own = before.z;
    logit_sum += before.w;
  }
  if (label >= params.first && label - params.first < params.columns) {
    let column = label - params.first;
    own = logits[at + column / 4u][column % 4u];
  }
  statistics[row] = vec4f(top, sum, own, logit_sum);
${softmaxLogarithm(1)}
#if ${smoothing}
  let mean = logit_sum / f32(params.classes);
  loss[row] = params.scale * ((1.0 - params.smoothing) * (top - own + logarithm) + params.smoothing * (top - mean + logarithm));
#else
  loss[row] = params.scale * (top - own + logarithm);
#endif
}`,
  };
}

/**
 * The gradient of a tile of logits, in their place, when the statistics are those of all tiles:
 *
 *   dlogits = scale (exp(dlogits - top) / sum - (1 - s) onehot(label) - s / N)
 *
 *   labels [R] u32    statistics [R] vec4f    dlogits [R, columns], the logits before      grid: flat, R columns / 4
 */
export function softmaxGradient(variant: SoftmaxTileVariant): Kernel {
  const { smoothing } = variant;
  const bindings = [read('labels', 'array<u32>'), read('statistics'), write('dlogits')];
  const params = paramsOf(variant);
  return {
    name: `softmax gradient${label(variant)}`,
    bindings,
    params,
    workgroups: ({ rows, columns }) => flatGrid(rows! * Math.ceil(columns! / 4)),
    code: wgsl`
${declarations(bindings, params)}

@compute @workgroup_size(${FLAT_LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let columns4 = (params.columns + 3u) / 4u;
  let at = ${FLAT_INDEX};
  if (at >= params.rows * columns4) { return; }
  let row = at / columns4;
  let i = at % columns4;
  let label = labels[row];
  if (label >= 0x80000000u) {
    dlogits[at] = vec4f();
    return;
  }
  let known = statistics[row];
#if ${smoothing}
  let direct = 1.0 - params.smoothing;
  let spread = params.smoothing / f32(params.classes);
#else
  let direct = 1.0;
  let spread = 0.0;
#endif
  let columns = ${columnsAt('i')};
  let share = select(vec4f(), vec4f(direct), columns + params.first == vec4u(label)) + spread;
  let gradient = params.scale * (exp(dlogits[at] - known.x) / known.y - share);
  dlogits[at] = select(vec4f(), gradient, columns < vec4u(params.columns));
}`,
  };
}
