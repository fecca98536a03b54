import type { Activation } from '../shaders/activation.ts';
import type { Pooling } from '../shaders/pool.ts';
import { distanceRows } from '../src/model/disentangled.ts';
import { checkSequence, readConfig } from '../src/model/index.ts';
import { type Builder, builder, type Graph, type Sequence, type Value } from '../src/plan/index.ts';
import type { Norm, Op } from '../src/plan/op.ts';
import { activations } from './reference.ts';

/**
 * Small graphs, of which each has an op with certain arguments: together every kind of op, and every argument that a family gives to one
 * (tests/op-cases.test.ts). A device is held against the interpreter with them, op by op (e2e/suites/interpreter.ts).
 */
export interface OpCase {
  /** The kind of op, by its name in the union. */
  readonly kind: string;
  /** Says what the op's arguments are; no two cases of a kind have the same. */
  readonly name: string;
  readonly graph: Graph;
  readonly batch: readonly Sequence[];
  /** Bytes of a binding, where tables are to be computed in slices. Default: as many as the device allows. */
  readonly maxBindingBytes?: number;
}

/** A case before its graph is written. */
interface Draft extends Partial<Omit<OpCase, 'kind' | 'name' | 'graph'>> {
  /** Adds the ops -> the result of the last one. */
  readonly write: (b: Builder) => Value;
}

const VOCABULARY = 61;
const POSITIONS = 80;

/** A sequence of so many tokens. */
const sequence = (length: number, more: Partial<Sequence> = {}): Sequence => ({
  ids: Array.from({ length }, (_, i) => (7 * i + length) % VOCABULARY),
  positions: Array.from({ length }, (_, i) => i),
  types: Array.from({ length }, (_, i) => (i + length) % 2),
  masked: Array.from({ length: Math.ceil(length / 3) }, (_, i) => 3 * i),
  ...more,
});
const range = (length: number) => Array.from({ length }, (_, i) => i);

/** One token; more than a work item of any device has; and places with gaps that padding left, of which a pooling leaves some out. */
const SEEN: readonly Sequence[] = [
  sequence(1),
  sequence(65),
  sequence(11, {
    places: range(11).map(i => i + 3 * Math.floor(i / 4)),
    positions: range(11).map(i => POSITIONS - 1 - i),
    unpooled: 4,
  }),
];
/** The first four stand behind the others, and are not attended to. */
const turned = range(15).map(i => (i + 11) % 15);
const BATCH: readonly Sequence[] = [...SEEN, sequence(15, { places: turned, positions: turned, unattended: 4 })];

/** A row for every token. The columns of C = 35 need padding. */
const COLUMNS = 35;
const rows = (b: Builder, columns = COLUMNS) => b.embed({ words: { table: 'x', rows: VOCABULARY }, columns });
/** Another. */
const others = (b: Builder, x: Value, columns = COLUMNS) => b.linear(x, { from: 'others', outputs: columns });

/** H query heads, G key heads, of D columns each. */
interface Heads {
  readonly heads: number;
  readonly keyHeads: number;
  readonly headSize: number;
}
/** Heads of 5 columns are padded. */
const HEADS: Heads = { heads: 3, keyHeads: 3, headSize: 5 };
const EVEN: Heads = { heads: 2, keyHeads: 2, headSize: 10 };
const GROUPED: Heads = { heads: 6, keyHeads: 2, headSize: 10 };
const projected = (b: Builder, { heads, keyHeads, headSize }: Heads): Value => {
  const outputs = [heads, keyHeads, keyHeads].map(count => count * headSize);
  return b.linear(rows(b), { from: ['query', 'key', 'value'], outputs, outputHead: headSize });
};

const NORM = { from: 'norm', eps: 1e-5 } as const;

const embeds = (
  options: Omit<Parameters<Builder['embed']>[0], 'columns'>,
  batch = BATCH,
  maxBindingBytes?: number,
): Draft => ({
  write: b => b.embed({ ...options, columns: COLUMNS }),
  batch,
  ...(maxBindingBytes && { maxBindingBytes }),
});
const WORDS = { table: 'words', rows: VOCABULARY };

