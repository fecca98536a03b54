/**
 * A checkpoint on a device: loading it, running and scheduling its calls, and loading it again after a loss. `api`, `tasks` and the
 * registry import it. It never knows a text, a tokenizer or a task; and WebGPU only in webgpu-backend.ts and support.ts.
 */

export { Engine } from './engine.ts';
export type { LoadOptions } from './load.ts';
export { NO_SENTENCE, openSentence, type SentenceFiles } from './sentence-files.ts';
export {
  type ModelKind,
  type Module,
  type ModuleChain,
  type ModuleFile,
  moduleChain,
  modulesOf,
  type SentenceModules,
} from './sentence-modules.ts';
export type { SentenceSettings } from './sentence-settings.ts';
export { encoderConfig, isStaticModel, staticFinder } from './static-files.ts';
export { isSupported, type Support } from './support.ts';
