import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, element, f32, type Kernel, read, type Target, u32, write } from './kernel.ts';
import { enables, type Format, GROUP, load, matrix, matrixFunctions, rowElements, scaleAt } from './matrix.ts';
import { epsParams, type NormVariant, normalise, normLabel, rowIndex } from './norm.ts';
import type { RowShape } from './snippets.ts';

export interface EmbedVariant {
  /** C, unpadded. */
  readonly columns: number;
  /** Which tables are added to the words. Every token gets row 0 of `tasks` (ERNIE). */
  readonly positions: boolean;
  readonly types: boolean;
  readonly tasks: boolean;
  /** Whether the sum has words. Default: true. */
  readonly words?: boolean | undefined;
  /** The row of words is multiplied by a factor of its token, whose bits stand in the place of the type. Default: false. */
  readonly wordFactors?: boolean | undefined;
  /** Whether the sum of a token is multiplied by a number of its own. Default: false. */
  readonly scales?: boolean | undefined;
  /** The sum is multiplied by the param `factor`. Default: false. */
  readonly factor?: boolean | undefined;
  /** What follows the sum. */
  readonly norm: NormVariant | undefined;
  /** The format of the word table. Default: 'f32'. */
  readonly format?: Format | undefined;
}

/**
 * y[T, C] = norm(factor scales[position] (words[id] + positions[position] + types[type] + tasks[0])) for tokens[T] = (id, position, type, place)
 *
 * One workgroup computes `rows` tokens, or one token with `lanes` invocations: see RowShape.
 *
 *   tokens [T] vec4u    words [count, C]    positions, types, tasks [.., C]    scales [V]    gamma, beta [C]    y [T, C]      grid: T / rows
 *
 * The word table may be split by rows into several buffers, because a binding has a size limit. Then there is a dispatch for each part,
 * which computes the tokens whose ids lie in [first, first + count) and leaves the other rows of y alone.
 */
export function embed(variant: EmbedVariant, shape: RowShape, target: Target): Kernel {
  const { columns, positions, types, tasks, norm, format = 'f32' } = variant;
  const { words: hasWords = true, wordFactors = false, scales = false, factor = false } = variant;
  const words = matrix('words', format, target);
  const stride = rowElements(format, columns);
  const C4 = Math.ceil(columns / 4);
  const { lanes, rows: height } = shape;
  const bindings = [
    read('tokens', 'array<vec4u>'),
    ...(hasWords ? [words] : []),
    ...(positions ? [read('positions')] : []),
    ...(types ? [read('types')] : []),
    ...(tasks ? [read('tasks')] : []),
    ...(scales ? [read('scales')] : []),
    ...(norm ? [read('gamma'), ...(norm.beta ? [read('beta')] : [])] : []),
    write('y'),
  ];
  const params = [
    ...['rows', ...(hasWords ? ['first', 'count'] : [])].map(u32),
    ...(factor ? [f32('factor')] : []),
    ...(norm ? epsParams(norm) : []),
  ];
  return {
    name: `embed ${columns}${hasWords ? '' : ' no words'}${format === 'f32' ? '' : ` ${format}`}${positions ? ' positions' : ''}${types ? ' types' : ''}${tasks ? ' tasks' : ''}${wordFactors ? ' word factors' : ''}${scales ? ' scales' : ''}${factor ? ' factor' : ''}${norm ? ` ${normLabel(norm)}` : ''}`,
    bindings,
    params,
    workgroups: ({ rows }) => [Math.ceil(rows! / height), 1, 1],
    code: wgsl`
${enables(bindings)}
${declarations(bindings, params)}
${matrixFunctions(format, bindings)}
#if ${norm}
${norm ? normalise(norm, columns, shape) : ''}
#endif

@compute @workgroup_size(${lanes}, ${height})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = ${rowIndex(shape)};
  if (row >= params.rows) { return; }
  let token = tokens[row];
${hasWords ? '  let id = token.x - params.first;\n  if (id >= params.count) { return; }\n' : ''}  for (var i = local.x; i < ${C4}u; i += ${lanes}u) {
#if ${!hasWords}
    var sum = vec4f();
#elif ${format === 'i8'}
    let scale = bitcast<f32>(${element(words, `id * ${stride}u + ${scaleAt(C4, `i / ${GROUP}u`)}`)});
    var sum = vec4f(signed4(${element(words, `id * ${stride}u + i + i / ${GROUP}u`)})) * scale;
#else
    var sum = ${load(words, `id * ${stride}u + i`)};
#endif
${wordFactors ? '    sum *= bitcast<f32>(token.z);\n' : ''}#if ${types}
    sum += types[token.z * ${C4}u + i];
#endif
#if ${tasks}
    sum += tasks[i];
#endif
#if ${positions}
    sum += positions[token.y * ${C4}u + i];
#endif
${scales ? '    sum *= scales[token.y / 4u][token.y % 4u];\n' : ''}    y[row * ${C4}u + i] = sum${factor ? ' * params.factor' : ''};
  }
#if ${norm}
  normalise(row, local.x);
#endif
}`,
  };
}
