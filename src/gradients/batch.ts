import { IGNORED } from '../../shaders/cross-entropy.ts';
import { padded } from '../../shaders/kernel.ts';
import { type Batch, packBatch } from '../plan/index.ts';
import { type LossOp, targetColumns } from './loss-op.ts';
import { type EmbedBackwardOp, textsOf } from './op.ts';
import type { TrainingPlan } from './plan.ts';
import type { LabelledSequence, LossScales } from './sequence.ts';
import type { DataName } from './step.ts';

/** A micro-batch as the kernels read it. */
export interface TrainingBatch extends Batch {
  readonly data: ReadonlyMap<DataName, Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>>;
  /** The numbers that params may name, by name; the sizes are among them. */
  readonly numbers: Readonly<Record<string, number>>;
}

export interface PackOptions {
  readonly scales: LossScales;
  /** For dropout: the step, and the seed of the run. */
  readonly step: number;
  readonly seed: number;
  /** The number of each sequence in the order of the whole training; tells dropout's random words apart. Default: its place in the batch. */
  readonly numbers?: readonly number[];
}

/** Tokens of a sequence that have keys of their own for dropout: no model takes as many. */
const TOKENS_OF_SEQUENCE = 2 ** 14;

/**
 * The key of a row of tokens, as shaders/dropout.ts takes it: of the number of its sequence in the step and of its place in the sequence, so
 * that a row drops the same elements however its batch is packed and split. A pooled row has the key of token 0, and so has a sequence in
 * attention. The keys of sequence -1 are those of the rows of distances. Keys repeat after 2^18 sequences: no step has as many, and every
 * step has masks of its own.
 */
export const rowKey = (sequence: number, token: number): number =>
  (Math.imul(sequence + 1, TOKENS_OF_SEQUENCE) + token) >>> 0;

/** The sequence whose keys the rows of distances have. */
const OF_DISTANCES = -1;

/** Packs sequences one behind the other, with what the backward pass reads of them. */
export function packTraining(
  plan: TrainingPlan,
  list: readonly LabelledSequence[],
  { scales, step, seed, numbers: sequenceNumbers }: PackOptions,
): TrainingBatch {
  const batch = packBatch(list, plan.queryTile, plan.stretched);
  const data = new Map<DataName, Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>>();
  const sizes = { ...batch.sizes, distances: plan.distances };
  const numbers: Record<string, number> = {
    ...sizes,
    labels_scale: scales.labels,
    next_sentence_scale: scales.next_sentence_label,
    step,
    seed,
  };
  const has = (name: DataName) => plan.data.has(name);
  const { ops } = plan.graph;
  const numberOf = (b: number) => sequenceNumbers?.[b] ?? b;
  const texts = textsOf(ops);
  if (texts !== undefined) {
    const records = list.length / texts;
    if (!Number.isInteger(records)) throw new Error(`training: ${list.length} texts in records of ${texts}`);
    numbers.records = records;
    numbers.others = list.length - records;
    numbers.batch_scale = scales.labels * records;
  }
  if (has('labels')) data.set('labels', Uint32Array.from(list.flatMap(({ labels = [] }) => [...labels])));
  if (has('next_sentence_labels')) {
    data.set(
      'next_sentence_labels',
      Uint32Array.from(list, sequence => sequence.next_sentence_label ?? IGNORED),
    );
  }
  if (has('targets')) {
    const stride = padded(targetColumns(ops.find((op): op is LossOp => 'dlogits' in op)!));
    const targets = new Float32Array(list.length * stride);
    list.forEach(({ labels = [] }, b) => {
      targets.set(labels, b * stride);
    });
    data.set('targets', targets);
  }
  if (has('spans')) {
    data.set('spans', Uint32Array.from(list.flatMap(({ span = [IGNORED, IGNORED] }) => [...span, 0, 0])));
  }
  if (has('sequence_keys'))
    data.set('sequence_keys', Uint32Array.from(list.flatMap((_, b) => [rowKey(numberOf(b), 0), 0, 0, 0])));
  if (has('token_keys')) {
    data.set('token_keys', Uint32Array.from(list.flatMap(({ ids }, b) => tokenKeys(numberOf(b), ids.length))));
  }
  // The same factors in every micro-batch of a step, so that cutting a batch changes nothing.
  if (has('distances_keys')) data.set('distances_keys', Uint32Array.from(tokenKeys(OF_DISTANCES, plan.distances)));
  // Training asks for no probabilities, so that the start of a sequence's pairs is read by nothing: its key stands there.
  let b = 0;
  for (let tile = 0; tile < batch.sizes.tiles; tile++) {
    while (batch.tiles[4 * tile + 1] !== batch.sequences[4 * b + 1]) b++;
    batch.tiles[4 * tile + 3] = rowKey(numberOf(b), 0);
  }
  for (const op of ops) if (op.op === 'embedBackward') segments(op, list, data, numbers);
  return { ...batch, sizes, data, numbers };
}

/** Four numbers a token: its key, and padding. */
const tokenKeys = (sequence: number, length: number): number[] =>
  Array.from({ length }, (_, i) => [rowKey(sequence, i), 0, 0, 0]).flat();

/** The tokens sorted by the row that they read of a table, those of one row in their order, and where each row's begin and end. */
function segments(
  { table, padding }: EmbedBackwardOp,
  list: readonly LabelledSequence[],
  data: Map<DataName, Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>>,
  numbers: Record<string, number>,
): void {
  const rows = list.flatMap(({ ids, positions, types }) => {
    const read = { words: ids, positions, types, tasks: undefined }[table];
    return Array.from(ids, (_, i) => read?.[i] ?? 0);
  });
  const byRow = new Map<number, number[]>();
  rows.forEach((row, token) => {
    if (row === padding) return;
    const tokens = byRow.get(row);
    if (tokens) tokens.push(token);
    else byRow.set(row, [token]);
  });
  const order = new Uint32Array(rows.length);
  const list4: number[] = [];
  let first = 0;
  for (const [row, tokens] of [...byRow].sort(([a], [b]) => a - b)) {
    order.set(tokens, first);
    list4.push(row, first, first + tokens.length, 0);
    first += tokens.length;
  }
  data.set(`${table}_order`, order);
  data.set(`${table}_segments`, Uint32Array.from(list4));
  numbers[`${table}_segments`] = byRow.size;
}
