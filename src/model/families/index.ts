import type { Family } from '../family.ts';
import { BERT_FAMILIES } from './bert.ts';
import { CONVBERT } from './convbert.ts';
import { DEBERTA, DEBERTA_V2 } from './deberta.ts';
import { DPR } from './dpr.ts';
import { ESM } from './esm.ts';
import { EUROBERT } from './eurobert.ts';
import { GEMMA3 } from './gemma3.ts';
import { GTE, NEW } from './gte.ts';
import { JINA_BERT } from './jina-bert.ts';
import { JINA_V3, XLM_ROBERTA_FLASH } from './jina-v3.ts';
import { MOBILEBERT } from './mobilebert.ts';
import { MODERNBERT } from './modernbert.ts';
import { NEOBERT } from './neobert.ts';
import { NOMIC_BERT } from './nomic-bert.ts';
import { PRE_NORM_FAMILIES } from './pre-norm.ts';
import { REMBERT } from './rembert.ts';
import { ROFORMER } from './roformer.ts';
import { SQUEEZEBERT } from './squeezebert.ts';

/** The families by `model_type`. */
export const FAMILIES: Readonly<Record<string, Family>> = {
  ...BERT_FAMILIES,
  deberta: DEBERTA,
  'deberta-v2': DEBERTA_V2,
  modernbert: MODERNBERT,
  ...PRE_NORM_FAMILIES,
  rembert: REMBERT,
  dpr: DPR,
  esm: ESM,
  jina_bert: JINA_BERT,
  neobert: NEOBERT,
  roformer: ROFORMER,
  mobilebert: MOBILEBERT,
  squeezebert: SQUEEZEBERT,
  convbert: CONVBERT,
  eurobert: EUROBERT,
  nomic_bert: NOMIC_BERT,
  gte: GTE,
  new: NEW,
  gemma3_text: GEMMA3,
  jina_embeddings_v3: JINA_V3,
  'xlm-roberta-flash': XLM_ROBERTA_FLASH,
};
