/**
 * A training step as data: the forward pass of a graph in the form that can be differentiated, its losses, and the backward pass.
 * `training` imports it. It never touches a GPU and never knows a model's name.
 */

export { IGNORED } from '../../shaders/cross-entropy.ts';
export { type Adapt, type Adaptation, type AdapterNames, adapterOf, renamed, type WeightMerge } from './adapters.ts';
export { type BackwardOptions, backward } from './backward.ts';
export { type PackOptions, packTraining, type TrainingBatch } from './batch.ts';
export type { LabelName } from './loss-op.ts';
export type { LossSpec, RecordLossSpec } from './losses.ts';
export { batchStateBytes, capacityOf, dataBytes, inputBytes, type TrainingMemory, trainingMemory } from './memory.ts';
export {
  type MergedFormat,
  type MergePlan,
  type MergeStep,
  mergeBytes,
  mergeDispatches,
  mergeScratchBytes,
  planMerges,
} from './merging.ts';
export type { GradientOp, TrainableGraph, TrainingGraph, TrainingOp } from './op.ts';
export { planTraining, type TrainingPlan } from './plan.ts';
export { type RecordFormOptions, recordForm } from './record-form.ts';
export { countItems, type LabelledSequence, type LossScales, scalesOf } from './sequence.ts';
export { gradientName, momentName, SCALARS_STATE, weightName } from './states.ts';
export {
  ADDS,
  DATA,
  type DataName,
  operandTextures,
  paramValues,
  type TrainingArgument,
  type TrainingStep,
  texturesOf,
} from './step.ts';
export type { ComputedTables } from './table-form.ts';
export { type DropoutRates, NO_DROPOUT, trainableForm } from './trainable-form.ts';
export {
  planUpdate,
  type State,
  type TensorUpdate,
  type UpdateOptions,
  type UpdatePlan,
  type UpdateStep,
} from './update.ts';
