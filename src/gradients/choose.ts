import { activate, activateBackward } from '../../shaders/activate.ts';
import { attention } from '../../shaders/attention.ts';
import {
  attentionBiasGradient,
  attentionBiasPartials,
  attentionKeyGradient,
  attentionQueryGradient,
} from '../../shaders/attention-backward.ts';
import { attentionDelta } from '../../shaders/attention-delta.ts';
import { attentionMoments } from '../../shaders/attention-moments.ts';
import { binaryCrossEntropy } from '../../shaders/binary-cross-entropy.ts';
import {
  depthwiseInput,
  depthwiseWeight,
  dynamicConvolutionInput,
  dynamicConvolutionScores,
} from '../../shaders/convolution-backward.ts';
import { cosent } from '../../shaders/cosent.ts';
import { crossEntropy, lossShape } from '../../shaders/cross-entropy.ts';
import { distanceTable } from '../../shaders/distance-table.ts';
import { dropout } from '../../shaders/dropout.ts';
import { add, columnsBackward, columnsOf, scale } from '../../shaders/elementwise.ts';
import { embed } from '../../shaders/embed.ts';
import { gatherBackward } from '../../shaders/gather-backward.ts';
import { type Kernel, padded, WHOLE_GRID } from '../../shaders/kernel.ts';
import { l2NormBackward } from '../../shaders/l2-norm-backward.ts';
import { linearInput, linearInputParams } from '../../shaders/linear-input.ts';
import { linearWeight, linearWeightParams } from '../../shaders/linear-weight.ts';
import { pairScores, pairScoresBackward } from '../../shaders/pair-scores.ts';
import { packPoolings } from '../../shaders/pool.ts';
import { poolBackward } from '../../shaders/pool-backward.ts';
import {
  queryKeyNormBackward,
  queryKeyNormPartials,
  queryKeyNormWeights,
} from '../../shaders/query-key-norm-backward.ts';
import { rotary } from '../../shaders/rotary.ts';
import { rowDot, rowDotBackward } from '../../shaders/row-dot.ts';
import { rowNormBackward, rowNormWeights } from '../../shaders/row-norm-backward.ts';
import { SCALARS, SCALARS_FLOATS } from '../../shaders/scalars.ts';
import { segmentSum } from '../../shaders/segment-sum.ts';
import { softmaxGradient, softmaxStatistics } from '../../shaders/softmax-tiles.ts';
import { spanCrossEntropy } from '../../shaders/span-cross-entropy.ts';
import { squaredError } from '../../shaders/squared-error.ts';
import { sumRows } from '../../shaders/sum-rows.ts';
import { unfoldBackward } from '../../shaders/unfold-backward.ts';
import {
  attentionVariant,
  biasOperands,
  checkStep,
  type Operand,
  once,
  type Profile,
  rotaryAngles,
  rowCostsOf,
  stepOf,
  type Value,
  type Weight,
  WIDEST_WINDOW,
} from '../plan/index.ts';
import { trainingCosts } from './costs.ts';
import type { DeviceTrainingOp, SoftmaxGradientOp, SoftmaxStatisticsOp } from './device-op.ts';
import { type DistanceSteps, distanceSteps, forwardTerms, rowOrder, rowSegments, rowTokens } from './distances.ts';
import { type AttendOp, type Dropout, type LossOp, labelsOf, type RecordLossOp } from './op.ts';
import { noRule } from './refusal.ts';
import { gradientName, SCALARS_STATE, SCORE_GRADIENTS_STATE, SCORES_STATE, seenName } from './states.ts';
import type { DataName, TrainingArgument, TrainingParam, TrainingStep } from './step.ts';
import { values } from './values.ts';

/** What is bound: an operand of a forward pass, or the name of a state or of data with its kind. */
type TrainingOperand = Operand | { readonly state: string } | { readonly data: DataName } | undefined;

/** The length by which a row is divided at least, as in torch.nn.functional.normalize. */
const L2_FLOOR = 1e-12;

/** The keys of rows for dropout, by what these are. */
const KEYS = { tokens: 'token_keys', sequences: 'sequence_keys', distances: 'distances_keys' } as const;

/** The inputs of a kernel that reads neighbours, and their sizes. */
const SEQUENCES = { tiles: 'tiles', sequences: 'sequences' } as const;

