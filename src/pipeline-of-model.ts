import {
  type CallableModel,
  checkOptionNames,
  loadTokenizer,
  PreTrainedModel,
  PreTrainedTokenizer,
  type Reopen,
  withSharedJson,
} from './api/index.ts';
import type { ProgressCallback } from './checkpoint/source/index.ts';
import { type Engine, NO_SENTENCE, openSentence, readSentence, type SentenceFiles } from './engine/index.ts';
import { InputError, SourceError, UnsupportedError, wrong } from './errors.ts';
import { type HeadKind, hasHead } from './model/index.ts';
import { linkedAbort, until } from './runtime/index.ts';
import { noting } from './saving/index.ts';
import { type Pipeline, type Task, taskOf } from './tasks/index.ts';

/** The options of a pipeline of a model that is there already. */
export interface ModelPipelineOptions {
  readonly tokenizer?: PreTrainedTokenizer | null;
  readonly progress_callback?: ProgressCallback | null;
  readonly signal?: AbortSignal | undefined;
}

const OPTION_NAMES = ['tokenizer', 'progress_callback', 'signal'];

/**
 * Makes a pipeline of a model that is there already, trained or not. The pipeline computes with the model itself, and sees whatever becomes
 * of its weights. The tokenizer, and what sentence-transformers wrote, are read from the files that the model was loaded from.
 */
export async function pipelineOfModel<T extends Task>(
  task: T,
  model: PreTrainedModel,
  options: ModelPipelineOptions,
): Promise<Pipeline<T>> {
  const { name, info } = taskOf(task);
  checkOptionNames(
    options,
    OPTION_NAMES,
    'The model is loaded already: other options are those of its from_pretrained.',
  );
  const given = givenTokenizer(options.tokenizer);
  const engine = PreTrainedModel.engineOf(model);
  if (!hasHead(engine.config, engine.head, info.head)) throw wrongHead(name, engine.head, info.head!);
  const tensors = info.hostTensors?.(engine.config) ?? [];
  const unread = tensors.find(({ tensor }) => engine.unused.some(({ info }) => info.name === tensor));
  if (unread) throw withoutTensors(name, unread.tensor);
  const stop = linkedAbort(options.signal);
  const { signal } = stop;
  try {
    signal.throwIfAborted();
    // A model that api and pipelines loaded can always be opened again.
    const { root, encoder } = engine.files(signal)!;
    const source = withSharedJson(root);
    const sentenceFiles = new Set<string>();
    const sentence = info.sentenceModel
      ? ofEngine(engine, openSentence(noting(source, sentenceFiles), info.sentenceModel))
      : NO_SENTENCE;
    if (!encoder && (await until(signal, sentence.folder)) !== '') throw otherEncoder(await sentence.folder);
    const readTokenizer = () =>
      loadTokenizer(encoder ?? source, reopening(engine), Promise.resolve(engine.config.static !== undefined)).catch(
        error => {
          throw error instanceof UnsupportedError || isMissing(error) ? noTokenizer(error) : error;
        },
      );
    const tokenizer = given ?? (await until(signal, readTokenizer()));
    const read = await until(signal, readSentence(sentence));
    // A cross-encoder always needs its modules: see `pipeline`.
    if (info.sentenceModel === 'CrossEncoder') {
      read.settings();
      read.modules();
    }
    signal.throwIfAborted();
    const own = PreTrainedModel.originOf(model);
    // With another tokenizer the vectors are not those of the commit.
    const origin = given ? { ...own, commit: undefined } : own;
    options.progress_callback?.({ status: 'ready', task, model: own.name });
    const callable = model as CallableModel;
    const parts = { task: name, model: callable, tokenizer, sentence, sentenceFiles, readSentence: read, origin };
    return new info.pipeline(parts) as Pipeline<T>;
  } catch (error) {
    stop.abort(error);
    throw error;
  } finally {
    stop.release();
  }
}

/** Opens the files of a model's tokenizer again. The tokenizer keeps it: made in `pipelineOfModel`, it would keep the options too. */
const reopening =
  (engine: Engine): Reopen =>
  signal => {
    const { root, encoder } = engine.files(signal)!;
    return encoder ?? root;
  };

/** The tokenizer that was given, if any. Throws InputError for what is none. */
export function givenTokenizer(tokenizer: unknown): PreTrainedTokenizer | undefined {
  if (tokenizer === undefined || tokenizer === null || tokenizer === false) return undefined;
  if (Object(tokenizer) instanceof PreTrainedTokenizer) return tokenizer as PreTrainedTokenizer;
  throw wrong('tokenizer', tokenizer, 'a tokenizer', 'Pass await AutoTokenizer.from_pretrained(…).');
}

/** The files of sentence-transformers, whose modules are refused where the model was loaded without their weights. */
function ofEngine(engine: Engine, sentence: SentenceFiles): SentenceFiles {
  const loaded = new Set(engine.tensors.flatMap(({ info, folder }) => (folder === 'root' ? [info.file] : [])));
  const modules = sentence.modules.then(found => {
    const missing = found?.files.find(({ file }) => !loaded.has(file));
    if (missing === undefined) return found;
    throw new UnsupportedError({
      what: 'this model was loaded without the weights of its modules',
      actual: `a model without ${missing.file}`,
      supported: ['modules without weights'],
      next: 'Load it with pipeline(…), whose `model` is trained and saved as any other; or name a pooling ("mean", "cls", …).',
    });
  });
  modules.catch(() => undefined);
  return { ...sentence, modules };
}

const isMissing = (error: unknown): boolean => error instanceof SourceError && error.status === 404;

const noTokenizer = (cause: SourceError | UnsupportedError): InputError =>
  new InputError({
    what: 'the model has no tokenizer',
    actual: cause.what,
    expected: 'a tokenizer among its files, or one that is given',
    next: 'Pass one: pipeline(task, model, { tokenizer: await AutoTokenizer.from_pretrained(…) }).',
    cause,
  });

const wrongHead = (task: string, actual: HeadKind | undefined, expected: HeadKind): InputError =>
  new InputError({
    what: `the model has not the head of ${task}`,
    actual: actual === undefined ? 'a model without a head' : `a model for ${actual}`,
    expected: `one for ${expected}`,
    next: `Load it with AutoModelFor${expected}.`,
  });

const withoutTensors = (task: string, tensor: string): UnsupportedError =>
  new UnsupportedError({
    what: `this model was loaded without what ${task} computes outside of it`,
    actual: `a model without ${tensor}`,
    supported: [`models of pipeline('${task}', …)`],
    next: `Load it with pipeline('${task}', …), whose \`model\` is trained and saved as any other.`,
  });

const otherEncoder = (folder: string): UnsupportedError =>
  new UnsupportedError({
    what: 'this model is not the encoder of its modules',
    actual: `a model of config.json beside modules.json, which names ${folder}`,
    supported: ['models of pipeline(…)'],
    next: 'Load it with pipeline(…), whose `model` is trained and saved as any other.',
  });
