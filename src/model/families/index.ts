import type { Family } from '../family.ts';
import { BERT_FAMILIES } from './bert.ts';
import { MODERNBERT } from './modernbert.ts';

/** The families by `model_type`. */
export const FAMILIES: Readonly<Record<string, Family>> = {
  ...BERT_FAMILIES,
  modernbert: MODERNBERT,
};
