/**
 * Whether a tensor decays, by its canonical name: biases and the parameters of norms do not, as transformers' Trainer has it
 * (get_decay_parameter_names).
 */
export const decays = (tensor: string): boolean => !/bias|norm/i.test(tensor);

/** What AdamW divides its running means by after `step` steps: computed of float32 betas, which are what the GPU multiplies with. */
export const corrections = (
  step: number,
  beta1: number,
  beta2: number,
): { correction1: number; correction2: number } => ({
  correction1: 1 - Math.fround(beta1) ** step,
  correction2: 1 - Math.fround(beta2) ** step,
});
