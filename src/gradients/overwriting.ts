import { type Weight, weightBytes } from '../plan/index.ts';
import { gradientName } from './states.ts';
import { ADDS, type TrainingStep } from './step.ts';

export interface Overwriting {
  readonly steps: readonly TrainingStep[];
  /** The names of the gradients that need not be cleared before a step, because its first micro-batch writes over all of them. */
  readonly overwritten: ReadonlySet<string>;
}

/**
 * The steps, of which those of linears write over their gradients in the first micro-batch where they are the first to write there and
 * write all of it. The others add: to what an earlier one wrote, or to zeros.
 */
export function overwriting(steps: readonly TrainingStep[], gradients: readonly Weight[]): Overwriting {
  const bytes = new Map(gradients.map(weight => [gradientName(weight), weightBytes(weight)]));
  const written = new Set<string>();
  const overwritten = new Set<string>();
  const made = steps.map(step => {
    const { kernel, args, params } = step;
    const names = kernel.bindings.flatMap(({ name, access }) => {
      const argument = args[name];
      return access === 'write' && argument?.kind === 'state' ? [{ name, state: argument.name }] : [];
    });
    const isFirst = names.every(({ name, state }) => {
      const covered = name === 'gradient' ? 64 * Number(params.n4) * Number(params.k4) : 16 * Number(params.n4);
      return !written.has(state) && covered === bytes.get(state);
    });
    for (const { state } of names) written.add(state);
    if (params.adds !== ADDS) return step;
    if (!isFirst) return { ...step, params: { ...params, adds: 1 } };
    for (const { state } of names) overwritten.add(state);
    return step;
  });
  return { steps: made, overwritten };
}
