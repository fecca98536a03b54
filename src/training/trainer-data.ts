import type { PreTrainedTokenizer } from '../api/index.ts';
import { describe, InputError } from '../errors.ts';
import type { LabelledSequence } from '../gradients/index.ts';
import type { EncoderConfig, HeadKind } from '../model/index.ts';
import type { DataCollatorForLanguageModeling } from './collators.ts';
import type { CourseData, RecordExtent } from './course.ts';
import { IGNORED_LABEL } from './example.ts';
import { type DataRecord, hasLabels, readRecords, type TokenizedRecord, type TokenizedRecords } from './records.ts';
import { batchesOf } from './sampler.ts';
import { labelledSequence, type TrainingTask, taskOf, unlabelledSequence } from './task.ts';

/**
 * Records: a list, or anything that gives them one after the other. They are read once, before the first step; a list again where records
 * were added, taken out or replaced since. */
export type Dataset = readonly object[] | Iterable<object> | AsyncIterable<object>;

/** What a data set is read for. */
export interface DataSettings {
  readonly config: EncoderConfig;
  readonly head: HeadKind | undefined;
  readonly tokenizer: PreTrainedTokenizer | undefined;
  /** Masks texts that have no labels yet. Undefined where the head needs none. */
  readonly collator: DataCollatorForLanguageModeling | undefined;
  /** Whether records may be without labels: then none of theirs are read where the first has none. */
  readonly mayLackLabels: boolean;
  readonly signal: AbortSignal | undefined;
}

/** A data set in tokens, ready to be trained on. */
export class TrainingData implements CourseData {
  readonly task: TrainingTask;
  readonly isDivisible = true;
  /** Without labels there is no loss. */
  readonly isLabelled: boolean;
  /** The tokens of every record. */
  readonly lengths: readonly number[];
  readonly #read: TokenizedRecords;
  readonly #collator: DataCollatorForLanguageModeling | undefined;

  private constructor(
    task: TrainingTask,
    read: TokenizedRecords,
    { collator, isLabelled }: { collator: DataCollatorForLanguageModeling | undefined; isLabelled: boolean },
  ) {
    this.task = task;
    this.isLabelled = isLabelled;
    this.#read = read;
    this.#collator = collator;
    this.lengths = read.records.map(({ example }) => example.input_ids.length);
  }

  /**
   * Reads a data set whole, and says on the console how many texts were cut. Throws InputError for one that is empty and for a record that
   * is not what the head needs, and UnsupportedError for a model that has no loss.
   */
  static async read(name: string, dataset: Dataset, settings: DataSettings): Promise<TrainingData> {
    const { config, head, tokenizer, collator, mayLackLabels, signal } = settings;
    const records = await listOf(name, dataset, signal);
    const isLabelled = !mayLackLabels || head === undefined || hasLabels(records[0], head);
    // The head is looked at first: it says what the records must have.
    const unread = head && { head, config, tokenizer, isLabelled };
    const read = unread && (await readRecords(records, unread, { name, signal }));
    const first = read?.records[0]?.example ?? { input_ids: [] };
    // Without labels any will do: what is computed of a text is the same.
    const task = taskOf(config, head, isLabelled ? first : { ...first, labels: 0 });
    const { truncated, answersCutOff, records: all } = read!;
    const cut = answersCutOff > 0 ? `, and with them ${answersCutOff} answers, which now count as none` : '';
    if (truncated > 0) {
      console.warn(`${name}: ${truncated} of ${all.length} texts were longer than the model reads and were cut${cut}.`);
    }
    const isOutside = ({ example: { start_positions, end_positions } }: TokenizedRecord) =>
      start_positions === IGNORED_LABEL && end_positions === IGNORED_LABEL;
    if (isLabelled && all.every(isOutside)) {
      throw new InputError({
        what: `${name} has no answer in what the model reads`,
        actual: `start_positions and end_positions behind the last token, in ${all.length} records`,
        expected: 'tokens of the record for some of them',
      });
    }
    const isUnlabelled = ({ example: { labels } }: TokenizedRecord) =>
      Array.isArray(labels) && labels.every(label => label === IGNORED_LABEL);
    if ((task.problem === 'tokens' || task.problem === 'masked_lm') && isLabelled && all.every(isUnlabelled)) {
      throw new InputError({
        what: `${name} has no token with a label`,
        actual: `${IGNORED_LABEL} for each, in ${all.length} records`,
        expected: 'a class for some tokens',
      });
    }
    return new TrainingData(task, read!, { collator, isLabelled });
  }

  get count(): number {
    return this.lengths.length;
  }

  batches(order: Uint32Array, batchSize: number, dropLast: boolean): Iterable<Uint32Array> {
    return batchesOf(order, batchSize, dropLast);
  }

  extent(index: number): RecordExtent {
    const record = this.#read.records[index]!;
    const lengths = [record.example.input_ids.length];
    const drawn = this.#collator?.spread(record);
    if (drawn) return { lengths, masked: drawn };
    const { masked = [] } = labelledSequence(this.task, record.example, `record ${index}`);
    return { lengths, masked: { mean: masked.length, variance: 0 } };
  }

  sequences(indices: ArrayLike<number>, epoch: number): LabelledSequence[] {
    return Array.from(indices, index => {
      const record = this.#read.records[index]!;
      if (!this.isLabelled) return unlabelledSequence(this.task, record.example);
      const example = this.#collator?.mask(record, { index, epoch }) ?? record.example;
      return labelledSequence(this.task, example, `record ${index}`);
    });
  }
}

/** All records of a data set. Rejects with InputError for what is none, or the signal's reason. */
export async function listOf(
  name: string,
  dataset: Dataset,
  signal: AbortSignal | undefined,
): Promise<readonly DataRecord[]> {
  if (Array.isArray(dataset)) return dataset;
  const given: Partial<Iterable<object> & AsyncIterable<object>> = Object(dataset);
  const isText = typeof dataset === 'string';
  if (isText || (!given[Symbol.asyncIterator] && !given[Symbol.iterator])) {
    throw new InputError({
      what: `${name} is wrong`,
      actual: describe(dataset),
      expected: 'a list of records, or something that gives them one by one',
    });
  }
  const records: DataRecord[] = [];
  for await (const record of dataset) {
    signal?.throwIfAborted();
    records.push(record as DataRecord);
  }
  return records;
}
