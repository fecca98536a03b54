import { signal } from '@preact/signals';
import type { LogEntry, TrainerCallback, TrainingArgumentsInit, TrainingMemory } from 'webgpu-bert/train';
import type { ModelChoice } from '../../shell/model-choice.ts';
import type { Loaded } from '../../shell/model-kind.ts';
import type { ModelSlot } from '../../shell/model-slot.ts';
import type { Lease } from '../../shell/model-store.ts';
import { Work } from '../../shell/work.ts';
import type { Learner } from './learner.ts';
import type { Settings } from './recipe.ts';
import type { Split } from './written-lines.ts';

/** What a training would be. */
export interface Plan<E> extends Split<E> {
  readonly settings: Settings;
  /** Its steps. */
  readonly total: number;
}

/** A training under way, or one that has ended. */
export interface Training<B, P, F> {
  readonly id: number;
  readonly base: B;
  readonly choice: ModelChoice;
  readonly plan: P;
  readonly isPrepared: boolean;
  /** Steps that are done. */
  readonly done: number;
  /** Milliseconds of a step, once some are done. */
  readonly msPerStep: number | undefined;
  readonly elapsedMs: number;
  readonly history: readonly LogEntry[];
  /** What has shown itself with the examples held out, when the model was asked last. */
  readonly findings: F | undefined;
}

/** A trainer of `webgpu-bert/train`, whichever it is. */
interface AnyTrainer {
  train(options: { signal: AbortSignal }): Promise<unknown>;
  evaluate(): Promise<unknown>;
  memory(): Promise<TrainingMemory | undefined>;
}

/** How a trainer is to train, and whom it tells. */
export interface Wishes<F> {
  readonly args: TrainingArgumentsInit;
  readonly callbacks: readonly TrainerCallback[];
  found(findings: F): void;
}

/** What is different between the things that can be learned. */
export interface Subject<B, P, F> {
  /** A training begins: makes its model as the checkpoint has it. */
  prepare(base: B, plan: P, wishes: { signal: AbortSignal; found(findings: F): void }): Promise<void>;
  /** A trainer of the model; undefined where there is none. */
  trainer(base: B, plan: P, wishes: Wishes<F>): AnyTrainer | undefined;
  /** The same trainer as far as its memory goes: its largest batch is enough. */
  sizing(base: B, plan: P, args: TrainingArgumentsInit): AnyTrainer | undefined;
  /** What was asked of the model is not of interest any more. */
  forget(): void;
}

/** The trainings of one kind, of which there is one at a time, with all that is shown of it. */
export class Course<B extends Learner<Loaded>, P extends Plan<unknown>, F> {
  readonly slot: ModelSlot<B>;
  readonly work = new Work();
  readonly training = signal<Training<B, P, F> | undefined>(undefined);
  /** Goes up whenever the model has learned enough to be asked anew. */
  readonly version = signal(0);
  readonly estimating = new Work();
  /** Bytes on the GPU that a training would take; undefined where they are not known. */
  readonly estimate = signal<number | undefined>(undefined);
  readonly saving = new Work();
  readonly saved = signal<{ readonly version: number; readonly files: readonly File[] } | undefined>(undefined);
  readonly #subject: Subject<B, P, F>;
  #trainings = 0;
  /** Ends with the training that began last. Two at once would write to the same weights. */
  #ending: Promise<unknown> = Promise.resolve();
  /** Holds the model that is trained, also when the tab is left. */
  #hold: Lease<B> | undefined;

  constructor(slot: ModelSlot<B>, subject: Subject<B, P, F>) {
    this.slot = slot;
    this.#subject = subject;
  }

  /** Says how much memory a training would take, before anything of it is made. */
  estimateMemory(base: B, plan: P): void {
    this.estimating.run(
      async signal => {
        if (plan.train.length === 0) return;
        const memory = await this.#subject.sizing(base, plan, argumentsOf(plan.settings))?.memory();
        if (!signal.aborted) this.estimate.value = memory?.total;
      },
      { delayMs: 250 },
    );
  }

