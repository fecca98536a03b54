/**
 * A training step as data: the forward pass of a graph in the form that can be differentiated, its losses, and the backward pass.
 * `training` imports it. It never touches a GPU and never knows a model's name.
 */

export { IGNORED } from '../../shaders/cross-entropy.ts';
export { type BackwardOptions, backward } from './backward.ts';
export type { LossSpec } from './losses.ts';
export type {
  GradientOp,
  LabelName,
  TrainableGraph,
  TrainingGraph,
  TrainingOp,
} from './op.ts';
export { countItems, type LabelledSequence, type LossScales, scalesOf } from './sequence.ts';
export { type DropoutRates, NO_DROPOUT, trainableForm } from './trainable-form.ts';
