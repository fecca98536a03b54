import { declarations, FIRST_GROUP, f32, type Kernel, type Target, u32, write } from './kernel.ts';
import { enables, type Format, load, matrix, matrixFunctions } from './matrix.ts';
import { FLAT_INDEX_OF_PART, flatGrid, flatMain } from './snippets.ts';

export interface MergeVariant {
  /** The format of the base. Undefined: the base is what y has, to which is added. */
  readonly base: Exclude<Format, 'i8'> | undefined;
  /** Whether there is an adapter. Without one y is the base. */
  readonly adapter: boolean;
}

/**
 * y = base + factor b a: the matrix of a linear with its adapter (LoRA: Hu et al., arXiv 2106.09685), or a matrix as float32.
 *
 *   base, y [N, K]    b [N, r]    a [r, K], with rows of zeros for the padding of b's      grid: flat, one invocation for a vec4f of y
 *
 * Params: count, the vec4f of y; k4, those of a row; rank4, those of a row of b. An invocation reads r vec4f of a, whose neighbours its
 * neighbours read, and a row of b, which is theirs, too: r multiply-adds for each number are far fewer than those of the linear.
 */
export function merge({ base: format, adapter }: MergeVariant, target: Pick<Target, 'texture' | 'f16'>): Kernel {
  const base = format && matrix('base', format, target);
  const [b, a] = [matrix('b', 'f32', target), matrix('a', 'f32', target)];
  const bindings = [...(base ? [base] : []), ...(adapter ? [b, a] : []), write('y')];
  const params = [u32('count'), ...(adapter ? [u32('k4'), u32('rank4'), f32('factor')] : []), ...FIRST_GROUP];
  const sum = `
  let row = i / params.k4;
  let column4 = i % params.k4;
  var sum = vec4f();
  for (var r4 = 0u; r4 < params.rank4; r4++) {
    let four = ${load(b, 'row * params.rank4 + r4')};
    let at = 4u * r4 * params.k4 + column4;
    sum += four.x * ${load(a, 'at')} + four.y * ${load(a, 'at + params.k4')};
    sum += four.z * ${load(a, 'at + 2u * params.k4')} + four.w * ${load(a, 'at + 3u * params.k4')};
  }`;
  return {
    name: `merge${format ? ` ${format}` : ''}${adapter ? ' adapter' : ''}`,
    bindings,
    params,
    workgroups: ({ count }) => flatGrid(count!),
    code: `${enables(bindings)}
${declarations(bindings, params)}
${format ? matrixFunctions(format, bindings) : ''}
${flatMain('params.count', FLAT_INDEX_OF_PART)}${adapter ? sum : ''}
  y[i] = ${base ? load(base, 'i') : 'y[i]'}${adapter ? ' + params.factor * sum' : ''};
}`,
  };
}
