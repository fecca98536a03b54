import type { DeviceTrainingOp, SoftmaxGradientOp, SoftmaxStatisticsOp } from '../src/gradients/device-op.ts';
import { IGNORED, type LabelledSequence, type LossScales } from '../src/gradients/index.ts';
import type { Value, Weight } from '../src/plan/index.ts';
import type { LinearSliceOp } from '../src/plan/lower.ts';
import { TrainingRun } from './gradient-interpreter.ts';
import { linearInput, linearWeight } from './gradient-reference-linear.ts';
import { type Statistics, softmaxGradient, softmaxStatistics } from './gradient-reference-vocabulary.ts';
import { type Matrix, type TensorLookup, zeros } from './interpreter.ts';
import { linear } from './reference.ts';

/** The interpreter of a training step whose vocabulary is in tiles (src/gradients/vocabulary.ts), by the twins of the kernels. */
export interface LoweredOptions {
  readonly tensors: TensorLookup;
  readonly batch: readonly LabelledSequence[];
  readonly scales: LossScales;
}

type TileOp = SoftmaxStatisticsOp | SoftmaxGradientOp;

/** Runs the ops. Gives the sum of these losses, and the gradients of weights, or of slices of them. */
export function interpretLowered(ops: readonly DeviceTrainingOp[], losses: readonly Value[], options: LoweredOptions) {
  const run = new TrainingRun(options);
  const labels = options.batch.flatMap(({ labels = [] }) => labels.map(label => (label === IGNORED ? -1 : label)));
  const seen = new Map<Value, Statistics[]>();
  const tile = ({ first, of }: TileOp, { columns }: Value) => ({
    first,
    columns,
    classes: of.logits.columns,
    smoothing: of.smoothing,
    scale: options.scales[of.labels],
  });
  const rows = (matrix: Matrix, from: number, count: number) =>
    matrix.data.subarray(from * matrix.columns, (from + count) * matrix.columns);
  const set = (value: Value, data: ArrayLike<number>) => {
    const { columns } = value;
    run.set(value, { rows: data.length / columns, columns, data: Float64Array.from(data) });
  };
  const gradientOf = (weight: Weight): Matrix => {
    const gradient = run.gradients.get(weight) ?? zeros(weight.height, weight.stride);
    run.gradients.set(weight, gradient);
    return gradient;
  };

  function slice({ x, weight, bias, from, y }: LinearSliceOp): void {
    const matrix = run.weight(weight);
    const numbers = bias && rows(run.weight(bias), from, y.columns);
    const sizes = { K: matrix.columns, N: y.columns, ...(numbers && { bias: numbers }) };
    set(y, linear(run.get(x).data, rows(matrix, from, y.columns), sizes));
  }

  for (const op of ops) {
    switch (op.op) {
      case 'linearSlice':
        slice(op);
        break;
      case 'softmaxStatistics': {
        const { data } = run.get(op.logits);
        const { statistics, loss } = softmaxStatistics(data, labels, seen.get(op.statistics), tile(op, op.logits));
        seen.set(op.statistics, statistics);
        set(op.of.loss, loss);
        break;
      }
      case 'softmaxGradient': {
        const { data } = run.get(op.dlogits);
        set(op.dlogits, softmaxGradient(data, labels, seen.get(op.statistics)!, tile(op, op.dlogits)));
        break;
      }
      case 'linearInputSlice': {
        const { dy, weight, from, residual, dx } = op;
        const matrix = run.weight(weight);
        const sizes = { K: matrix.columns, N: dy.columns, ...(residual && { residual: run.get(residual).data }) };
        set(dx, linearInput(run.get(dy).data, rows(matrix, from, dy.columns), sizes));
        break;
      }
      case 'linearWeightSlice': {
        const { dy, x, from, gradient, biasGradient } = op;
        const found = linearWeight(run.get(dy).data, run.get(x).data, { K: x.columns, N: dy.columns });
        const add = (weight: Weight | undefined, sums: Float64Array) => {
          if (!weight) return;
          const { data, columns } = gradientOf(weight);
          sums.forEach((v, i) => {
            data[from * columns + i]! += v;
          });
        };
        add(gradient, found.gradient);
        add(biasGradient, found.biasGradient);
        break;
      }
      case 'quantize':
      case 'logitsPool':
        throw new Error(`a training step with the op "${op.op}"`);
      default:
        run.compute(op);
    }
  }
  const sum = (value: Value) => run.get(value).data.reduce((a, b) => a + b, 0);
  return { loss: losses.reduce((total, value) => total + sum(value), 0), gradients: run.gradients };
}
