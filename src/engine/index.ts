/**
 * A checkpoint on a device: loading it, running and scheduling its calls, and loading it again after a loss. `api`, `tasks` and the
 * registry import it. It never knows a text, a tokenizer or a task; and WebGPU only in webgpu-backend.ts, max-sim.ts and support.ts.
 */

export type { MaxSimInput } from '../gpu/index.ts';
export type { Backend, DeviceAccess, TensorReader } from './backend.ts';
export { otherRepository, refusalOf } from './config-file.ts';
export { Engine, type ModelFiles } from './engine.ts';
export type { LoadOptions, TokenModules } from './load.ts';
export { openMaxSim } from './max-sim.ts';
export type { Module } from './module-readers.ts';
export { newTensors } from './new-tensors.ts';
export type { OtherFiles } from './other-weights.ts';
export { NO_SENTENCE, openSentence, type ReadSentence, readSentence, type SentenceFiles } from './sentence-files.ts';
export {
  type ModuleChain,
  type ModuleFile,
  moduleChain,
  moduleOf,
  modulesOf,
  type SentenceModules,
} from './sentence-modules.ts';
export {
  generalFile,
  type ModelKind,
  optionalFields,
  type SentenceSettings,
  type Similarity,
  savedKind,
  settingsOf,
  transformerSettings,
} from './sentence-settings.ts';
export { encoderConfig, isStaticModel, staticFinder } from './static-files.ts';
export { isSupported, type Support } from './support.ts';
export type { FileTensor, UnusedTensor } from './upload.ts';
