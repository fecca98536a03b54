import { type CallableModel, loadTokenizer, type OutputName, PreTrainedModel } from './auto.ts';
import type { ModelLocation } from './checkpoint/location.ts';
import { openSource } from './checkpoint/source.ts';
import { Engine } from './engine.ts';
import { env } from './env.ts';
import { InputError, oneOf, WebGPUBertError } from './errors.ts';
import type { EncoderRequest } from './model/encoder.ts';
import type { HeadKind } from './model/heads.ts';
import { checkOptions, type PretrainedOptions } from './options.ts';
import { FeatureExtraction } from './pipelines/feature-extraction.ts';
import { FillMask } from './pipelines/fill-mask.ts';
import { MultipleChoice, NextSentencePrediction, SentenceSimilarity } from './pipelines/pairs.ts';
import { QuestionAnswering } from './pipelines/question-answering.ts';
import type { Session } from './pipelines/session.ts';
import { TextClassification, TextRanking, ZeroShotClassification } from './pipelines/text-classification.ts';
import { CRF_TENSORS, TokenClassification } from './pipelines/token-classification.ts';
import { readModules, type SentenceModules } from './sentence.ts';
import type { PreTrainedTokenizer } from './tokenizer.ts';

type SessionClass<P> = new (
  task: string,
  engine: Engine,
  model: CallableModel<OutputName>,
  tokenizer: PreTrainedTokenizer,
  sentence?: SentenceModules | WebGPUBertError,
) => P;

interface TaskInfo<P> {
  readonly pipeline: SessionClass<P>;
  readonly head?: HeadKind;
  /** What is asked for first: its kernels are compiled while the weights arrive. */
  readonly request: EncoderRequest;
  /** Of transformers.js, where it names a BERT-shaped one. */
  readonly model?: string;
  /** Tensors that the CPU needs, where the checkpoint has them. */
  readonly host?: readonly string[];
  /** Whether the modules of sentence-transformers are asked for. */
  readonly modules?: true;
}

const withHead = <P>(pipeline: SessionClass<P>, head: HeadKind, model?: string): TaskInfo<P> => ({
  pipeline,
  head,
  request: { head: { kind: head } },
  model,
});
const MEAN: EncoderRequest = { pool: { pooling: 'mean', normalize: true } };
const SENTENCES = 'sentence-transformers/all-MiniLM-L6-v2';

const TASKS = {
  'feature-extraction': { pipeline: FeatureExtraction, request: MEAN, model: SENTENCES, modules: true },
  'sentence-similarity': { pipeline: SentenceSimilarity, request: MEAN, model: SENTENCES, modules: true },
  'fill-mask': {
    pipeline: FillMask,
    head: 'MaskedLM',
    request: { head: { kind: 'MaskedLM', picked: true, topK: 5 } },
    model: 'google-bert/bert-base-uncased',
  },
  'text-classification': withHead(
    TextClassification,
    'SequenceClassification',
    'distilbert/distilbert-base-uncased-finetuned-sst-2-english',
  ),
  'zero-shot-classification': withHead(ZeroShotClassification, 'SequenceClassification'),
  'text-ranking': withHead(TextRanking, 'SequenceClassification', 'cross-encoder/ms-marco-MiniLM-L6-v2'),
  'token-classification': {
    ...withHead(TokenClassification, 'TokenClassification', 'dslim/bert-base-NER'),
    host: CRF_TENSORS,
  },
  'question-answering': withHead(
    QuestionAnswering,
    'QuestionAnswering',
    'distilbert/distilbert-base-cased-distilled-squad',
  ),
  'next-sentence-prediction': withHead(
    NextSentencePrediction,
    'NextSentencePrediction',
    'google-bert/bert-base-uncased',
  ),
  'multiple-choice': withHead(MultipleChoice, 'MultipleChoice'),
} as const;

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
  const name: string = Object.hasOwn(ALIASES, task) ? ALIASES[task as keyof typeof ALIASES] : task;
  oneOf('this task', name, [...Object.keys(TASKS), ...Object.keys(ALIASES)]);
  const info = TASKS[name as keyof typeof TASKS] as unknown as TaskInfo<Session>;
  const { device, format } = checkOptions(options);
  const where = model ?? info.model;
  if (where === undefined) {
    throw new InputError({ what: `${name} has no default model`, next: 'Name one as the second argument.' });
  }
  const source = openSource(where, options, env);
  // One fails, the other is told to stop.
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const progress = options.progress_callback ?? undefined;
  const { head, host, request, modules } = info;
  const readingModules = modules ? readModules(source) : Promise.resolve(undefined);
  // Modules that are not built, or not whole, are an error when they are asked for: with a pooling of the caller's they do
  // not matter.
  const usable = readingModules.catch(error => (error instanceof WebGPUBertError ? undefined : Promise.reject(error)));
  usable.catch(error => stop.abort(error));
  // First, so that config.json is asked for before the tokenizer's larger files: what it says is compiled while they come.
  const loadingEngine = Engine.load(source, {
    device,
    format,
    head,
    host,
    tuning: env.tuning,
    sentence: usable,
    progress,
    signal,
    request: () => request,
  });
  const loadingTokenizer = loadTokenizer(source);
  loadingTokenizer.catch(error => stop.abort(error));
  const engine = await loadingEngine;
  try {
    const tokenizer = await loadingTokenizer;
    if (tokenizer.text.vocabSize > engine.config.vocabSize) {
      throw new InputError({
        what: 'the tokenizer has more tokens than the model has embeddings',
        actual: `${tokenizer.text.vocabSize} tokens`,
        expected: `at most ${engine.config.vocabSize}`,
        next: 'Check that tokenizer.json and config.json belong together.',
      });
    }
    progress?.({ status: 'ready', task: name, model: source.name });
    const callable = new PreTrainedModel(engine) as CallableModel<OutputName>;
    const sentence = await readingModules.catch((error: WebGPUBertError) => error);
    return new info.pipeline(name, engine, callable, tokenizer, sentence) as Pipeline<T>;
  } catch (error) {
    engine.dispose();
    throw error;
  }
}
