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
import { Engine, type ModelKind, NO_SENTENCE, openSentence } from './engine/index.ts';
import { InputError, oneOf, WebGPUBertError } from './errors.ts';
import type { EncoderRequest, HeadKind } from './model/index.ts';
import { FeatureExtraction } from './pipelines/feature-extraction.ts';
import { FillMask } from './pipelines/fill-mask.ts';
import { MultipleChoice, NextSentencePrediction, SentenceSimilarity } from './pipelines/pairs.ts';
import { QuestionAnswering } from './pipelines/question-answering.ts';
import type { Session, SessionParts } from './pipelines/session.ts';
import { TextClassification, TextRanking, ZeroShotClassification } from './pipelines/text-classification.ts';
import { crfTensors, TokenClassification } from './pipelines/token-classification.ts';
import { linkedAbort, until } from './runtime/index.ts';

interface TaskInfo<P> {
  readonly pipeline: new (parts: SessionParts) => P;
  /** What stands on the encoder. */
  readonly head?: HeadKind;
  /** As which of its models sentence-transformers would load a checkpoint for this task: what it wrote there is asked for. */
  readonly kind?: ModelKind | undefined;
  /** Of transformers.js, where it names a BERT-shaped one. */
  readonly model?: string;
}

/** The tasks whose models may be those of sentence-transformers. */
const KINDS = new Map<unknown, ModelKind>([
  [FeatureExtraction, 'SentenceTransformer'],
  [SentenceSimilarity, 'SentenceTransformer'],
  [TextRanking, 'CrossEncoder'],
]);

const task = <P>(pipeline: TaskInfo<P>['pipeline'], head?: HeadKind, model?: string): TaskInfo<P> => ({
  pipeline,
  head,
  model,
  kind: KINDS.get(pipeline),
});
const SENTENCES = 'sentence-transformers/all-MiniLM-L6-v2';
const BERT = 'google-bert/bert-base-uncased';

const TASKS = {
  'feature-extraction': task(FeatureExtraction, undefined, SENTENCES),
  'sentence-similarity': task(SentenceSimilarity, undefined, SENTENCES),
  'fill-mask': task(FillMask, 'MaskedLM', BERT),
  'text-classification': task(
    TextClassification,
    'SequenceClassification',
    'distilbert/distilbert-base-uncased-finetuned-sst-2-english',
  ),
  'zero-shot-classification': task(ZeroShotClassification, 'SequenceClassification'),
  'text-ranking': task(TextRanking, 'SequenceClassification', 'cross-encoder/ms-marco-MiniLM-L6-v2'),
  'token-classification': task(TokenClassification, 'TokenClassification', 'dslim/bert-base-NER'),
  'question-answering': task(
    QuestionAnswering,
    'QuestionAnswering',
    'distilbert/distilbert-base-cased-distilled-squad',
  ),
  'next-sentence-prediction': task(NextSentencePrediction, 'NextSentencePrediction', BERT),
  'multiple-choice': task(MultipleChoice, 'MultipleChoice'),
};

/** The model of each task that has a default. */
export const DEFAULT_MODELS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(TASKS).flatMap(([name, { model }]) => (model === undefined ? [] : [[name, model]])),
);

/** What is asked for first: its kernels are compiled while the weights arrive. */
const firstRequest = (kind: HeadKind | undefined): EncoderRequest =>
  kind
    ? { head: kind === 'MaskedLM' ? { kind, picked: true, topK: 5 } : { kind } }
    : { pool: { pooling: 'mean', normalize: true, dense: [] } };

/** transformers.js's other names of tasks. */
const ALIASES = {
  'sentiment-analysis': 'text-classification',
  ner: 'token-classification',
  embeddings: 'feature-extraction',
} as const;

export type Task = keyof typeof TASKS | keyof typeof ALIASES;
type TaskName<T extends Task> = T extends keyof typeof ALIASES ? (typeof ALIASES)[T] : T;
type PipelineOf<T extends Task> =
  TaskName<T> extends infer Name extends keyof typeof TASKS ? InstanceType<(typeof TASKS)[Name]['pipeline']> : never;
/** What `pipeline` gives: an object that can be called as its `_call` says. */
export type Pipeline<T extends Task> = PipelineOf<T> & PipelineOf<T>['_call'];

