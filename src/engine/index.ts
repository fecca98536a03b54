/**
 * A checkpoint at work on a device: load, run, schedule, restore after a loss. `api` and `tasks` import it. It never knows a text,
 * a tokenizer or a task.
 */

export { Engine } from './engine.ts';
export type { LoadOptions } from './load.ts';
export {
  type ModelKind,
  NO_SENTENCE,
  openSentence,
  type SentenceFiles,
  type SentenceModules,
  type SentenceSettings,
} from './sentence-modules.ts';
export { isSupported, type Support } from './support.ts';
