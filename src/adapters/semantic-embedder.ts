import type { ProgressInfo } from '../checkpoint/source/index.ts';
import { isSupported } from '../engine/index.ts';
import {
  CheckpointError,
  DeviceError,
  InputError,
  SourceError,
  UnsupportedError,
  WebGPUBertError,
  wrong,
} from '../errors.ts';
import { ModelRegistry } from '../registry/index.ts';
import { follow, linkedAbort } from '../runtime/index.ts';
import type { AdapterModel, AdapterPipeline } from './lazy-pipeline.ts';
import { isLoading, lease, type SharedOptions } from './shared-pipelines.ts';
import { promptForTask, TASK_TYPES, type TaskType } from './task-prompts.ts';

/**
 * The SemanticEmbedder of the web platform's proposal (https://github.com/explainers-by-googlers/semantic-embedder-api), computed by a
 * checkpoint of one's choice. What the proposal leaves to the browser is done as in Writing Assistance APIs, on which it builds.
 */

export type { AdapterModel, AdapterPipeline, SharedOptions, TaskType };

/** Whether an embedder can be made here: now, after a download that is under way or would begin, or not at all. */
export type Availability = 'unavailable' | 'downloadable' | 'downloading' | 'available';

/** The options of `availability` and `create`: which model, where the proposal knows one only; and those of a load. */
export interface SemanticEmbedderCoreOptions extends SharedOptions {
  /**
   * A checkpoint, as `pipeline` takes it, or a feature-extraction pipeline of yours, which `destroy` does not dispose of.
   * Default: 'sentence-transformers/all-MiniLM-L6-v2'.
   */
  model?: AdapterModel<typeof TASK>;
}

export interface SemanticEmbedderCreateOptions extends SemanticEmbedderCoreOptions {
  /** Aborts the load; afterwards it destroys the embedder. */
  signal?: AbortSignal;
  /** Is called at once with an EventTarget that gets events `downloadprogress`. */
  monitor?: (monitor: CreateMonitor) => void;
}

export interface SemanticEmbedderEmbedOptions {
  /** What the embedding is for: chooses the checkpoint's prompt. Without one the text is embedded as it is. */
  taskType?: TaskType;
  /** Aborts the call. */
  signal?: AbortSignal;
}

/** The embedding of one text. */
export interface ContentEmbedding {
  values: Float32Array;
  /** How many tokens were run for the text, with its prompt and special tokens, and whether the text was cut. */
  statistics: { tokenCount: number; truncated: boolean };
}

export interface SemanticEmbedderResult {
  /** In the order of the texts. */
  embeddings: ContentEmbedding[];
  metadata: {
    /** Two embeddings may be compared exactly if this string is the same: keep it beside an index. */
    embeddingSpace: string;
    /** The most tokens that are run for a text. */
    maxInputTokens: number;
  };
}

/** What a `monitor` gets. Its events have `loaded` from 0 to 1, and a `total` of 1. */
export class CreateMonitor extends EventTarget {
  #handler: ((event: ProgressEvent) => unknown) | null = null;

  get ondownloadprogress(): ((event: ProgressEvent) => unknown) | null {
    return this.#handler;
  }

