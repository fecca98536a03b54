/**
 * The kernels of disentangled attention in training, in every shape that is chosen for any adapter, against their float64 twin
 * (tests/gradient-reference-distances.ts). The tolerances are those of the suite training-attention, for the same reasons: what one row
 * decides is within 1e-5 (1 + |x|), a sum over the L tokens of a sequence within sqrt(L) 2e-5, and one over all pairs of a distance within
 * sqrt(T) 2e-5; the products of a score are three in place of one.
 */
import { type AttentionVariant, attention } from '../../shaders/attention.ts';
import { attentionMoments } from '../../shaders/attention-moments.ts';
import { disentangledKeyGradient, disentangledQueryGradient } from '../../shaders/disentangled-backward.ts';
import { distancePartials, distanceSums, TABLE_PARTS } from '../../shaders/disentangled-tables.ts';
import { distanceTable } from '../../shaders/distance-table.ts';
import { type Kernel, padded, WHOLE_GRID } from '../../shaders/kernel.ts';
import { distanceSpans } from '../../src/gradients/distances.ts';
import { distanceRows } from '../../src/model/disentangled.ts';
import { packBatch } from '../../src/plan/batch.ts';
import { dropoutFactors, dropoutThreshold } from '../../tests/gradient-reference-attention.ts';
import { type DistanceCase, distanceBackward, distanceForward } from '../../tests/gradient-reference-distances.ts';
import { once } from '../../tests/once.ts';
import { dispatch, type Operand, padRows, random, unpadRows } from '../dispatch.ts';
import { check, expect, expectClose, expectSameBits } from '../harness.ts';
import { casesFor, FULL_TIERS, profileFor } from './kernels/tiers.ts';

interface Options {
  readonly H: number;
  readonly D: number;
  readonly keys: boolean;
  readonly queries: boolean;
  /** B and M: see Disentangled. */
  readonly buckets?: number;
  readonly maxDistance: number;
  readonly lengths?: readonly number[];
  readonly dropout?: number;
  /** Every other place of a row was padding. */
  readonly gaps?: boolean;
  /** Tokens at the start of each sequence that no token attends to. */
  readonly unattended?: readonly number[];
}

const LENGTHS = [1, 65, 3, 17, 130];
const RANDOM = { site: 3, seed: 4_000_000_001, step: 12 };

const rowsOf = ({ buckets = 0, maxDistance }: Options) => {
  const count = 2 * (buckets || maxDistance);
  return { count, rows: distanceRows({ count, buckets, maxDistance }) };
};

/** The numbers of a case: those of a sequence depend on its key alone. Padded tables are [R, n H D], of queries first. */
function numbersOf(options: Options, lengths: readonly number[], keys: readonly number[]) {
  const { H, D } = options;
  const qkv: number[] = [];
  const dcontext: number[] = [];
  lengths.forEach((L, b) => {
    const make = random(H * D + keys[b]!);
    qkv.push(...make(L * 3 * H * D, 1.3));
    dcontext.push(...make(L * H * D));
  });
  const shared = random(H);
  const { count } = rowsOf(options);
  const tables = { queries: shared(count * H * D, 1.3), keys: shared(count * H * D, 1.3) };
  return { qkv: Float32Array.from(qkv), dcontext: Float32Array.from(dcontext), ...tables };
}

/** The place of every token; the places of fillers are those behind the others. */
const placesOf = ({ unattended, gaps = false }: Options, lengths: readonly number[]): number[] =>
  lengths.flatMap((L, b) => {
    const fillers = unattended?.[b] ?? 0;
    return Array.from({ length: L }, (_, i) => (gaps ? 2 : 1) * (i < fillers ? i + L - fillers : i - fillers));
  });

const scaleOf = ({ D, keys, queries }: Options) => 1 / Math.sqrt(D * (1 + Number(keys) + Number(queries)));

