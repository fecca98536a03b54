import {
  type CallableModel,
  env,
  loadTokenizer,
  PreTrainedModel,
  type PretrainedOptions,
  readOptions,
  reopening,
} from './api/index.ts';
import { inFolder, type ModelLocation, type ModelSource, openSource } from './checkpoint/source/index.ts';
import { Engine, isStaticModel, NO_SENTENCE, openSentence } from './engine/index.ts';
import { InputError, WebGPUBertError } from './errors.ts';
import type { EncoderRequest } from './model/index.ts';
import { linkedAbort, until } from './runtime/index.ts';
import { type Pipeline, type Task, type TaskInfo, taskOf } from './tasks/index.ts';

/**
 * Loads a model and its tokenizer for a task: transformers.js's `pipeline`. The object that it resolves to is called with texts.
 * Throws UnsupportedError for a task that is not built, InputError for a task that needs a model where none is named, and what
 * loading throws: SourceError, CheckpointError, UnsupportedError, DeviceError, or the signal's reason.
 *
 *   const extractor = await pipeline('feature-extraction', 'sentence-transformers/all-MiniLM-L6-v2');
 */
export async function pipeline<T extends Task>(
  task: T,
  model?: ModelLocation | null,
  options?: PretrainedOptions | null,
): Promise<Pipeline<T>> {
  const loadOptions = options ?? {};
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
    const source = withSharedJson(opened);
    const { head, hostTensors, sentenceModel } = info;
    const sentence = sentenceModel ? openSentence(source, sentenceModel) : NO_SENTENCE;
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
    const loadingEngine = Engine.load(source, {
      ...engineOptions,
      head,
      host: hostTensors,
      sentence: usableModules,
      isStatic: sentenceModel === 'SentenceTransformer' ? sentence.isStatic : undefined,
      encoderIn,
      reopen: reopening(opened, location, loadOptions),
      signal,
      request: firstRequestOf(info),
    });
    // The tokenizer's class counts for transformers, which knows no static model.
    const isStatic = sentenceModel === 'SentenceTransformer' && isStaticModel(encoderIn(source), sentence.isStatic);
    const loadingTokenizer = loadTokenizer(encoderIn(source), isStatic);
    loadingTokenizer.catch(fail);
    engine = await loadingEngine;
    const tokenizer = await until(signal, loadingTokenizer);
    engineOptions.progress?.({ status: 'ready', task: name, model: source.name });
    signal.throwIfAborted();
    const callable = new PreTrainedModel(engine) as CallableModel;
    return new info.pipeline({ task: name, model: callable, tokenizer, sentence }) as Pipeline<T>;
  } catch (error) {
    fail(error);
    engine?.dispose();
    throw error;
  } finally {
    stop.release();
  }
}

/** The model keeps this function. It is made here, because a closure made in `pipeline` would keep the options of the load. */
const firstRequestOf =
  ({ firstRequest }: TaskInfo): (() => EncoderRequest) =>
  () =>
    firstRequest;

/** A source that reads each JSON file once, however many parts of a load ask for it: the tokenizer may need config.json too. */
function withSharedJson(source: ModelSource): ModelSource {
  const files = new Map<string, Promise<unknown>>();
  return {
    name: source.name,
    open: (file, options) => source.open(file, options),
    json(file, options) {
      const reading = files.get(file) ?? source.json(file, options);
      files.set(file, reading);
      // A file that failed, or was not there, is asked for again.
      const forget = () => files.delete(file);
      reading.then(value => value === undefined && forget(), forget);
      return reading;
    },
  };
}
