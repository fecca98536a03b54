import type { AttentionShape } from './attention.ts';
import { DROPOUT_FACTORS, DROPOUT_PARAMS } from './attention-dropout.ts';
import {
  type Binding,
  element,
  FIRST_GROUP,
  f32,
  type Param,
  padded,
  read,
  type TextureKind,
  texel,
  u32,
} from './kernel.ts';

/**
 * What the kernels of the backward pass of disentangled attention have in common (DeBERTa: He et al., arXiv 2006.03654). The score of query i
 * and key j is the sum of three products, with the row r of the distance j - i in tables of keys K and of queries Q:
 *
 *   s[i, j] = (q[i] . k[j] + q[i] . K[r] + k[j] . Q[r]) scale
 *   P[i, j] = exp(s[i, j] - maximum[i]) / sum[i]
 *   dS[i, j] = P[i, j] (f[i, j] (dcontext[i] . v[j]) - delta[i])      f: the factors of dropout, 0 or 1 / (1 - p); else 1
 *
 * The three last are as in attention-backward.ts (Dao et al., arXiv 2205.14135, appendix B). Eight bindings are all that a device must have:
 * so both tables stand in one, and what there is of a row of probabilities in another.
 *
 *   tiles: those of the forward pass; with dropout tiles[i].w is the key of the sequence
 *   qkv [T, 3 H D]    dcontext [T, H D]    tokens[T] = (id, position, type, place)
 *   moments[T, H] = (maximum, 1 / sum, delta, _): see attention-moments.ts
 *   distance_tables [n H D / 4, R] of vec4f: Q, then K, or the one that there is, in the order of distance-table.ts
 */
export interface DisentangledVariant {
  /** H and D, unpadded. */
  readonly heads: number;
  readonly headSize: number;
  /** Whether there is K, and Q: one at least. */
  readonly keys: boolean;
  readonly queries: boolean;
  /** R: rows of a table. */
  readonly count: number;
  readonly dropout?: boolean;
}

/** Vec4f of a head, and texts of WGSL. */
export interface DisentangledText {
  readonly D4: number;
  readonly bindings: { readonly before: readonly Binding[]; readonly after: readonly Binding[] };
  readonly params: readonly Param[];
  /** `fn pair(product, change, row[, factor]) -> vec2f(dS, P f)`, and the factors of dropout. */
  readonly functions: string;
  /** vec4f number d of a row of q, k, v and dcontext of the head `head`. */
  readonly query: (row: string, d: string) => string;
  readonly key: (row: string, d: string) => string;
  readonly value: (row: string, d: string) => string;
  readonly gradient: (row: string, d: string) => string;
  /** vec4f number d of K and of Q in row `at`, which `rowAt` gives; undefined where there is none. */
  readonly keyTable: ((at: string, d: string) => string) | undefined;
  readonly queryTable: ((at: string, d: string) => string) | undefined;
  /** The index of a row of the tables in the head `head`. */
  readonly rowAt: (row: string) => string;
  readonly moments: (row: string) => string;
  /** vec2f(dS, P f) of the query and the key, both tokens of the pass, with the two products of their rows. */
  readonly pair: (of: Readonly<Record<'product' | 'change' | 'row' | 'query' | 'key', string>>) => string;
  /** The end of the names of kernels. */
  readonly label: string;
}

export function disentangledText(variant: DisentangledVariant, texture: TextureKind | undefined): DisentangledText {
  const { heads, headSize, keys, queries, count, dropout = false } = variant;
  if (!keys && !queries) throw new Error('disentangled attention without a table');
  const D4 = padded(headSize) / 4;
  const floats = (name: string) => (texture ? texel(name, 'rgba32float', texture) : read(name));
  const [qkv, tables] = [floats('qkv'), floats('distance_tables')];
  const part = (index: number) => (row: string, d: string) =>
    element(qkv, `${row} * ${3 * heads * D4}u + (${index * heads}u + head) * ${D4}u + ${d}`);
  const tableFrom = (first: number) => (at: string, d: string) =>
    element(tables, `${at} + ${first}u + ${d} * ${count}u`);
  return {
    D4,
    bindings: {
      before: [read('tiles', 'array<vec4u>'), qkv, read('tokens', 'array<vec4u>')],
      after: [tables, read('dcontext'), read('moments')],
    },
    params: [u32('tiles'), f32('scale'), ...(dropout ? DROPOUT_PARAMS : []), ...FIRST_GROUP],
    functions: `${
      dropout
        ? `${DROPOUT_FACTORS}
fn factor_of(key: u32, query: u32, head: u32, sequence: u32) -> f32 {
  let chosen = select(vec4f(), vec4f(1.0), vec4u(0u, 1u, 2u, 3u) == vec4u(key & 3u));
  return dot(dropout_factors(key, query, head, sequence), chosen);
}`
        : ''
    }
fn pair(product: f32, change: f32, row: vec4f${dropout ? ', factor: f32' : ''}) -> vec2f {
  let p = exp(product * params.scale - row.x) * row.y;
  return ${dropout ? 'vec2f(p * (factor * change - row.z), p * factor)' : 'vec2f(p * (change - row.z), p)'};
}`,
    query: part(0),
    key: part(1),
    value: part(2),
    gradient: (row, d) => `dcontext[${row} * ${heads * D4}u + head * ${D4}u + ${d}]`,
    keyTable: keys ? tableFrom(queries ? heads * D4 * count : 0) : undefined,
    queryTable: queries ? tableFrom(0) : undefined,
    rowAt: row => `head * ${D4 * count}u + ${row}`,
    moments: row => `moments[${row} * ${heads}u + head]`,
    pair: ({ product, change, row, query, key }) =>
      `pair(${[product, change, row, ...(dropout ? [`factor_of(${key} - start, ${query} - start, head, tile.w)`] : [])].join(', ')})`,
    label: `${heads}x${headSize}${keys ? ' keys' : ''}${queries ? ' queries' : ''} of ${count}${dropout ? ' dropout' : ''}`,
  };
}

/** Rows of one invocation, and how many invocations share a row. */
export interface DisentangledDivision {
  readonly sharers: number;
  readonly own: number;
  /** Workgroups for the rows of a tile. */
  readonly slices: number;
}

/** Vec4f of each row that an invocation holds at most, where invocations share rows. */
const MOST_HELD = 4;
/** Rows of one invocation at most, where it has them for itself. */
const MOST_OWN = 2;

export function disentangledDivision({ lanes, queries, shared }: AttentionShape, D4: number): DisentangledDivision {
  const tile = lanes * queries;
  if (!shared) {
    const own = Math.min(MOST_OWN, queries);
    return { sharers: 1, own, slices: tile / (lanes * own) };
  }
  let sharers = 1;
  while (sharers < lanes && sharers * MOST_HELD < D4) sharers *= 2;
  return { sharers, own: 1, slices: (tile * sharers) / lanes };
}
