import { computed, signal } from '@preact/signals';
import type { Dataset, EvalPrediction, LogEntry, Trainable, TrainingArgumentsInit } from 'webgpu-bert/train';
import { accuracy, Trainer } from 'webgpu-bert/train';
import { countFrom } from '../../shell/format.ts';
import type { ModelChoice } from '../../shell/model-choice.ts';
import { ModelSlot } from '../../shell/model-slot.ts';
import type { Lease } from '../../shell/model-store.ts';
import { Work } from '../../shell/work.ts';
import { type Classifier, classifierKind, type LabelScore } from './classifier.ts';
import { CLASS_EXAMPLES } from './examples.ts';
import { KeptText } from './kept-text.ts';
import { type Example, readLabelledLines, split } from './lines.ts';

/** The lines that a person has, what is to be learned of them, and the classifier that comes of it. */

export const TAB = 'training';

export const lines = new KeptText('lab-training-lines', CLASS_EXAMPLES);
/** Where an example is in view: a text that none of its lines has. */
export const trial = computed(() => lines.example?.trial ?? '');
export const reading = new Work();
export const read = computed(() => readLabelledLines(lines.text.value));

/** A model is loaded for the classes that are there; before there are two, for any two. */
function labelsNow(): readonly string[] {
  const labels = read.peek().classes.map(({ label }) => label);
  return labels.length > 1 ? labels : ['one', 'other'];
}

export const slot = new ModelSlot(classifierKind(labelsNow), { tab: TAB, task: 'training', isFloat32: true });
export const work = new Work();

// What is trained, and how.

export type Part = 'head' | 'last' | 'all';

interface PartChoice {
  readonly title: string;
  readonly note: string;
  readonly trainable: Trainable;
  /** What has shown itself to be enough for a few dozen lines, with an encoder of six layers. */
  readonly epochs: number;
  readonly rate: number;
}

export const PARTS: Readonly<Record<Part, PartChoice>> = {
  head: {
    title: 'Fast: head only',
    note: 'What the model knows stays as it is; a head on top of it learns your labels.',
    trainable: 'head',
    epochs: 15,
    rate: 5e-3,
  },
  last: {
    title: 'Usual: last two layers',
    note: 'The two layers below the head learn with it.',
    trainable: { last_layers: 2 },
    epochs: 8,
    rate: 5e-4,
  },
  all: {
    title: 'Better: all layers',
    note: 'All weights learn: for many lines, with the most time and memory.',
    trainable: 'all',
    epochs: 10,
    rate: 2e-4,
  },
};

export const USUAL_PART = 'last';

export interface Settings {
  readonly part: Part;
  readonly epochs: number;
  readonly rate: number;
  readonly batch: number;
  /** The percentage of the examples that are held out. */
  readonly held: number;
}

export const EPOCHS = [1, 2, 4, 8, 10, 15, 20, 30, 50] as const;
export const RATES = [1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2] as const;
export const BATCHES = [4, 8, 16, 32] as const;
export const SHARES = [0, 10, 20, 30, 50] as const;

export function settingsOf(address: URLSearchParams): Settings {
  const named = address.get('part');
  const part = named === 'head' || named === 'all' ? named : USUAL_PART;
  const rate = Number(address.get('rate'));
  const held = Number(address.get('held') ?? 20);
  return {
    part,
    epochs: countFrom(address.get('epochs'), PARTS[part].epochs, 1000),
    rate: rate > 0 && rate <= 1 ? rate : PARTS[part].rate,
    batch: countFrom(address.get('batch'), 8, 256),
    held: SHARES.find(share => share === held) ?? 20,
  };
}

/** What a training of the lines would be. */
export interface Plan {
  readonly labels: readonly string[];
  readonly train: readonly Example[];
  readonly held: readonly Example[];
  readonly settings: Settings;
  /** Its steps. */
  readonly total: number;
}

export function planOf(settings: Settings): Plan {
  const { examples, classes } = read.value;
  const { train, held } = split(examples, settings.held / 100);
  return {
    labels: classes.map(({ label }) => label),
    train,
    held,
    settings,
    total: settings.epochs * Math.ceil(train.length / settings.batch),
  };
}

// How much memory it would take.

export const estimating = new Work();
/** Bytes on the GPU; undefined where they are not known. */
export const estimate = signal<number | undefined>(undefined);

/** Says how much memory a training would take, before anything of it is made. */
export function estimateMemory(base: Classifier, { train, settings }: Plan): void {
  estimating.run(
    async signal => {
      const { model } = base;
      if (!model || train.length === 0) return;
      // The largest batch counts: the longest texts are enough to know it. Which label they have does not matter.
      const longest = [...train].sort((a, b) => b.text.length - a.text.length).slice(0, 4 * settings.batch);
      const train_dataset = longest.map(({ text }) => ({ text, label: 0 }));
      const trainer = new Trainer({
        model,
        args: argumentsOf(settings),
        train_dataset,
        processing_class: base.tokenizer,
      });
      const memory = await trainer.memory();
      if (!signal.aborted) estimate.value = memory?.total;
    },
    { delayMs: 250 },
  );
}

const argumentsOf = ({ part, rate, batch }: Settings): TrainingArgumentsInit => ({
  trainable: PARTS[part].trainable,
  learning_rate: rate,
  per_device_train_batch_size: batch,
  logging_steps: 1,
});

// The training.

