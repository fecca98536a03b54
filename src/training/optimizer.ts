import type { UpdateOptions } from '../gradients/index.ts';
import type { TrainingArguments } from './arguments.ts';
import type { LearningRates } from './trained-tensors.ts';

/**
 * Whether a tensor decays, by its canonical name: biases and the parameters of norms do not, as transformers' Trainer has it
 * (get_decay_parameter_names).
 */
export const decays = (tensor: string): boolean => !/bias|norm/i.test(tensor);

/** What AdamW divides its running means by after `step` steps of which none was skipped, with their number: computed of float32 betas, which are what the GPU multiplies with. */
export const corrections = (
  step: number,
  beta1: number,
  beta2: number,
): { step: number; correction1: number; correction2: number } => ({
  step,
  correction1: 1 - Math.fround(beta1) ** step,
  correction2: 1 - Math.fround(beta2) ** step,
});

/** The update of a step, as the arguments have it. `trains`: whether a tensor is trained, by its canonical name. */
export const updateOptions = (
  args: TrainingArguments,
  rates: LearningRates,
  trains: (tensor: string) => boolean,
): UpdateOptions => ({
  kind: args.optim === 'adamw_bert' ? 'bert' : 'torch',
  beta1: args.adam_beta1,
  beta2: args.adam_beta2,
  epsilon: args.adam_epsilon,
  maxNorm: args.max_grad_norm,
  tensor: tensor =>
    trains(tensor) ? { group: rates.group(tensor), decay: decays(tensor) ? args.weight_decay : 0 } : undefined,
});
