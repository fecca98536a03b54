/**
 * The kernels of attention in training, in every shape that is chosen for any adapter, against their float64 twins
 * (tests/gradient-reference-attention.ts). What one row decides (context, statistics, delta) is within 1e-5 (1 + |x|). A number of dqkv is a
 * sum over the L tokens of a sequence, whose terms have errors with random signs: sqrt(L) 2e-5; the gradient of a bias one over all T
 * queries and their keys: sqrt(T) 2e-5 for each bucket, of terms that are a few times larger than those of a row's sum.
 */
import { type AttentionVariant, attention } from '../../shaders/attention.ts';
import {
  attentionBiasPartials,
  attentionKeyGradient,
  attentionQueryGradient,
} from '../../shaders/attention-backward.ts';
import { attentionBiasGradient } from '../../shaders/attention-bias-gradient.ts';
import { attentionDelta } from '../../shaders/attention-delta.ts';
import { type Kernel, padded, WHOLE_GRID } from '../../shaders/kernel.ts';
import { packBatch } from '../../src/plan/batch.ts';
import { bucketTable } from '../../src/plan/relative.ts';
import {
  type AttentionCase,
  attentionBackward,
  attentionForward,
  dropoutFactors,
  dropoutThreshold,
} from '../../tests/gradient-reference-attention.ts';
import { once } from '../../tests/once.ts';
import { relativeBucket } from '../../tests/reference.ts';
import { dispatch, type Operand, padRows, random, unpadRows } from '../dispatch.ts';
import { check, expect, expectClose, expectSameBits } from '../harness.ts';
import { casesFor, FULL_TIERS, profileFor } from './kernels/tiers.ts';

interface Options {
  readonly H: number;
  readonly G?: number;
  readonly D: number;
  readonly lengths?: readonly number[];
  readonly dropout?: number;
  readonly window?: number;
  readonly bias?: 'slopes' | 'buckets';
  /** Default: 32. */
  readonly buckets?: number;
  /** Tokens at the start of each sequence that no token attends to. */
  readonly unattended?: readonly number[];
}

const LENGTHS = [1, 65, 3, 17, 130];
const RANDOM = { site: 3, seed: 4_000_000_001, step: 12 };

/** The numbers of a case: those of a sequence depend on its key alone. */
function numbersOf({ H, G = H, D, buckets = 32 }: Options, lengths: readonly number[], keys: readonly number[]) {
  const qkv: number[] = [];
  const dcontext: number[] = [];
  lengths.forEach((L, b) => {
    const make = random(H * D + keys[b]!);
    // Scores with a deviation of about 3: some keys dominate.
    qkv.push(...make(L * (H + 2 * G) * D, 1.7));
    dcontext.push(...make(L * H * D));
  });
  const shared = random(H);
  return {
    qkv: Float32Array.from(qkv),
    dcontext: Float32Array.from(dcontext),
    table: shared(buckets * H, 2),
    slopes: Float32Array.from({ length: H }, (_, h) => 2 ** -(h + 1)),
  };
}

/** The place of every token. Every other place of the row was padding; the places of fillers are those behind the others. */
const placesOf = ({ unattended }: Options, lengths: readonly number[]): number[] =>
  lengths.flatMap((L, b) => {
    const fillers = unattended?.[b] ?? 0;
    return Array.from({ length: L }, (_, i) => 2 * (i < fillers ? i + L - fillers : i - fillers));
  });

/** What the twin gives: once for all tiers. */
const twinOf = once((options: Options, keys: readonly number[], lengths: readonly number[]) => {
  const { H, G = H, D, dropout, window, bias, buckets = 32, unattended } = options;
  const { qkv, dcontext, table, slopes } = numbersOf(options, lengths, keys);
  const reference: AttentionCase = {
    H,
    G,
    D,
    lengths,
    places: placesOf(options, lengths),
    window,
    ...(unattended && { unattended }),
    ...(bias === 'slopes' && { bias: (distance, head) => -slopes[head]! * Math.abs(distance) }),
    ...(bias === 'buckets' && { bias: (distance, head) => table[relativeBucket(distance, buckets) * H + head]! }),
    ...(dropout !== undefined && { factor: dropoutFactors({ ...RANDOM, probability: dropout, keys }) }),
  };
  const tableGradient = new Float64Array(buckets * H);
  const gradients = attentionBackward(qkv, dcontext, reference, (distance, head, dS) => {
    tableGradient[relativeBucket(distance, buckets) * H + head]! += dS;
  });
  return { ...attentionForward(qkv, reference), ...gradients, tableGradient };
});