  set ondownloadprogress(handler: ((event: ProgressEvent) => unknown) | null) {
    if (this.#handler) this.removeEventListener('downloadprogress', this.#handler as EventListener);
    this.#handler = typeof handler === 'function' ? handler : null;
    if (this.#handler) this.addEventListener('downloadprogress', this.#handler as EventListener);
  }
}

const DEFAULT_MODEL = 'sentence-transformers/all-MiniLM-L6-v2';
const TASK = 'feature-extraction';
/** Progress is told in steps of this size, as the specification has it. */
const PROGRESS_STEPS = 0x10000;

/** A pipeline, and how to say that it is not needed any more. */
interface Embedder {
  readonly pipe: AdapterPipeline<typeof TASK>;
  release(): void;
}

export class SemanticEmbedder {
  readonly #embedder: Embedder;
  readonly #life = new AbortController();

  /** @internal Embedders are made by `create`. */
  constructor(embedder: Embedder, signal: AbortSignal | undefined) {
    if (!isPipeline(Object(embedder).pipe)) throw new TypeError('Illegal constructor: call SemanticEmbedder.create()');
    this.#embedder = embedder;
    const unfollow = follow(signal, this.#life);
    this.#life.signal.addEventListener('abort', () => {
      unfollow();
      embedder.release();
    });
  }

  get [Symbol.toStringTag](): string {
    return 'SemanticEmbedder';
  }

  /**
   * 'unavailable' where there is no WebGPU that models run on, or the model is none that runs; 'available' where all files are at hand;
   * 'downloading' while `create` downloads them; else 'downloadable'. Asks no server.
   * Rejects with a TypeError for options of a wrong type.
   */
  static async availability(options?: SemanticEmbedderCoreOptions | null): Promise<Availability> {
    const { model, load } = coreOptions(options);
    if (isPipeline(model)) return 'available';
    if (!isOwnDevice(load.device) && !(await isSupported()).ok) return 'unavailable';
    try {
      const { revision, subfolder, local_files_only } = load;
      if (await ModelRegistry.is_pipeline_cached(TASK, model, { revision, subfolder, local_files_only })) {
        return 'available';
      }
    } catch (error) {
      if (error instanceof InputError) throw asDOMError(error);
      if (error instanceof WebGPUBertError) return 'unavailable';
      throw error;
    }
    return isLoading(TASK, model, load) ? 'downloading' : 'downloadable';
  }

  /**
   * Loads a model and resolves to an embedder. Embedders of one model share what is on the GPU. No user activation is needed.
   * Rejects with a TypeError for options of a wrong type; what `monitor` throws; the signal's reason; or a DOMException whose `cause` is
   * the error that `pipeline` gives: NotSupportedError (no WebGPU, or no model that runs here), NetworkError (a file could not be had),
   * OperationError.
   *
   *   const embedder = await SemanticEmbedder.create({ model: 'intfloat/e5-small-v2' });
   *   const { embeddings } = await embedder.embed(['one text', 'another'], { taskType: 'retrieval-document' });
   *   embeddings[0].values; // Float32Array(384)
   */
  static async create(options?: SemanticEmbedderCreateOptions | null): Promise<SemanticEmbedder> {
    const { model, load, signal, monitor } = coreOptions(options);
    signal?.throwIfAborted();
    const progress = new DownloadProgress();
    monitor?.(progress.target);
    const embedder = await open(model, load, { signal, progress });
    try {
      // The specification fires both for a model that is at hand.
      progress.tell(0);
      progress.tell(1);
      // What listens to the last event may abort the signal.
      await undefined;
      signal?.throwIfAborted();
      return new SemanticEmbedder(embedder, signal);
    } catch (error) {
      embedder.release();
      throw error;
    }
  }

  /**
   * Embeds a text, or each text of a list. Calls made at the same time share the GPU's passes. No padding is computed, so a text's
   * embedding is the same bits alone and in a list.
   * Rejects with a TypeError for an argument of a wrong type; after `destroy` with an AbortError; with the signal's reason; or with an
   * OperationError whose `cause` is this library's error.
   */
  async embed(
    input: string | Iterable<string>,
    options?: SemanticEmbedderEmbedOptions | null,
  ): Promise<SemanticEmbedderResult> {
    if (input === undefined) throw notA('the input of embed()', input, 'a text, or a list of texts');
    const texts = textsOf(input);
    const { taskType, signal } = embedOptions(options);
    const { pipe } = this.#embedder;
    this.#life.signal.throwIfAborted();
    signal?.throwIfAborted();
    const prompt = taskType === undefined ? '' : promptForTask(pipe.prompts, taskType);
    const metadata = (embeddingSpace: string) => ({ embeddingSpace, maxInputTokens: pipe.max_seq_length });
    if (texts.length === 0) return { embeddings: [], metadata: metadata(pipe.space) };
    const stop = linkedAbort(signal);
    const unfollow = follow(this.#life.signal, stop);
    try {
      const result = await pipe(texts, { pooling: 'model', prompt, signal: stop.signal });
      const [, columns] = result.dims as [number, number];
      const rows = result.data as Float32Array;
      const embeddings = texts.map((_, i) => ({
        values: rows.slice(i * columns, (i + 1) * columns),
        statistics: { tokenCount: result.tokens[i]!, truncated: result.truncated[i]! },
      }));
      return { embeddings, metadata: metadata(result.space) };
    } catch (error) {
      throw asDOMError(error, 'OperationError');
    } finally {
      unfollow();
      stop.release();
    }
  }

  /**
   * Rejects the calls under way, and all later ones, with an AbortError, and frees the model where no other embedder uses it. Idempotent.
   */
  destroy(): void {
    this.#life.abort(new DOMException('The embedder was destroyed. Create another one.', 'AbortError'));
  }
}

/** The events of one `create`: they rise from 0 to 1 in steps of 1/65536, and none is told twice. */
class DownloadProgress {
  readonly target = new CreateMonitor();
  #last = -1;

  tell(fraction: number): void {
    const loaded = Math.floor(fraction * PROGRESS_STEPS) / PROGRESS_STEPS;
    if (loaded <= this.#last) return;
    this.#last = loaded;
    const facts = { lengthComputable: true, loaded, total: 1 };
    // Node has no ProgressEvent.
    const event = globalThis.ProgressEvent
      ? new ProgressEvent('downloadprogress', facts)
      : Object.assign(new Event('downloadprogress'), facts);
    this.target.dispatchEvent(event);
  }

  /** The weights are nearly all of a download, and are opened after small files: only with them the total is one. */
  hear(info: ProgressInfo): void {
    if (info.status === 'initiate') this.tell(0);
    if (info.status !== 'progress_total' || info.total === 0) return;
    const hasWeights = Object.keys(info.files).some(file => file.endsWith('.safetensors'));
    // 1 is told when the embedder can be used.
    if (hasWeights && info.loaded < info.total) this.tell(info.loaded / info.total);
  }
}

async function open(
  model: AdapterModel<typeof TASK>,
  load: SharedOptions,
  { signal, progress }: { signal: AbortSignal | undefined; progress: DownloadProgress },
): Promise<Embedder> {
  if (isPipeline(model)) return { pipe: model, release: () => undefined };
  try {
    return await lease(TASK, model, load, { signal, onProgress: info => progress.hear(info) });
  } catch (error) {
    if (signal?.aborted || !(error instanceof DeviceError)) throw asDOMError(error, 'OperationError');
    const isMissing = !isOwnDevice(load.device) && !(await isSupported()).ok;
    throw asDOMError(error, isMissing ? 'NotSupportedError' : 'OperationError');
  }
}

/** An error of ours under the name that the specification has for it; anything else, such as a signal's reason, as it is. */
function asDOMError(error: unknown, otherName = 'UnknownError'): unknown {
  if (!(error instanceof WebGPUBertError)) return error;
  if (error instanceof InputError) return new TypeError(error.message, { cause: error });
  const isRefusal = error instanceof UnsupportedError || error instanceof CheckpointError;
  const name = error instanceof SourceError ? 'NetworkError' : isRefusal ? 'NotSupportedError' : otherName;
  // Browsers take no cause beside a name.
  return Object.defineProperty(new DOMException(error.message, name), 'cause', { value: error, configurable: true });
}

/** What the specification throws for an argument of another type, in the words of this library's own errors. */
const notA = (name: string, value: unknown, expected: string): TypeError =>
  new TypeError(wrong(name, value, expected).message);

/** The values of options as WebIDL converts a dictionary. Throws TypeError. */
function dictionary<Options extends object>(options: Options | null | undefined): Options {
  if (options === undefined || options === null) return {} as Options;
  if (typeof options === 'object' || typeof options === 'function') return options;
  throw notA('the argument for options', options, 'an object');
}

function coreOptions(options: SemanticEmbedderCreateOptions | null | undefined) {
  const { model = DEFAULT_MODEL, signal, monitor, ...load } = dictionary(options);
  if (monitor !== undefined && typeof monitor !== 'function') throw notA('monitor', monitor, 'a function');
  // `availability` is called with the options of `create`, or fewer.
  return { model, load: load as SharedOptions, signal: signalOf(signal), monitor };
}

function embedOptions(options: SemanticEmbedderEmbedOptions | null | undefined) {
  const { taskType, signal } = dictionary(options);
  if (taskType !== undefined && !TASK_TYPES.includes(taskType)) {
    throw notA('taskType', taskType, `one of ${TASK_TYPES.join(', ')}`);
  }
  return { taskType, signal: signalOf(signal) };
}

function signalOf(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw notA('signal', signal, 'an AbortSignal');
}

/** A text, or a sequence of texts, as WebIDL converts them: whatever is no sequence, and each of its items, becomes a string. */
function textsOf(input: unknown): string[] {
  const isSequence = typeof input === 'object' && input !== null && Symbol.iterator in input;
  return isSequence ? Array.from(input as Iterable<unknown>, String) : [String(input)];
}

const isPipeline = (model: unknown): model is AdapterPipeline<typeof TASK> => typeof model === 'function';
const isOwnDevice = (device: unknown): boolean => typeof device === 'object' && device !== null;
