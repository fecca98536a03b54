import {
  cos_sim,
  type ModelLocation,
  ModelRegistry,
  type Pipeline,
  type PretrainedOptions,
  pipeline,
} from 'webgpu-bert';
import type { ModelKind } from '../../shell/model-kind.ts';
import { Learner } from './learner.ts';

const TASK = 'feature-extraction';

export type Extractor = Pipeline<typeof TASK>;
type LoadOptions = Pick<PretrainedOptions, 'signal' | 'progress_callback'>;

/** An embedder that is trained where it is. It is none that other tabs use. */
export class Embedder extends Learner<Extractor> {
  readonly #place: ModelLocation;

  private constructor(place: ModelLocation, model: Extractor) {
    super(model);
    this.#place = place;
  }

  static async load(place: ModelLocation, options: LoadOptions): Promise<Embedder> {
    return new Embedder(place, await pipeline(TASK, place, options));
  }

  /** The model as the checkpoint has it. */
  renewed(options: LoadOptions): Promise<Extractor> {
    return this.anew(true, () => pipeline(TASK, this.#place, options));
  }

  async files(signal: AbortSignal): Promise<File[]> {
    return this.model?.save_pretrained({ signal }) ?? [];
  }
}

export const embedderKind: ModelKind<Embedder> = {
  name: 'training an embedder',
  load: (place, { signal, progress_callback }) => Embedder.load(place, { signal, progress_callback }),
  size: (place, options) => ModelRegistry.get_pipeline_download_size(TASK, place, options),
  isKept: place => ModelRegistry.is_pipeline_cached(TASK, place),
};

export type Rows = readonly Float32Array[];

export const passageRows = async (model: Extractor, passages: readonly string[], signal: AbortSignal): Promise<Rows> =>
  rowsOf(await model.encode_document(passages, { signal }));

export const queryRows = async (model: Extractor, queries: readonly string[], signal: AbortSignal): Promise<Rows> =>
  rowsOf(await model.encode_query(queries, { signal }));

function rowsOf({ data, dims }: Awaited<ReturnType<Extractor['encode_query']>>): Rows {
  const columns = dims.at(-1)!;
  return Array.from({ length: dims[0]! }, (_, i) => (data as Float32Array).subarray(i * columns, (i + 1) * columns));
}

/** The cosine of a query with every passage. */
export const similarities = (query: Float32Array, passages: Rows): number[] =>
  passages.map(passage => cos_sim(query, passage));
