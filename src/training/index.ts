/**
 * Training on the host: arguments, orders, random numbers, data, callbacks, metrics, charts. `train.ts` imports it, the main entry never.
 * It never touches a GPU.
 */

export { IGNORED_LABEL, type TrainingExample } from './example.ts';
export {
  checkSeed,
  type DropoutMask,
  dropoutKeeps,
  dropoutThreshold,
  MAX_ROW_KEY_TOKENS,
  normalWeights,
  Pcg32,
  pcg4d,
  permutation,
  type RandomPurpose,
  randomStream,
  rowDropout,
  rowKey,
  type StreamKey,
} from './random.ts';
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
