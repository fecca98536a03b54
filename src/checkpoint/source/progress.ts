import type { ProgressCallback } from './types.ts';

/** Reports the loading of a model's files with the events of transformers.js. */
export interface ProgressReporter {
  initiate(file: string): void;
  /** Reports that the bytes begin to come; what it returns is called with the length of each piece. */
  download(file: string, size: number | undefined): (length: number) => void;
  done(file: string): void;
  /** Reports that a file could not be kept, also on the console: a page that loads all again each time should not go unnoticed. */
  uncached(file: string, error: unknown): void;
}

export function progressReporter(name: string, callback: ProgressCallback | null | undefined): ProgressReporter {
  const initiated = new Set<string>();
  let hasWarned = false;
  const files: Record<string, { loaded: number; total: number }> = {};
  const percent = (loaded: number, total: number) => (total > 0 ? (loaded / total) * 100 : 0);
  return {
    initiate(file) {
      if (!initiated.has(file)) callback?.({ status: 'initiate', name, file });
      initiated.add(file);
    },
    download(file, size) {
      // A shard that is opened a second time for its data is the same download to whoever watches.
      if (!(file in files)) callback?.({ status: 'download', name, file });
      let loaded = 0;
      return length => {
        loaded += length;
        // Of an unknown size it is only known that it is not smaller than what has come.
        const total = Math.max(size ?? 0, loaded);
        files[file] = { loaded, total };
        if (!callback) return;
        const sum = { loaded: 0, total: 0 };
        for (const each of Object.values(files)) {
          sum.loaded += each.loaded;
          sum.total += each.total;
        }
        const copy = structuredClone(files);
        callback({ status: 'progress_total', name, progress: percent(sum.loaded, sum.total), ...sum, files: copy });
        callback({ status: 'progress', name, file, progress: percent(loaded, total), loaded, total });
      };
    },
    done(file) {
      callback?.({ status: 'done', name, file });
    },
    uncached(file, error) {
      const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      if (!hasWarned) console.warn(`webgpu-bert: ${file} of ${name} is used, but could not be kept (${reason}).`);
      hasWarned = true;
      callback?.({ status: 'uncached', name, file, reason });
    },
  };
}
