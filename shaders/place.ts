import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, read, u32, write } from './kernel.ts';
import { FLAT_INDEX, flatGrid, LANES } from './snippets.ts';

/** The element types of a checkpoint, by the size of one element in bytes. */
export type StoredType = 'F32' | 'F16' | 'BF16';

/**
 * Puts a piece of a tensor where the kernels expect it: float32, rows padded, heads padded, joined with its neighbours. Runs at
 * load, once per piece that does not already lie in the file as it will lie in memory.
 *
 * Element i of the piece is (row, column) of the tensor by `first + i` and `columns`; it goes to
 *   destination[(row_offset + row_group(row)) * stride + column_group(column)]
 * where group(x) = x / size * padded + x % size. The destination was zero before, so the padding stays zero.
 * One invocation takes one 32-bit word: one F32, or two F16 or BF16.      grid: words / 64, folded
 */
export function place(stored: StoredType): Kernel {
  const bindings = [read('piece', 'array<u32>'), write('destination', 'array<f32>')];
  const params = [
    'count',
    'first',
    'columns',
    'row_offset',
    'row_size',
    'row_padded',
    'column_size',
    'column_padded',
    'stride',
  ].map(u32);
  const perWord = stored === 'F32' ? 1 : 2;
  return {
    name: `place ${stored}`,
    bindings,
    params,
    workgroups: ({ count }) => flatGrid(count! / perWord),
    code: wgsl`
${declarations(bindings, params)}
fn put(i: u32, value: f32) {
  if (i >= params.count) { return; }
  let row = (params.first + i) / params.columns;
  let column = (params.first + i) % params.columns;
  let to_row = params.row_offset + row / params.row_size * params.row_padded + row % params.row_size;
  let to_column = column / params.column_size * params.column_padded + column % params.column_size;
  destination[to_row * params.stride + to_column] = value;
}

@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let word_index = ${FLAT_INDEX};
  if (word_index * ${perWord}u >= params.count) { return; }
  let word = piece[word_index];
#if ${stored === 'F32'}
  put(word_index, bitcast<f32>(word));
#elif ${stored === 'F16'}
  let pair = unpack2x16float(word);
  put(word_index * 2u, pair.x);
  put(word_index * 2u + 1u, pair.y);
#else
  put(word_index * 2u, bitcast<f32>(word << 16u));
  put(word_index * 2u + 1u, bitcast<f32>(word & 0xffff0000u));
#endif
}`,
  };
}
