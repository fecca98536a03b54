import { declarations, FIRST_GROUP, type Kernel, read, u32, write } from './kernel.ts';
import { GROUP_INDEX_OF_PART, groupGrid, LANES, MARK_LANES, MARKED_VECTORS, total } from './snippets.ts';

/** Vec4f whose squares one partial sum has. */
const VECTORS_OF_PARTIAL = 64 * LANES;

/** The partial sums of a gradient of `count` vec4f. */
export const squareSums = (count: number): number => Math.ceil(count / VECTORS_OF_PARTIAL);

/**
 * partials[first + p] = the sum of the squares of gradient[count] vec4f from 4096 p to 4096 p + 4095: what the length of a gradient is the
 * root of the sum of, see clip.ts. Several gradients have their partial sums one behind the other. Eight invocations walk over the 128 vec4f
 * that share a mark, whether there are marks or not, so that the order of the sum is the same.
 *
 *   gradient [count]    seen [count / 128] u32, where there are marks    partials f32      params: count, first      grid: squareSums(count)
 *
 * @param marked whether vec4f that have no mark are passed over: see segment-sum.ts. Their gradient is 0
 */
export function squareSum({ marked = false }: { readonly marked?: boolean } = {}): Kernel {
  const bindings = [read('gradient'), ...(marked ? [read('seen', 'array<u32>')] : []), write('partials', 'array<f32>')];
  const params = [u32('count'), u32('first'), ...FIRST_GROUP];
  /** WGSL: the vec4f of a block that are read. */
  const vectors = marked ? `select(0u, ${MARKED_VECTORS}u, seen[block] != 0u)` : `${MARKED_VECTORS}u`;
  return {
    name: `square sum${marked ? ' marked' : ''}`,
    bindings,
    params,
    workgroups: ({ count }) => groupGrid(squareSums(count!)),
    code: `
${declarations(bindings, params)}
${total(LANES)}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let number = ${GROUP_INDEX_OF_PART};
  let start = number * ${VECTORS_OF_PARTIAL}u;
  if (start >= params.count) { return; }
  let end = min(params.count, start + ${VECTORS_OF_PARTIAL}u);
  var sums = vec4f();
  let first_block = start / ${MARKED_VECTORS}u + local.x / ${MARK_LANES}u;
  for (var block = first_block; block * ${MARKED_VECTORS}u < end; block += ${LANES / MARK_LANES}u) {
    let vectors = min(${vectors}, end - block * ${MARKED_VECTORS}u);
    for (var at = local.x % ${MARK_LANES}u; at < vectors; at += ${MARK_LANES}u) {
      let value = gradient[block * ${MARKED_VECTORS}u + at];
      sums += value * value;
    }
  }
  let sum = total(dot(sums, vec4f(1.0)), local.x);
  if (local.x == 0u) { partials[params.first + number] = sum; }
}`,
  };
}
