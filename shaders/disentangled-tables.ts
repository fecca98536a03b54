import type { AttentionShape } from './attention.ts';
import { type DisentangledVariant, disentangledText } from './disentangled.ts';
import { declarations, type Kernel, padded, read, type TextureKind, u32, write } from './kernel.ts';
import { flatGrid, flatMain, unrolled } from './snippets.ts';

/**
 * The tiles of a pass are added up in so many parts, one after the other of each, so that a GPU has enough to do at once. It is the same
 * number on every device and for every batch.
 */
export const TABLE_PARTS = 8;

/** Vec4f of each table that an invocation adds up. */
const MOST_SUMS = 16;

/**
 * What the pairs of each distance add to the gradients of the tables; see disentangled.ts for dS, its letters and the bindings:
 *
 *   dQ[r] = scale * the sum of dS[i, j] k[j]      dK[r] = scale * the sum of dS[i, j] q[i]
 *
 * over the queries i of some tiles in order, and the keys j whose distance from i has row r, in order. partials[R, parts, n H D] has the sums
 * of each part, of Q before those of K; distanceSums adds them up.
 *
 *   spans[R] = (first, last) of i32: the distances of each row; first > last where it has none    partials [R, parts n H D]
 *   grid: parts, H, rows in workgroups, each as often as a head has 16 vec4f
 *
 * An invocation has one row, and sums of its own. Neighbouring ones have neighbouring distances: they meet the same query at once, and
 * neighbouring keys. The score of every pair is computed once for each 64 columns of a head. Keys stand in the order of their places, so the
 * first one of a query is looked for once in each tile, and goes on from query to query. No [L, L] matrix exists, no two invocations write
 * to one number.
 */
