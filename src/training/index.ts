/**
 * Training: arguments, orders, random numbers, data, callbacks, metrics, charts; and the tasks and sessions of a step, which `session.ts`
 * hands to a backend. `train.ts` imports it, the main entry never.
 */

export type { TrainingMemory } from '../gradients/index.ts';
export { checkSeed, pcg4d } from '../random.ts';
export type { IntervalStrategy, Optimizer, SamplingStrategy, SaveStrategy, Trainable } from './argument-values.ts';
export { TRAINING_ARGUMENT_NAMES, TrainingArguments, type TrainingArgumentsInit } from './arguments.ts';
export type { EvaluateOptions } from './base-trainer.ts';
export {
  CALLBACK_EVENTS,
  type CallbackContext,
  type CallbackEvent,
  type CallbackEventName,
  CallbackHandler,
  type CallbackState,
  DefaultFlowCallback,
  EarlyStoppingCallback,
  type LogEntry,
  noteBestMetric,
  type TrainerCallback,
  TrainerControl,
  TrainerState,
} from './callbacks.ts';
export { DataCollatorForLanguageModeling, type LanguageModelingOptions, type MaskKey } from './collators.ts';
export type { Metrics } from './course.ts';
export type { BatchSampler } from './embedder-data.ts';
export {
  CoSENTLoss,
  type CoSENTLossInit,
  CosineSimilarityLoss,
  type EmbedderLoss,
  type EmbeddingLoss,
  MatryoshkaLoss,
  type MatryoshkaLossInit,
  MultipleNegativesRankingLoss,
  type MultipleNegativesRankingLossInit,
  type SimilarityFunction,
} from './embedder-losses.ts';
export {
  type EmbedderExample,
  type EmbedderTask,
  type EmbedderText,
  embedderGraph,
  embedderSequences,
  embedderTask,
} from './embedder-task.ts';
export {
  BinaryClassificationEvaluator,
  type BinaryClassificationEvaluatorInit,
} from './evaluators/binary-classification.ts';
export {
  BaseEvaluator,
  type Evaluator,
  type EvaluatorCall,
  type EvaluatorCallOptions,
  type EvaluatorInit,
} from './evaluators/evaluator.ts';
export {
  type ById,
  InformationRetrievalEvaluator,
  type InformationRetrievalEvaluatorInit,
  type ScoreFunction,
} from './evaluators/information-retrieval.ts';
export { SequentialEvaluator, type SequentialEvaluatorInit } from './evaluators/sequential.ts';
export { EmbeddingSimilarityEvaluator, type EmbeddingSimilarityEvaluatorInit } from './evaluators/similarity.ts';
export { TripletEvaluator, type TripletEvaluatorInit } from './evaluators/triplet.ts';
export { IGNORED_LABEL, type TrainingExample } from './example.ts';
export { GivenFields, patternOf } from './given-fields.ts';
export { type ProblemType, problemTypeOf } from './labels.ts';
export type { TrainOptions, TrainOutput } from './loop.ts';
export { type LoraBias, LoraConfig, type LoraConfigInit, type TaskType } from './lora/config.ts';
export { get_peft_model, type PeftLoadOptions, PeftModel, type PeftOptions } from './lora/peft-model.ts';
export { type LossChartOptions, loss_chart } from './loss-chart.ts';
export {
  type Average,
  accuracy,
  type Compared,
  classification_report,
  type EvalPrediction,
  f1,
  type LogitRow,
  mrr,
  ndcg,
  pearson,
  perplexity,
  type Rankings,
  seqeval,
  spearman,
} from './metrics.ts';
export {
  type DropoutMask,
  dropoutKeeps,
  dropoutThreshold,
  normalWeights,
  Pcg32,
  permutation,
  type RandomPurpose,
  randomStream,
  rowDropout,
  type StreamKey,
} from './random.ts';
export {
  type DataRecord,
  RecordReader,
  type RecordSettings,
  readRecords,
  type TokenizedRecord,
  type TokenizedRecords,
  TRAINED_HEADS,
  type TrainedHead,
} from './records.ts';
export { batchesOf, epochOrder, groupedByLength, noDuplicateBatches, type OrderSettings } from './sampler.ts';
export {
  batchCount,
  learningRateSchedule,
  type RunLength,
  type RunLengthSettings,
  runLength,
  SCHEDULER_OPTIONS,
  SCHEDULER_TYPES,
  type Schedule,
  type SchedulerOptions,
  type SchedulerType,
  type ScheduleSettings,
  stepsOf,
} from './schedule.ts';
export {
  SentenceTransformerTrainer,
  type SentenceTransformerTrainerOptions,
  SentenceTransformerTrainingArguments,
  type SentenceTransformerTrainingArgumentsInit,
} from './sentence-trainer.ts';
export {
  type SetFitCallOptions,
  SetFitModel,
  type SetFitModelOptions,
} from './setfit-model.ts';
export type { SamplingStrategyOfPairs } from './setfit-pairs.ts';
export { type SetFitArguments, SetFitTrainer, type SetFitTrainerOptions } from './setfit-trainer.ts';
export { type PredictionOutput, Trainer, type TrainerOptions } from './trainer.ts';
export type { Dataset } from './trainer-data.ts';
export { TrainingError } from './training-error.ts';
