import { describe, InputError } from '../errors.ts';
import type { LabelledSequence } from '../gradients/index.ts';
import { inTurns } from '../runtime/index.ts';
import type { TextReader } from '../tasks/index.ts';
import type { CourseData, RecordExtent } from './course.ts';
import type { EmbedderLoss } from './embedder-losses.ts';
import { type EmbedderExample, type EmbedderTask, embedderSequences, embedderTask } from './embedder-task.ts';
import { type DataRecord, recordError } from './records.ts';
import { batchesOf, noDuplicateBatches } from './sampler.ts';
import { type Dataset, listOf } from './trainer-data.ts';

/** How batches are made: as the order has the records, or so that no text is in a batch twice. */
export type BatchSampler = 'batch_sampler' | 'no_duplicates';

export interface EmbedderDataSettings {
  readonly reader: TextReader;
  readonly loss: EmbedderLoss;
  /** What is put before texts: all of them, or those of a column by its name. */
  readonly prompts: string | Readonly<Record<string, string>> | undefined;
  readonly sampler: BatchSampler;
  readonly signal: AbortSignal | undefined;
}

/** The columns of records that are no text, by sentence-transformers' names. */
const LABELS = ['label', 'labels', 'score', 'scores'];

/** The records of an embedder in tokens. */
export class EmbedderData implements CourseData {
  readonly task: EmbedderTask;
  readonly lengths: readonly number[];
  // The losses compare the records of a batch with one another.
  readonly isDivisible = false;
  readonly #texts: readonly (readonly string[])[];
  readonly #examples: readonly EmbedderExample[];
  readonly #sampler: BatchSampler;

  private constructor(
    task: EmbedderTask,
    { texts, examples, sampler }: { texts: string[][]; examples: EmbedderExample[]; sampler: BatchSampler },
  ) {
    this.task = task;
    this.#texts = texts;
    this.#examples = examples;
    this.#sampler = sampler;
    this.lengths = examples.map(({ texts }) => texts.reduce((sum, { input_ids }) => sum + input_ids.length, 0));
  }

  /**
   * Reads a data set whole, and says on the console how many texts were cut. The columns of a record are in order: anchor, positive,
   * negatives; or two texts and their `label` or `score`. Throws InputError for an empty set and for a record that is not what the loss needs.
   */
  static async read(name: string, dataset: Dataset, settings: EmbedderDataSettings): Promise<EmbedderData> {
    const { reader, loss, prompts, sampler, signal } = settings;
    const records = await listOf(name, dataset, signal);
    if (records.length === 0) {
      throw new InputError({ what: `${name} is empty`, expected: 'a list of at least one record' });
    }
    const columns = columnsOf(records[0]);
    const task = embedderTask({ config: reader.engine.config, pool: reader.pool, loss, texts: columns.length });
    let truncated = 0;
    const texts = records.map((record, index) => textsOf(record, columns, index));
    const exampleOf = (record: DataRecord, index: number): EmbedderExample => {
      const label = labelOf(record);
      return {
        texts: texts[index]!.map((text, column) => {
          const prompt = (typeof prompts === 'string' ? prompts : prompts?.[columns[column]!]) ?? '';
          const encoded = reader.encode(text, prompt);
          truncated += Number(encoded.truncated);
          const { ids, typeIds, unpooled } = encoded;
          return { input_ids: ids, token_type_ids: typeIds, unpooled };
        }),
        ...(label !== undefined && { label }),
      };
    };
    const examples = await inTurns(records, exampleOf, signal);
    if (truncated > 0) {
      const all = records.length * columns.length;
      console.warn(`${name}: ${truncated} of ${all} texts were longer than the model reads and were cut.`);
    }
    return new EmbedderData(task, { texts, examples, sampler });
  }

  get count(): number {
    return this.lengths.length;
  }

  batches(order: Uint32Array, batchSize: number, dropLast: boolean): Iterable<ArrayLike<number>> {
    if (this.#sampler === 'batch_sampler') return batchesOf(order, batchSize, dropLast);
    return noDuplicateBatches(order, index => this.#texts[index]!, batchSize, dropLast);
  }

  extent(index: number): RecordExtent {
    const lengths = this.#examples[index]!.texts.map(({ input_ids }) => input_ids.length);
    return { lengths, masked: { mean: 0, variance: 0 } };
  }

  sequences(indices: ArrayLike<number>): LabelledSequence[] {
    const own = Array.from(indices);
    const examples = own.map(index => this.#examples[index]!);
    return embedderSequences(this.task, examples, place => `record ${own[place]}`);
  }
}

/** The columns of texts, in their order. */
function columnsOf(record: DataRecord | undefined): string[] {
  const columns = typeof record === 'object' && record ? Object.keys(record).filter(key => !LABELS.includes(key)) : [];
  if (columns.length > 0) return columns;
  throw recordError(0, 'it has no texts', { actual: describe(record), expected: '{ anchor, positive }, say' });
}

function textsOf(record: DataRecord, columns: readonly string[], index: number): string[] {
  return columns.map(column => {
    const text = Object(record)[column];
    if (typeof text === 'string') return text;
    const expected = 'a string, as in the first record';
    throw recordError(index, `"${column}" is no text`, { actual: describe(text), expected });
  });
}

function labelOf(record: DataRecord): number | undefined {
  const name = LABELS.find(each => record[each] !== undefined);
  return name === undefined ? undefined : Number(record[name]);
}