  train(base: B, plan: P, choice: ModelChoice): void {
    this.#trainings += 1;
    const id = this.#trainings;
    this.letGo();
    this.training.value = {
      id,
      base,
      choice,
      plan,
      isPrepared: false,
      done: 0,
      msPerStep: undefined,
      elapsedMs: 0,
      history: [],
      findings: undefined,
    };
    void this.slot.hold(choice).then(lease => {
      if (this.training.peek()?.id === id) this.#hold = lease;
      else lease.release();
    });
    // Stopped and begun again, it goes on where it was.
    this.work.run(signal => {
      const mine = this.#ending.then(() => this.#goOn(id, signal));
      this.#ending = mine.catch(() => undefined);
      return mine;
    });
  }

  /** The training and its model are not needed any more. */
  letGo(): void {
    this.work.clear();
    this.#subject.forget();
    this.training.value = undefined;
    this.#hold?.release();
    this.#hold = undefined;
  }

  /** Makes the files of the model and hands them to what keeps them. */
  save(base: B, keep: (files: readonly File[]) => Promise<void>): void {
    this.saving.run(async signal => {
      const now = this.version.peek();
      const present = this.saved.peek();
      const files = present?.version === now ? present.files : await base.files(signal);
      this.saved.value = { version: now, files };
      await keep(files);
    });
  }

  #change(id: number, changes: Partial<Training<B, P, F>>): void {
    const now = this.training.peek();
    if (now?.id === id) this.training.value = { ...now, ...changes };
  }

  async #goOn(id: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const begun = this.training.peek();
    if (begun?.id !== id) return;
    const { base, plan, done: before } = begun;
    const { settings, total, held } = plan;
    const found = (findings: F) => this.#change(id, { findings });
    if (!begun.isPrepared) await this.#subject.prepare(base, plan, { signal, found });
    const trainer = this.#subject.trainer(base, plan, {
      args: {
        ...argumentsOf(settings),
        // The rest of a training that was stopped goes on with the learning rate of its next step, and with other random numbers.
        max_steps: total - before,
        learning_rate: settings.rate * (1 - before / total),
        seed: 42 + before,
        eval_strategy: held.length > 0 ? 'epoch' : 'no',
      },
      callbacks: [this.#watch(id, before, total)],
      found,
    });
    if (!trainer) return;
    this.#change(id, { isPrepared: true });
    const began = performance.now();
    try {
      await trainer.train({ signal });
    } finally {
      const present = this.training.peek();
      if (present?.id === id) {
        this.#change(id, { elapsedMs: present.elapsedMs + performance.now() - began });
        // What was held out is asked of the weights as they are now.
        if (signal.aborted && present.done > before && held.length > 0) await trainer.evaluate();
      }
      this.version.value += 1;
    }
  }

  /** Keeps what a training tells. @param before the steps that were done when it began or went on */
  #watch(id: number, before: number, total: number): TrainerCallback {
    let first: { step: number; time: number } | undefined;
    return {
      on_step_end: (_, { global_step }) => {
        const done = before + global_step;
        const time = performance.now();
        first ??= { step: done, time };
        const steps = done - first.step;
        this.#change(id, { done, ...(steps > 0 && { msPerStep: (time - first.time) / steps }) });
        this.work.progress.value = { done, total };
      },
      on_log: (_, { global_step }, __, { logs = {} }) => {
        const entry = { ...logs, step: before + global_step };
        this.#change(id, { history: [...(this.training.peek()?.history ?? []), entry] });
      },
      on_epoch_end: () => {
        this.version.value += 1;
      },
    };
  }
}

const argumentsOf = ({ trainable, rate, batch }: Settings): TrainingArgumentsInit => ({
  trainable,
  learning_rate: rate,
  per_device_train_batch_size: batch,
  logging_steps: 1,
});