/** Sequences as a model with token dropout reads them. */
const DROPPING = readConfig({
  model_type: 'esm',
  vocab_size: VOCABULARY,
  hidden_size: COLUMNS,
  num_hidden_layers: 1,
  num_attention_heads: 1,
  intermediate_size: 4,
  max_position_embeddings: POSITIONS,
  position_embedding_type: 'rotary',
  token_dropout: true,
  mask_token_id: 5,
  pad_token_id: 1,
});
const DROPPED = BATCH.map(({ ids, types, places, unattended }) =>
  checkSequence(DROPPING, { ids: Array.from(ids), types: Array.from(types, () => 0), places, unattended }),
);

const linears = (options: Partial<Parameters<Builder['linear']>[1]>, columns = COLUMNS): Draft => ({
  write: b => b.linear(rows(b, columns), { from: 'linear', outputs: 18, ...options }),
});

const ACTIVATIONS = Object.keys(activations) as Activation[];

const rotaries = (
  options: Partial<Parameters<Builder['rotary']>[1]>,
  heads = EVEN,
  pairs = heads.headSize / 2,
): Draft => ({
  write: b => {
    const frequencies = range(pairs).map(i => 1000 ** (-i / pairs));
    return b.rotary(projected(b, heads), { ...heads, frequencies, ...options });
  },
});

const queryKeyNorms = (
  options: Partial<Parameters<Builder['queryKeyNorm']>[1]>,
  style: object = {},
  heads = HEADS,
): Draft => ({
  write: b => {
    const query = { from: 'query.norm', eps: 1e-5, ...style };
    const key = { from: 'key.norm', eps: 1e-3, ...style };
    return b.queryKeyNorm(projected(b, heads), { ...heads, span: 'head', query, key, ...options });
  },
});

const attentions = (
  options: Partial<Parameters<Builder['attention']>[1]>,
  { heads = HEADS, batch }: { heads?: Heads; batch?: readonly Sequence[] } = {},
): Draft => ({
  write: b => {
    const { context, probabilities } = b.attention(projected(b, heads), {
      ...heads,
      name: 'attention',
      probabilities: false,
      ...options,
    });
    if (probabilities) b.output('probabilities', probabilities);
    return context;
  },
  // The probabilities of keys that are not attended to have no place.
  batch: batch ?? (options.probabilities ? SEEN : BATCH),
});
const BUCKETS = { table: 'bias', buckets: 32, tableRows: 40 };
/** Of more distances than there are rows; the farthest share one. */
const DISTANCES = { count: 16, buckets: 16, maxDistance: 30 };
const distances = (terms: { keys?: string; queries?: string }) => ({
  count: DISTANCES.count,
  rows: distanceRows(DISTANCES),
  keys: terms.keys,
  queries: terms.queries,
});

const norms = (
  style: object,
  { residual = false, addend = false }: { residual?: boolean; addend?: boolean } = {},
): Draft => ({
  write: b => {
    const x = rows(b);
    const other = others(b, x);
    return b.norm(x, { ...NORM, ...style, ...(residual && { residual: other }), ...(addend && { addend: other }) });
  },
});

const POOLINGS: Readonly<Record<Pooling, true>> = {
  cls: true,
  mean: true,
  mean_sqrt: true,
  max: true,
  last: true,
  weighted: true,
};
const pools = (options: Partial<Parameters<Builder['pool']>[1]>): Draft => ({
  write: b => b.pool(rows(b), { pooling: 'mean', normalize: false, name: 'pool', ...options }),
  // Poolings leave out tokens at the start of a sequence, whether or not others attend to them.
  batch: [...BATCH, sequence(3, { unpooled: 3 })],
});

const vocabularyPools = (
  pooling: 'max' | 'sum',
  logarithms: 1 | 2,
  { bias, rest, maxBindingBytes }: { bias?: string; rest?: boolean; maxBindingBytes?: number } = {},
): Draft => ({
  write: b => {
    const more = rest ? { rest: { tensor: 'rest', columns: 11 } } : {};
    return b.vocabularyPool(rows(b), { table: 'decoder', rows: 4150, bias, pooling, logarithms, ...more });
  },
  ...(maxBindingBytes && { maxBindingBytes }),
});

