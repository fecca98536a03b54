import { slicesOf } from '../api/index.ts';
import type { Engine } from '../engine/index.ts';
import { IGNORED, type LabelledSequence } from '../gradients/index.ts';
import type { EncoderRequest } from '../model/index.ts';
import type { SequenceOutputs } from '../plan/index.ts';
import { IGNORED_LABEL } from './example.ts';
import type { EvalPrediction, LogitRow } from './metrics.ts';
import { isPicked, type LossSettings, type TrainingTask } from './task.ts';

/** The logits of examples, what they should have been, and the mean loss of all items. */
export interface Evaluation extends EvalPrediction {
  readonly loss: number;
}

/** What a loss is summed up of: its sum, and over how many items. */
interface LossSum {
  sum: number;
  items: number;
}

/** The request that gives the logits of a task; of masks those of the masked tokens alone. */
const requestOf = ({ head, problem }: TrainingTask): EncoderRequest => ({
  head: { kind: head, ...(isPicked(problem) && { picked: true }) },
});

export interface EvaluationOptions {
  /** Undefined: the examples have no labels. */
  readonly loss: LossSettings | undefined;
  /** Whether the logits are kept, which take memory. */
  readonly keepsLogits: boolean;
  readonly signal: AbortSignal | undefined;
  /** Called when so many examples are done. */
  readonly done?: (count: number) => void;
}

/**
 * Runs examples without dropout and computes their losses on the host, in float64 of the float32 logits. The loss is that of training: the
 * mean over all items of all examples, whatever the batches are.
 */
export async function evaluateTask(
  engine: Engine,
  task: TrainingTask,
  sequences: readonly LabelledSequence[],
  { loss, keepsLogits, signal, done }: EvaluationOptions,
): Promise<Evaluation> {
  const first: LossSum = { sum: 0, items: 0 };
  const second: LossSum = { sum: 0, items: 0 };
  const predictions: (LogitRow | readonly LogitRow[])[] = [];
  let count = 0;
  await engine.run(sequences, requestOf(task), {
    signal,
    done: results => {
      for (const { sequence, outputs } of results) {
        const rows = rowsOf(outputs, 'logits');
        if (loss) addLoss(task, { rows, sequence, settings: loss, sum: first });
        const { next_sentence_label: label } = sequence;
        if (task.problem === 'pre_training' && label !== undefined) {
          addCrossEntropy(second, rowsOf(outputs, 'seq_relationship_logits'), [label], {});
        }
        if (keepsLogits) predictions.push(predictionOf(task, rows));
      }
      count += results.length;
      done?.(count);
    },
  });
  const mean = ({ sum, items }: LossSum) => (items > 0 ? sum / items : 0);
  return {
    loss: mean(first) + mean(second),
    predictions,
    label_ids: keepsLogits && loss ? sequences.map(sequence => labelsOf(task, sequence)) : [],
    id2label: task.config.labels.map((label, i) => label ?? `LABEL_${i}`),
  };
}

/** An output as rows, its slices joined. They are views of what was read back where it is in one piece. */
function rowsOf(outputs: SequenceOutputs, name: string): Float32Array[] {
  const slices = slicesOf(outputs, name);
  const [{ data, columns }] = slices as [(typeof slices)[0]];
  const count = columns ? data.length / columns : 0;
  return Array.from({ length: count }, (_, row) => {
    if (slices.length === 1) return data.subarray(row * columns, (row + 1) * columns);
    const joined = new Float32Array(slices.reduce((sum, slice) => sum + slice.columns, 0));
    for (const slice of slices) {
      joined.set(slice.data.subarray(row * slice.columns, (row + 1) * slice.columns), slice.first);
    }
    return joined;
  });
}

interface LossInput {
  readonly rows: readonly Float32Array[];
  readonly sequence: LabelledSequence;
  readonly settings: LossSettings;
  readonly sum: LossSum;
}

function addLoss({ problem }: TrainingTask, { rows, sequence, settings, sum }: LossInput): void {
  const { labels = [], span } = sequence;
  switch (problem) {
    case 'single_label_classification':
    case 'tokens':
    case 'masked_lm':
    case 'pre_training':
    case 'next_sentence':
      addCrossEntropy(sum, rows, labels, settings);
      return;
    case 'multi_label_classification':
      labels.forEach((target, i) => {
        const x = rows[0]![i]!;
        // log(1 + exp(x)) - target x, whose exponential never overflows.
        sum.sum += Math.max(x, 0) - x * target + Math.log1p(Math.exp(-Math.abs(x)));
        sum.items++;
      });
      return;
    case 'regression':
      labels.forEach((target, i) => {
        sum.sum += (rows[0]![i]! - target) ** 2;
        sum.items++;
      });
      return;
    case 'answers': {
      // Starts and ends each have a softmax over the tokens, and are half an item each.
      span?.forEach((place, column) => {
        if (place === IGNORED) return;
        const scores = Float32Array.from(rows, row => row[column]!);
        sum.sum += crossEntropy(scores, place) / 2;
        sum.items += 1 / 2;
      });
      return;
    }
    default:
      problem satisfies never;
  }
}

function addCrossEntropy(
  sum: LossSum,
  rows: readonly Float32Array[],
  labels: readonly number[],
  settings: LossSettings,
): void {
  labels.forEach((label, i) => {
    if (label === IGNORED) return;
    sum.sum += crossEntropy(rows[i]!, label, settings);
    sum.items += settings.classWeights?.[label] ?? 1;
  });
}

/** -log softmax of the label, times its weight; the share `smoothing` of it goes to all classes alike, each times its own weight. */
function crossEntropy(logits: Float32Array, label: number, { smoothing = 0, classWeights }: LossSettings = {}): number {
  const most = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const logSum = most + Math.log(logits.reduce((sum, x) => sum + Math.exp(x - most), 0));
  const of = (x: number, i: number) => (classWeights?.[i] ?? 1) * (logSum - x);
  const own = of(logits[label]!, label);
  if (smoothing === 0) return own;
  const mean = logits.reduce((sum, x, i) => sum + of(x, i), 0) / logits.length;
  return (1 - smoothing) * own + smoothing * mean;
}

/** What `compute_metrics` is given of an example: see Trainer. */
function predictionOf({ problem }: TrainingTask, rows: readonly Float32Array[]): LogitRow | readonly LogitRow[] {
  switch (problem) {
    case 'tokens':
    case 'masked_lm':
    case 'pre_training':
      return rows.map(row => row.slice());
    case 'answers':
      return [0, 1].map(column => Float32Array.from(rows, row => row[column]!));
    default:
      return rows[0]!.slice();
  }
}

const orIgnored = (label: number): number => (label === IGNORED ? IGNORED_LABEL : label);

function labelsOf({ problem }: TrainingTask, sequence: LabelledSequence): number | number[] {
  const { labels = [], span } = sequence;
  switch (problem) {
    case 'tokens':
    case 'masked_lm':
    case 'pre_training':
      return labels.map(orIgnored);
    case 'answers':
      return (span ?? []).map(orIgnored);
    case 'multi_label_classification':
      return [...labels];
    case 'regression':
      return labels.length === 1 ? labels[0]! : [...labels];
    default:
      return labels[0]!;
  }
}