const state = (name: string) => ({ state: name });
const data = (name: DataName) => ({ data: name });
const gradientState = (weight: Weight | undefined) => weight && state(gradientName(weight));

/** The bits of a padded row. */
const rowOfFloats = (numbers: readonly number[]): Uint32Array<ArrayBuffer> => {
  const row = new Float32Array(padded(numbers.length));
  row.set(numbers);
  return new Uint32Array(row.buffer);
};

function argumentOf(operand: NonNullable<TrainingOperand>): TrainingArgument {
  if (typeof operand === 'string') return { kind: 'input', input: operand };
  if ('state' in operand) return { kind: 'state', name: operand.state };
  if ('data' in operand) return { kind: 'data', name: operand.data };
  if ('parts' in operand) return { kind: 'weight', weight: operand };
  return 'id' in operand ? { kind: 'value', value: operand } : { kind: 'constant', constant: operand };
}

type LinearGradientOp = Extract<DeviceTrainingOp, { op: `linear${'Input' | 'Weight'}${'' | 'Slice'}` }>;

/** The first row of a matrix that is read or written in part. */
const sliceParams = (op: LinearGradientOp): Record<string, number> => ('from' in op ? { from4: op.from / 4 } : {});

/** What chooses the kernels of the steps of one graph. */
export function chooser(
  ops: readonly DeviceTrainingOp[],
  { profile, lookups }: { readonly profile: Profile; readonly lookups: ReadonlySet<string> },
) {
  const { like } = values(ops);
  const losses = ops.flatMap(op => ('loss' in op ? [op.loss] : 'of' in op ? [op.of.loss] : []));
  const lossIndices = new Map([...new Set(losses)].map((loss, i) => [loss, i]));

  const made = (
    op: DeviceTrainingOp,
    kernel: Kernel,
    { name }: { readonly name: string },
    operands: Readonly<Record<string, TrainingOperand>>,
    params: Readonly<Record<string, TrainingParam>>,
  ): TrainingStep => {
    const args = Object.fromEntries(
      Object.entries(operands).flatMap(([name, operand]) => (operand ? [[name, argumentOf(operand)]] : [])),
    );
    const step = { kernel, label: name, args, params, rowCosts: trainingCosts(op, profile) };
    checkStep(step);
    return step;
  };

  /** All numbers of a value, as vec4f. */
  const count = ({ rows, stride }: Value): TrainingParam => ({ number: rows, times: stride / 4 });

  const dropoutParams = ({ site, probability }: Dropout, threshold: string, scale: string) => ({
    [threshold]: Math.min(2 ** 32 - 1, Math.round(probability * 2 ** 32)),
    [scale]: 1 / (1 - probability),
    site,
    seed: 'seed',
    step: 'step',
  });

  function attend(op: AttendOp): TrainingStep {
    const { qkv, scale, context, statistics, window, dropout } = op;
    const plain = { ...op, op: 'attention', probabilities: undefined, asScores: false } as const;
    const distances = forwardTerms(op);
    const variant = {
      ...attentionVariant(plain),
      statistics: true,
      ...(dropout && { dropout: true }),
      ...(distances && { distances: distances.variant }),
    };
    const kernel = attention(variant, profile.attention(op.headSize), profile.target.texture);
    return made(
      op,
      kernel,
      context,
      { tiles: 'tiles', qkv, ...biasOperands(plain), ...distances?.operands, context, statistics },
      {
        tiles: 'tiles',
        scale,
        ...(window !== undefined && { window: Math.min(window, WIDEST_WINDOW) }),
        ...(dropout && dropoutParams(dropout, 'dropout', 'dropout_scale')),
        ...WHOLE_GRID,
      },
    );
  }

  /** What the kernels of attention's backward pass have in common. */
  function attentionBackward(forward: AttendOp, dcontext: Value, delta: Value) {
    const { heads, keyHeads, headSize, qkv, statistics, bias, window, scale, dropout } = forward;
    const variant = {
      heads,
      keyHeads,
      headSize,
      window: window !== undefined,
      slopes: bias?.kind === 'slopes',
      ...(bias?.kind === 'buckets' && { buckets: bias.buckets }),
      ...(dropout && { dropout: true }),
    };
    // The buckets stand in the text of these kernels.
    const { buckets: _, ...operands } = biasOperands({
      ...forward,
      op: 'attention',
      probabilities: undefined,
      asScores: false,
    });
    return {
      variant,
      operands: { tiles: 'tiles' as const, qkv, dcontext, statistics, delta, ...operands },
      params: {
        tiles: 'tiles',
        scale,
        ...(window !== undefined && { window: Math.min(window, WIDEST_WINDOW) }),
        ...(dropout && dropoutParams(dropout, 'dropout', 'dropout_scale')),
        ...WHOLE_GRID,
      },
    };
  }

  /** The backward pass of an attention with terms of distances. */
  const distancesOf = (forward: AttendOp, dcontext: Value, delta: Value): DistanceSteps =>
    distanceSteps(forward, {
      dcontext,
      delta,
      profile,
      dropout: forward.dropout && dropoutParams(forward.dropout, 'dropout', 'dropout_scale'),
    });

  /** The part of a loss of rows in the loss of the step. */
  function sumOf(op: LossOp, rows: TrainingParam): TrainingStep {
    // Where there are more losses than sums, several share one: what is read is the sum of all.
    const index = SCALARS.sums + (lossIndices.get(op.loss)! % (SCALARS_FLOATS - SCALARS.sums));
    return made(op, sumRows(), op.loss, { loss: op.loss, scalars: state(SCALARS_STATE) }, { rows, index });
  }

  /** The loss of records, by way of the scores or the cosines of their texts. Records are the first of the sequences. */
  function recordLoss(op: RecordLossOp): TrainingStep[] {
    const { logits: x, loss, dlogits: dx, weight } = op;
    const { columns } = x;
    const rows = 'records';
    const scale: TrainingParam = { number: 'labels_scale', times: weight };
    if (op.op === 'ranking') {
      const [scores, dscores] = [state(SCORES_STATE), state(SCORE_GRADIENTS_STATE)];
      const ranks = crossEntropy({ columns: 'param', smoothing: false, weights: false }, profile.norm);
      const operands = { logits: scores, labels: data('labels'), loss, dlogits: dscores };
      const pairs = { rows, others: 'others', factor: op.factor };
      const back = (['a', 'b'] as const).map(to =>
        made(op, pairScoresBackward({ columns, to }), dx, { dscores, x, dx }, pairs),
      );
      return [
        made(op, pairScores({ columns }), { name: `${x.name}.scores` }, { x, scores }, pairs),
        made(op, ranks, loss, operands, { rows, columns: 'others', scale }),
        ...back,
        sumOf(op, rows),
      ];
    }
    const cosines = like({ rows: x.rows, columns: 1 }, `${x.name}.cosines`);
    const dcosines = like(cosines, `${x.name}.cosines.gradient`);
    const operands = { logits: cosines, targets: data('targets'), loss, dlogits: dcosines };
    const error =
      op.op === 'cosent'
        ? made(op, cosent(), loss, operands, {
            rows,
            scale: { number: 'batch_scale', times: weight },
            factor: op.factor,
          })
        : made(op, squaredError({ columns: 1 }, profile.norm), loss, operands, { rows, scale });
    return [
      made(op, rowDot({ columns }, profile.norm), cosines, { x, y: cosines }, { rows }),
      error,
      made(op, rowDotBackward({ columns }, profile.norm), dx, { x, dy: dcosines, dx }, { rows }),
      sumOf(op, op.op === 'cosent' ? 1 : rows),
    ];
  }

  /** The classes of a loss, and the name of what it is multiplied by. */
  const labelOperands = (op: LossOp) =>
    labelsOf(op) === 'labels'
      ? ([data('labels'), 'labels_scale'] as const)
      : ([data('next_sentence_labels'), 'next_sentence_scale'] as const);

  /** The loss of rows, and its part in the loss of the step. */
  function loss(op: Exclude<LossOp, RecordLossOp>): TrainingStep[] {
    const { logits, loss, dlogits } = op;
    const rows = { rows: logits.rows };
    const [labels, scale] = labelOperands(op);
    const results = { loss, dlogits };
    const sum = sumOf(op, loss.rows);
    const columns = logits.columns;
    switch (op.op) {
      case 'crossEntropy': {
        const hasSmoothing = op.smoothing > 0;
        const class_weights = op.classWeights && rowOfFloats(op.classWeights);
        const kernel = crossEntropy({ columns, smoothing: hasSmoothing, weights: !!class_weights }, profile.norm);
        const params = { ...rows, scale, ...(hasSmoothing && { smoothing: op.smoothing }) };
        return [made(op, kernel, dlogits, { logits, labels, class_weights, ...results }, params), sum];
      }
      case 'binaryCrossEntropy':
      case 'squaredError': {
        const kernel = (op.op === 'squaredError' ? squaredError : binaryCrossEntropy)({ columns }, profile.norm);
        return [made(op, kernel, dlogits, { logits, targets: data('targets'), ...results }, { ...rows, scale }), sum];
      }
      case 'spanCrossEntropy': {
        const operands = { sequences: 'sequences', logits, spans: data('spans'), ...results } as const;
        return [made(op, spanCrossEntropy(profile.norm), dlogits, operands, { sequences: 'sequences', scale }), sum];
      }
      default:
        return op satisfies never;
    }
  }

  /** A tile of the logits of a vocabulary; of the last one the losses are whole, and are added up. */
  function softmaxTile(op: SoftmaxStatisticsOp | SoftmaxGradientOp): TrainingStep[] {
    const { of, first, statistics } = op;
    const { loss, logits, smoothing } = of;
    const [labels, scale] = labelOperands(of);
    const { rows, columns: classes } = logits;
    const tile = op.op === 'softmaxStatistics' ? op.logits : op.dlogits;
    const { columns } = tile;
    const params = { rows, first, columns, scale, ...(smoothing > 0 && { classes, smoothing }) };
    const variant = { smoothing: smoothing > 0 };
    if (op.op === 'softmaxGradient') {
      return [made(op, softmaxGradient(variant), tile, { labels, statistics, dlogits: tile }, params)];
    }
    const kernel = softmaxStatistics(variant, lossShape(columns, profile.norm));
    const step = made(op, kernel, tile, { logits: tile, labels, statistics, loss }, params);
    return first + columns === classes ? [step, sumOf(of, rows)] : [step];
  }

  /** The dispatches of an op. */
  return (op: DeviceTrainingOp): TrainingStep[] => {
    switch (op.op) {
      case 'dropout': {
        const { x, residual, y } = op;
        const { rows } = x;
        if (rows === 'pairs' || rows === 'masked') throw new Error(`plan: dropout of ${rows}`);
        const keys = data(KEYS[rows]);
        const kernel = dropout({ columns: x.columns, residual: !!residual });
        const params = { rows, ...dropoutParams(op.dropout, 'threshold', 'scale') };
        return [made(op, kernel, y, { x, keys, residual, y }, params)];
      }
      case 'activate': {
        const { u, activation, gate, y } = op;
        const kernel = once(profile, activate, op.op, { columns: u.columns, activation, gate: !!gate });
        return [made(op, kernel, y, { u, gate, y }, { count: count(u) })];
      }
      case 'activateBackward': {
        const { u, activation, gate, dy, du, dgate } = op;
        const kernel = once(profile, activateBackward, op.op, { columns: u.columns, activation, gate: !!gate });
        return [made(op, kernel, du, { u, gate, dy, du, dgate }, { count: count(u) })];
      }
      case 'attend':
        return [attend(op)];
      case 'attentionDelta': {
        const { heads, headSize, context, statistics, dcontext, delta } = op;
        const rows = { rows: context.rows };
        if (statistics) {
          const operands = { dcontext, context, statistics, moments: delta };
          return [made(op, attentionMoments({ heads, headSize }), delta, operands, rows)];
        }
        return [made(op, attentionDelta({ heads, headSize }), delta, { dcontext, context, delta }, rows)];
      }
      case 'attentionBackward': {
        const { part, forward, dcontext, delta, dqkv } = op;
        if (forward.terms) {
          const { queryGradient, keyGradient } = distancesOf(forward, dcontext, delta);
          const { kernel, operands, params } = part === 'queries' ? queryGradient() : keyGradient();
          return [made(op, kernel, dqkv, { ...operands, dqkv }, params)];
        }
        const { variant, operands, params } = attentionBackward(forward, dcontext, delta);
        const make = part === 'queries' ? attentionQueryGradient : attentionKeyGradient;
        const kernel = make(variant, profile.attention(forward.headSize), profile.target.texture);
        return [made(op, kernel, dqkv, { ...operands, dqkv }, params)];
      }
      case 'biasBackward': {
        const { forward, dcontext, delta, gradient } = op;
        const { variant, operands, params } = attentionBackward(forward, dcontext, delta);
        const { heads, headSize, bias } = forward;
        if (bias?.kind !== 'buckets') throw new Error('plan: only buckets have a table');
        const rows = bias.bias.count;
        const sums = { ...variant, buckets: bias.buckets, rows };
        const kernel = attentionBiasPartials(sums, profile.attention(headSize), profile.target.texture);
        const partials = like({ rows: 'tokens', columns: heads * rows }, `${gradient.name}.partials`);
        const total = attentionBiasGradient({ heads, rows });
        return [
          made(op, kernel, partials, { ...operands, partials }, params),
          made(op, total, partials, { partials, gradient: gradientState(gradient) }, { tiles: 'tiles' }),
        ];
      }
      case 'distancesBackward': {
        const { forward, dcontext, delta, dtables } = op;
        const { tableGradient } = distancesOf(forward, dcontext, delta);
        const { kernel, sums, operands, params, columns } = tableGradient();
        const partials = like({ rows: dtables.rows, columns }, `${dtables.name}.partials`);
        return [
          made(op, kernel, partials, { ...operands, partials }, params),
          made(op, sums, dtables, { partials, dtables }, { rows: dtables.rows }),
        ];
      }
      case 'distanceTable': {
        const { x, y } = op;
        return [made(op, distanceTable({ columns: x.columns }), y, { x, y }, { rows: x.rows })];
      }
      case 'tableRows': {
        const { table: words, y } = op;
        const variant = {
          columns: y.columns,
          positions: false,
          types: false,
          tasks: false,
          norm: undefined,
          format: words.storage.format,
        };
        const kernel = once(profile, variant => embed(variant, profile.norm, profile.target), 'embed', variant);
        const { first, count } = words;
        return [made(op, kernel, y, { tokens: rowTokens(words), words, y }, { rows: y.rows, first, count })];
      }
      case 'tableRowsBackward': {
        const { dy, gradient } = op;
        const kernel = once(profile, (variant, { norm }) => segmentSum(variant, norm), 'embedBackward', {
          columns: dy.columns,
          wordFactors: false,
        });
        const { count } = gradient;
        const operands = {
          segments: rowSegments(count),
          order: rowOrder(count),
          dx: dy,
          gradient: gradientState(gradient),
        };
        return [made(op, kernel, { name: `rows of ${gradient.name}` }, operands, { segments: count, factor: 1 })];
      }
      case 'add': {
        const { a, b, y } = op;
        return [made(op, add(), y, { a, b, y }, { count: count(y) })];
      }
      case 'scale': {
        const { x, factor, y } = op;
        return [made(op, scale(), y, { x, y }, { count: count(y), factor })];
      }
      case 'columns': {
        const { x, first, y } = op;
        const kernel = columnsOf({ columns: x.columns, first, count: y.columns });
        return [made(op, kernel, y, { x, y }, { rows: y.rows })];
      }
      case 'columnsBackward': {
        const { dy, first, residual, dx } = op;
        const kernel = columnsBackward({ columns: dx.columns, first, count: dy.columns, residual: !!residual });
        return [made(op, kernel, dx, { dy, residual, dx }, { rows: dx.rows })];
      }
      case 'linearInput':
      case 'linearInputSlice': {
        const { dy, weight, residual, dx } = op;
        const [inner, outputs] = [dy.columns, dx.columns];
        const shape = profile.sharedLinears ? {} : { inner, outputs };
        const { format } = weight.storage;
        if (format === 'i8') throw noRule('a linear whose weight is kept as bytes', dx);
        const kernel = once(profile, (variant, { tiling, target }) => linearInput(variant, tiling, target), op.op, {
          ...shape,
          residual: !!residual,
          format,
          ...('from' in op && { sliced: true }),
        });
        const params = { rows: dy.rows, ...linearInputParams(inner, outputs), ...sliceParams(op) };
        return [made(op, kernel, dx, { dy, weight, residual, y: dx }, params)];
      }
      case 'linearWeight':
      case 'linearWeightSlice': {
        const { dy, x, gradient, biasGradient } = op;
        const shape = profile.sharedLinears ? {} : { inner: x.columns, outputs: dy.columns };
        const kernel = once(profile, (variant, { tiling, target }) => linearWeight(variant, tiling, target), op.op, {
          ...shape,
          bias: !!biasGradient,
          weight: !!gradient,
          ...('from' in op && { sliced: true }),
        });
        const operands = {
          dy,
          x: gradient && x,
          gradient: gradientState(gradient),
          bias_gradient: gradientState(biasGradient),
        };
        const params = { rows: dy.rows, ...linearWeightParams(x.columns, dy.columns), ...sliceParams(op) };
        return [made(op, kernel, { name: `${dy.name} of weights` }, operands, params)];
      }
      case 'normBackward': {
        const { x, residual, norm, dy, dx, gammaGradient, betaGradient } = op;
        const { kind, unitOffset, beta, gamma, eps } = norm;
        const weights = !!gammaGradient || !!betaGradient;
        const variant = {
          columns: x.columns,
          norm: { kind, unitOffset, beta: !!beta },
          residual: !!residual,
          input: !!dx,
          weights,
        };
        const kernel = once(profile, (variant, { norm }) => rowNormBackward(variant, norm), op.op, variant);
        // A row for every row: where there are few, 128 of them have one row of sums all the same.
        const partials = weights
          ? like({ rows: x.rows, columns: 2 * padded(x.columns) }, `${dy.name}.partials`)
          : undefined;
        const reads = weights || kind !== 'affine';
        const operands = {
          x: reads ? x : undefined,
          residual: reads ? residual : undefined,
          gamma: dx && gamma,
          dy,
          dx,
          partials,
        };
        const first = made(op, kernel, dx ?? dy, operands, { rows: x.rows, ...(kind !== 'affine' && { eps }) });
        if (!partials) return [first];
        const sums = rowNormWeights({ columns: x.columns, beta: !!betaGradient });
        const gradients = {
          gamma_gradient: gradientState(gammaGradient),
          beta_gradient: gradientState(betaGradient),
        };
        return [first, made(op, sums, partials, { partials, ...gradients }, { rows: x.rows })];
      }
      case 'embedBackward': {
        const { table, forward, dy, gradient } = op;
        const wordFactors = table === 'words' && forward.dropout !== undefined;
        const { first, count } = gradient;
        const slice = count < gradient.parts[0]!.shape[0]! ? { first, count } : undefined;
        const marked = lookups.has(gradientName(gradient));
        const kernel = once(profile, (variant, { norm }) => segmentSum(variant, norm), op.op, {
          columns: dy.columns,
          wordFactors,
          ...(slice && { sliced: true }),
          ...(marked && { marked }),
        });
        const operands = {
          segments: data(`${table}_segments`),
          order: data(`${table}_order`),
          dx: dy,
          tokens: wordFactors ? ('tokens' as const) : undefined,
          gradient: gradientState(gradient),
          seen: marked ? state(seenName(gradient)) : undefined,
        };
        const params = { segments: `${table}_segments`, factor: forward.factor, ...slice };
        return [made(op, kernel, { name: `${gradient.name} of ${table}` }, operands, params)];
      }
      case 'rotaryBackward': {
        const { forward, dy, dx } = op;
        const { heads, keyHeads, headSize, frequencies, interleaved, turnsValues } = forward;
        const { source, operand } = rotaryAngles(forward);
        const kernel = once(profile, rotary, op.op, {
          heads,
          keyHeads,
          headSize,
          pairs: frequencies.length,
          interleaved,
          turnsValues,
          angles: source,
          inverse: true,
        });
        const tokens = source === 'phases' ? undefined : ('tokens' as const);
        return [made(op, kernel, dx, { tokens, [source]: operand, qkv: dy, y: dx }, { rows: dx.rows })];
      }
      case 'normalizeBackward': {
        const { x, dy, dx } = op;
        const kernel = once(profile, (variant, { norm }) => l2NormBackward(variant, norm), op.op, {
          columns: x.columns,
        });
        return [made(op, kernel, dx, { x, dy, dx }, { rows: x.rows, floor: L2_FLOOR })];
      }
      case 'poolBackward': {
        const { x, poolings, dy, dx } = op;
        const max = poolings.includes('max');
        const kernel = poolBackward({ columns: x.columns, poolings: poolings.length, kept: dy.columns, max });
        const operands = { sequences: 'sequences', x: max ? x : undefined, dy, dx } as const;
        return [made(op, kernel, dx, operands, { sequences: 'sequences', pooling: packPoolings(poolings) })];
      }
      case 'gatherBackward': {
        const { dy, dx } = op;
        const kernel = once(profile, (variant, { norm }) => gatherBackward(variant, norm), op.op, {
          columns: dy.columns,
        });
        return [made(op, kernel, dx, { masked: 'masked', dy, dx }, { rows: dx.rows, masked: 'masked' })];
      }
      case 'unfoldBackward': {
        const { width, order, dy, dx } = op;
        const kernel = unfoldBackward({ columns: dx.columns, width, order });
        return [made(op, kernel, dx, { ...SEQUENCES, tokens: 'tokens', dy, dx }, SEQUENCES)];
      }
      case 'depthwiseInput': {
        const { dy, weight, dx } = op;
        const kernel = depthwiseInput({ columns: dx.columns, width: weight.columns });
        return [made(op, kernel, dx, { ...SEQUENCES, tokens: 'tokens', x: dy, weight, y: dx }, SEQUENCES)];
      }
      case 'depthwiseWeight': {
        const { dy, x, gradient } = op;
        const kernel = depthwiseWeight({ columns: x.columns, width: gradient.columns });
        const operands = { ...SEQUENCES, tokens: 'tokens', dy, x, gradient: gradientState(gradient) } as const;
        return [made(op, kernel, { name: `${dy.name} of weights` }, operands, SEQUENCES)];
      }
      case 'dynamicConvolutionBackward': {
        const { forward, dy, dx, dscores } = op;
        const { x, scores, heads, width } = forward;
        const variant = { heads, columns: x.columns / heads, width };
        const inputs = { ...SEQUENCES, tokens: 'tokens' } as const;
        const probabilities = like(scores, `${scores.name}.probabilities`);
        const results = { probabilities, dscores };
        return [
          made(op, dynamicConvolutionScores(variant), dscores, { ...inputs, x, scores, dy, ...results }, SEQUENCES),
          made(op, dynamicConvolutionInput(variant), dx, { ...inputs, x: dy, probabilities, y: dx }, SEQUENCES),
        ];
      }
      case 'queryKeyNormBackward': {
        const { forward, dy, dx, gradients } = op;
        const { qkv, heads, keyHeads, headSize, span, queryNorm, keyNorm } = forward;
        const { kind, unitOffset, beta } = queryNorm;
        if (kind === 'affine') throw new Error('q and k have no norm without a division');
        const variant = { heads, keyHeads, headSize, span, kind, unitOffset, beta: !!beta };
        const kernel = once(profile, (variant, { norm }) => queryKeyNormBackward(variant, norm), op.op, variant);
        const [norms, columns] = span === 'head' ? [heads + keyHeads, 2] : [2, heads + keyHeads];
        const statistics = like({ rows: dx.rows, columns: 2 * norms }, `${dx.name}.statistics`);
        const gammas = { query_gamma: queryNorm.gamma, key_gamma: keyNorm.gamma };
        const eps = { query_eps: queryNorm.eps, key_eps: keyNorm.eps };
        const first = made(op, kernel, dx, { qkv, ...gammas, dy, dx, statistics }, { rows: dx.rows, ...eps });
        if (!gradients) return [first];
        // As of other norms: where there are few rows, 128 of them have one row of sums all the same.
        const partials = like({ rows: dx.rows, columns: 2 * columns * padded(headSize) }, `${dx.name}.partials`);
        const sums = {
          query_gamma_gradient: gradientState(gradients.queryGamma),
          query_beta_gradient: gradientState(gradients.queryBeta),
          key_gamma_gradient: gradientState(gradients.keyGamma),
          key_beta_gradient: gradientState(gradients.keyBeta),
        };
        const rows = { rows: dx.rows };
        return [
          first,
          made(op, queryKeyNormPartials(variant), partials, { qkv, dy, statistics, partials }, rows),
          made(op, queryKeyNormWeights(variant), partials, { partials, ...sums }, rows),
        ];
      }
      case 'crossEntropy':
      case 'binaryCrossEntropy':
      case 'squaredError':
      case 'spanCrossEntropy':
        return loss(op);
      case 'ranking':
      case 'cosineError':
      case 'cosent':
        return recordLoss(op);
      case 'softmaxStatistics':
      case 'softmaxGradient':
        return softmaxTile(op);
      default:
        return [{ ...stepOf(op, profile), rowCosts: rowCostsOf(op, profile) }];
    }
  };
}
