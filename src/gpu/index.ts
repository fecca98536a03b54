/**
 * All that touches a GPUDevice: opening it, its errors and loss, pipelines, weights, and the passes of a plan. `engine` imports it. It
 * never knows a model, a tensor's name in a file, or a task.
 */

export { createBuffer } from './buffers.ts';
export { adapterNameOf, type Gpu, isSoftware, kindOf, openGpu } from './device.ts';
export { ALL_ERRORS, disposed, unexpected, watched } from './errors.ts';
export { createExecutable, type Executable } from './executable.ts';
export { explained, LostDeviceError, onLoss } from './loss.ts';
export { paceOf } from './pace.ts';
export { type CompiledKernel, PipelineCache } from './pipelines.ts';
export { createWeightStore, type Flaw, loadKernel, type WeightStore } from './weights.ts';