/** The whole backward pass of one attention on the GPU. */
async function run(tier: string, options: Options, keys: readonly number[], lengths: readonly number[]) {
  const { H, G = H, D, dropout, window, bias, buckets = 32, unattended } = options;
  const { attention: shapeOf, target } = await profileFor(tier);
  const shape = shapeOf(D);
  const { qkv, dcontext, table, slopes } = numbersOf(options, lengths, keys);
  const places = placesOf(options, lengths);
  let start = 0;
  const batch = packBatch(
    lengths.map((L, b) => {
      const ids = new Array<number>(L).fill(0);
      const own = places.slice(start, start + L);
      start += L;
      return { ids, positions: ids, types: ids, places: own, unattended: unattended?.[b] ?? 0 };
    }),
    shape.lanes * shape.queries,
  );
  if (dropout !== undefined) {
    let tile = 0;
    lengths.forEach((L, b) => {
      for (let i = 0; i < L; i += shape.lanes * shape.queries) batch.tiles[4 * tile++ + 3] = keys[b]!;
    });
  }
  const T = batch.sizes.tokens;
  const inputs: Record<string, Operand> = {
    tiles: batch.tiles,
    qkv: padRows(qkv, D),
    ...((bias || window !== undefined) && { tokens: batch.tokens }),
    ...(bias === 'slopes' && { slopes }),
    ...(bias === 'buckets' && { bias: padRows(table, H) }),
  };
  const params = {
    tiles: batch.sizes.tiles,
    scale: 1 / Math.sqrt(D),
    ...(window !== undefined && { window }),
    ...(dropout !== undefined && {
      dropout: dropoutThreshold(dropout),
      dropout_scale: 1 / (1 - dropout),
      ...RANDOM,
    }),
    ...WHOLE_GRID,
  };
  const common = {
    heads: H,
    keyHeads: G,
    headSize: D,
    window: window !== undefined,
    slopes: bias === 'slopes',
    dropout: dropout !== undefined,
  };
  const forward: AttentionVariant = {
    ...common,
    probabilities: false,
    relative: bias === 'buckets',
    statistics: true,
  };
  const { context, statistics } = await dispatch(
    attention(forward, shape, target.texture),
    {
      ...inputs,
      ...(bias === 'buckets' && { buckets: bucketTable(buckets) }),
      context: { floats: T * H * padded(D) },
      statistics: { floats: T * padded(2 * H) },
    },
    params,
  );
  const { delta } = await dispatch(
    attentionDelta(common),
    { dcontext: padRows(dcontext, D), context: context!, delta: { floats: T * padded(H) } },
    { rows: T },
  );
  const variant = { ...common, ...(bias === 'buckets' && { buckets: bucketTable(buckets) }) };
  const args = [shape, target.texture] as const;
  const gradients: Record<string, Operand> = {
    ...inputs,
    dcontext: padRows(dcontext, D),
    statistics: statistics!,
    delta: delta!,
  };
  const width = (H + 2 * G) * padded(D);
  const gradient = async (kernel: Kernel, more: Readonly<Record<string, number>> = {}) => {
    const { dqkv } = await dispatch(kernel, { ...gradients, dqkv: { floats: T * width } }, { ...params, ...more });
    return dqkv!;
  };
  const kernels = { query: attentionQueryGradient(variant, ...args), key: attentionKeyGradient(variant, ...args) };
  const found = { query: await gradient(kernels.query), key: await gradient(kernels.key) };
  // What the other of the two writes is NaN, as it was before.
  const dqkv = found.query.map((q, i) => {
    const isQuery = i % width < H * padded(D);
    expect(Number.isNaN(isQuery ? found.key[i]! : q), `the two write the same number ${i}`);
    return isQuery ? q : found.key[i]!;
  });
  let tableGradient: Float32Array | undefined;
  if (variant.buckets) {
    const { partials } = await dispatch(
      attentionBiasPartials({ ...variant, buckets: variant.buckets, rows: buckets }, ...args),
      { ...gradients, partials: { floats: batch.sizes.tiles * H * buckets } },
      params,
    );
    // It adds to what is there.
    const { gradient } = await dispatch(
      attentionBiasGradient({ heads: H, rows: buckets }),
      { partials: partials!, gradient: padRows(new Float32Array(buckets * H).fill(1), H) },
      { tiles: batch.sizes.tiles },
    );
    tableGradient = unpadRows(gradient!, H).map(x => x - 1);
  }
  return {
    context: unpadRows(context!, D),
    statistics: unpadRows(statistics!, 2 * H),
    delta: unpadRows(delta!, H),
    dqkv: unpadRows(dqkv, D),
    tableGradient,
    numbers: { qkv, dcontext },
    gradient,
    kernels,
    tiles: batch.sizes.tiles,
    width,
    tile: shape.lanes * shape.queries,
  };
}

