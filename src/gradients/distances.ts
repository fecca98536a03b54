import type { DistanceTerms as DistanceVariant } from '../../shaders/attention-distances.ts';
import { disentangledKeyGradient, disentangledQueryGradient } from '../../shaders/disentangled-backward.ts';
import { distancePartials, distanceSums, TABLE_PARTS } from '../../shaders/disentangled-tables.ts';
import { type Kernel, padded, WHOLE_GRID } from '../../shaders/kernel.ts';
import type { Operand, Profile, Value, Weight } from '../plan/index.ts';
import type { AttendOp, DistanceTerms } from './attention-op.ts';
import type { TrainingParam } from './step.ts';

/** The kernels of attention with terms of distances (DeBERTa), and what they bind. */

type Operands = Readonly<Record<string, Operand>>;

interface DistanceStep {
  readonly kernel: Kernel;
  readonly operands: Operands;
  readonly params: Readonly<Record<string, TrainingParam>>;
}

export interface DistanceSteps {
  /** It writes `dqkv`, as `keyGradient` does. */
  readonly queryGradient: () => DistanceStep;
  readonly keyGradient: () => DistanceStep;
  /** It writes `partials`, of so many columns; `sums` adds them up. */
  readonly tableGradient: () => DistanceStep & { readonly sums: Kernel; readonly columns: number };
}

export interface DistanceOptions {
  readonly dcontext: Value;
  /** With the statistics: see AttentionDeltaOp. */
  readonly delta: Value;
  readonly profile: Profile;
  /** The params of dropout, where there is some. */
  readonly dropout: Readonly<Record<string, TrainingParam>> | undefined;
}

/** What the kernel of the forward pass has for terms of distances; undefined where there are none. */
export function forwardTerms({ terms, distances, heads, headSize }: AttendOp) {
  if (!terms || !distances) return undefined;
  const { keys, queries, count, rows } = terms;
  const keysAt = queries ? (heads * padded(headSize) * count) / 4 : 0;
  const variant: DistanceVariant = { keys, queries, count, farthest: (rows.length - 1) / 2, keysAt };
  return { variant, operands: { tokens: 'tokens', distance_rows: rows, distance_tables: distances } as const };
}

/** The backward pass. Throws where the attention has what no family has beside such terms, which is a mistake in a model. */
export function distanceSteps(
  forward: AttendOp,
  { dcontext, delta, profile, dropout }: DistanceOptions,
): DistanceSteps {
  const { heads, keyHeads, headSize, qkv, bias, window, scale, terms, distances } = forward;
  if (!terms || !distances) throw new Error('plan: attention without distances');
  if (bias || window !== undefined || keyHeads !== heads) {
    throw new Error('plan: distances beside a bias, a window or fewer heads of keys');
  }
  const { keys, queries, count, rows } = terms;
  const variant = { heads, headSize, keys, queries, count, ...(dropout && { dropout: true }) };
  const operands = {
    tiles: 'tiles',
    qkv,
    tokens: 'tokens',
    distance_tables: distances,
    dcontext,
    moments: delta,
  } as const;
  const params = { tiles: 'tiles', scale, ...dropout, ...WHOLE_GRID };
  const args = [profile.attention(headSize), profile.target.texture] as const;
  const gradient = (make: typeof disentangledKeyGradient) => ({
    kernel: make({ ...variant, farthest: (rows.length - 1) / 2 }, ...args),
    operands: { ...operands, distance_rows: rows },
    params,
  });
  return {
    queryGradient: () => gradient(disentangledQueryGradient),
    keyGradient: () => gradient(disentangledKeyGradient),
    tableGradient: () => ({
      kernel: distancePartials(variant, ...args),
      sums: distanceSums({ columns: distances.columns }),
      operands: { ...operands, spans: distanceSpans(terms) },
      params,
      columns: TABLE_PARTS * distances.columns,
    }),
  };
}

/** Beyond all distances. */
const ENDLESS = 2 ** 30;

/**
 * The first and the last distance of each row of a table, one behind the other: signed numbers of 32 bits. A row without any has them the
 * wrong way round. Throws where the distances of a row are not neighbours.
 */
export function distanceSpans({ rows, count }: Pick<DistanceTerms, 'rows' | 'count'>): Uint32Array<ArrayBuffer> {
  const spans = new Int32Array(2 * count);
  for (let row = 0; row < count; row++) spans.set([1, 0], 2 * row);
  const farthest = (rows.length - 1) / 2;
  rows.forEach((row, i) => {
    const isNew = i === 0 || rows[i - 1] !== row;
    if (isNew && spans[2 * row]! <= spans[2 * row + 1]!)
      throw new Error(`the distances of row ${row} are not neighbours`);
    if (isNew) spans[2 * row] = i === 0 ? -ENDLESS : i - farthest;
    spans[2 * row + 1] = i === rows.length - 1 ? ENDLESS : i - farthest;
  });
  return new Uint32Array(spans.buffer);
}

/** The rows of a table, or of a slice of one, as tokens that read them. */
export const rowTokens = ({ first, count, parts }: Weight): Uint32Array<ArrayBuffer> =>
  Uint32Array.from({ length: 4 * (parts[0]?.shape[0] ?? first + count) }, (_, i) => (i % 4 ? 0 : i / 4));

/** A segment for each row, of one number each: see shaders/segment-sum.ts. */
export const rowSegments = (count: number): Uint32Array<ArrayBuffer> =>
  Uint32Array.from({ length: 4 * count }, (_, i) => [i >> 2, i >> 2, (i >> 2) + 1, 0][i & 3]!);
export const rowOrder = (count: number): Uint32Array<ArrayBuffer> => Uint32Array.from({ length: count }, (_, i) => i);
