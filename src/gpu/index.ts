/**
 * All that touches a GPUDevice: opening it, its errors and loss, pipelines, dispatches, weights, and the passes of a plan. `engine`
 * imports it. It never knows a model, a tensor's name in a file, or a task.
 */

export { type Absence, absenceOfAdapter, absenceOfWebGPU, NO_DEVICE } from './absence.ts';
export { adapterNameOf, type Gpu, isSoftware, kindOf, openGpu } from './device.ts';
export { disposedError, unexpectedError } from './errors.ts';
export { Executable } from './executable.ts';
export { type Flaw, loadKernel } from './flaws.ts';
export { explainError, LostDeviceError, onLoss } from './loss.ts';
export { MaxSim, type MaxSimInput } from './max-sim.ts';
export { MeasuredPace } from './measured-pace.ts';
export { Merging } from './merging.ts';
export type { Outputs } from './pass.ts';
export { PipelineCache } from './pipelines.ts';
export { type StepScalars, TrainingDevice } from './training.ts';
export type { Piece } from './upload.ts';
export { WeightReader } from './weight-reader.ts';
export { WeightStore } from './weights.ts';
