import { WebGPUBertError } from '../errors.ts';

/** Training cannot go on: its gradients were not finite for several steps in a row. The weights are those of before these steps. */
export class TrainingError extends WebGPUBertError {
  override readonly name = 'TrainingError';
}
