/**
 * One file a task: pure functions from arrays to answers, then the class that `pipeline()` returns; task-table.ts lists them. `pipeline.ts`
 * and `registry` import it. It never knows where files come from or how a GPU is used.
 */

export { factsOf, type TextFacts, type WithTruncated, withFacts } from './answers.ts';
export { choice, count, flag, listOf, string, textList } from './arguments.ts';
export { Embedder, type TextReader } from './embedder.ts';
export type { Entity } from './entities.ts';
export type { FeatureExtractionOptions } from './feature-extraction.ts';
export type { FilledMask, FillMaskOptions } from './fill-mask.ts';
export type { PoolingName } from './poolings.ts';
export type { Ranges } from './precision.ts';
export { lowerCased, PROMPT_OPTION_NAMES, type PromptOptions, promptOf } from './prompts.ts';
export type { Answer, QuestionAnsweringOptions } from './question-answering.ts';
export { ranked } from './scores.ts';
export { SIMILARITY_FUNCTIONS } from './sentence-similarity.ts';
export { type OverflowOptions, type RunOptions, Session, type SessionParts, type TextResults } from './session.ts';
export {
  type FeatureExtractionPipeline,
  type FillMaskPipeline,
  type MultipleChoicePipeline,
  type NextSentencePredictionPipeline,
  type Pipeline,
  type QuestionAnsweringPipeline,
  type SentenceSimilarityPipeline,
  type Task,
  type TaskInfo,
  type TextClassificationPipeline,
  type TextRankingPipeline,
  type TokenClassificationPipeline,
  taskOf,
  type ZeroShotClassificationPipeline,
} from './task-table.ts';
export type { Classification, ClassificationInput, TextClassificationOptions } from './text-classification.ts';
export type { RankedDocument, TextRankingOptions } from './text-ranking.ts';
export type { TokenClassificationOptions } from './token-classification.ts';
export type { ZeroShotOptions, ZeroShotResult } from './zero-shot-classification.ts';
