/**
 * A forward pass as data: ops, and the steps, slots, weights and batches made of them. `model`, `gpu` and `engine` import it. It never
 * touches a GPU and never knows a model's name.
 */

export { type Arena, arena, slotBytes } from './arena.ts';
export { attentionVariant, biasOperands, type Operand, rotaryAngles, WIDEST_WINDOW } from './attention-operands.ts';
export { type Batch, packBatch } from './batch.ts';
export { type Builder, builder } from './builder.ts';
export type { BiasOptions, NormStyle, VocabularyPooling } from './builder-options.ts';
export { type AdapterKind, type Caps, USUAL_GPU } from './caps.ts';
export { once, queryTile, stepOf } from './choose.ts';
export { checkFinite, firstNotFinite } from './finite.ts';
export type { DeviceOp, OutputSlice } from './lower.ts';
export {
  type AttentionOp,
  type DisentangledBias,
  type DynamicConvolutionOp,
  type EmbedOp,
  type Graph,
  type HeadLayout,
  type LengthStretch,
  MAX_K,
  type Norm,
  type Op,
  type QueryKeyNormOp,
  type RotaryOp,
  type Rows,
  type ScoreBias,
  type TokenDropout,
  type Value,
} from './op.ts';
export { type Measure, type Pace, paced, startPace } from './pace.ts';
export { isJoined, numbersOf, type WeightPart } from './part-layout.ts';
export { passRoom, type SequenceOutput, type SequenceOutputs, splitOutputs } from './passes.ts';
export { phaseRows, type StretchedRotary, stretchedRotary } from './phases.ts';
export { kernelsOf, type Plan, type PlanOptions, plan } from './plan.ts';
export { type Profile, profileOf } from './profiles.ts';
export type { Sequence } from './sequence.ts';
export type { Sizes } from './sizes.ts';
export {
  type Argument,
  type Bound,
  checkStep,
  INPUTS,
  type InputName,
  mostTexels,
  type OtherArgument,
  type RowCost,
  type Step,
  type TexelOperand,
  texelOperands,
  texelsOf,
} from './step.ts';
export { type Dispatch, type StepWork, type Submit, submitsOf, workOf } from './submits.ts';
export { isRowByRow, takeOut } from './taken-out.ts';
export {
  type Band,
  bandOf,
  bandRows,
  bindableRows,
  isVerbatim,
  keptAs,
  matrix,
  originOf,
  rowSlice,
  rowSlices,
  type Storage,
  type Weight,
  weightBytes,
  weightElements,
  weightKey,
} from './weight.ts';
export { costOf, mergedCosts, rowCostsOf } from './work.ts';
