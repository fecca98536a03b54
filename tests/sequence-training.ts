import { readFileSync } from 'node:fs';
import type { DataRecord } from '../src/train.ts';
import { readFixture } from './training-run.ts';

/** A small classifier of sequences, as files, and records to train it with. */

export const sequenceFiles = Object.fromEntries(
  ['config.json', 'model.safetensors'].map(file => [
    file,
    new Uint8Array(readFileSync(new URL(`fixtures/random/bert-sequence/${file}`, import.meta.url))),
  ]),
);

export const sequenceRecords = (count: number): DataRecord[] =>
  readFixture('bert-sequence')
    .data.slice(0, count)
    .map(example => ({ ...example }));