export function distancePartials(
  variant: DisentangledVariant,
  { lanes, queries, shared }: AttentionShape,
  texture: TextureKind | undefined,
): Kernel {
  const { heads, keys, queries: hasQueries, count } = variant;
  const text = disentangledText(variant, texture);
  const { D4, params } = text;
  const bindings = [...text.bindings.before, read('spans', 'array<vec2i>'), ...text.bindings.after, write('partials')];
  const width = Math.min(MOST_SUMS, D4);
  /** Workgroups that have the same rows and other columns. */
  const slices = Math.ceil(D4 / width);
  const perColumn = (of: (d: number) => string) => unrolled(D4, of);
  const perSum = (of: (w: number) => string) => unrolled(width, of);
  const tables = Number(keys) + Number(hasQueries);
  const keysAt = hasQueries ? heads * D4 : 0;
  /** Rows of tables: held on a software adapter, where a load is dear; loaded for every pair on a GPU, which has no registers for them. */
  const tableNumber = (name: 'K' | 'Q', d: number) => {
    const table = name === 'K' ? text.keyTable : text.queryTable;
    return shared ? table!('own', `${d}u`) : `${name}${d}`;
  };
  const product = (d: number) => {
    const withKey = keys ? `k + ${tableNumber('K', d)}` : 'k';
    const more = hasQueries ? ` + dot(k, ${tableNumber('Q', d)})` : '';
    return `          { let k = ${text.key('j', `${d}u`)}; t += dot(${text.query('i', `${d}u`)}, ${withKey})${more}; u += dot(${text.gradient('i', `${d}u`)}, ${text.value('j', `${d}u`)}); }`;
  };
  const column = (w: number) => `min(first_column + ${w}u, ${D4 - 1}u)`;
  return {
    name: `distance partials ${text.label}`,
    bindings,
    params,
    workgroups: () => [TABLE_PARTS, heads, Math.ceil(count / lanes) * slices],
    code: `
${declarations(bindings, params)}
${text.functions}
/** The first key of a sequence whose place is at least \`place\`. */
fn first_key(place: i32, start: u32, end: u32) -> u32 {
  var low = start;
  var high = end;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (i32(tokens[middle].w) < place) { low = middle + 1u; } else { high = middle; }
  }
  return low;
}

@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let share = group.x + params.first_x;
  let head = group.y + params.first_y;
  let row = group.z / ${slices}u * ${lanes}u + local.x;
  if (row >= ${count}u) { return; }
  let first_column = group.z % ${slices}u * ${width}u;
  let span = spans[row];
  let own = ${text.rowAt('row')};
${
  shared
    ? ''
    : perColumn(d =>
        [
          ...(keys ? [`  let K${d} = ${text.keyTable!('own', `${d}u`)};`] : []),
          ...(hasQueries ? [`  let Q${d} = ${text.queryTable!('own', `${d}u`)};`] : []),
        ].join('\n'),
      )
}
${perSum(w => `${keys ? `  var dK${w} = vec4f();` : ''}${hasQueries ? `  var dQ${w} = vec4f();` : ''}`)}
  let last_tile = select((share + 1u) * params.tiles / ${TABLE_PARTS}u, 0u, span.x > span.y);
  for (var n = share * params.tiles / ${TABLE_PARTS}u; n < last_tile; n++) {
    let tile = tiles[n];
    let start = tile.x;
    let end = tile.y;
    let last = min(tile.z + ${lanes * queries}u, end);
    // Tiles in which no pair has such a distance. The places of queries that are no keys are in any order.
    let nearest = i32(tokens[start].w) - i32(tokens[last - 1u].w);
    let farthest = i32(tokens[end - 1u].w) - i32(tokens[tile.z].w);
    if (tile.z >= start && (farthest < span.x || nearest > span.y)) { continue; }
    var first = end;
    var before = 0;
    for (var i = tile.z; i < last; i++) {
      let place = i32(tokens[i].w);
      if (i == tile.z || place < before) {
        first = first_key(place + span.x, start, end);
      } else {
        while (first < end && i32(tokens[first].w) - place < span.x) { first++; }
      }
      before = place;
      let moment = ${text.moments('i')};
      for (var j = first; j < end; j++) {
        if (i32(tokens[j].w) - place > span.y) { break; }
        var t = 0.0;
        var u = 0.0;
${perColumn(product)}
        let c = params.scale * ${text.pair({ product: 't', change: 'u', row: 'moment', query: 'i', key: 'j' })}.x;
${perSum(w =>
  [
    ...(keys ? [`        dK${w} += c * ${text.query('i', column(w))};`] : []),
    ...(hasQueries ? [`        dQ${w} += c * ${text.key('j', column(w))};`] : []),
  ].join('\n'),
)}
      }
    }
  }
  let to = (row * ${TABLE_PARTS}u + share) * ${tables * heads * D4}u + head * ${D4}u + first_column;
${perSum(w => {
  const lines = [
    ...(keys ? [`partials[to + ${keysAt + w}u] = dK${w};`] : []),
    ...(hasQueries ? [`partials[to + ${w}u] = dQ${w};`] : []),
  ].join(' ');
  return slices === 1 ? `  ${lines}` : `  if (first_column + ${w}u < ${D4}u) { ${lines} }`;
})}
}`,
  };
}

/**
 * dtables[R, C] = the sum of partials[R, parts, C] over the parts, in order.
 *
 *   params: rows = R      grid: flat, one invocation for four numbers
 */
export function distanceSums({ columns }: { readonly columns: number }): Kernel {
  const C4 = padded(columns) / 4;
  const bindings = [read('partials'), write('dtables')];
  const params = [u32('rows')];
  return {
    name: `distance sums ${columns}`,
    bindings,
    params,
    workgroups: ({ rows }) => flatGrid(rows! * C4),
    code: `
${declarations(bindings, params)}
${flatMain(`params.rows * ${C4}u`)}
  let at = i / ${C4}u * ${TABLE_PARTS * C4}u + i % ${C4}u;
  var sum = vec4f();
  for (var share = 0u; share < ${TABLE_PARTS}u; share++) { sum += partials[at + share * ${C4}u]; }
  dtables[i] = sum;
}`,
  };
}
