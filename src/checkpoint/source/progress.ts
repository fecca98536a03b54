import type { ProgressCallback } from './types.ts';

/** Reports the loading of a model's files with the events of transformers.js. */
export class ProgressReporter {
  readonly #name: string;
  readonly #callback: ProgressCallback | null | undefined;
  readonly #mayWarn: () => boolean;
  readonly #initiated = new Set<string>();
  readonly #files: Record<string, { loaded: number; total: number }> = {};
  #hasWarned = false;

  /**
   * @param name the model's, in every event
   * @param mayWarn whether warnings go to the console
   */
  constructor(name: string, callback: ProgressCallback | null | undefined, mayWarn: () => boolean) {
    this.#name = name;
    this.#callback = callback;
    this.#mayWarn = mayWarn;
  }

  initiate(file: string): void {
    if (!this.#initiated.has(file)) this.#callback?.({ status: 'initiate', name: this.#name, file });
    this.#initiated.add(file);
  }

  /** Reports that a file begins to arrive. The function that it returns reports a piece, given its bytes. */
  download(file: string, size: number | undefined): (length: number) => void {
    // A shard is opened a second time for its data: for the page that is the same download.
    if (!(file in this.#files)) this.#callback?.({ status: 'download', name: this.#name, file });
    let loaded = 0;
    return length => {
      loaded += length;
      this.#progress(file, loaded, size);
    };
  }

  done(file: string): void {
    this.#callback?.({ status: 'done', name: this.#name, file });
  }

  /** Reports that a file could not be cached, also on the console: a page that downloads everything each time should not go unnoticed. */
  uncached(file: string, error: unknown): void {
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    const name = this.#name;
    if (!this.#hasWarned && this.#mayWarn()) {
      console.warn(`webgpu-bert: ${file} of ${name} is used, but could not be kept (${reason}).`);
      this.#hasWarned = true;
    }
    this.#callback?.({ status: 'uncached', name, file, reason });
  }

  #progress(file: string, loaded: number, size: number | undefined): void {
    // Without a known size, the file is at least as large as what has arrived.
    const total = Math.max(size ?? 0, loaded);
    this.#files[file] = { loaded, total };
    if (!this.#callback) return;
    const sum = { loaded: 0, total: 0 };
    for (const entry of Object.values(this.#files)) {
      sum.loaded += entry.loaded;
      sum.total += entry.total;
    }
    const name = this.#name;
    const files = structuredClone(this.#files);
    this.#callback({ status: 'progress_total', name, progress: percent(sum), ...sum, files });
    this.#callback({ status: 'progress', name, file, progress: percent({ loaded, total }), loaded, total });
  }
}

const percent = ({ loaded, total }: { loaded: number; total: number }) => (total > 0 ? (loaded / total) * 100 : 0);
