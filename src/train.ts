/**
 * `webgpu-bert/train`: what training takes besides a model. It shares its modules with `webgpu-bert`, which imports nothing from here.
 */
export {
  type CallbackContext,
  type CallbackEvent,
  type CallbackEventName,
  type CallbackState,
  DataCollatorForLanguageModeling,
  type DataRecord,
  DefaultFlowCallback,
  EarlyStoppingCallback,
  type IntervalStrategy,
  type LanguageModelingOptions,
  type LogEntry,
  type Optimizer,
  type SamplingStrategy,
  type SaveStrategy,
  type Schedule,
  type SchedulerOptions,
  type SchedulerType,
  type Trainable,
  type TrainerCallback,
  TrainerControl,
  TrainerState,
  TrainingArguments,
  type TrainingArgumentsInit,
  type TrainingExample,
} from './training/index.ts';
