import { declarations, type Kernel, read, u32, write } from './kernel.ts';
import { flatGrid, flatMain } from './snippets.ts';

/**
 * y[C / 4, R] = x[R, C / 4], of vec4f: the order in which attention reads keys and queries of distances (see attention-distances.ts), where
 * neighbouring distances stand side by side.
 *
 *   x [R, C], C a multiple of four    y [C / 4, 4 R]      params: rows = R      grid: flat, one invocation for each vec4f
 */
export function distanceTable({ columns }: { readonly columns: number }): Kernel {
  if (columns % 4 !== 0) throw new Error(`a table of distances with ${columns} columns`);
  const C4 = columns / 4;
  const bindings = [read('x'), write('y')];
  const params = [u32('rows')];
  return {
    name: `distance table ${columns}`,
    bindings,
    params,
    workgroups: ({ rows }) => flatGrid(rows! * C4),
    code: `
${declarations(bindings, params)}
${flatMain(`params.rows * ${C4}u`)}
  y[i] = x[i % params.rows * ${C4}u + i / params.rows];
}`,
  };
}
