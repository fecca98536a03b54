import type { LabelledSequence } from '../gradients/index.ts';
import type { TrainingArguments } from './arguments.ts';
import type { CourseData } from './course.ts';
import type { TrainingSession } from './session.ts';

/** What goes through the device at once: a batch, or a part of one. */

type Room = Pick<TrainingSession, 'microBatchRoom'>;

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

type BatchSize = Pick<TrainingArguments, 'per_device_train_batch_size' | 'max_tokens_per_batch'>;

/** The longest records, as many as a micro-batch has on a device that has room for all of them. */
export function largestBatch(
  data: Pick<CourseData, 'lengths' | 'isDivisible' | 'sequences'>,
  { per_device_train_batch_size: size, max_tokens_per_batch: most = Number.POSITIVE_INFINITY }: BatchSize,
): readonly LabelledSequence[] {
  const longest = [...data.lengths.keys()].sort((a, b) => data.lengths[b]! - data.lengths[a]!).slice(0, size);
  let tokens = 0;
  const fitting = longest.filter((index, i) => {
    tokens += data.lengths[index]!;
    return i === 0 || tokens <= most;
  });
  return data.sequences(data.isDivisible ? fitting : longest, 0);
}

/**
 * Makes the buffers for the largest micro-batch that is to be expected, so that a device without room for it says so now. Rejects with
 * DeviceError.
 */
export async function reserveLargest(
  session: Room & Pick<TrainingSession, 'reserve'>,
  data: CourseData,
  args: BatchSize,
): Promise<void> {
  const fits = session.microBatchRoom();
  const largest = largestBatch(data, args);
  const tooMany = data.isDivisible ? largest.findIndex(sequence => !fits(sequence)) : -1;
  await session.reserve(tooMany < 0 ? largest : largest.slice(0, tooMany));
}
