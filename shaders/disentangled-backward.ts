import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { AttentionShape } from './attention.ts';
import { type DisentangledVariant, disentangledDivision, disentangledText } from './disentangled.ts';
import { declarations, type Kernel, read, type TextureKind, write } from './kernel.ts';
import { unrolled } from './snippets.ts';

/** As that of disentangled.ts. */
export interface DisentangledGradientVariant extends DisentangledVariant {
  /** n: `distance_rows` has the rows of the distances from -n to n. */
  readonly farthest: number;
}

/** Other rows whose pairs pass through workgroup memory at once, where invocations share rows. */
const BLOCK = 8;

/**
 * The gradient of q, in its columns of dqkv; see disentangled.ts for dS, its letters and the bindings:
 *
 *   dq[i] = scale * the sum over j of dS[i, j] (k[j] + K[r])
 *
 *   distance_rows [2 n + 1]    dqkv [T, 3 H D]      grid: tiles, H, slices of a tile
 *
 * An invocation holds its own rows (q and dcontext of queries; in disentangledKeyGradient k and v of keys) and what it adds up for them, and
 * walks the others, in order. On a software adapter it has up to two own rows; each row that is loaded serves both. On a GPU D is divided
 * among 2 to 16 invocations, because all of the rows would not fit into the registers of one: their parts of the products of eight other
 * rows pass through workgroup memory. The other rows themselves do not: all invocations of a part load the same numbers at once, and
 * neighbouring ones neighbouring rows of the tables.
 *
 * No [L, L] matrix exists and no two invocations write to one number. All sums are in the order of the sequence, so the result of a sequence
 * has the same bits anywhere in any batch.
 */
export const disentangledQueryGradient = (
  variant: DisentangledGradientVariant,
  shape: AttentionShape,
  texture: TextureKind | undefined,
): Kernel => gradientKernel('query', variant, shape, texture);

/**
 * The gradients of k and v, in their columns of dqkv; bindings and grid are those of disentangledQueryGradient:
 *
 *   dk[j] = scale * the sum over i of dS[i, j] (q[i] + Q[r])      dv[j] = the sum over i of P[i, j] f[i, j] dcontext[i]
 *
 * Over the queries of the sequence in order. Keys that no query sees get zeros.
 */
export const disentangledKeyGradient = (
  variant: DisentangledGradientVariant,
  shape: AttentionShape,
  texture: TextureKind | undefined,
): Kernel => gradientKernel('key', variant, shape, texture);

