import { type Library, MODEL } from '../sides.ts';

/** What one call gives, in plain lists; the same of either library. */
export interface Answer {
  dims?: readonly number[];
  value: unknown;
}

export interface Call {
  name: string;
  /** Why the two may differ, where that is meant. */
  byDesign?: string;
  run: (session: Session) => Promise<Answer>;
}

type AnyPipeline = (...args: readonly unknown[]) => Promise<unknown>;

/** One library, with its models as they were loaded. */
export interface Session {
  library: Library;
  /** What every load of this library is given: its device, and the dtype. */
  options: { readonly device: string; readonly dtype: 'fp32' };
  /** MiniLM; loaded when it is first asked for. */
  extractor(): ReturnType<Library['pipeline']>;
  tokenizers: Map<string, ReturnType<Library['AutoTokenizer']['from_pretrained']>>;
  /** The pipeline of a task with a head, loaded once. */
  pipelineOf(task: string, model: string): Promise<AnyPipeline>;
}

export function openSession(library: Library, device: string): Session {
  const options = { device, dtype: 'fp32' } as const;
  let loaded: ReturnType<Library['pipeline']> | undefined;
  const extractor = () => {
    loaded ??= library.pipeline('feature-extraction', MODEL, options);
    return loaded;
  };
  const open = library.pipeline as unknown as (task: string, model: string, given: object) => Promise<AnyPipeline>;
  const pipelines = new Map<string, Promise<AnyPipeline>>();
  const pipelineOf = (task: string, model: string) => {
    const loading = pipelines.get(`${task} ${model}`) ?? open(task, model, options);
    pipelines.set(`${task} ${model}`, loading);
    return loading;
  };
  return { library, options, extractor, tokenizers: new Map(), pipelineOf };
}

export const shownOptions = (options: object) =>
  JSON.stringify(options, (_, value) => (Array.isArray(value) ? '…' : value))
    .replaceAll('"', "'")
    .replaceAll(/([:,])/g, '$1 ');
