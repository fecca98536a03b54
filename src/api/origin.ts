import type { ManagedSource } from '../checkpoint/source/index.ts';
import type { PretrainedOptions } from './options.ts';

/** Where a model is from, and how its weights are kept. */
export interface Origin {
  readonly name: string;
  /** The commit of all its files, where the server tells one. */
  readonly commit: string | undefined;
  readonly dtype: string;
}

/** Where a model is from, after its load. */
export const originOf = ({ name, commit }: ManagedSource, { dtype }: PretrainedOptions): Origin => ({
  name,
  commit: commit(),
  dtype: dtype || 'fp32',
});