function gradientKernel(
  part: 'query' | 'key',
  variant: DisentangledGradientVariant,
  shape: AttentionShape,
  texture: TextureKind | undefined,
): Kernel {
  const { heads, farthest } = variant;
  const text = disentangledText(variant, texture);
  const { D4 } = text;
  const { sharers, own, slices } = disentangledDivision(shape, D4);
  const { lanes } = shape;
  const ofKeys = part === 'key';
  const stride = 3 * heads * D4;
  /** Rows of a slice. */
  const count = (lanes / sharers) * own;
  /** Vec4f of an own row that an invocation holds: numbers part, part + sharers, ... of the row. */
  const held = Math.ceil(D4 / sharers);
  const isShared = shape.shared;
  const bindings = [
    ...text.bindings.before,
    read('distance_rows', 'array<u32>'),
    ...text.bindings.after,
    write('dqkv'),
  ];
  const { params } = text;

  /** The own rows are a and b, the others x and y. `near` is added to x where x meets a, `far` meets x. */
  const [a, b, x, y] = ofKeys
    ? [text.key, text.value, text.query, text.gradient]
    : [text.query, text.gradient, text.key, text.value];
  const [near, far] = ofKeys ? [text.queryTable, text.keyTable] : [text.keyTable, text.queryTable];

  const perOwn = (of: (r: number) => string) => unrolled(own, of);
  const perHeld = (of: (w: number) => string) => unrolled(held, of);
  /** Number w of the vec4f that an invocation holds; beyond the row it is the last of it, and is masked. */
  const at = (w: number) =>
    sharers === 1
      ? `${w}u`
      : (w + 1) * sharers <= D4
        ? `(part + ${w * sharers}u)`
        : `min(part + ${w * sharers}u, ${D4 - 1}u)`;
  const isPartial = (w: number) => (w + 1) * sharers > D4;
  const masked = (w: number, value: string) =>
    isPartial(w) ? `select(vec4f(), ${value}, part + ${w * sharers}u < ${D4}u)` : value;
  const rowOf = (ownPlace: string, otherPlace: string) =>
    `row_of(${ofKeys ? `${ownPlace} - ${otherPlace}` : `${otherPlace} - ${ownPlace}`}, head)`;
  const pairOf = (r: number, other: string, [product, change]: readonly [string, string], row: string) => {
    const mine = `(first + ${r}u)`;
    const [query, key] = ofKeys ? [other, mine] : [mine, other];
    const seen = [`${mine} < end`, `${other} < end`, ...(ofKeys ? [`${mine} >= start`] : [])].join(' && ');
    return `select(vec2f(), ${text.pair({ product, change, row, query, key })}, ${seen})`;
  };
  const withNear = (value: string, row: string, w: number) => (near ? `${value} + ${near(row, at(w))}` : value);

  const direct = `
  for (var other = first_other; other < end; other++) {
    let other_place = i32(tokens[other].w);
${ofKeys ? `    let row = ${text.moments('other')};` : ''}
${perOwn(r => `    let at${r} = ${rowOf(`place${r}`, 'other_place')}; var t${r} = 0.0; var u${r} = 0.0;`)}
${perHeld(
  w => `    let x_${w} = ${x('other', at(w))}; let y_${w} = ${y('other', at(w))};
${perOwn(
  r => `    let n${r}_${w} = ${withNear(`x_${w}`, `at${r}`, w)};
    t${r} += dot(a${r}_${w}, n${r}_${w})${far ? ` + dot(x_${w}, ${far(`at${r}`, at(w))})` : ''}; u${r} += dot(b${r}_${w}, y_${w});`,
)}`,
)}
${perOwn(
  r => `    let c${r} = ${pairOf(r, 'other', [`t${r}`, `u${r}`], ofKeys ? 'row' : `row${r}`)};
${perHeld(w => `    da${r}_${w} += c${r}.x * n${r}_${w};${ofKeys ? ` db${r}_${w} += c${r}.y * y_${w};` : ''}`)}`,
)}
  }`;

  const shared = `
  for (var block = first_other; block < end; block += ${BLOCK}u) {
    for (var o = 0u; o < ${BLOCK}u; o++) {
      let other = min(block + o, end - 1u);
      let at0 = ${rowOf('place0', 'i32(tokens[other].w)')};
      var products = vec2f();
${perHeld(
  w => `      { let x_w = ${x('other', at(w))};
        products += vec2f(dot(a0_${w}, ${withNear('x_w', 'at0', w)})${
          far ? ` + dot(${masked(w, 'x_w')}, ${far('at0', at(w))})` : ''
        }, dot(b0_${w}, ${y('other', at(w))})); }`,
)}
      pairs[o * ${lanes}u + local.x] = products;
    }
    workgroupBarrier();
    for (var o = part; o < ${BLOCK}u; o += ${sharers}u) {
      let at = o * ${lanes}u + local.x - part;
      var products = pairs[at];
${unrolled(sharers - 1, p => `      products += pairs[at + ${p + 1}u];`)}
      let other = block + o;
${ofKeys ? `      let row = ${text.moments('min(other, end - 1u)')};` : ''}
      pairs[at] = ${pairOf(0, 'other', ['products.x', 'products.y'], ofKeys ? 'row' : 'row0')};
    }
    workgroupBarrier();
    for (var o = 0u; o < ${BLOCK}u; o++) {
      let other = min(block + o, end - 1u);
      let at0 = ${rowOf('place0', 'i32(tokens[other].w)')};
      let c = pairs[o * ${lanes}u + local.x - part];
${perHeld(
  w =>
    `      da0_${w} += c.x * (${withNear(x('other', at(w)), 'at0', w)});${ofKeys ? ` db0_${w} += c.y * ${y('other', at(w))};` : ''}`,
)}
    }
    workgroupBarrier();
  }`;

  const written = perOwn(
    r => `  if (first + ${r}u < end) {
${perHeld(w => {
  const to = (index: number) =>
    `dqkv[(first + ${r}u) * ${stride}u + (${index * heads}u + head) * ${D4}u + ${sharers === 1 ? `${w}u` : `part + ${w * sharers}u`}]`;
  const lines = ofKeys
    ? `${to(1)} = params.scale * da${r}_${w}; ${to(2)} = db${r}_${w};`
    : `${to(0)} = params.scale * da${r}_${w};`;
  return isPartial(w) ? `    if (part + ${w * sharers}u < ${D4}u) { ${lines} }` : `    ${lines}`;
})}
  }`,
  );

  return {
    name: `disentangled ${part} gradient ${text.label}`,
    bindings,
    params,
    workgroups: ({ tiles }) => [tiles!, heads, slices],
    code: wgsl`
${declarations(bindings, params)}
#if ${isShared}
var<workgroup> pairs: array<vec2f, ${BLOCK * lanes}>;
#endif
${text.functions}
fn row_of(distance: i32, head: u32) -> u32 {
  return ${text.rowAt(`distance_rows[clamp(distance, -${farthest}, ${farthest}) + ${farthest}]`)};
}

@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let tile = tiles[group.x + params.first_x];
  let start = tile.x;
  let end = tile.y;
  let head = group.y + params.first_y;
${isShared ? `  let part = local.x % ${sharers}u;` : ''}
#if ${ofKeys}
  // The queries begin with the fillers, which are no keys: the first tile of the sequence begins with its first query.
  var own_tile = group.x + params.first_x;
  while (own_tile > 0u && tiles[own_tile - 1u].y == end) { own_tile--; }
  let first_other = tiles[own_tile].z;
#else
  let first_other = start;
#endif
  let first = tile.z + group.z * ${count}u + ${sharers === 1 ? `local.x * ${own}u` : `local.x / ${sharers}u`};
${perOwn(
  r => `  let own${r} = min(first + ${r}u, end - 1u);
  let place${r} = i32(tokens[own${r}].w);
${ofKeys ? '' : `  let row${r} = ${text.moments(`own${r}`)};`}
${perHeld(
  w => `  let a${r}_${w} = ${masked(w, a(`own${r}`, at(w)))}; let b${r}_${w} = ${masked(w, b(`own${r}`, at(w)))};
  var da${r}_${w} = vec4f();${ofKeys ? ` var db${r}_${w} = vec4f();` : ''}`,
)}`,
)}
${isShared ? shared : direct}
${written}
}`,
  };
}
