import { signal } from '@preact/signals';
import type { ProgressCallback } from 'webgpu-bert';

export interface WorkProgress {
  readonly done: number;
  readonly total: number;
  /** What is counted, behind both numbers. Default: things that the line itself names. */
  readonly unit?: '%';
}

/** @param onProgress for the `progress_callback` of a call: how many of its texts are done, or how much of the one */
type WorkBody = (signal: AbortSignal, onProgress: ProgressCallback) => Promise<void>;

/**
 * Work of one kind that a tab does: the newest call wins, and aborts the one before. What a call that was aborted rejects with is no
 * failure. Shown by WorkStatus.
 */
export class Work {
  readonly isBusy = signal(false);
  readonly error = signal<unknown>(undefined);
  readonly progress = signal<WorkProgress | undefined>(undefined);
  /** Whether a person has stopped it. */
  readonly isStopped = signal(false);
  #stop = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #body: WorkBody | undefined;

  /** @param delayMs the call waits so long for a newer one, as someone types */
  run(body: WorkBody, { delayMs = 0 }: { delayMs?: number } = {}): void {
    this.stop();
    this.#body = body;
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.isBusy.value = delayMs === 0;
    this.#timer = setTimeout(() => void this.#begin(body, signal), delayMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#stop.abort(new DOMException('Stopped.', 'AbortError'));
    this.isBusy.value = false;
    this.progress.value = undefined;
    this.isStopped.value = false;
  }

  /** Nothing is to be done any more: what it had failed with is forgotten too. */
  clear(): void {
    this.stop();
    this.error.value = undefined;
  }

  /** A person stops it, and may have it begun again. */
  halt(): void {
    this.stop();
    this.isStopped.value = true;
  }

  again(): void {
    if (this.#body) this.run(this.#body);
  }

  async #begin(body: WorkBody, signal: AbortSignal): Promise<void> {
    this.isBusy.value = true;
    try {
      await body(signal, info => {
        if (signal.aborted || info.status !== 'run') return;
        const { loaded: done, total, progress } = info;
        // Of one text, its windows or the labels that it is asked for.
        this.progress.value = total > 1 ? { done, total } : { done: Math.round(progress), total: 100, unit: '%' };
      });
      if (!signal.aborted) this.error.value = undefined;
    } catch (error) {
      if (!signal.aborted) this.error.value = error;
    } finally {
      if (!signal.aborted) {
        this.isBusy.value = false;
        this.progress.value = undefined;
      }
    }
  }
}
