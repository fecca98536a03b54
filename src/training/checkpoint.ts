import { env } from '../api/index.ts';
import { openCheckpoint } from '../checkpoint/file/index.ts';
import { openSource } from '../checkpoint/source/index.ts';
import { InputError } from '../errors.ts';
import { safetensorsFile } from '../saving/index.ts';
import type { TrainingArguments } from './arguments.ts';
import { TrainerState } from './callbacks.ts';
import {
  accessed,
  type CheckpointFolders,
  filesOfFolder,
  LAST_FILE,
  OPFS,
  type OutputDirectory,
} from './checkpoint-folders.ts';
import { GivenFields } from './given-fields.ts';
import type { TrainingSession } from './session.ts';

/**
 * What a checkpoint has beside the files of the model. Everything random is a function of seed, epoch, step and place, so these files are all
 * that a training is made of:
 *
 *   optimizer.safetensors   the running means of AdamW, and what was counted since the last log, by the names of their states
 *   training_progress.json  Progress
 *   training_args.json      the arguments, for people, and to say what has changed since
 *   trainer_state.json      as transformers writes it; the last that is written
 */
const OPTIMIZER = 'optimizer.safetensors';
const PROGRESS = 'training_progress.json';
const ARGUMENTS = 'training_args.json';
const STATE = LAST_FILE;

/** Whether a file of a checkpoint is none of the model's. */
const isOfTraining = (file: string): boolean => [OPTIMIZER, PROGRESS, ARGUMENTS, STATE].includes(file);

/** Where a run stands, beyond its TrainerState. */
export interface Progress {
  /** The next batch: its epoch, and its place in it. */
  epoch: number;
  batch: number;
  /** The sum of the losses of the steps that have been logged, and how many they are: not those whose loss was not finite. */
  loggedLoss: number;
  lossSteps: number;
  /** The step that was logged last. */
  lastLogged: number;
  /** How many records the data set has. */
  records: number;
}

export interface CheckpointParts {
  readonly state: TrainerState;
  readonly args: TrainingArguments;
  readonly progress: Progress;
  /** Undefined: its states are not saved, so that training cannot go on. */
  readonly session: Pick<TrainingSession, 'kept' | 'readState'> | undefined;
}

/** The files of a checkpoint, those of the model left out. */
export async function checkpointFiles({ state, args, progress, session }: CheckpointParts): Promise<File[]> {
  const files: File[] = [];
  if (session) {
    const tensors = [];
    for (const { name, bytes } of session.kept) {
      const numbers = await session.readState(name);
      tensors.push({ name, dtype: 'F32', shape: [bytes / 4], bytes: new Blob([numbers]) });
    }
    files.push(safetensorsFile(OPTIMIZER, tensors, { format: 'pt' }));
    files.push(new File([`${JSON.stringify(progress, null, 2)}\n`], PROGRESS));
  }
  files.push(new File([`${JSON.stringify(args.to_dict(), null, 2)}\n`], ARGUMENTS));
  files.push(new File([state.to_json_string()], STATE));
  return files;
}

/** Where training goes on from: the latest checkpoint of output_dir (true), one of it by its name, or one in a folder of its own. */
export type Resumed = true | OutputDirectory;

/** A checkpoint that training goes on from. */
export interface SavedTraining {
  /** As errors call it. */
  readonly name: string;
  /** The files of the model. */
  readonly files: readonly File[];
  readonly state: TrainerState;
  readonly progress: Progress;
  /** The arguments that it was trained with, as `to_dict` gives them. */
  readonly args: Readonly<Record<string, unknown>>;
  /** What its session kept, by the names of the states. */
  readonly states: ReadonlyMap<string, Float32Array<ArrayBuffer>>;
}

/**
 * Reads the checkpoint to go on from. Rejects with InputError where there is none, where a file is missing or is not what it should be;
 * with SourceError where its folder cannot be read.
 * @param folders those of output_dir
 */
