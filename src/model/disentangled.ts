import type { Fields } from '../json.ts';

/** The largest distance with a row of its own. A larger number is a mistake: see MAX_ROWS. */
const MAX_DISTANCE = 2 ** 17;

/** The position terms of disentangled attention (DeBERTa: He et al., arXiv 2006.03654), the same in every layer: see DisentangledBias. */
export interface Disentangled {
  /** R: rows of the table of relative embeddings, `encoder.rel_embeddings`. */
  readonly count: number;
  /** B: distances beyond B / 2 share rows, in ranges that grow as the logarithm; 0: each has its own. */
  readonly buckets: number;
  /** M: the distance at which the last row is reached. */
  readonly maxDistance: number;
  /** The table passes through a norm (`encoder.LayerNorm`). */
  readonly isNormed: boolean;
  /** Queries meet the keys of distances (content to position). */
  readonly hasKeys: boolean;
  /** Keys meet the queries of distances (position to content). */
  readonly hasQueries: boolean;
  /** Distances are projected by the query and key projections of the layer. Else by projections of their own. */
  readonly sharesProjections: boolean;
  /** Whether the projection to keys has a bias, where it is one of its own. */
  readonly hasKeyBias: boolean;
}

/** The fields that DeBERTa's versions have in common. Undefined: there are no such terms. */
export function disentangledOf(
  fields: Fields,
  { positions, types, buckets }: { positions: number; types: readonly string[]; buckets: number },
): Pick<Disentangled, 'count' | 'buckets' | 'maxDistance' | 'hasKeys' | 'hasQueries'> | undefined {
  if (!fields.flag('relative_attention', false)) return undefined;
  const configured = fields.integer('max_relative_positions', -1, { min: -1, max: MAX_DISTANCE });
  const maxDistance = configured < 1 ? positions : configured;
  if (maxDistance > MAX_DISTANCE) {
    throw fields.malformed(
      maxDistance,
      `at most ${MAX_DISTANCE}, or max_relative_positions`,
      'max_position_embeddings',
    );
  }
  if (buckets > 0 && (buckets < 2 || maxDistance - 1 <= Math.floor(buckets / 2))) {
    throw fields.malformed(buckets, `at least 2, and half of it less than ${maxDistance} - 1`, 'position_buckets');
  }
  const [hasKeys, hasQueries] = [types.includes('c2p'), types.includes('p2c')];
  if (!hasKeys && !hasQueries) return undefined;
  return { count: 2 * (buckets || maxDistance), buckets, maxDistance, hasKeys, hasQueries };
}

/** The entries of `pos_att_type`: a list, or one text with bars between them. */
export function positionTypes(fields: Fields): string[] {
  const value = fields.json.pos_att_type ?? [];
  const list = typeof value === 'string' ? value.toLowerCase().split('|') : value;
  if (!Array.isArray(list) || !list.every(type => typeof type === 'string')) {
    throw fields.malformed(value, 'a text or a list of texts', 'pos_att_type');
  }
  return list.map(type => type.trim());
}

/** -1 and 0 say that there are none. */
export const bucketsOf = (fields: Fields): number =>
  Math.max(0, fields.integer('position_buckets', -1, { min: -1, max: MAX_DISTANCE }));

/**
 * The row of every distance key - query from -n to n, where n is so large that farther ones have the row of the first or last
 * (transformers' build_relative_position, which counts query - key). Every step is rounded to float32, as there: where a quotient of
 * logarithms falls on a whole number, float64 would give the next row.
 */
export function distanceRows({ count, buckets, maxDistance }: Pick<Disentangled, 'count' | 'buckets' | 'maxDistance'>) {
  const f32 = Math.fround;
  const middle = Math.floor(buckets / 2);
  const widest = f32(Math.log(f32((maxDistance - 1) / middle)));
  const far = (distance: number): number =>
    Math.ceil(f32(f32(f32(Math.log(f32(distance / middle))) / widest) * f32(middle - 1))) + middle;
  const bucket = (distance: number): number => (buckets === 0 || distance <= middle ? distance : far(distance));
  const farthest = 2 * maxDistance;
  return Uint32Array.from({ length: 2 * farthest + 1 }, (_, i) => {
    const difference = farthest - i;
    const row = Math.sign(difference) * bucket(Math.abs(difference)) + count / 2;
    return Math.max(0, Math.min(count - 1, row));
  });
}
