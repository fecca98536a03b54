import { declarations, f32, type Kernel, padded, read, u32, write } from './kernel.ts';
import { PCG4D } from './random.ts';
import { FLAT_INDEX, FLAT_LANES, flatGrid } from './snippets.ts';

export interface DropoutVariant {
  /** C, unpadded. */
  readonly columns: number;
  readonly residual: boolean;
}

/**
 * y[R, C] = x[R, C] f + residual[R, C], where f is 0 with the probability p and else 1 / (1 - p) (Srivastava et al., JMLR 15, 2014). It is its
 * own way back: dx = dropout(dy), without the residual.
 *
 *   x, residual, y [R, C]    keys [R] = (key of the row, _, _, _)      grid: flat, one invocation for four numbers
 *   params: rows, threshold = p 2^32, scale = 1 / (1 - p), site, seed, step
 *
 * Four neighbouring numbers are decided by the four words of pcg4d(vec4f of the row, key of the row, site, seed + step 0x85EBCA6B): one is kept
 * where its word is `threshold` or more. So the same key, site, seed and step give the same factors at any place of a pass, on the way there
 * and back, on any device.
 */
export function dropout({ columns, residual }: DropoutVariant): Kernel {
  const C4 = padded(columns) / 4;
  const bindings = [read('x'), read('keys', 'array<vec4u>'), ...(residual ? [read('residual')] : []), write('y')];
  const params = [u32('rows'), u32('threshold'), f32('scale'), u32('site'), u32('seed'), u32('step')];
  return {
    name: `dropout ${columns}${residual ? ' residual' : ''}`,
    bindings,
    params,
    workgroups: ({ rows }) => flatGrid(rows! * C4),
    code: `
${declarations(bindings, params)}
${PCG4D}

@compute @workgroup_size(${FLAT_LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = ${FLAT_INDEX};
  let row = i / ${C4}u;
  if (row >= params.rows) { return; }
  let words = pcg4d(vec4u(i % ${C4}u, keys[row].x, params.site, params.seed + params.step * 0x85EBCA6Bu));
  let factor = select(vec4f(), vec4f(params.scale), words >= vec4u(params.threshold));
  y[i] = x[i] * factor${residual ? ' + residual[i]' : ''};
}`,
  };
}
