import {
  type DownloadSize,
  type ModelLocation,
  ModelRegistry,
  type Pipeline,
  type PretrainedOptions,
  pipeline,
  type Task,
} from 'webgpu-bert';

/** What a loaded model must have, to be kept and given back. */
export interface Loaded {
  dispose(): Promise<unknown>;
}

/** How models of one class are loaded: the pipeline of a task, or something of a tab's own. */
export interface ModelKind<M extends Loaded> {
  /** Unique: models are shared by kind, place and dtype. */
  readonly name: string;
  load(place: ModelLocation, options: PretrainedOptions): Promise<M>;
  /** The bytes that a load would download. Throws where a file is missing, or the model is none that can be used. */
  size(place: ModelLocation, options: { signal: AbortSignal }): Promise<DownloadSize>;
  /** Whether a load needs no connection; asks no server. */
  isKept(place: ModelLocation): Promise<boolean>;
}

/** The pipeline of a task as a kind of model. */
export const pipelineKind = <T extends Task>(task: T): ModelKind<Pipeline<T>> => ({
  name: task,
  load: (place, options) => pipeline(task, place, options),
  size: (place, options) => ModelRegistry.get_pipeline_download_size(task, place, options),
  isKept: place => ModelRegistry.is_pipeline_cached(task, place),
});
