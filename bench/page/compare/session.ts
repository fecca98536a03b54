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
  extractor: Awaited<ReturnType<Library['pipeline']>>;
  tokenizers: Map<string, ReturnType<Library['AutoTokenizer']['from_pretrained']>>;
  /** The pipeline of a task with a head, loaded once. */
  pipelineOf(task: string, model: string): Promise<AnyPipeline>;
}

export async function openSession(library: Library, device: string): Promise<Session> {
  const options = { device, dtype: 'fp32' } as const;
  const extractor = await library.pipeline('feature-extraction', MODEL, options);
  const open = library.pipeline as unknown as (task: string, model: string, given: object) => Promise<AnyPipeline>;
  const pipelines = new Map<string, Promise<AnyPipeline>>();
  const pipelineOf = (task: string, model: string) => {
    const loading = pipelines.get(`${task} ${model}`) ?? open(task, model, options);
    pipelines.set(`${task} ${model}`, loading);
    return loading;
  };
  return { library, extractor, tokenizers: new Map(), pipelineOf };
}

export const shownOptions = (options: object) =>
  JSON.stringify(options, (_, value) => (Array.isArray(value) ? '…' : value))
    .replaceAll('"', "'")
    .replaceAll(/([:,])/g, '$1 ');
