import type { WantedTensor } from '../checkpoint/file/index.ts';
import type { ModelKind } from '../engine/index.ts';
import { oneOf } from '../errors.ts';
import type { EncoderConfig, EncoderRequest, HeadKind } from '../model/index.ts';
import { crfTensors } from './crf.ts';
import { FeatureExtraction } from './feature-extraction.ts';
import { FillMask } from './fill-mask.ts';
import { MultipleChoice } from './multiple-choice.ts';
import { NextSentencePrediction } from './next-sentence-prediction.ts';
import { QuestionAnswering } from './question-answering.ts';
import { SentenceSimilarity } from './sentence-similarity.ts';
import type { Session, SessionParts } from './session.ts';
import { TextClassification } from './text-classification.ts';
import { TextRanking } from './text-ranking.ts';
import { TokenClassification } from './token-classification.ts';
import { ZeroShotClassification } from './zero-shot-classification.ts';

/** A row of the table: what a task is made of. */
export interface TaskInfo<P = Session> {
  /** The class of the object that `pipeline()` returns. */
  readonly pipeline: new (
    parts: SessionParts,
  ) => P;
  /** The head on the encoder; without one the encoder's own outputs are read. */
  readonly head?: HeadKind;
  /** The outputs that a usual first call asks for: their kernels are compiled while the weights arrive. */
  readonly firstRequest: EncoderRequest;
  /** As which class sentence-transformers would load the checkpoint: the files that it writes beside the encoder are then read. */
  readonly sentenceModel?: ModelKind;
  /** Tensors that the post-processing reads on the CPU. */
  readonly hostTensors?: (config: EncoderConfig) => WantedTensor[];
  /** The model if none is named: transformers.js's, where that one is BERT-shaped. */
  readonly defaultModel?: string;
}

/** The class of every task, by the task's name. */
export interface PipelineClasses {
  'feature-extraction': FeatureExtraction;
  'sentence-similarity': SentenceSimilarity;
  'fill-mask': FillMask;
  'text-classification': TextClassification;
  'zero-shot-classification': ZeroShotClassification;
  'text-ranking': TextRanking;
  'token-classification': TokenClassification;
  'question-answering': QuestionAnswering;
  'next-sentence-prediction': NextSentencePrediction;
  'multiple-choice': MultipleChoice;
}

/** All tasks by their names. */
export const TASKS = {
  'feature-extraction': {
    pipeline: FeatureExtraction,
    firstRequest: { pool: { pooling: 'mean', normalize: true } },
    sentenceModel: 'SentenceTransformer',
    defaultModel: 'sentence-transformers/all-MiniLM-L6-v2',
  },
  'sentence-similarity': {
    pipeline: SentenceSimilarity,
    firstRequest: { pool: { pooling: 'mean', normalize: true } },
    sentenceModel: 'SentenceTransformer',
    defaultModel: 'sentence-transformers/all-MiniLM-L6-v2',
  },
  'fill-mask': {
    pipeline: FillMask,
    head: 'MaskedLM',
    firstRequest: { head: { kind: 'MaskedLM', picked: true, topK: 5 } },
    defaultModel: 'google-bert/bert-base-uncased',
  },
  'text-classification': {
    pipeline: TextClassification,
    head: 'SequenceClassification',
    firstRequest: { head: { kind: 'SequenceClassification' } },
    defaultModel: 'distilbert/distilbert-base-uncased-finetuned-sst-2-english',
  },
  'zero-shot-classification': {
    pipeline: ZeroShotClassification,
    head: 'SequenceClassification',
    firstRequest: { head: { kind: 'SequenceClassification' } },
  },
  'text-ranking': {
    pipeline: TextRanking,
    head: 'SequenceClassification',
    firstRequest: { head: { kind: 'SequenceClassification' } },
    sentenceModel: 'CrossEncoder',
    defaultModel: 'cross-encoder/ms-marco-MiniLM-L6-v2',
  },
  'token-classification': {
    pipeline: TokenClassification,
    head: 'TokenClassification',
    firstRequest: { head: { kind: 'TokenClassification' } },
    hostTensors: crfTensors,
    defaultModel: 'dslim/bert-base-NER',
  },
  'question-answering': {
    pipeline: QuestionAnswering,
    head: 'QuestionAnswering',
    firstRequest: { head: { kind: 'QuestionAnswering' } },
    defaultModel: 'distilbert/distilbert-base-cased-distilled-squad',
  },
  'next-sentence-prediction': {
    pipeline: NextSentencePrediction,
    head: 'NextSentencePrediction',
    firstRequest: { head: { kind: 'NextSentencePrediction' } },
    defaultModel: 'google-bert/bert-base-uncased',
  },
  'multiple-choice': {
    pipeline: MultipleChoice,
    head: 'MultipleChoice',
    firstRequest: { head: { kind: 'MultipleChoice' } },
  },
} as const satisfies { [Name in keyof PipelineClasses]: TaskInfo<PipelineClasses[Name]> };

/** transformers.js's other names of tasks. */
const ALIASES = {
  'sentiment-analysis': 'text-classification',
  ner: 'token-classification',
  embeddings: 'feature-extraction',
} as const;

/** A task by its name or by an alias. */
export type Task = keyof PipelineClasses | keyof typeof ALIASES;
type TaskName<T extends Task> = T extends keyof typeof ALIASES ? (typeof ALIASES)[T] : T;
type PipelineOf<T extends Task> = PipelineClasses[TaskName<T>];
/** What `pipeline()` resolves to: an object that can be called; its `_call` says with what, and what the call resolves to. */
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

/** A task by its name or alias: its name and its row of the table. Throws UnsupportedError for one that is not built. */
export function taskOf(task: string): { name: keyof PipelineClasses; info: TaskInfo } {
  oneOf('this task', task, [...Object.keys(TASKS), ...Object.keys(ALIASES)]);
  const name = ((ALIASES as Record<string, string>)[task] ?? task) as keyof PipelineClasses;
  return { name, info: TASKS[name] as TaskInfo };
}
