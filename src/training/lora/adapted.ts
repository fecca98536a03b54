import type { Engine } from '../../engine/index.ts';
import { InputError, wrong } from '../../errors.ts';
import type { Adapt } from '../../gradients/index.ts';
import type { Trainable } from '../argument-values.ts';
import { trainedTensors } from '../trained-tensors.ts';
import type { Adapters } from './adapters.ts';

/** The adapters of the models that have some. */
export const ADAPTED = new WeakMap<Engine, Adapters>();

/** The adapters of a model, however it was handed out. */
export const adaptersOf = (engine: Engine): Adapters | undefined => ADAPTED.get(engine);

/** What of a model is trained. */
export interface TrainedParts {
  /** Whether a tensor is, by its name on the device. */
  readonly trainable: (tensor: string) => boolean;
  readonly adapt: Adapt | undefined;
}

/**
 * What a training changes: what `trainable` of the arguments says, or of a model with adapters these, and what its LoraConfig names. Throws
 * InputError where that is nothing.
 */
export function trainedParts(engine: Engine, trainable: Trainable): TrainedParts {
  const adapters = adaptersOf(engine);
  if (!adapters) return { trainable: trainedTensors(engine, trainable), adapt: undefined };
  if (trainable !== 'all') {
    const next = 'Leave it out; modules_to_save and bias of the LoraConfig say what is trained beside the adapters.';
    throw wrong('trainable', trainable, "'all' for a model with adapters", next);
  }
  if (adapters.isTrainable) return { trainable: adapters.trains, adapt: adapters.adapt };
  throw new InputError({
    what: 'nothing of this model would be trained',
    actual: 'its adapters were loaded for answers alone',
    next: 'Load them with PeftModel.from_pretrained(model, files, { is_trainable: true }).',
  });
}