/** What the model makes of an example that it has not learned from. */
export interface Guess {
  readonly example: Example;
  readonly label: string;
}

/** A training under way, or one that has ended. */
export interface Training extends Plan {
  readonly id: number;
  readonly base: Classifier;
  readonly isPrepared: boolean;
  /** Steps that are done. */
  readonly done: number;
  /** Milliseconds of a step, once some are done. */
  readonly msPerStep: number | undefined;
  readonly elapsedMs: number;
  readonly history: readonly LogEntry[];
  /** Of the examples held out, as the model was when it last was asked. */
  readonly guesses: readonly Guess[];
}

export const training = signal<Training | undefined>(undefined);
/** Goes up whenever the model has learned enough to be asked anew. */
export const version = signal(0);

let trainings = 0;
/** Ends with the training that began last. Two at once would write to the same weights. */
let ending: Promise<unknown> = Promise.resolve();
/** Holds the model that is trained, also when the tab is left. */
let hold: Lease<Classifier> | undefined;

function change(id: number, changes: Partial<Training>): void {
  const now = training.peek();
  if (now?.id === id) training.value = { ...now, ...changes };
}

export function train(base: Classifier, plan: Plan, choice: ModelChoice): void {
  trainings += 1;
  const id = trainings;
  letGo();
  training.value = {
    ...plan,
    id,
    base,
    isPrepared: false,
    done: 0,
    msPerStep: undefined,
    elapsedMs: 0,
    history: [],
    guesses: [],
  };
  void slot.hold(choice).then(lease => {
    if (training.peek()?.id === id) hold = lease;
    else lease.release();
  });
  // Stopped and begun again, it goes on where it was.
  work.run(signal => {
    const mine = ending.then(() => goOn(id, signal));
    ending = mine.catch(() => undefined);
    return mine;
  });
}

/** The training and its model are not needed any more. */
export function letGo(): void {
  work.clear();
  trying.clear();
  training.value = undefined;
  answer.value = undefined;
  hold?.release();
  hold = undefined;
}

async function goOn(id: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const begun = training.peek();
  if (begun?.id !== id) return;
  const { base, labels, settings, total, held, done: before } = begun;
  const model = before === 0 ? await base.renewed(labels, { signal }) : base.model;
  if (!model) return;
  change(id, { isPrepared: true });
  const recordOf = ({ text, label }: Example) => ({ text, label: labels.indexOf(label) });
  const began = performance.now();
  let first: { step: number; time: number } | undefined;
  const trainer = new Trainer({
    model,
    processing_class: base.tokenizer,
    train_dataset: begun.train.map(recordOf),
    eval_dataset: held.length > 0 ? (held.map(recordOf) satisfies Dataset) : null,
    args: {
      ...argumentsOf(settings),
      // The rest of a training that was stopped goes on with the learning rate of its next step, and with other random numbers.
      max_steps: total - before,
      learning_rate: settings.rate * (1 - before / total),
      seed: 42 + before,
      eval_strategy: held.length > 0 ? 'epoch' : 'no',
    },
    compute_metrics: prediction => {
      change(id, { guesses: guessesOf(prediction, begun) });
      return accuracy(prediction);
    },
    callbacks: [
      {
        on_step_end: (_, { global_step }) => {
          const done = before + global_step;
          const time = performance.now();
          first ??= { step: done, time };
          const steps = done - first.step;
          change(id, {
            done,
            ...(steps > 0 && { msPerStep: (time - first.time) / steps }),
          });
          work.progress.value = { done, total };
        },
        on_log: (_, { global_step }, __, { logs = {} }) => {
          const entry = { ...logs, step: before + global_step };
          change(id, { history: [...(training.peek()?.history ?? []), entry] });
        },
        on_epoch_end: () => {
          version.value += 1;
        },
      },
    ],
  });
  try {
    await trainer.train({ signal });
  } finally {
    const present = training.peek();
    if (present?.id === id) {
      change(id, { elapsedMs: present.elapsedMs + performance.now() - began });
      // What was held out is asked of the weights as they are now.
      if (signal.aborted && present.done > before && held.length > 0) await trainer.evaluate();
    }
    version.value += 1;
  }
}

function guessesOf({ predictions }: EvalPrediction, { held, labels }: Plan): Guess[] {
  return held.map((example, i) => {
    const row = Array.from(predictions[i] as ArrayLike<number>);
    return { example, label: labels[row.indexOf(Math.max(...row))]! };
  });
}

// The classifier, tried.

export const trying = new Work();
export const answer = signal<{ readonly text: string; readonly scores: readonly LabelScore[] } | undefined>(undefined);

/** As someone types, so long without a key. */
const PAUSE_MS = 90;

export function tryOut(base: Classifier, text: string): void {
  trying.run(
    async signal => {
      const scores = await base.classify(text);
      if (scores && !signal.aborted) answer.value = { text, scores };
    },
    { delayMs: answer.peek() ? PAUSE_MS : 0 },
  );
}

// The files.

export const saving = new Work();
export const saved = signal<{ readonly version: number; readonly files: readonly File[] } | undefined>(undefined);

/** Makes the files of the model and hands them to what keeps them. */
export function save(base: Classifier, keep: (files: readonly File[]) => Promise<void>): void {
  saving.run(async signal => {
    const now = version.peek();
    const present = saved.peek();
    const files = present?.version === now ? present.files : await base.files(signal);
    saved.value = { version: now, files };
    await keep(files);
  });
}
