/**
 * `webgpu-bert/train`: what training takes besides a model. It shares its modules with `webgpu-bert`, which imports nothing from here.
 */
export type { TrainingExample } from './training/index.ts';
