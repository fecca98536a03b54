import {
  type CallableModel,
  env,
  loadTokenizer,
  originOf,
  PreTrainedModel,
  type PreTrainedTokenizer,
  type PretrainedOptions,
  type Reopen,
  readOptions,
  reopening,
  withSharedJson,
} from './api/index.ts';
import { inFolder, type ModelLocation, type ModelSource, openSource } from './checkpoint/source/index.ts';
import {
  Engine,
  isStaticModel,
  NO_SENTENCE,
  openSentence,
  readSentence,
  refusalOf,
  type SentenceFiles,
} from './engine/index.ts';
import { InputError, SourceError, UnsupportedError, WebGPUBertError } from './errors.ts';
import type { EncoderRequest } from './model/index.ts';
import { givenTokenizer, pipelineOfModel } from './pipeline-of-model.ts';
import { linkedAbort, until } from './runtime/index.ts';
import { noting } from './saving/index.ts';
import { type Pipeline, type Task, type TaskInfo, taskOf } from './tasks/index.ts';

/** The options of `pipeline`: those of `from_pretrained`, and a tokenizer. */
export interface PipelineOptions extends PretrainedOptions {
  /** A tokenizer, of AutoTokenizer.from_pretrained. Default: that of the model's files. */
  tokenizer?: PreTrainedTokenizer | null;
}

/**
 * Loads a model and its tokenizer for a task: transformers.js's `pipeline`. The object that it resolves to is called with texts.
 * Throws UnsupportedError for a task that is not built, InputError for a task that needs a model where none is named, and what
 * loading throws: SourceError, CheckpointError, UnsupportedError, DeviceError, or the signal's reason.
 *
 *   const extractor = await pipeline('feature-extraction', 'sentence-transformers/all-MiniLM-L6-v2');
 *
 * @param model where its files are; or a model that is there already, of AutoModelForX, trained or not: the pipeline is then of the model
 *   itself, without a copy, and its calls see the weights of their moment. Of the options only `tokenizer`, `signal` and
 *   `progress_callback` are for such a model. Throws InputError where it has not the head of the task, and where it has no tokenizer and
 *   none is given.
 *
 *   const classifier = await pipeline('text-classification', model, { tokenizer });
 */
export async function pipeline<T extends Task>(
  task: T,
  model?: ModelLocation | PreTrainedModel | null,
  options?: PipelineOptions | null,
): Promise<Pipeline<T>> {
  return loadPipeline(task, model, options, source => source);
}

/**
 * Does what `pipeline` does.
 * @param seen what a load, and each saving after it, sees of the files of a location. The model keeps it
 */
