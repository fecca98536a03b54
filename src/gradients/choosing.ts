import type { Kernel } from '../../shaders/kernel.ts';
import { checkStep, type Operand, type Profile, type Value, type Weight } from '../plan/index.ts';
import { trainingCosts } from './costs.ts';
import type { DeviceTrainingOp } from './device-op.ts';
import type { Dropout } from './dropout.ts';
import { gradientName } from './states.ts';
import type { DataName, TrainingArgument, TrainingParam, TrainingStep } from './step.ts';
import { values } from './values.ts';

/** What is bound: an operand of a forward pass, or the name of a state or of data with its kind. */
export type TrainingOperand = Operand | { readonly state: string } | { readonly data: DataName } | undefined;

export const state = (name: string) => ({ state: name });
export const data = (name: DataName) => ({ data: name });
export const gradientState = (weight: Weight | undefined) => weight && state(gradientName(weight));

function argumentOf(operand: NonNullable<TrainingOperand>): TrainingArgument {
  if (typeof operand === 'string') return { kind: 'input', input: operand };
  if ('state' in operand) return { kind: 'state', name: operand.state };
  if ('data' in operand) return { kind: 'data', name: operand.data };
  if ('parts' in operand) return { kind: 'weight', weight: operand };
  return 'id' in operand ? { kind: 'value', value: operand } : { kind: 'constant', constant: operand };
}

/** How the steps of one graph are made. */
export interface Choosing {
  readonly profile: Profile;
  /** See TrainingPlan. */
  readonly lookups: ReadonlySet<string>;
  /** A new value of these rows and columns. */
  readonly like: (of: Pick<Value, 'rows' | 'columns'>, name: string) => Value;
  /** A dispatch of a kernel. Throws where an operand or a param of the kernel is missing. */
  readonly made: (
    op: DeviceTrainingOp,
    kernel: Kernel,
    named: { readonly name: string },
    operands: Readonly<Record<string, TrainingOperand>>,
    params: Readonly<Record<string, TrainingParam>>,
  ) => TrainingStep;
}

/** What the choice of the kernels of all ops of a graph has in common. */
export function choosing(
  ops: readonly DeviceTrainingOp[],
  { profile, lookups }: Pick<Choosing, 'profile' | 'lookups'>,
): Choosing {
  const { like } = values(ops);
  const made: Choosing['made'] = (op, kernel, { name }, operands, params) => {
    const args = Object.fromEntries(
      Object.entries(operands).flatMap(([name, operand]) => (operand ? [[name, argumentOf(operand)]] : [])),
    );
    const step = { kernel, label: name, args, params, rowCosts: trainingCosts(op, profile) };
    checkStep(step);
    return step;
  };

  return { profile, lookups, like, made };
}

/** The params of dropout, two of them by these names. */
export const dropoutParams = ({ site, probability }: Dropout, threshold: string, scale: string) => ({
  [threshold]: Math.min(2 ** 32 - 1, Math.round(probability * 2 ** 32)),
  [scale]: 1 / (1 - probability),
  site,
  seed: 'seed',
  step: 'step',
});
