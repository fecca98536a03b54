import type { ProgressInfo } from 'webgpu-bert';

/** The three things that a load does, at once: how much of each is done. Bytes for downloads and uploads. */
export interface LoadProgress {
  readonly download: Part | undefined;
  readonly compile: Part | undefined;
  readonly upload: Part | undefined;
}
export interface Part {
  readonly loaded: number;
  readonly total: number;
}

export const NO_PROGRESS: LoadProgress = { download: undefined, compile: undefined, upload: undefined };

export function progressAfter(progress: LoadProgress, info: ProgressInfo): LoadProgress {
  switch (info.status) {
    case 'progress_total':
      return { ...progress, download: { loaded: info.loaded, total: info.total } };
    case 'compile':
    case 'upload':
      return { ...progress, [info.status]: { loaded: info.loaded, total: info.total } };
    default:
      return progress;
  }
}
