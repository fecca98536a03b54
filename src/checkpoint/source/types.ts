/** The shapes of transformers.js's progress events, and the steps that only this library has: compile, upload, run. */
export type ProgressInfo =
  | { status: 'initiate' | 'download'; name: string; file: string }
  | { status: 'progress'; name: string; file: string; progress: number; loaded: number; total: number }
  | { status: 'done'; name: string; file: string }
  /** The file is used, but could not be kept for the next time: `reason` says why (the quota of the page is used up, say). */
  | { status: 'uncached'; name: string; file: string; reason: string }
  | {
      /** All files of one model together, those that have been opened so far; comes before each 'progress'. */
      status: 'progress_total';
      name: string;
      progress: number;
      loaded: number;
      total: number;
      files: Record<string, { loaded: number; total: number }>;
    }
  | { status: 'compile' | 'upload'; name: string; file: string; progress: number; loaded: number; total: number }
  | { status: 'ready'; task: string; model: string }
  /** Of a call: how many of its texts are done. */
  | { status: 'run'; task: string; progress: number; loaded: number; total: number };

export type ProgressCallback = (info: ProgressInfo) => void;

/** An opened file of a model: its size where it is known, and its bytes. */
export interface ModelFile {
  readonly size: number | undefined;
  /** A piece is valid until the next is asked for: its memory is given back. */
  readonly stream: ReadableStream<Uint8Array>;
}

/** Where the files of one model come from: a hub id, a base URL, a local path, a list of File/Blob, or bytes. */
export interface ModelSource {
  /** For messages and progress events: the id, the URL, or "files". */
  readonly name: string;
  /** Opens a file. Throws SourceError; where `optional` and the file does not exist, resolves to undefined. */
  open(file: string, options?: { optional?: boolean }): Promise<ModelFile | undefined>;
  /** A whole JSON file, parsed. Throws SourceError where it is no JSON (a web page, say). */
  json(file: string, options?: { optional?: boolean }): Promise<unknown>;
}