const operandsOf = (options: Options, lengths: readonly number[], sequenceKeys: readonly number[]) => {
  const { qkv, dcontext, keys, queries } = numbersOf(options, lengths, sequenceKeys);
  return {
    operands: { qkv, keys: options.keys ? keys : undefined, queries: options.queries ? queries : undefined },
    dcontext,
  };
};

/** What the twin gives: once for all tiers. */
const twinOf = once((options: Options, keys: readonly number[], lengths: readonly number[]) => {
  const { H, D, dropout, unattended } = options;
  const { count, rows } = rowsOf(options);
  const farthest = (rows.length - 1) / 2;
  const reference: DistanceCase = {
    H,
    D,
    lengths,
    scale: scaleOf(options),
    rowOf: distance => rows[Math.max(-farthest, Math.min(farthest, distance)) + farthest]!,
    count,
    places: placesOf(options, lengths),
    ...(unattended && { unattended }),
    ...(dropout !== undefined && { factor: dropoutFactors({ ...RANDOM, probability: dropout, keys }) }),
  };
  const { operands, dcontext } = operandsOf(options, lengths, keys);
  return { ...distanceForward(operands, reference), ...distanceBackward(operands, dcontext, reference) };
});

/** The whole of one attention on the GPU, forward and backward. */
async function run(tier: string, options: Options, keys: readonly number[], lengths: readonly number[]) {
  const { H, D, dropout, unattended } = options;
  const { attention: shapeOf, target } = await profileFor(tier);
  const shape = shapeOf(D);
  const { operands, dcontext } = operandsOf(options, lengths, keys);
  const { count, rows } = rowsOf(options);
  const farthest = (rows.length - 1) / 2;
  const places = placesOf(options, lengths);
  const queryTile = shape.lanes * shape.queries;
  let start = 0;
  const batch = packBatch(
    lengths.map((L, b) => {
      const ids = new Array<number>(L).fill(0);
      const own = places.slice(start, start + L);
      start += L;
      return { ids, positions: ids, types: ids, places: own, unattended: unattended?.[b] ?? 0 };
    }),
    queryTile,
  );
  if (dropout !== undefined) {
    let tile = 0;
    lengths.forEach((L, b) => {
      for (let i = 0; i < L; i += queryTile) batch.tiles[4 * tile++ + 3] = keys[b]!;
    });
  }
  const T = batch.sizes.tokens;
  const width = H * padded(D);
  const tables = [operands.queries, operands.keys].flatMap(table => (table ? [padRows(table, D)] : []));
  const columns = tables.length * width;
  const joined = Float32Array.from({ length: count * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    return tables[Math.floor(column / width)]![row * width + (column % width)]!;
  });
  const { y: ordered } = await dispatch(
    distanceTable({ columns }),
    { x: joined, y: { floats: count * columns } },
    { rows: count },
  );
  const inputs: Record<string, Operand> = {
    tiles: batch.tiles,
    qkv: padRows(operands.qkv, D),
    tokens: batch.tokens,
    distance_tables: ordered!,
  };
  const params = {
    tiles: batch.sizes.tiles,
    scale: scaleOf(options),
    ...(dropout !== undefined && {
      dropout: dropoutThreshold(dropout),
      dropout_scale: 1 / (1 - dropout),
      ...RANDOM,
    }),
    ...WHOLE_GRID,
  };
  const terms = { keys: options.keys, queries: options.queries, count };
  const sizes = { heads: H, headSize: D };
  const forward: AttentionVariant = {
    ...sizes,
    probabilities: false,
    relative: false,
    statistics: true,
    dropout: dropout !== undefined,
    distances: { ...terms, farthest, keysAt: options.queries ? (width * count) / 4 : 0 },
  };
  const { context, statistics } = await dispatch(
    attention(forward, shape, target.texture),
    {
      ...inputs,
      distance_rows: rows,
      context: { floats: T * width },
      statistics: { floats: T * padded(2 * H) },
    },
    params,
  );
  const { moments } = await dispatch(
    attentionMoments(sizes),
    {
      dcontext: padRows(dcontext, D),
      context: context!,
      statistics: statistics!,
      moments: { floats: T * 4 * H },
    },
    { rows: T },
  );
  const variant = { ...sizes, ...terms, farthest, dropout: dropout !== undefined };
  const args = [shape, target.texture] as const;
  const gradients: Record<string, Operand> = { ...inputs, dcontext: padRows(dcontext, D), moments: moments! };
  const gradient = async (kernel: Kernel, more: Readonly<Record<string, number>> = {}) => {
    const { dqkv } = await dispatch(
      kernel,
      { ...gradients, distance_rows: rows, dqkv: { floats: T * 3 * width } },
      { ...params, ...more },
    );
    return dqkv!;
  };
  const kernels = {
    query: disentangledQueryGradient(variant, ...args),
    key: disentangledKeyGradient(variant, ...args),
  };
  const found = { query: await gradient(kernels.query), key: await gradient(kernels.key) };
  // What the other of the two writes is NaN, as it was before.
  const dqkv = found.query.map((q, i) => {
    const isQuery = i % (3 * width) < width;
    expect(Number.isNaN(isQuery ? found.key[i]! : q), `the two write the same number ${i}`);
    return isQuery ? q : found.key[i]!;
  });
  const { partials } = await dispatch(
    distancePartials(variant, ...args),
    {
      ...gradients,
      spans: distanceSpans({ rows, count }),
      partials: { floats: count * TABLE_PARTS * columns },
    },
    params,
  );
  const { dtables } = await dispatch(
    distanceSums({ columns }),
    { partials: partials!, dtables: { floats: count * columns } },
    { rows: count },
  );
  /** Columns of the gradient of the tables, without the padding of heads. */
  const part = (first: number) =>
    unpadRows(
      dtables!.filter((_, i) => i % columns >= first && i % columns < first + width),
      D,
    );
  return {
    context: unpadRows(context!, D),
    moments: moments!,
    dqkv: unpadRows(dqkv, D),
    dqueries: options.queries ? part(0) : undefined,
    dkeys: options.keys ? part(options.queries ? width : 0) : undefined,
    gradient,
    kernels,
    tiles: batch.sizes.tiles,
    width: 3 * width,
    padded: dqkv,
    tile: queryTile,
  };
}