export async function loadPipeline<T extends Task>(
  task: T,
  model: ModelLocation | PreTrainedModel | null | undefined,
  options: PipelineOptions | null | undefined,
  seen: (source: ModelSource) => ModelSource,
): Promise<Pipeline<T>> {
  if (isModel(model)) return pipelineOfModel(task, model, options ?? {});
  const { tokenizer: otherTokenizer, ...loadOptions } = options ?? {};
  const givenOne = givenTokenizer(otherTokenizer);
  const { name, info } = taskOf(task);
  const location = model ?? info.defaultModel;
  if (location === undefined) {
    throw new InputError({ what: `${name} has no default model`, next: 'Name one as the second argument.' });
  }
  const engineOptions = readOptions(loadOptions);
  // If one part of the load fails, the others are told to stop.
  const stop = linkedAbort(loadOptions.signal);
  const { signal } = stop;
  const fail = (error: unknown) => stop.abort(error);
  let engine: Engine | undefined;
  try {
    const opened = openSource(location, { ...loadOptions, signal }, env);
    const source = withSharedJson(seen(opened));
    const { head, hostTensors, sentenceModel } = info;
    const sentenceFiles = new Set<string>();
    const sentence = sentenceModel ? openSentence(noting(source, sentenceFiles), sentenceModel) : NO_SENTENCE;
    // modules.json may name a folder for the transformer: the encoder's and the tokenizer's files are then in there.
    const encoderIn = (root: ModelSource) => (sentenceModel ? inFolder(root, sentence.folder) : root);
    // A cross-encoder always needs its modules. An embedder needs them only with pooling 'model': modules that are not built or not
    // whole are an error when they are asked for, not here.
    const usableModules =
      sentenceModel === 'CrossEncoder'
        ? Promise.all([sentence.modules, sentence.settings]).then(([modules]) => modules)
        : sentence.modules.catch(error => (error instanceof WebGPUBertError ? undefined : Promise.reject(error)));
    usableModules.catch(fail);
    // The engine is loaded first, so that config.json is the first request: its answer tells the commit at which the other files are
    // asked for, and its kernels compile while the tokenizer's larger files arrive.
    const reopen = reopenIn(reopening(opened, location, loadOptions), seen);
    const loadingEngine = Engine.load(source, {
      ...engineOptions,
      head,
      host: hostTensors,
      sentence: usableModules,
      isStatic: sentenceModel === 'SentenceTransformer' ? sentence.isStatic : undefined,
      encoderIn,
      reopen,
      signal,
      request: firstRequestOf(info),
    });
    // The tokenizer's class counts for transformers, which knows no static model.
    const isStatic = sentenceModel === 'SentenceTransformer' && isStaticModel(encoderIn(source), sentence.isStatic);
    const loadingTokenizer = givenOne
      ? Promise.resolve(givenOne)
      : loadTokenizer(encoderIn(source), reopenIn(reopen, encoderIn), isStatic);
    // A model that is not supported often lacks files too, and the reason why it is not supported says more.
    const rethrow = withRefusal(encoderIn(source), sentence, signal);
    loadingTokenizer.catch(rethrow).catch(fail);
    engine = await loadingEngine.catch(rethrow);
    const tokenizer = await until(signal, loadingTokenizer);
    const read = await until(signal, readSentence(sentence));
    engineOptions.progress?.({ status: 'ready', task: name, model: source.name });
    signal.throwIfAborted();
    const own = originOf(opened, loadOptions);
    const callable = new PreTrainedModel(engine, own) as CallableModel;
    // With another tokenizer the vectors are not those of the commit.
    const origin = givenOne ? { ...own, commit: undefined } : own;
    const parts = { task: name, model: callable, tokenizer, sentence, sentenceFiles, readSentence: read, origin };
    return new info.pipeline(parts) as Pipeline<T>;
  } catch (error) {
    fail(error);
    engine?.dispose();
    throw error;
  } finally {
    stop.release();
  }
}

const isModel = (model: unknown): model is PreTrainedModel => Object(model) instanceof PreTrainedModel;

/**
 * Throws, after a part of a model failed to load, the reason why the model is not supported: by the files of its encoder, or, where a file
 * is missing or malformed, by modules.json. Without such a reason it throws what the part failed with; once the signal has aborted, the
 * signal's reason, at once. It is made here, because the model keeps closures of `pipeline`, and with them all that any closure made there
 * reads.
 */
const withRefusal =
  (encoder: ModelSource, { modules }: SentenceFiles, signal: AbortSignal) =>
  async (error: unknown): Promise<never> => {
    signal.throwIfAborted();
    const refused = await until(
      signal,
      refusalOf(encoder).catch(() => undefined),
    );
    if (refused !== undefined) throw refused;
    if (!(error instanceof SourceError)) throw error;
    const reason = modules.then(
      () => error,
      reason => (reason instanceof UnsupportedError ? reason : error),
    );
    throw await until(signal, reason);
  };

/** The model and the tokenizer keep such functions: they open the files as a load sees them, or those in the folder of the encoder. */
const reopenIn =
  (reopen: Reopen, seen: (root: ModelSource) => ModelSource): Reopen =>
  signal =>
    seen(reopen(signal));

/** The model keeps this function. It is made here, because a closure made in `pipeline` would keep the options of the load. */
const firstRequestOf =
  ({ firstRequest }: TaskInfo): (() => EncoderRequest) =>
  () =>
    firstRequest;
