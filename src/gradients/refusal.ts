import { UnsupportedError } from '../errors.ts';
import type { Value } from '../plan/index.ts';

/** The error of a model that computes a value by an op without a gradient. */
export const noRule = (op: string, { name }: Pick<Value, 'name'>): UnsupportedError =>
  new UnsupportedError({
    what: 'this model cannot be trained yet',
    actual: `it computes "${name}" by an op without a gradient: ${op}`,
    next: "Train only what is above that op (TrainingArguments.trainable: 'head'), or another model.",
    supported: [
      'bert',
      'roberta',
      'xlm-roberta',
      'distilbert',
      'albert',
      'electra',
      'mpnet',
      'modernbert',
      'nomic_bert',
    ],
  });
