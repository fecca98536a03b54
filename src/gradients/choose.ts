import { activate, activateBackward } from '../../shaders/activate.ts';
import {
  depthwiseInput,
  depthwiseWeight,
  dynamicConvolutionInput,
  dynamicConvolutionScores,
} from '../../shaders/convolution-backward.ts';
import { dropout } from '../../shaders/dropout.ts';
import { add, columnsBackward, columnsOf, scale } from '../../shaders/elementwise.ts';
import { embed } from '../../shaders/embed.ts';
import { gatherBackward } from '../../shaders/gather-backward.ts';
import { padded } from '../../shaders/kernel.ts';
import { l2NormBackward } from '../../shaders/l2-norm-backward.ts';
import { linearInput, linearInputParams } from '../../shaders/linear-input.ts';
import { linearWeight, linearWeightParams } from '../../shaders/linear-weight.ts';
import { packPoolings } from '../../shaders/pool.ts';
import { poolBackward } from '../../shaders/pool-backward.ts';
import {
  queryKeyNormBackward,
  queryKeyNormPartials,
  queryKeyNormWeights,
} from '../../shaders/query-key-norm-backward.ts';
import { rotary } from '../../shaders/rotary.ts';
import { rowNormBackward, rowNormWeights } from '../../shaders/row-norm-backward.ts';
import { segmentSum } from '../../shaders/segment-sum.ts';
import { unfoldBackward } from '../../shaders/unfold-backward.ts';
import { once, rotaryAngles, rowCostsOf, stepOf, type Value } from '../plan/index.ts';
import { attentionSteps } from './choose-attention.ts';
import { lossSteps } from './choose-loss.ts';
import { type Choosing, choosing, data, dropoutParams, gradientState, state } from './choosing.ts';
import type { DeviceTrainingOp } from './device-op.ts';
import { rowOrder, rowSegments, rowTokens } from './distances.ts';
import { noRule } from './refusal.ts';
import { gradientName, seenName } from './states.ts';
import { ADDS, type TrainingParam, type TrainingStep } from './step.ts';

/** The length by which a row is divided at least, as in torch.nn.functional.normalize. */
const L2_FLOOR = 1e-12;

/** The keys of rows for dropout, by what these are. */
const KEYS = { tokens: 'token_keys', sequences: 'sequence_keys', distances: 'distances_keys' } as const;

/** The inputs of a kernel that reads neighbours, and their sizes. */
const SEQUENCES = { tiles: 'tiles', sequences: 'sequences' } as const;

type LinearGradientOp = Extract<DeviceTrainingOp, { op: `linear${'Input' | 'Weight'}${'' | 'Slice'}` }>;

/** The first row of a matrix that is read or written in part. */
const sliceParams = (op: LinearGradientOp): Record<string, number> => ('from' in op ? { from4: op.from / 4 } : {});

/** What chooses the kernels of the steps of one graph. */
export function chooser(ops: readonly DeviceTrainingOp[], options: Pick<Choosing, 'profile' | 'lookups'>) {
  const chosen = choosing(ops, options);
  const { profile, lookups, like, made } = chosen;
  const ofAttention = attentionSteps(chosen);
  const ofLoss = lossSteps(ops, chosen);

  /** All numbers of a value, as vec4f. */
  const count = ({ rows, stride }: Value): TrainingParam => ({ number: rows, times: stride / 4 });

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
      case 'attentionDelta':
      case 'attentionBackward':
      case 'biasBackward':
      case 'distancesBackward':
      case 'distanceTable':
        return ofAttention(op);
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
        const whole = op.op === 'linearWeight' && { adds: ADDS };
        const params = {
          rows: dy.rows,
          ...linearWeightParams(x.columns, dy.columns),
          ...whole,
          ...sliceParams(op),
        };
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
      case 'ranking':
      case 'cosineError':
      case 'cosent':
      case 'softmaxStatistics':
      case 'softmaxGradient':
        return ofLoss(op);
      default:
        return [{ ...stepOf(op, profile), rowCosts: rowCostsOf(op, profile) }];
    }
  };
}