const DRAFTS: { readonly [Kind in Op['op']]: Readonly<Record<string, Draft>> } = {
  embed: {
    'of all tables, with a norm': embeds({
      words: WORDS,
      positions: { table: 'positions', rows: POSITIONS },
      types: { table: 'types', rows: 2 },
      tasks: { table: 'tasks', rows: 3 },
      norm: NORM,
    }),
    'in slices': embeds(
      { words: WORDS, positions: { table: 'positions', rows: POSITIONS }, norm: NORM },
      BATCH,
      1 << 12,
    ),
    'without words': embeds({
      positions: { table: 'positions', rows: POSITIONS },
      types: { table: 'types', rows: 2 },
      norm: NORM,
    }),
    'of words alone': embeds({ words: WORDS }),
    'with a factor, and an RMS norm without a bias': embeds({
      words: WORDS,
      types: { table: 'types', rows: 2 },
      factor: Math.sqrt(COLUMNS),
      norm: { ...NORM, kind: 'rms', bias: false },
    }),
    'with the scales of positions': embeds({ words: WORDS, scales: { tensor: 'scales', rows: POSITIONS } }),
    'with factors in the place of a norm': embeds({ words: WORDS, norm: { ...NORM, kind: 'affine' } }),
    'with a norm without a bias': embeds({ words: WORDS, norm: { ...NORM, bias: false } }),
    // A norm would hide a factor of the whole row.
    'with token dropout': embeds({ words: WORDS, dropout: DROPPING.tokenDropout }, DROPPED),
  },
  linear: {
    ...Object.fromEntries(ACTIVATIONS.map(activation => [`with ${activation}`, linears({ activation })])),
    'without a bias': linears({ bias: false }),
    'of three parts, of which two have a bias': linears({
      from: ['query', 'key', 'value'],
      outputs: [18, 7, 7],
      bias: [true, false, true],
    }),
    'with a gate and a residual': {
      write: b => {
        const x = rows(b);
        const gate = b.linear(x, { from: 'gate', outputs: 18, activation: 'gelu' });
        const residual = b.linear(x, { from: 'residual', outputs: 18 });
        return b.linear(x, { from: 'linear', outputs: 18, gate, residual, activation: 'silu' });
      },
    },
    'from heads to heads': {
      write: b => {
        const x = b.linear(rows(b), { from: 'query', outputs: 15, outputHead: 5 });
        return b.linear(x, { from: 'linear', outputs: 14, inputHead: 5, outputHead: 7 });
      },
    },
    'of groups': linears({ groups: [3, 1], from: ['first', 'second'], outputs: [18, 12], innerShape: undefined }, 36),
    'of the matrices of groups': linears({ outputs: 18, groupMatrices: 3 }, 36),
    'of a convolution': linears({ innerShape: [COLUMNS, 1], biasShape: [1] }),
    'of a vocabulary in slices': {
      write: b => b.vocabulary(rows(b), { table: 'decoder', rows: 210, bias: 'bias' }),
      maxBindingBytes: 1 << 14,
    },
    'of a vocabulary in two tensors': {
      write: b =>
        b.vocabulary(rows(b), { table: 'decoder', rows: 210, bias: 'bias', rest: { tensor: 'rest', columns: 11 } }),
    },
  },
  rotary: {
    plain: rotaries({}),
    'of some columns': rotaries({}, EVEN, 3),
    'of neighbouring columns': rotaries({ interleaved: true }),
    'of grouped heads': rotaries({}, GROUPED),
    'of values too': rotaries({ turnsValues: true, interleaved: true }, GROUPED),
    // 65 tokens are beyond the positions, 1 is not; 11 tokens have large positions.
    'whose frequencies are stretched by the length': rotaries({ stretch: { factor: 2, positions: 40 } }),
    'of frequencies that the checkpoint keeps': rotaries({ stored: { tensor: 'frequencies' } }),
    'of a table that the checkpoint keeps': rotaries({
      stored: { tensor: 'angles', positions: POSITIONS },
      interleaved: true,
      turnsValues: true,
    }),
    'of such a table, without values': rotaries({
      stored: { tensor: 'angles', positions: POSITIONS },
      interleaved: true,
    }),
  },
  queryKeyNorm: {
    'of heads': queryKeyNorms({ span: 'head' }),
    'of rows': queryKeyNorms({ span: 'row' }),
    'of grouped heads': queryKeyNorms({ span: 'head' }, {}, GROUPED),
    'of rows of grouped heads': queryKeyNorms({ span: 'row' }, {}, GROUPED),
    'by RMS, whose gamma is kept less 1': queryKeyNorms({}, { kind: 'rms', bias: false, unitOffset: true }, GROUPED),
    'without a bias': queryKeyNorms({ span: 'row' }, { bias: false }),
  },
  attention: {
    plain: attentions({}),
    'with another scale': attentions({ scale: 0.4 }),
    'with probabilities': attentions({ probabilities: true }),
    'with scores for probabilities': attentions({ probabilities: true, asScores: true }),
    'of grouped heads': attentions({}, { heads: GROUPED }),
    'of grouped heads, with probabilities': attentions({ probabilities: true }, { heads: GROUPED }),
    'with one key head': attentions({}, { heads: { heads: 4, keyHeads: 1, headSize: 8 } }),
    'in a window': attentions({ window: 4, probabilities: true }),
    'in a window of itself alone': attentions({ window: 0 }, { batch: SEEN }),
    'in a window, of grouped heads': attentions({ window: 20 }, { heads: GROUPED }),
    'with buckets of distances': attentions({ bias: BUCKETS }),
    'with buckets of distances, and probabilities': attentions({ bias: BUCKETS, probabilities: true }),
    'with slopes': attentions({ bias: { slopes: [0.5, 0.25, 0.03] } }),
    'with slopes, and probabilities': attentions({ bias: { slopes: [0.5, 0.25, 0.03] }, probabilities: true }),
    'with keys of distances': attentions({ bias: distances({ keys: 'keys' }) }),
    'with queries of distances': attentions({ bias: distances({ queries: 'queries' }) }),
    'with keys and queries of distances': attentions({
      bias: distances({ keys: 'keys', queries: 'queries' }),
      scale: 0.2,
    }),
    'with keys and queries of distances, and probabilities': attentions({
      bias: distances({ keys: 'keys', queries: 'queries' }),
      probabilities: true,
    }),
  },
  norm: {
    'of layers': norms({}),
    'with a residual': norms({}, { residual: true }),
    'with an addend': norms({}, { addend: true }),
    'without a bias': norms({ bias: false }, { residual: true }),
    'by RMS, whose gamma is kept less 1': norms(
      { kind: 'rms', bias: false, unitOffset: true },
      { residual: true, addend: true },
    ),
    'by RMS': norms({ kind: 'rms', bias: false }),
    'by factors alone': norms({ kind: 'affine' }, { residual: true }),
  },
  unfold: {
    'column by column': { write: b => b.unfold(rows(b), 3) },
    'column by column, wider than a sequence': { write: b => b.unfold(rows(b), 17) },
    'row by row': { write: b => b.unfold(rows(b), 3, 'rows') },
  },
  depthwise: {
    'of three': { write: b => b.depthwise(rows(b), { from: 'depthwise', width: 3 }) },
    'of nine': { write: b => b.depthwise(rows(b), { from: 'depthwise', width: 9 }) },
    'wider than a sequence': { write: b => b.depthwise(rows(b), { from: 'depthwise', width: 17 }) },
  },
  dynamicConvolution: Object.fromEntries(
    [1, 5, 17].map(width => [
      `of ${width}`,
      {
        write: b => {
          const x = b.linear(rows(b), { from: 'values', outputs: 15, outputHead: 5 });
          return b.dynamicConvolution(x, others(b, x, 3 * width), { heads: 3, width });
        },
      } satisfies Draft,
    ]),
  ),
  join: {
    'of padded rows': {
      write: b => {
        const x = rows(b, 36);
        return b.join(x, others(b, x, 7));
      },
    },
    'of whole rows': { write: b => b.join(rows(b, 36), b.linear(rows(b, 36), { from: 'others', outputs: 8 })) },
  },
  normalize: {
    'of tokens': { write: b => b.normalize(rows(b)) },
    'of sequences': { write: b => b.normalize(b.pool(rows(b), { pooling: 'max', normalize: false, name: 'pool' })) },
  },
  weigh: {
    'of three layers': {
      write: b => {
        const x = rows(b);
        return b.weightedMean([x, others(b, x), x], 'factors');
      },
    },
  },
  pool: {
    ...Object.fromEntries(
      Object.keys(POOLINGS).map(pooling => [`by ${pooling}`, pools({ pooling: pooling as Pooling })]),
    ),
    'by three, scaled': {
      ...pools({}),
      write: b => b.pool(rows(b, 36), { pooling: ['mean', 'max', 'weighted'], normalize: true, name: 'pool' }),
    },
    'to its first columns, scaled': pools({ columns: 9, normalize: true }),
  },
  vocabularyPool: {
    'of the largest': vocabularyPools('max', 1, { bias: 'bias' }),
    'of the largest, of two logarithms': vocabularyPools('max', 2),
    'of the sum': vocabularyPools('sum', 1),
    'of the sum, of two logarithms, in slices': vocabularyPools('sum', 2, { bias: 'bias', maxBindingBytes: 1 << 18 }),
    'of a decoder in two tensors': vocabularyPools('max', 1, { rest: true }),
  },
  gather: { 'of picked tokens': { write: b => b.gather(rows(b), 'masked') } },
  topK: {
    'of five': { write: b => b.topK(b.vocabulary(rows(b), { table: 'decoder', rows: 210 }), 5) },
    'of all': { write: b => b.topK(b.vocabulary(rows(b), { table: 'decoder', rows: 7 }), 16) },
  },
};

