import type { Engine, OtherFiles } from '../engine/index.ts';
import type { LabelledSequence, TrainingGraph } from '../gradients/index.ts';

/** Numbers by their names. */
export type Metrics = Record<string, number>;

/** Numbers that are drawn: of those that are not, the variance is 0. */
export interface Spread {
  readonly mean: number;
  readonly variance: number;
}

/** How much a record takes up. */
export interface RecordExtent {
  /** The tokens of each of its texts. */
  readonly lengths: readonly number[];
  /** The tokens of them that are to be guessed. */
  readonly masked: Spread;
}

/** The records that a training goes through. */
export interface CourseData {
  /** How many there are. */
  readonly count: number;
  /** The tokens of each. */
  readonly lengths: readonly number[];
  /** Whether the loss of a batch is a sum over its records, so that a batch may be cut into micro-batches. */
  readonly isDivisible: boolean;
  /** The records of an order in batches. */
  batches(order: Uint32Array, batchSize: number, dropLast: boolean): Iterable<ArrayLike<number>>;
  /** How much a record takes up, in any epoch. */
  extent(index: number): RecordExtent;
  /** The sequences of some records, as an epoch has them. Throws InputError where a record is wrong. */
  sequences(indices: ArrayLike<number>, epoch: number): readonly LabelledSequence[];
}

/** What is trained on what: all that is different between trainings. */
export interface Course<Data extends CourseData = CourseData> {
  readonly engine: Engine;
  /** Reads the records, once. Rejects with InputError where there are none. */
  data(signal: AbortSignal | undefined): Promise<Data>;
  /** A step as a graph. */
  graph(data: Data): TrainingGraph;
  /** Is told that a training begins. */
  begin(data: Data): void;
  /** Evaluates the model as it is, logs what it finds and calls `on_evaluate`. */
  evaluate(signal: AbortSignal | undefined): Promise<Metrics>;
  /** The files of the model as it is, with its tokenizer. */
  files(signal: AbortSignal | undefined): Promise<File[]>;
  /** The weights among such files. */
  opened(files: readonly File[]): OtherFiles;
}
