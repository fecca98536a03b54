import type { Family } from '../family.ts';
import { BERT_FAMILIES } from './bert.ts';
import { DEBERTA, DEBERTA_V2 } from './deberta.ts';
import { MODERNBERT } from './modernbert.ts';
import { PRE_NORM_FAMILIES } from './pre-norm.ts';
import { REMBERT } from './rembert.ts';
import { ROFORMER } from './roformer.ts';

/** The families by `model_type`. */
export const FAMILIES: Readonly<Record<string, Family>> = {
  ...BERT_FAMILIES,
  deberta: DEBERTA,
  'deberta-v2': DEBERTA_V2,
  modernbert: MODERNBERT,
  ...PRE_NORM_FAMILIES,
  rembert: REMBERT,
  roformer: ROFORMER,
};