const BOTH = { keys: true, queries: true } as const;
const CASES: Record<string, Options> = {
  'with D 20': { H: 3, D: 20, ...BOTH, maxDistance: 24 },
  'with D 64, buckets and dropout': { H: 2, D: 64, ...BOTH, buckets: 32, maxDistance: 64, dropout: 0.1 },
  'with D 8 and keys of distances': { H: 2, D: 8, keys: true, queries: false, maxDistance: 200 },
  'with D 12 and queries of distances': { H: 1, D: 12, keys: false, queries: true, maxDistance: 9, dropout: 0.3 },
  'with D 128': { H: 1, D: 128, ...BOTH, maxDistance: 10, lengths: [3, 40] },
  // Compilers of CPU adapters take up to a minute for so wide a head.
  ...(globalThis.isThorough && {
    'with D 256 and dropout': { H: 1, D: 256, ...BOTH, maxDistance: 6, lengths: [2, 9], dropout: 0.5 },
  }),
  'with places that are not neighbours': { H: 2, D: 20, ...BOTH, buckets: 16, maxDistance: 40, gaps: true },
  'with tokens that none attends to': {
    H: 2,
    D: 20,
    ...BOTH,
    maxDistance: 30,
    dropout: 0.2,
    unattended: [0, 5, 2, 0, 70],
    gaps: true,
  },
};

