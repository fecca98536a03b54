import { type Binding, element, padded, read, type TextureKind, texel } from './kernel.ts';

/** The position terms of disentangled attention: see DisentangledBias in src/plan/op.ts. */
export interface DistanceTerms {
  /** Queries meet the keys of distances. */
  readonly keys: boolean;
  /** Keys meet the queries of distances. */
  readonly queries: boolean;
  /** R: rows of these tables. */
  readonly count: number;
  /** n: `distance_rows` has those of the distances from -n to n. */
  readonly farthest: number;
  /** Where both tables stand in one binding, `distance_tables`: the vec4f at which that of keys begins. That of queries is the first. */
  readonly keysAt?: number;
}

/** WGSL of these terms in the loop over keys. All of it is empty where there are none. */
export interface DistanceLoop {
  /** Beside `tokens`. */
  readonly bindings: readonly Binding[];
  readonly declarations: string;
  /** The row of a query and a key, both tokens of the pass: row{r}, an index that `product` adds to. */
  readonly row: (r: number, query: string, key: string) => string;
  /** What vec4f number d of query r, and of the key `k`, add to the product of the two. */
  readonly product: (r: number, d: number) => string;
}

const NONE: DistanceLoop = { bindings: [], declarations: '', row: () => '', product: () => '' };

/**
 * Of the tables [H D / 4, R] a workgroup meets one row in each step: vec4f number d of a head, side by side for all distances. Its queries
 * are neighbours, so they load neighbouring numbers, or the same one.
 */
export function distanceLoop(
  terms: DistanceTerms | undefined,
  headSize: number,
  texture: TextureKind | undefined,
): DistanceLoop {
  if (!terms) return NONE;
  const { keys, queries, count, farthest, keysAt } = terms;
  const D4 = padded(headSize) / 4;
  const table = (name: string) => (texture ? texel(name, 'rgba32float', texture) : read(name));
  const joined = table('distance_tables');
  const [keyTable, queryTable] =
    keysAt === undefined ? [table('distance_keys'), table('distance_queries')] : [joined, joined];
  const tables = keysAt === undefined ? [...(keys ? [keyTable] : []), ...(queries ? [queryTable] : [])] : [joined];
  return {
    bindings: [read('distance_rows', 'array<u32>'), ...tables],
    declarations: `
fn row_of(query: u32, key: u32, head: u32) -> u32 {
  let distance = clamp(i32(tokens[key].w) - i32(tokens[query].w), -${farthest}, ${farthest}) + ${farthest};
  return head * ${D4 * count}u + distance_rows[distance];
}`,
    row: (r, query, key) => ` let row${r} = row_of(${query}, ${key}, head);`,
    product: (r, d) =>
      [
        keys ? ` + dot(q${r}_${d}, ${element(keyTable, `row${r} + ${(keysAt ?? 0) + d * count}u`)})` : '',
        queries ? ` + dot(k, ${element(queryTable, `row${r} + ${d * count}u`)})` : '',
      ].join(''),
  };
}
