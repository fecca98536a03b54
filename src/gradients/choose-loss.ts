import { binaryCrossEntropy } from '../../shaders/binary-cross-entropy.ts';
import { cosent } from '../../shaders/cosent.ts';
import { crossEntropy, lossShape } from '../../shaders/cross-entropy.ts';
import { padded } from '../../shaders/kernel.ts';
import { pairScores, pairScoresBackward } from '../../shaders/pair-scores.ts';
import { rowDot, rowDotBackward } from '../../shaders/row-dot.ts';
import { LOSS_SUMS, SCALARS } from '../../shaders/scalars.ts';
import { softmaxGradient, softmaxStatistics } from '../../shaders/softmax-tiles.ts';
import { spanCrossEntropy } from '../../shaders/span-cross-entropy.ts';
import { squaredError } from '../../shaders/squared-error.ts';
import { sumRows } from '../../shaders/sum-rows.ts';
import { type Choosing, data, state } from './choosing.ts';
import type { DeviceTrainingOp, SoftmaxGradientOp, SoftmaxStatisticsOp } from './device-op.ts';
import { type LossOp, labelsOf, type RecordLossOp } from './loss-op.ts';
import { SCALARS_STATE, SCORE_GRADIENTS_STATE, SCORES_STATE } from './states.ts';
import type { TrainingParam, TrainingStep } from './step.ts';

/** The losses, and their parts where a vocabulary is computed in tiles. */
export type LossStepOp = LossOp | SoftmaxStatisticsOp | SoftmaxGradientOp;

/** The bits of a padded row. */
const rowOfFloats = (numbers: readonly number[]): Uint32Array<ArrayBuffer> => {
  const row = new Float32Array(padded(numbers.length));
  row.set(numbers);
  return new Uint32Array(row.buffer);
};

/** What chooses the kernels of the losses of one graph. */
export function lossSteps(
  ops: readonly DeviceTrainingOp[],
  { profile, like, made }: Choosing,
): (op: LossStepOp) => TrainingStep[] {
  const losses = ops.flatMap(op => ('loss' in op ? [op.loss] : 'of' in op ? [op.of.loss] : []));
  const lossIndices = new Map([...new Set(losses)].map((loss, i) => [loss, i]));

  /** The part of a loss of rows in the loss of the step. */
  function sumOf(op: LossOp, rows: TrainingParam): TrainingStep {
    // Where there are more losses than sums, several share one: what is read is the sum of all.
    const index = SCALARS.sums + (lossIndices.get(op.loss)! % LOSS_SUMS);
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

  return op => {
    switch (op.op) {
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
        return op satisfies never;
    }
  };
}