const CASES: Record<string, Options> = {
  'with D 20': { H: 3, D: 20 },
  'with D 32 and dropout': { H: 2, D: 32, dropout: 0.1 },
  'with D 64': { H: 1, D: 64 },
  'with D 128 and dropout': { H: 1, D: 128, dropout: 0.5, lengths: [3, 40] },
  // Compilers of CPU adapters take up to a minute for so wide a head.
  ...(globalThis.isThorough && { 'with D 256': { H: 1, D: 256, lengths: [2, 9] } }),
  'with D 8': { H: 2, D: 8, dropout: 0.3 },
  'with fewer key heads': { H: 6, G: 2, D: 20, dropout: 0.2 },
  'in a window': { H: 2, D: 32, window: 24, dropout: 0.2 },
  'in a window of fewer key heads': { H: 4, G: 2, D: 12, window: 9, lengths: [300, 1, 65] },
  'in a window of 0': { H: 2, D: 12, window: 0 },
  'with slopes': { H: 3, D: 20, bias: 'slopes' },
  'with slopes in a window': { H: 2, D: 8, bias: 'slopes', window: 40, dropout: 0.2 },
  'with a relative bias': { H: 3, D: 20, bias: 'buckets' },
  'with a relative bias and dropout': { H: 2, D: 64, bias: 'buckets', dropout: 0.1 },
  // More than all invocations of a GPU's workgroup have room for.
  'with a relative bias of 128 buckets': { H: 1, D: 20, bias: 'buckets', buckets: 128 },
  'with a relative bias in a window': { H: 2, D: 12, bias: 'buckets', window: 11 },
  'with tokens that none attends to': { H: 2, D: 20, dropout: 0.2, unattended: [0, 5, 2, 0, 70] },
  'with tokens that none attends to, in a window': { H: 2, D: 20, window: 14, unattended: [0, 5, 2, 0, 3] },
};