function caseOf(kind: string, name: string, { write, batch = BATCH, ...more }: Draft): OpCase {
  const b = builder();
  b.output('y', write(b));
  return { kind, name, graph: b.graph(), batch, ...more };
}

/** The cases of every kind of op. */
export const OP_CASES: readonly OpCase[] = Object.entries(DRAFTS).flatMap(([kind, drafts]) =>
  Object.entries(drafts).map(([name, draft]) => caseOf(kind, name, draft)),
);

/** Every kind of op. */
export const OP_KINDS: readonly string[] = Object.keys(DRAFTS);

const normWords = ({ kind, beta, unitOffset }: Norm): string =>
  [kind, beta ? 'bias' : 'no bias', ...(unitOffset ? ['less 1'] : [])].join(', ');

/**
 * What an op's arguments are, in words that say nothing of sizes and values: `window true`, `bias slopes`, `queryNorm rms, no bias`. Ops
 * with the same words differ in numbers alone, ops with other words may be computed by other texts.
 */
export function argumentWords(op: Op): string[] {
  const words = Object.entries(op).map(([name, argument]: [string, unknown]): string | string[] => {
    if (name === 'op' || name === 'y' || name === 'rows') return [];
    if (name === 'poolings') return [...(argument as readonly Pooling[]).map(pooling => `${name} ${pooling}`)];
    if (argument === undefined || argument === null) return `${name} none`;
    if (name === 'factor') return `${name} ${argument === 1 ? 1 : 'other'}`;
    if (name === 'logarithms' || typeof argument === 'boolean' || typeof argument === 'string')
      return `${name} ${argument}`;
    if (typeof argument !== 'object') return name === 'window' ? `${name} some` : [];
    if (name.toLowerCase().endsWith('norm')) return `${name} ${normWords(argument as Norm)}`;
    if (name === 'bias' && op.op === 'attention' && op.bias) return scoreWords(op.bias);
    if ('kind' in argument) return `${name} ${argument.kind}`;
    return `${name} some`;
  });
  if ('keyHeads' in op) words.push(`heads ${op.keyHeads === op.heads ? 'each' : 'grouped'}`);
  if (op.op === 'rotary') words.push(`columns ${2 * op.frequencies.length === op.headSize ? 'all' : 'some'}`);
  return words.flat();
}

const scoreWords = (bias: NonNullable<Extract<Op, { op: 'attention' }>['bias']>): string[] =>
  bias.kind === 'disentangled'
    ? [`bias disentangled, keys ${bias.keys ? 'some' : 'none'}, queries ${bias.queries ? 'some' : 'none'}`]
    : [`bias ${bias.kind}`];
