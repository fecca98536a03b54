import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import type { AttentionShape } from './attention.ts';
import { divisionOf } from './attention-division.ts';
import { DROPOUT_PARAMS } from './attention-dropout.ts';
import { pairFunction } from './attention-pair.ts';
import {
  declarations,
  element,
  FIRST_GROUP,
  f32,
  type Kernel,
  padded,
  read,
  type TextureKind,
  texel,
  u32,
  write,
} from './kernel.ts';
import { unrolled } from './snippets.ts';

/** As that of the forward pass: see attention.ts. */
export interface AttentionBackwardVariant {
  /** H and D, unpadded. */
  readonly heads: number;
  readonly headSize: number;
  /** G. Default: H. */
  readonly keyHeads?: number;
  readonly window?: boolean;
  readonly slopes?: boolean;
  readonly dropout?: boolean;
  /** The bucket of each distance from -128 to 128, where scores have a relative bias. */
  readonly buckets?: ArrayLike<number> | undefined;
}

type Part = 'query' | 'key' | 'bias';

/**
 * The gradient of q in context = (dropout of softmax(q k^T scale + bias)) v, in its columns of dqkv:
 *
 *   P[i, j] = exp(s[i, j] - maximum[i]) / sum[i]      s = q k^T scale + bias, computed again
 *   dS[i, j] = P[i, j] (f[i, j] (dcontext[i] . v[j]) - delta[i])      f: the factors of dropout, 0 or 1 / (1 - p); else 1
 *   dq[i] = scale * the sum over j of dS[i, j] k[j]
 *
 * Source: Dao et al., arXiv 2205.14135, appendix B, with the maximum and the sum of the forward pass in the place of the log-sum-exp.
 *
 *   tiles: those of the forward pass; with dropout tiles[i].w is the key of the sequence
 *   qkv, dqkv [T, (H + 2 G) D]    dcontext [T, H D]    statistics [T, 2 H]    delta [T, H]
 *   window, slopes, buckets: tokens[T] = (id, position, type, place)      slopes [H]    bias [buckets, H]
 *   grid: tiles, H, slices of a tile
 *
 * An invocation holds its own rows (q and dcontext of queries; in attentionKeyGradient k and v of keys) and what it adds up for them, and
 * walks the others, in order. On a software adapter it has up to two own rows; each row that is loaded serves both. On a GPU D is divided
 * among 2 to 16 invocations, because all of the rows would not fit into the registers of one. They pass eight of the other rows at a
 * time through workgroup memory, add up their parts of the products, divide the pairs among themselves, and go on with dS of all.
 *
 * No [L, L] matrix exists and no two invocations write to one number. Whatever a query does not see adds zeros, and all sums are in the
 * order of the sequence, so the result of a sequence has the same bits anywhere in any batch.
 */
export const attentionQueryGradient = (
  variant: AttentionBackwardVariant,
  shape: AttentionShape,
  texture: TextureKind | undefined,
): Kernel => gradientKernel('query', variant, shape, texture, 0);

/**
 * The gradients of k and v, in their columns of dqkv; see attentionQueryGradient for P, dS, f and the bindings, which are the same:
 *
 *   dk[j] = scale * the sum over i of dS[i, j] q[i]      dv[j] = the sum over i of P[i, j] f[i, j] dcontext[i]
 *
 * Over the query heads of a key head in order, and over the queries of the sequence in order. Keys that no query sees get zeros.
 *
 *   grid: tiles, G, slices of a tile
 */
export const attentionKeyGradient = (
  variant: AttentionBackwardVariant,
  shape: AttentionShape,
  texture: TextureKind | undefined,
): Kernel => gradientKernel('key', variant, shape, texture, 0);

/**
 * The sums of dS (see attentionQueryGradient, whose bindings it has but for dqkv) over the pairs of each bucket, of one tile and head:
 * partials[tiles, H, rows], dense, where `rows` are those of the table of the bias. attention-bias-gradient.ts adds them up. Each invocation
 * adds up its pairs in numbers of its own in workgroup memory; these are added in the order of the invocations.
 *
 *   grid: tiles, H
 */