for (const tier of FULL_TIERS) {
  for (const [name, options] of casesFor(tier, Object.entries(CASES))) {
    check(`attention backward ${name} (${tier})`, async log => {
      const { lengths = LENGTHS } = options;
      const keys = lengths.map((_, b) => (b * 0x9e3779b9) >>> 0);
      const found = await run(tier, options, keys, lengths);
      const expected = twinOf(options, keys, lengths);
      const row = { absolute: 1e-5, relative: 1e-5 };
      const sum = { absolute: 2e-5 * Math.sqrt(Math.max(...lengths)), relative: 1e-5 };
      const worst = {
        context: expectClose(found.context, expected.context, { label: 'context', ...row }),
        statistics: expectClose(found.statistics, expected.statistics, { label: 'statistics', ...row }),
        delta: expectClose(found.delta, expected.delta, { label: 'delta', ...row }),
        dqkv: expectClose(found.dqkv, expected.dqkv, { label: 'dqkv', ...sum }),
        ...(found.tableGradient && {
          table: expectClose(found.tableGradient, expected.tableGradient, {
            label: 'the gradient of the table',
            absolute: 2e-5 * Math.sqrt(lengths.reduce((a, b) => a + b)),
            relative: 1e-5,
          }),
        }),
      };
      log(
        Object.entries(worst)
          .map(([what, difference]) => `${what} ${difference.toExponential(1)}`)
          .join(', '),
      );
    });
  }

  check(`attention backward of a sequence has the same bits in any batch (${tier})`, async () => {
    const common = { H: 3, D: 20, dropout: 0.2 } as const;
    for (const options of [common, { ...common, window: 30 }, { ...common, bias: 'slopes' }] as const) {
      const { H, D } = options;
      const whole = await run(tier, options, [7, 8, 9], [17, 70, 5]);
      const alone = await run(tier, options, [8], [70]);
      const part = (numbers: Float32Array, columns: number) => numbers.slice(17 * columns, 87 * columns);
      expectSameBits(part(whole.dqkv, 3 * H * D), alone.dqkv, 'dqkv');
      expectSameBits(part(whole.context, H * D), alone.context, 'context');
      expectSameBits(part(whole.statistics, 2 * H), alone.statistics, 'statistics');
    }
  });

  check(`attention backward in parts of its grid has the same bits (${tier})`, async () => {
    const options = { H: 4, G: 2, D: 20 } as const;
    const found = await run(tier, options, [1, 2], [17, 130]);
    for (const [part, heads, columns] of [
      ['query', 4, [60, 80]],
      ['key', 2, [100, 120]],
    ] as const) {
      const kernel = found.kernels[part];
      const last: Kernel = { ...kernel, workgroups: params => [1, 1, kernel.workgroups(params)[2]] };
      const of = await found.gradient(last, { first_x: found.tiles - 1, first_y: heads - 1 });
      // The last tile of the last sequence, in the columns of the last head.
      const first = 17 + Math.floor(129 / found.tile) * found.tile;
      for (let t = 0; t < 147; t++) {
        for (let c = 0; c < found.width; c++) {
          const value = of[t * found.width + c]!;
          const isColumn = (c >= columns[0] && c < columns[1]) || (part === 'key' && c >= 140);
          if (t >= first && isColumn) expect(Object.is(value, found.dqkv[t * found.width + c]), `${part} ${t} ${c}`);
          else expect(Number.isNaN(value), `${part} ${t} ${c} was written`);
        }
      }
    }
  });

  check(`attention backward shows a number that is not finite (${tier})`, async () => {
    const options = { H: 1, D: 20 } as const;
    const found = await run(tier, options, [1], [16]);
    expect(found.dqkv.every(Number.isFinite), 'all is finite');
    const { attention: shapeOf, target } = await profileFor(tier);
    const qkv = padRows(found.numbers.qkv, 20);
    // In v of the last token: every query has a dP with it.
    qkv[15 * 60 + 40] = Number.NaN;
    const { dqkv } = await dispatch(
      attentionQueryGradient({ heads: 1, headSize: 20 }, shapeOf(20), target.texture),
      {
        tiles: new Uint32Array([0, 16, 0, 0]),
        qkv,
        dcontext: padRows(found.numbers.dcontext, 20),
        statistics: padRows(found.statistics, 2),
        delta: padRows(found.delta, 1),
        dqkv: { floats: 16 * 60 },
      },
      { tiles: 1, scale: 1, ...WHOLE_GRID },
      { fill: 0 },
    );
    for (let t = 0; t < 16; t++) expect(Number.isNaN(dqkv![t * 60]), `dq of token ${t} is ${dqkv![t * 60]}`);
  });
}