export async function savedTraining(resumed: Resumed, folders: CheckpointFolders | undefined): Promise<SavedTraining> {
  if (typeof resumed === 'object') return readCheckpoint(await filesOfFolder(resumed), resumed.name);
  if (typeof resumed === 'string' && resumed.startsWith(OPFS)) {
    return readCheckpoint(await filesOfFolder(resumed), resumed);
  }
  const found = (await folders?.list()) ?? [];
  const name = resumed === true ? found.at(-1)?.name : resumed;
  if (folders && name !== undefined && found.some(each => each.name === name)) {
    return readCheckpoint(await folders.read(name), name);
  }
  throw new InputError({
    what: 'there is no checkpoint to go on from',
    actual: folders ? found.map(each => each.name).join(', ') || 'an empty output_dir' : 'no output_dir',
    expected: resumed === true ? 'a checkpoint in output_dir' : resumed,
    next: 'Leave resume_from_checkpoint out to begin anew.',
  });
}

/** Reads the files of a checkpoint: what `checkpointFiles` has written, and those of the model. */
async function readCheckpoint(files: readonly File[], name: string): Promise<SavedTraining> {
  const textOf = async (file: string): Promise<string> => {
    const found = files.find(each => each.name === file);
    if (found) return accessed(file, () => found.text());
    throw new InputError({
      what: `training cannot go on from ${name}`,
      actual: `it has no ${file}`,
      expected: 'a checkpoint that was saved with save_only_model: false',
    });
  };
  const state = TrainerState.from_json(await textOf(STATE));
  const given = new GivenFields(PROGRESS, parsed(PROGRESS, await textOf(PROGRESS)));
  const progress: Progress = {
    epoch: given.count('epoch', 0, 0),
    batch: given.count('batch', 0, 0),
    loggedLoss: given.number('loggedLoss', 0),
    // Checkpoints of earlier versions count all steps.
    lossSteps: given.count('lossSteps', given.count('lastLogged', 0, 0), 0),
    lastLogged: given.count('lastLogged', 0, 0),
    records: given.count('records', 0, 0),
  };
  return {
    name,
    files: files.filter(file => !isOfTraining(file.name)),
    state,
    progress,
    args: Object(parsed(ARGUMENTS, await textOf(ARGUMENTS))),
    states: await tensorsOf(files),
  };
}

function parsed(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new InputError({ what: `${file} is not JSON`, actual: text.slice(0, 60), cause });
  }
}

/** Arguments that say when something is done or kept, and change no bit of the training. Other sizes of micro-batches round otherwise. */
const OF_NO_WEIGHT =
  /^(output_dir|(logging|eval|save|per_device_eval|load_best)_\w+|\w+_best_model|greater_is_better)$/;

/**
 * Says on the console where a training goes on with other arguments or another number of records than the checkpoint was made with. That is
 * allowed, and gives other weights than if nothing had happened.
 */
export function warnOfChanges({ name, args, progress }: SavedTraining, now: TrainingArguments, records: number): void {
  const changed = Object.entries({ ...now.to_dict(), records }).flatMap(([field, value]) => {
    const before = field === 'records' ? progress.records : args[field];
    const [old, own] = [JSON.stringify(before ?? null), JSON.stringify(value)];
    return old === own || OF_NO_WEIGHT.test(field) ? [] : `${field} ${own} (${old} before)`;
  });
  if (changed.length > 0)
    console.warn(`training goes on from ${name}, not as if nothing had happened: ${changed.join(', ')}`);
}

async function tensorsOf(files: readonly File[]): Promise<Map<string, Float32Array<ArrayBuffer>>> {
  const checkpoint = await openCheckpoint(openSource([...files], {}, env), { files: [OPTIMIZER] });
  const tensors = new Map<string, Float32Array<ArrayBuffer>>();
  for (const [name, { byteLength }] of checkpoint.tensors) tensors.set(name, new Float32Array(byteLength / 4));
  for await (const { tensor, begin, bytes } of checkpoint.chunks()) {
    new Uint8Array(tensors.get(tensor.name)!.buffer).set(bytes, begin);
  }
  return tensors;
}

/** Sets what a session keeps. Throws InputError where the checkpoint is one of another training. */
export function restoreStates(
  session: Pick<TrainingSession, 'kept' | 'writeState'>,
  { name, states }: SavedTraining,
): void {
  const wrong = session.kept.find(({ name, bytes }) => states.get(name)?.byteLength !== bytes);
  if (wrong || states.size !== session.kept.length) {
    throw new InputError({
      what: `training cannot go on from ${name}, because other weights were trained there`,
      actual: `${states.size} running means and counts`,
      expected: `${session.kept.length}`,
      next: 'Pass the model and the `trainable` that it was saved with; of a table in slices, on a device with the same limits.',
    });
  }
  for (const [state, numbers] of states) session.writeState(state, numbers);
}
