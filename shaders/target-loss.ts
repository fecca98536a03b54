import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { lossShape } from './cross-entropy.ts';
import { declarations, f32, type Kernel, padded, read, u32, write } from './kernel.ts';
import { columnsAt, type RowShape, rowGrid, rowMain, total } from './snippets.ts';

/** A loss that is a sum over the numbers of a row, each with a target of its own: expressions of z and t, vec4f. */
export interface TargetLoss {
  readonly name: string;
  readonly value: string;
  readonly slope: string;
}

/**
 * loss[r] = scale (sum over n of value(logits[r, n], targets[r, n])), dlogits = scale slope(logits, targets)
 *
 *   logits, targets, dlogits [R, N]    loss [R] f32      grid: R / rows
 *
 * `scale` is 1 / items of the whole batch: 1 / (R N) for torch's mean.
 */
export function targetLoss({ name, value, slope }: TargetLoss, N: number, rowShape: RowShape): Kernel {
  const shape = lossShape(N, rowShape);
  const { lanes } = shape;
  const N4 = padded(N) / 4;
  const bindings = [read('logits'), read('targets'), write('loss', 'array<f32>'), write('dlogits')];
  const params = [u32('rows'), f32('scale')];
  const inRow = (text: string) => (N % 4 === 0 ? text : `select(vec4f(), ${text}, ${columnsAt('i')} < vec4u(${N}u))`);
  return {
    name: `${name} ${N}`,
    bindings,
    params,
    workgroups: ({ rows }) => rowGrid(rows!, shape),
    code: wgsl`
${declarations(bindings, params)}
${total(lanes)}

${rowMain(shape)}
  let at = row * ${N4}u;
  var sum = vec4f();
  for (var i = local.x; i < ${N4}u; i += ${lanes}u) {
    let z = logits[at + i];
    let t = targets[at + i];
    // By the bits: exp and max of a driver may give a finite number for what is none.
    let wrong = (bitcast<vec4u>(z) & vec4u(0x7f800000u)) == vec4u(0x7f800000u);
    sum += ${inRow(`select(${value}, z, wrong)`)};
    dlogits[at + i] = ${inRow(`params.scale * select(${slope}, z, wrong)`)};
  }
  let value = total(dot(sum, vec4f(1.0)), local.x);
  if (local.x == 0u) { loss[row] = params.scale * value; }
}`,
  };
}
