import { IGNORED } from '../../shaders/cross-entropy.ts';
import type { Sequence } from '../plan/index.ts';
import { type LabelName, type LossOp, labelsOf } from './loss-op.ts';
import type { TrainingGraph } from './op.ts';

/** One sequence with what it should give. */
export interface LabelledSequence extends Sequence {
  /**
   * Cross-entropy: the class of every row of logits, so one of a sequence, or of each token, or of each picked token; IGNORED where a row
   * has none. Binary cross-entropy and squared error: the target of every column of the sequence's one row. A loss of records: of their
   * first texts alone; ranking: the row, among those of all other texts, of the text that is to be the nearest; else one target.
   */
  readonly labels?: readonly number[] | undefined;
  /** The class of the sequence for a second loss: 0 where the second text follows the first, 1 where it does not. */
  readonly next_sentence_label?: number | undefined;
  /** Question answering: the tokens where the answer starts and ends; IGNORED where the text has none. */
  readonly span?: readonly [start: number, end: number] | undefined;
}

/** What the losses of a step are multiplied by: 1 / the number of their items, in all micro-batches of the step together. */
export type LossScales = Readonly<Record<LabelName, number>>;

/**
 * The items of a loss: rows that have a label, each as many as its class weighs; cells that have a target; answers that have a place.
 */
export function countItems(
  ops: TrainingGraph['ops'],
  sequences: Iterable<LabelledSequence>,
): Record<LabelName, number> {
  // Several losses that read the same labels have the same items.
  const losses = new Map(ops.filter((op): op is LossOp => 'dlogits' in op).map(op => [labelsOf(op), op]));
  const counts = { labels: 0, next_sentence_label: 0 };
  for (const { ids, labels = [], next_sentence_label, span = [] } of sequences) {
    for (const [name, loss] of losses) {
      const weightOf = (label: number) =>
        label === IGNORED ? 0 : ((loss.op === 'crossEntropy' ? loss.classWeights?.[label] : undefined) ?? 1);
      // A start and an end are half an item each. Those outside of the sequence are none.
      if (loss.op === 'spanCrossEntropy') counts.labels += span.filter(place => place < ids.length).length / 2;
      else if (name === 'next_sentence_label') counts.next_sentence_label += Number(next_sentence_label !== undefined);
      else if (loss.op === 'crossEntropy' || loss.op === 'ranking') {
        counts.labels += labels.reduce((sum, label) => sum + weightOf(label), 0);
      } else counts.labels += labels.length;
    }
  }
  return counts;
}

/** 1 / each count; of no items 0. */
export const scalesOf = ({ labels, next_sentence_label }: Record<LabelName, number>): LossScales => ({
  labels: labels && 1 / labels,
  next_sentence_label: next_sentence_label && 1 / next_sentence_label,
});
