import type { PretrainedOptions } from '../api/index.ts';
import type { ModelLocation } from '../checkpoint/source/index.ts';
import { until } from '../runtime/index.ts';
import type { FeatureExtractionPipeline, TextRankingPipeline } from '../tasks/index.ts';
import { type AdapterTask, type Lease, lease } from './shared-pipelines.ts';

interface AdapterPipelines {
  'feature-extraction': FeatureExtractionPipeline['_call'] &
    Pick<FeatureExtractionPipeline, 'prompts' | 'space' | 'max_seq_length'>;
  'text-ranking': TextRankingPipeline['_call'];
}

/** What the adapters use of a pipeline: it may be one of `webgpu-bert`, or of `webgpu-bert/worker`. */
export type AdapterPipeline<T extends AdapterTask> = AdapterPipelines[T];

/** A model as the adapters take it: where its files are, or a pipeline of the caller's. */
export type AdapterModel<T extends AdapterTask> = ModelLocation | AdapterPipeline<T>;

/**
 * A pipeline for an object that others construct at once and call later. The model is loaded with the first call, or by `load`; a load
 * that failed is tried again with the next one.
 */
export class LazyPipeline<T extends AdapterTask> {
  readonly #task: T;
  readonly #model: AdapterModel<T>;
  readonly #options: PretrainedOptions;
  #leasing: Promise<Lease<T>> | undefined;

  constructor(task: T, model: AdapterModel<T>, options: PretrainedOptions) {
    this.#task = task;
    this.#model = model;
    this.#options = options;
  }

  /** The model's name: its id or URL, 'files' for files, 'pipeline' for a pipeline of the caller's. */
  get name(): string {
    if (typeof this.#model === 'function') return 'pipeline';
    return typeof this.#model === 'string' || this.#model instanceof URL ? String(this.#model) : 'files';
  }

  /**
   * The loaded pipeline. `signal` ends the wait for it, not the load: whoever aborts one call is likely to make another.
   * Throws what `pipeline` throws, or the signal's reason.
   */
  async load(signal?: AbortSignal): Promise<AdapterPipeline<T>> {
    signal?.throwIfAborted();
    if (typeof this.#model === 'function') return this.#model;
    const leasing = this.#leasing ?? this.#lease(this.#model);
    const { pipe } = await until(signal, leasing);
    // The compiler compares no types that depend on T: each is what `pipeline` gives for its task.
    return pipe as unknown as AdapterPipeline<T>;
  }

  /** Frees the model where nobody else uses it; a pipeline of the caller's stays. A later call loads it again. */
  async dispose(): Promise<void> {
    const leasing = this.#leasing;
    this.#leasing = undefined;
    const held = await leasing?.catch(() => undefined);
    held?.release();
  }

  #lease(model: ModelLocation): Promise<Lease<T>> {
    const { signal, progress_callback, ...options } = this.#options;
    const leasing = lease(this.#task, model, options, { signal, onProgress: progress_callback ?? undefined });
    this.#leasing = leasing;
    leasing.catch(() => {
      if (this.#leasing === leasing) this.#leasing = undefined;
    });
    return leasing;
  }
}