for (const tier of FULL_TIERS) {
  for (const [name, options] of casesFor(tier, Object.entries(CASES))) {
    check(`disentangled attention backward ${name} (${tier})`, async log => {
      const { H, lengths = LENGTHS } = options;
      const keys = lengths.map((_, b) => (b * 0x9e3779b9) >>> 0);
      const found = await run(tier, options, keys, lengths);
      const expected = twinOf(options, keys, lengths);
      const row = { absolute: 1e-5, relative: 1e-5 };
      const sum = { absolute: 2e-5 * Math.sqrt(Math.max(...lengths)), relative: 1e-5 };
      const table = { absolute: 2e-5 * Math.sqrt(lengths.reduce((a, b) => a + b)), relative: 1e-5 };
      const moments = Float64Array.from({ length: found.moments.length }, (_, i) => {
        const at = Math.floor(i / 4);
        return [expected.statistics[2 * at]!, expected.statistics[2 * at + 1]!, expected.delta[at]!, 0][i % 4]!;
      });
      expect(moments.length === 4 * H * lengths.reduce((a, b) => a + b), 'a moment for each token and head');
      const worst = {
        context: expectClose(found.context, expected.context, { label: 'context', ...row }),
        moments: expectClose(found.moments, moments, { label: 'moments', ...row }),
        dqkv: expectClose(found.dqkv, expected.dqkv, { label: 'dqkv', ...sum }),
        ...(found.dkeys && {
          keys: expectClose(found.dkeys, expected.dkeys, { label: 'keys of distances', ...table }),
        }),
        ...(found.dqueries && {
          queries: expectClose(found.dqueries, expected.dqueries, { label: 'queries of distances', ...table }),
        }),
      };
      log(
        Object.entries(worst)
          .map(([what, difference]) => `${what} ${difference.toExponential(1)}`)
          .join(', '),
      );
    });
  }

  check(
    `disentangled attention backward of a sequence has the same bits in any batch, and in every run (${tier})`,
    async () => {
      const options = { H: 3, D: 20, ...BOTH, buckets: 16, maxDistance: 40, dropout: 0.2 } as const;
      const { H, D } = options;
      const whole = await run(tier, options, [7, 8, 9], [17, 70, 5]);
      const again = await run(tier, options, [7, 8, 9], [17, 70, 5]);
      const alone = await run(tier, options, [8], [70]);
      const part = (numbers: Float32Array, columns: number) => numbers.slice(17 * columns, 87 * columns);
      expectSameBits(part(whole.dqkv, 3 * H * D), alone.dqkv, 'dqkv');
      expectSameBits(part(whole.context, H * D), alone.context, 'context');
      expectSameBits(part(whole.moments, 4 * H), alone.moments, 'moments');
      expectSameBits(whole.dkeys!, again.dkeys!, 'the gradient of keys of distances');
      expectSameBits(whole.dqueries!, again.dqueries!, 'the gradient of queries of distances');
    },
  );

  check(`disentangled attention backward in parts of its grid has the same bits (${tier})`, async () => {
    const found = await run(tier, { H: 4, D: 20, ...BOTH, maxDistance: 20 }, [1, 2], [17, 130]);
    for (const [part, columns] of [
      ['query', [60, 80]],
      ['key', [140, 160]],
    ] as const) {
      const kernel = found.kernels[part];
      const last: Kernel = { ...kernel, workgroups: params => [1, 1, kernel.workgroups(params)[2]] };
      const of = await found.gradient(last, { first_x: found.tiles - 1, first_y: 3 });
      // The last tile of the last sequence, in the columns of the last head.
      const first = 17 + Math.floor(129 / found.tile) * found.tile;
      for (let t = 0; t < 147; t++) {
        for (let c = 0; c < found.width; c++) {
          const value = of[t * found.width + c]!;
          const isColumn = (c >= columns[0] && c < columns[1]) || (part === 'key' && c >= 220);
          if (t >= first && isColumn) expect(Object.is(value, found.padded[t * found.width + c]), `${part} ${t} ${c}`);
          else expect(Number.isNaN(value), `${part} ${t} ${c} was written`);
        }
      }
    }
  });
}
