import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { declarations, type Kernel, read, u32, write } from './kernel.ts';
import { FLAT_INDEX, FLAT_LANES, flatGrid } from './snippets.ts';

/** The element types of a checkpoint that weights are made of. */
export type StoredType = 'F32' | 'F16' | 'BF16';

/**
 * How the rows of a tensor become rows of a weight:
 *   rows         one is one
 *   blocks       runs of `block_rows` rows, each of which has the columns `block_columns` further on than the run before; the first run
 *                begins at column `shift`
 *   transposed   a row is column `shift + row`, of which the weight has the numbers `first_row` to `first_row + rows`
 *   matrices     as transposed, and every run of `block_columns` rows is of the next numbers of the columns, as many as a row has
 */
export type Placing = 'rows' | 'blocks' | 'transposed' | 'matrices';

const PLACING_PARAMS: Readonly<Record<Placing, readonly string[]>> = {
  rows: [],
  blocks: ['first_row', 'block_rows', 'block_columns', 'shift'],
  transposed: ['first_row', 'rows', 'shift'],
  matrices: ['first_row', 'rows', 'block_columns'],
};

/** WGSL: the row and the column of the weight, without padding, of number `i` of the piece, and the reason to leave it out. */
const PLACES: Readonly<Record<Placing, string>> = {
  rows: `
  let row = (params.first + i) / params.columns;
  let column = (params.first + i) % params.columns;`,
  blocks: `
  let row = (params.first + i) / params.columns;
  let block = (params.first_row + row) / params.block_rows;
  let column = params.shift + block * params.block_columns + (params.first + i) % params.columns;`,
  transposed: `
  let row = (params.first + i) % params.columns - params.first_row;
  if (row >= params.rows) { return; }
  let column = params.shift + (params.first + i) / params.columns;`,
  matrices: `
  let column = (params.first + i) / params.columns;
  let row = column / params.block_columns * params.columns + (params.first + i) % params.columns - params.first_row;
  if (row >= params.rows) { return; }`,
};

/**
 * Converts a piece of a tensor to float32 and writes it where the kernels expect it: rows and heads padded, tensors joined. It runs at
 * load, once for each piece whose layout in the file differs from that in memory.
 *
 *   piece [words] u32    destination [height, stride], zero at first      grid: flat, one invocation for a word
 *
 * Element i of the piece is element first + i of the tensor [.., columns], at (row, column). It goes to
 *   destination[(row_offset + row_group(row)) * stride + column_group(column)]   with group(x) = x / size * padded + x % size
 * so that the padding keeps its zeros. A word is one F32, or two F16 or BF16. Where `placing` is not 'rows', the row and the column of the
 * weight follow from those of the tensor: see Placing. Rows that are counted below `first_row` wrap, and so are beyond `rows`, too.
 */
export function place(stored: StoredType, placing: Placing = 'rows'): Kernel {
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
    ...PLACING_PARAMS[placing],
  ].map(u32);
  const perWord = stored === 'F32' ? 1 : 2;
  return {
    name: `place ${stored}${placing === 'rows' ? '' : ` ${placing}`}`,
    bindings,
    params,
    workgroups: ({ count }) => flatGrid(count! / perWord),
    code: wgsl`
${declarations(bindings, params)}
fn put(i: u32, value: f32) {
  if (i >= params.count) { return; }${PLACES[placing]}
  let to_row = params.row_offset + row / params.row_size * params.row_padded + row % params.row_size;
  let to_column = column / params.column_size * params.column_padded + column % params.column_size;
  destination[to_row * params.stride + to_column] = value;
}

@compute @workgroup_size(${FLAT_LANES})
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
