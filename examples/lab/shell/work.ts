import { signal } from '@preact/signals';

export interface WorkProgress {
  readonly done: number;
  readonly total: number;
}

/**
 * Work of one kind that a tab does: the newest call wins, and aborts the one before. What a call that was aborted rejects with is no
 * failure. Shown by WorkStatus.
 */
export class Work {
  readonly isBusy = signal(false);
  readonly error = signal<unknown>(undefined);
  readonly progress = signal<WorkProgress | undefined>(undefined);
  #stop = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param delayMs the call waits so long for a newer one, as someone types */
  run(body: (signal: AbortSignal) => Promise<void>, { delayMs = 0 }: { delayMs?: number } = {}): void {
    this.stop();
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.#timer = setTimeout(() => void this.#begin(body, signal), delayMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#stop.abort(new DOMException('Stopped.', 'AbortError'));
    this.isBusy.value = false;
    this.progress.value = undefined;
  }

  async #begin(body: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    this.isBusy.value = true;
    try {
      await body(signal);
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