export type FeatureExtractionPipeline = Pipeline<'feature-extraction'>;
export type FillMaskPipeline = Pipeline<'fill-mask'>;
export type MultipleChoicePipeline = Pipeline<'multiple-choice'>;
export type NextSentencePredictionPipeline = Pipeline<'next-sentence-prediction'>;
export type QuestionAnsweringPipeline = Pipeline<'question-answering'>;
export type SentenceSimilarityPipeline = Pipeline<'sentence-similarity'>;
export type TextClassificationPipeline = Pipeline<'text-classification'>;
export type TextRankingPipeline = Pipeline<'text-ranking'>;
export type TokenClassificationPipeline = Pipeline<'token-classification'>;
export type ZeroShotClassificationPipeline = Pipeline<'zero-shot-classification'>;

/** A task by its name or alias, and what it is made of. Throws UnsupportedError for one that is not built. */
export function taskOf(task: string): { name: keyof typeof TASKS; info: TaskInfo<Session> } {
  oneOf('this task', task, [...Object.keys(TASKS), ...Object.keys(ALIASES)]);
  const name = ((ALIASES as Record<string, string>)[task] ?? task) as keyof typeof TASKS;
  return { name, info: TASKS[name] as TaskInfo<Session> };
}

/**
 * Loads a model and its tokenizer for a task: transformers.js's `pipeline`.
 * Throws UnsupportedError for a task that is not built, and whatever loading throws: SourceError, CheckpointError, DeviceError.
 *
 *   const extractor = await pipeline('feature-extraction', 'sentence-transformers/all-MiniLM-L6-v2');
 */
export async function pipeline<T extends Task>(
  task: T,
  model?: ModelLocation | null,
  given?: PretrainedOptions | null,
): Promise<Pipeline<T>> {
  const options = given ?? {};
  const { name, info } = taskOf(task);
  const where = model ?? info.model;
  if (where === undefined) {
    throw new InputError({ what: `${name} has no default model`, next: 'Name one as the second argument.' });
  }
  const engineOptions = readOptions(options);
  // One fails, the others are told to stop.
  const stop = linkedAbort(options.signal);
  const { signal } = stop;
  const fail = (error: unknown) => stop.abort(error);
  let engine: Engine | undefined;
  try {
    const opened = openSource(where, { ...options, signal }, env);
    const source = shared(opened);
    const { head, kind } = info;
    const sentence = kind ? openSentence(source, kind) : NO_SENTENCE;
    // Where the transformer lies in a folder of its own, its files are those in there.
    const encoderIn = (root: ModelSource) => (kind ? inFolder(root, sentence.folder) : root);
    // Modules that are not built, or not whole, are an error when they are asked for: with a pooling of the caller's they do
    // not matter. A cross-encoder always asks.
    const usable =
      kind === 'CrossEncoder'
        ? Promise.all([sentence.modules, sentence.settings]).then(([modules]) => modules)
        : sentence.modules.catch(error => (error instanceof WebGPUBertError ? undefined : Promise.reject(error)));
    usable.catch(fail);
    // First, so that config.json is asked for before all else: its answer tells the commit that the rest is asked for at, and what
    // it says is compiled while the tokenizer's larger files come.
    const loadingEngine = Engine.load(source, {
      ...engineOptions,
      head,
      host: head === 'TokenClassification' ? crfTensors : undefined,
      sentence: usable,
      encoderIn,
      reopen: reopening(opened, where, options),
      signal,
      request: () => firstRequest(head),
    });
    const loadingTokenizer = loadTokenizer(encoderIn(source));
    loadingTokenizer.catch(fail);
    engine = await loadingEngine;
    const tokenizer = await until(signal, loadingTokenizer);
    engineOptions.progress?.({ status: 'ready', task: name, model: source.name });
    signal.throwIfAborted();
    const callable = new PreTrainedModel(engine) as CallableModel;
    return new info.pipeline({ task: name, model: callable, tokenizer, engine, sentence }) as Pipeline<T>;
  } catch (error) {
    fail(error);
    engine?.dispose();
    throw error;
  } finally {
    stop.release();
  }
}

/** A source that asks for a JSON file once, however many parts of a load want it: the tokenizer may need config.json too. */
function shared(source: ModelSource): ModelSource {
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
