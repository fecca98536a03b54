import type { LabelledSequence } from '../gradients/index.ts';
import type { TrainingArguments } from './arguments.ts';
import type { CourseData } from './course.ts';
import type { LargestMicroBatch, MicroBatchRows, TrainingSession } from './session.ts';

/** What goes through the device at once: a batch, or a part of one. */

type Room = Pick<TrainingSession, 'microBatchRoom'>;

type BatchSize = Pick<TrainingArguments, 'per_device_train_batch_size' | 'max_tokens_per_batch'>;

/** A batch in parts that the device has room for, and that have no more than `max_tokens_per_batch` tokens. */
export function* microBatches(
  session: Room,
  batch: readonly LabelledSequence[],
  { max_tokens_per_batch: most = Number.POSITIVE_INFINITY }: Pick<TrainingArguments, 'max_tokens_per_batch'>,
): Generator<LabelledSequence[]> {
  let part: LabelledSequence[] = [];
  let tokens = 0;
  let fits = session.microBatchRoom();
  for (const sequence of batch) {
    const { length } = sequence.ids;
    if (part.length > 0 && (tokens + length > most || !fits(sequence))) {
      yield part;
      [part, tokens, fits] = [[], 0, session.microBatchRoom()];
    }
    if (part.length === 0) fits(sequence);
    part.push(sequence);
    tokens += length;
  }
  if (part.length > 0) yield part;
}

/** Masks are drawn anew in every epoch. So many standard deviations above the mean lies one draw in a billion. */
const DEVIATIONS = 6;

/**
 * The largest micro-batch that can come, on a device that has room for all. Its numbers are bounds, each by itself: those of the longest
 * records, and no more than `max_tokens_per_batch` allows. The tokens that a collator will draw are bounded by chance alone; buffers for
 * all that it could draw would be several times as large.
 * @returns tells it for tiles of so many queries
 */
export function largestMicroBatch(
  data: Pick<CourseData, 'lengths' | 'isDivisible' | 'extent'>,
  { per_device_train_batch_size: size, max_tokens_per_batch: most = Number.POSITIVE_INFINITY }: BatchSize,
): (queryTile: number) => LargestMicroBatch {
  const extents = data.lengths.map((_, index) => data.extent(index));
  const limit = data.isDivisible ? Math.max(most, maximum(data.lengths)) : Number.POSITIVE_INFINITY;
  const bound = (records: number, queryTile: number): MicroBatchRows => {
    const count = Math.min(records, fittingRecords(data.lengths, limit));
    const top = (list: readonly number[]) => sum([...Float64Array.from(list).sort().subarray(-count)]);
    const tokens = Math.min(top(data.lengths), limit);
    const sequences = top(extents.map(({ lengths }) => lengths.length));
    const ofTexts = top(extents.map(({ lengths }) => sum(lengths.map(length => Math.ceil(length / queryTile)))));
    /** Of what grows with the tokens. */
    const spread = (list: readonly number[]) =>
      Math.min(top(list), tokens * maximum(list.map((value, i) => value / data.lengths[i]!)));
    const mean = spread(extents.map(({ masked }) => masked.mean));
    const variance = spread(extents.map(({ masked }) => masked.variance));
    return {
      tokens,
      sequences,
      // Each text has one tile that is not full, at most.
      tiles: Math.min(ofTexts, Math.floor((tokens + sequences * (queryTile - 1)) / queryTile)),
      masked: Math.min(tokens, Math.ceil(mean + DEVIATIONS * Math.sqrt(variance))),
    };
  };
  return queryTile => {
    const batch = bound(size, queryTile);
    return { batch, record: data.isDivisible ? bound(1, queryTile) : batch };
  };
}

/** As many of the shortest records as have no more than `limit` tokens; at least one. */
function fittingRecords(lengths: readonly number[], limit: number): number {
  let tokens = 0;
  const fitting = [...lengths]
    .sort((a, b) => a - b)
    .filter(length => {
      tokens += length;
      return tokens <= limit;
    });
  return Math.max(1, fitting.length);
}

const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);
const maximum = (list: readonly number[]): number => list.reduce((a, b) => Math.max(a, b), 0);
