import type { TrainingArgumentsInit } from '../src/train.ts';
import { readTensors } from './checkpoint-bytes.ts';

/** Runs of PEFT in float64 (tests/fixtures/lora), and what they are held against. */

export interface LoraRun {
  readonly head: string;
  readonly args: TrainingArgumentsInit;
  /** What is trained, and all numbers, as PEFT counts them. */
  readonly parameters: readonly [trainable: number, all: number];
  readonly losses: readonly number[];
  readonly grad_norms: readonly number[];
  /** Of the first record, after the run. */
  readonly logits: readonly number[];
}

/** The runs, by the names of their models. */
export const LORA_RUNS = [
  'bert-sequence',
  'roberta-token',
  'bert-masked-lm',
  'deberta-sequence',
  'deberta-v2-sequence',
];
/** The folder of the model of a run, among the fixtures. */
export const loraModel = (name: string): string =>
  `${name.startsWith('deberta') ? 'training/models' : 'random'}/${name}`;
/** The records of a run: the first of those of the training with the same name. */
export const LORA_RECORDS = 20;

export interface FileTensors {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** The tensors of a safetensors file of float32. */
export function floatTensors(bytes: Uint8Array): Map<string, FileTensors> {
  const entries = Object.entries(readTensors(bytes));
  return new Map(
    entries.map(([name, { shape, bytes: own }]) => [name, { shape, data: new Float32Array(own.slice().buffer) }]),
  );
}

/** The largest difference; NaN where there are more numbers of one. */
export function far(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let worst = actual.length === expected.length ? 0 : Number.NaN;
  for (let i = 0; i < expected.length; i++) worst = Math.max(worst, Math.abs(actual[i]! - expected[i]!));
  return worst;
}

export const fileOf = async (files: readonly File[], name: string): Promise<Uint8Array<ArrayBuffer>> =>
  new Uint8Array(await files.find(file => file.name === name)!.arrayBuffer());
