import { PreTrainedModel } from '../api/index.ts';
import { wrong } from '../errors.ts';

/**
 * Why something may be of the right class and yet is not: a page that has two copies of the library has two classes of each name, and a
 * model of a worker is none of the page's.
 */
export const ONE_COPY =
  "Import both from the package 'webgpu-bert': its file dist/webgpu-bert.js has classes of its own. " +
  "A model of 'webgpu-bert/worker' is not on this thread: train it in a worker script of yours, which imports 'webgpu-bert/train'.";

/** A model of AutoModelForX that somebody gave. Throws InputError for what is none. */
export function givenModel(name: string, given: unknown): PreTrainedModel {
  const model: object = Object(given);
  if (model instanceof PreTrainedModel) return model;
  throw wrong(name, given, 'a model of AutoModelForX.from_pretrained', ONE_COPY);
}
