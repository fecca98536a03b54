import { env } from '../api/index.ts';
import { openSource } from '../checkpoint/source/index.ts';
import type { Course } from './course.ts';
import { adaptersOf } from './lora/adapted.ts';
import { adapterFiles, filledFrom, readAdapter } from './lora/adapter-files.ts';

/** The files of what a training changes: of the model with its tokenizer; of a model with adapters those of the adapters. */
export function trainedFiles(
  course: Pick<Course, 'engine' | 'files'>,
  signal: AbortSignal | undefined,
): Promise<File[]> {
  const { engine } = course;
  const adapters = adaptersOf(engine);
  return adapters ? adapterFiles(engine, adapters, signal ? { signal } : {}) : course.files(signal);
}

/** Gives the model the weights among such files. Rejects with SourceError, CheckpointError, DeviceError, or the signal's reason. */
export async function loadTrained(
  course: Pick<Course, 'engine' | 'opened'>,
  files: readonly File[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const adapters = adaptersOf(course.engine);
  if (!adapters) {
    await course.engine.loadWeights(course.opened(files), signal);
    return;
  }
  const { tensors } = await readAdapter(openSource([...files], {}, env));
  await adapters.load(filledFrom(tensors, adapters));
}
