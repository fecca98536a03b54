/**
 * One file a task: pure functions from arrays to answers, and the class that a call of `pipeline` gives. `pipeline.ts` imports it. It
 * never knows where files come from or how a GPU is used.
 */

export { checkNames, choice, count, flag, listOf, text, textList } from './arguments.ts';
export type { Crf } from './crf.ts';
export { normalizeRows, type PoolingName, poolingOf, truncateRows } from './feature-extraction.ts';
export {
  candidates,
  type FilledMask,
  type FillMaskOptions,
  fillMask,
  fillMaskOptions,
  likeliest,
  type MaskCandidates,
  maskPlaces,
} from './fill-mask.ts';
export { type Choice, chosen } from './multiple-choice.ts';
export { type NextSentence, nextSentence } from './next-sentence-prediction.ts';
export { type PooledWindow, poolWindows } from './pooled-windows.ts';
export { type PrecisionOptions, precisionOf, quantizeEmbeddings, type Ranges } from './precision.ts';
export { lowerCased, PROMPT_NAMES, type PromptOptions, promptOf } from './prompts.ts';
export { type Answer, answerOptions, answerQuestion, type QuestionAnsweringOptions } from './question-answering.ts';
export { similarityScores } from './sentence-similarity.ts';
export {
  type Classification,
  classificationOptions,
  classify,
  shaped,
  type TextClassificationOptions,
  textInputs,
} from './text-classification.ts';
export {
  configuredActivation,
  type RankedDocument,
  rank,
  rankingOptions,
  type TextRankingOptions,
} from './text-ranking.ts';
export {
  classifyTokens,
  type Entity,
  inText,
  mergeEntities,
  type TokenClassificationOptions,
  type TokenLabels,
  tokenClassificationOptions,
  wordedTexts,
} from './token-classification.ts';
export {
  candidateLabels,
  entailmentIds,
  type ZeroShotOptions,
  type ZeroShotResult,
  zeroShot,
  zeroShotOptions,
} from './zero-shot-classification.ts';