export const attentionBiasPartials = (
  variant: AttentionBackwardVariant & { readonly buckets: ArrayLike<number>; readonly rows: number },
  shape: AttentionShape,
  texture: TextureKind | undefined,
): Kernel => gradientKernel('bias', variant, shape, texture, variant.rows);

function gradientKernel(
  part: Part,
  variant: AttentionBackwardVariant,
  shape: AttentionShape,
  texture: TextureKind | undefined,
  rows: number,
): Kernel {
  const { heads, headSize, keyHeads = heads, window = false, slopes = false, dropout = false, buckets } = variant;
  if (buckets && part === 'bias' && Math.max(...Array.from(buckets)) >= rows) {
    throw new Error(`the table of buckets has more than ${rows} buckets`);
  }
  const D4 = padded(headSize) / 4;
  const { lanes, sharers, own, slices, block } = divisionOf(shape, D4, rows);
  const ofKeys = part === 'key';
  const ofBias = part === 'bias';
  const places = window || slopes || !!buckets;
  const stride = (heads + 2 * keyHeads) * D4;
  /** Query heads of a key head. */
  const group = heads / keyHeads;
  /** Rows of a slice. */
  const count = (lanes / sharers) * own;
  /** Vec4f of an own row that an invocation holds: numbers part, part + sharers, ... of the row. */
  const held = Math.ceil(D4 / sharers);
  /** Vec4f of a row in workgroup memory; those beyond D4 are zero. */
  const width = held * sharers;
  /** The other rows are walked from a multiple of this on, counted from the first. */
  const step = block || 4;

  const qkv = texture ? texel('qkv', 'rgba32float', texture) : read('qkv');
  const bindings = [
    read('tiles', 'array<vec4u>'),
    qkv,
    ...(places ? [read('tokens', 'array<vec4u>')] : []),
    ...(buckets ? [read('bias', 'array<f32>')] : []),
    ...(slopes ? [read('slopes', 'array<f32>')] : []),
    read('dcontext'),
    read('statistics', 'array<vec2f>'),
    read('delta', 'array<f32>'),
    ofBias ? write('partials', 'array<f32>') : write('dqkv'),
  ];
  const params = [
    u32('tiles'),
    f32('scale'),
    ...(window ? [u32('window')] : []),
    ...(dropout ? DROPOUT_PARAMS : []),
    ...FIRST_GROUP,
  ];

  const keyHead = ofKeys ? 'key_head' : group === 1 ? 'head' : `(head / ${group}u)`;
  const query = (row: string, d: string) => element(qkv, `${row} * ${stride}u + head * ${D4}u + ${d}`);
  const gradient = (row: string, d: string) => `dcontext[${row} * ${heads * D4}u + head * ${D4}u + ${d}]`;
  const key = (row: string, d: string) =>
    element(qkv, `${row} * ${stride}u + (${heads}u + ${keyHead}) * ${D4}u + ${d}`);
  const value = (row: string, d: string) =>
    element(qkv, `${row} * ${stride}u + (${heads + keyHeads}u + ${keyHead}) * ${D4}u + ${d}`);
  /** The own rows are a and b, the others x and y: the products of a pair are a . x = q . k and b . y = dcontext . v. */
  const [a, b, x, y] = ofKeys ? [key, value, query, gradient] : [query, gradient, key, value];

  const perOwn = (text: (r: number) => string) => unrolled(own, text);
  const perHeld = (text: (w: number) => string) => unrolled(held, text);
  const ownRow = (r: number) => `min(first + ${r}u, end - 1u)`;
  const statisticsOf = (row: string) =>
    `vec3f(statistics[${row} * ${padded(2 * heads) / 2}u + head], delta[${row} * ${padded(heads)}u + head])`;
  const placeOf = (row: string) => `i32(tokens[${row}].w)`;

  const factorsOf = (queryAt: string, keyAt: string) =>
    `dropout_factors(${keyAt} - start, ${queryAt} - start, head, tile.w)`;
  /** Four neighbouring keys have their factors at once: a walk over keys computes them for every fourth. */
  const keepsFactors = dropout && !ofKeys && block === 0;

  /** What is computed of one pair, in a scope where `t` and `u` are its products: `name`, vec2f(dS, P f), zeros where it is not seen. */
  const pairOf = (
    name: string,
    {
      ownAt,
      otherAt,
      ownPlace,
      otherPlace,
      statistics,
      factors,
    }: Record<'ownAt' | 'otherAt' | 'ownPlace' | 'otherPlace' | 'statistics', string> & {
      factors?: string | undefined;
    },
    [t, u]: readonly [string, string],
  ) => {
    const [queryAt, keyAt] = ofKeys ? [otherAt, ownAt] : [ownAt, otherAt];
    const distance = ofKeys ? `${ownPlace} - ${otherPlace}` : `${otherPlace} - ${ownPlace}`;
    const seen = [`${ownAt} < end`, `${otherAt} < end`, ...(ofKeys ? [`${ownAt} >= start`] : [])];
    return [
      ...(places ? [`let ${name}_distance = ${distance};`] : []),
      `let ${name}_seen = ${[...seen, ...(window ? [`abs(${name}_distance) <= i32(params.window)`] : [])].join(' && ')};`,
      `let ${name} = select(vec2f(), pair(${[
        t,
        u,
        statistics,
        ...(buckets || slopes ? ['head', `${name}_distance`] : []),
        ...(dropout ? [`factor_of(${factors ?? factorsOf(queryAt, keyAt)}, ${keyAt} - start)`] : []),
      ].join(', ')}), ${name}_seen);`,
    ].join('\n      ');
  };

  const declared = wgsl`
${declarations(bindings, params)}
#if ${block > 0}
var<workgroup> x_tile: array<vec4f, ${block * width}>;
var<workgroup> y_tile: array<vec4f, ${block * width}>;
var<workgroup> pairs: array<vec2f, ${block * lanes}>;
#endif
#if ${block > 0 && (ofKeys || places)}
// Of each other row: its maximum, 1 / its sum, its delta, its place.
var<workgroup> others: array<vec4f, ${block}>;
#endif
#if ${ofBias}
var<workgroup> sums: array<f32, ${rows * lanes}>;
#endif
${pairFunction({ heads, slopes, dropout, buckets })}`;

  /**
   * Where the walk over the other rows begins and ends: `first_other` is the first that there is. The steps begin where they would begin in a
   * walk over all rows. Fillers stand elsewhere in their row than here: with them all are walked.
   */
  const walk = window
    ? `
  let walks_all = ${ofKeys ? 'first_other != start' : 'slice_first < start'};
  let before = slice_first - first_other;
  let skipped = select((before - params.window) / ${step}u * ${step}u, 0u, walks_all || before <= params.window);
  let walk_start = first_other + skipped;
  let walk_end = select(min(end, slice_first + ${count}u + params.window), end, walks_all);`
    : `
  let walk_start = first_other;
  let walk_end = end;`;

  const loaded = (r: number, w: number, from: (row: string, d: string) => string) =>
    sharers === 1
      ? from(`own${r}`, `${w}u`)
      : width === D4
        ? from(`own${r}`, `part + ${w * sharers}u`)
        : `select(vec4f(), ${from(`own${r}`, `min(part + ${w * sharers}u, ${D4 - 1}u)`)}, part + ${w * sharers}u < ${D4}u)`;
  const ownLoads = perOwn(
    r => `  let own${r} = ${ownRow(r)};
${places ? `  let place${r} = ${placeOf(`own${r}`)};\n` : ''}${
  ofKeys ? '' : `  let row${r} = ${statisticsOf(`own${r}`)};\n`
}${perHeld(w => `  let a${r}_${w} = ${loaded(r, w, a)}; let b${r}_${w} = ${loaded(r, w, b)};`)}`,
  );
  const accumulators = ofBias
    ? ''
    : perOwn(r => perHeld(w => `  var da${r}_${w} = vec4f();${ofKeys ? ` var db${r}_${w} = vec4f();` : ''}`));
  const added = (r: number, w: number, coefficients: string, [xs, ys]: readonly [string, string]) =>
    `da${r}_${w} += ${coefficients}.x * ${xs};${ofKeys ? ` db${r}_${w} += ${coefficients}.y * ${ys};` : ''}`;
  const summed = (distance: string, dS: string) => `sums[bucket_of(${distance}) * ${lanes}u + local.x] += ${dS};`;

  const direct = `${keepsFactors ? `\n${perOwn(r => `  var factors${r} = vec4f();`)}` : ''}
  for (var other = walk_start; other < walk_end; other++) {
${perOwn(r => `    var t${r} = 0.0; var u${r} = 0.0;`)}
${
  keepsFactors
    ? `    if ((other - start) % 4u == 0u) {
${perOwn(r => `      factors${r} = ${factorsOf(`first + ${r}u`, 'other')};`)}
    }`
    : ''
}
${ofKeys ? `    let row = ${statisticsOf('other')};` : ''}${places ? `\n    let other_place = ${placeOf('other')};` : ''}
${perHeld(
  w => `    let x_${w} = ${x('other', `${w}u`)}; let y_${w} = ${y('other', `${w}u`)};
${perOwn(r => `    t${r} += dot(a${r}_${w}, x_${w}); u${r} += dot(b${r}_${w}, y_${w});`)}`,
)}
${perOwn(
  r => `      ${pairOf(
    `c${r}`,
    {
      ownAt: `(first + ${r}u)`,
      otherAt: 'other',
      ownPlace: `place${r}`,
      otherPlace: 'other_place',
      statistics: ofKeys ? 'row' : `row${r}`,
      factors: keepsFactors ? `factors${r}` : undefined,
    },
    [`t${r}`, `u${r}`],
  )}
${ofBias ? summed(`c${r}_distance`, `c${r}.x`) : perHeld(w => `    ${added(r, w, `c${r}`, [`x_${w}`, `y_${w}`])}`)}`,
)}
  }`;

  const inTile = (w: number) => `at + ${w * sharers}u`;
  const guarded = (from: (row: string, d: string) => string) =>
    width === D4 ? from('row', 'd') : `select(vec4f(), ${from('row', `min(d, ${D4 - 1}u)`)}, d < ${D4}u)`;
  const shared = `
  for (var block = walk_start; block < walk_end; block += ${block}u) {
    workgroupBarrier();
    for (var i = local.x; i < ${block * width}u; i += ${lanes}u) {
      let row = min(block + i / ${width}u, end - 1u);
      let d = i % ${width}u;
      x_tile[i] = ${guarded(x)};
      y_tile[i] = ${guarded(y)};
    }
${
  ofKeys || places
    ? `    for (var i = local.x; i < ${block}u; i += ${lanes}u) {
      let row = min(block + i, end - 1u);
      others[i] = vec4f(${ofKeys ? statisticsOf('row') : 'vec3f()'}, ${places ? `f32(${placeOf('row')})` : '0.0'});
    }`
    : ''
}
    workgroupBarrier();
    for (var o = 0u; o < ${block}u; o++) {
      let at = o * ${width}u + part;
      var products = vec2f();
${perHeld(w => `      products += vec2f(dot(a0_${w}, x_tile[${inTile(w)}]), dot(b0_${w}, y_tile[${inTile(w)}]));`)}
      pairs[o * ${lanes}u + local.x] = products;
    }
    workgroupBarrier();
    for (var o = part; o < ${block}u; o += ${sharers}u) {
      let at = o * ${lanes}u + local.x - part;
      var products = pairs[at];
${unrolled(sharers - 1, p => `      products += pairs[at + ${p + 1}u];`)}
      let other = block + o;
      ${pairOf(
        'c',
        {
          ownAt: 'first',
          otherAt: 'other',
          ownPlace: 'place0',
          otherPlace: 'i32(others[o].w)',
          statistics: ofKeys ? 'others[o].xyz' : 'row0',
        },
        ['products.x', 'products.y'],
      )}
      ${ofBias ? summed('c_distance', 'c.x') : 'pairs[at] = c;'}
    }
${
  ofBias
    ? ''
    : `    workgroupBarrier();
    for (var o = 0u; o < ${block}u; o++) {
      let at = o * ${width}u + part;
      let c = pairs[o * ${lanes}u + local.x - part];
${perHeld(w => `      ${added(0, w, 'c', [`x_tile[${inTile(w)}]`, `y_tile[${inTile(w)}]`])}`)}
    }`
}
  }`;
  const pairs = block ? shared : direct;

  const written = perOwn(
    r => `  if (first + ${r}u < end) {
${perHeld(w => {
  const d = sharers === 1 ? `${w}u` : `part + ${w * sharers}u`;
  const at = (head: string) => `dqkv[(first + ${r}u) * ${stride}u + (${head}) * ${D4}u + ${d}]`;
  const text = ofKeys
    ? `${at(`${heads}u + key_head`)} = params.scale * da${r}_${w}; ${at(`${heads + keyHeads}u + key_head`)} = db${r}_${w};`
    : `${at('head')} = params.scale * da${r}_${w};`;
  return (w + 1) * sharers <= D4 ? `    ${text}` : `    if (${d} < ${D4}u) { ${text} }`;
})}
  }`,
  );

  /** A tile begins at the same slice of its sequence anywhere in a batch. */
  const sliceOf = (slice: string) => `
  let slice_first = tile.z + ${slice} * ${count}u;
  let first = slice_first + ${sharers === 1 ? `local.x * ${own}u` : `local.x / ${sharers}u`};`;
  const start = `
  let tile = tiles[group.x + params.first_x];
  let start = tile.x;
  let end = tile.y;${sharers === 1 && !block ? '' : `\n  let part = local.x % ${sharers}u;`}`;

  const body = {
    query: `${start}
  let head = group.y + params.first_y;
  let first_other = start;${sliceOf('group.z')}${walk}
${ownLoads}
${accumulators}
${pairs}
${written}`,
    key: `${start}
  let key_head = group.y + params.first_y;
  // The queries begin with the fillers, which are no keys: the first tile of the sequence begins with its first query.
  var own_tile = group.x + params.first_x;
  while (own_tile > 0u && tiles[own_tile - 1u].y == end) { own_tile--; }
  let first_other = tiles[own_tile].z;${sliceOf('group.z')}${walk}
${ownLoads}
${accumulators}
  for (var head = key_head * ${group}u; head < (key_head + 1u) * ${group}u; head++) {
${pairs}
  }
${written}`,
    bias: `${start}
  let head = group.y + params.first_y;
  let first_other = start;
  for (var i = local.x; i < ${rows * lanes}u; i += ${lanes}u) { sums[i] = 0.0; }
  for (var slice = 0u; slice < ${slices}u; slice++) {${sliceOf('slice')}${walk}
${ownLoads}
${pairs}
  }
  workgroupBarrier();
  for (var bucket = local.x; bucket < ${rows}u; bucket += ${lanes}u) {
    var sum = 0.0;
    for (var lane = 0u; lane < ${lanes}u; lane++) { sum += sums[bucket * ${lanes}u + lane]; }
    partials[((group.x + params.first_x) * ${heads}u + head) * ${rows}u + bucket] = sum;
  }`,
  }[part];

  const suffixes = [buckets && ' relative', slopes && ' slopes', window && ' window', dropout && ' dropout'];
  const sizes = `${heads}${group === 1 ? '' : `+${keyHeads}`}x${headSize}`;
  return {
    name: `attention ${part} gradient ${sizes}${suffixes.filter(Boolean).join('')}`,
    bindings,
    params,
    workgroups: ({ tiles }) => [tiles!, ofKeys ? keyHeads : heads, ofBias ? 1 : slices],
    code: `${declared}

@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {${body}
}`,
  };
}
