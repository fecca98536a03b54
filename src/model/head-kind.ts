import { UnsupportedError } from '../errors.ts';

/** The head on top of the encoder, by the suffix of its Python class: BertForMaskedLM. */
export type HeadKind =
  | 'MaskedLM'
  | 'PreTraining'
  | 'NextSentencePrediction'
  | 'SequenceClassification'
  | 'MultipleChoice'
  | 'TokenClassification'
  | 'QuestionAnswering';

/**
 * The heads of a family, and what is computed of each: itself, but for AutoModelForPreTraining, which in Python is the class with the
 * masked-LM head where a family has no class of its own for it.
 * Source: the mappings in transformers' modeling_auto.py, or the classes in the code of a family that transformers does not have.
 */
export type FamilyHeads = Readonly<Partial<Record<HeadKind, HeadKind>>>;

const CLASSIFYING = {
  SequenceClassification: 'SequenceClassification',
  TokenClassification: 'TokenClassification',
} as const satisfies FamilyHeads;

/** The heads that nearly all families have. */
export const FEW_HEADS = { MaskedLM: 'MaskedLM', ...CLASSIFYING } as const satisfies FamilyHeads;

/** Those, and the heads that answer questions. */
export const COMMON_HEADS = {
  ...FEW_HEADS,
  QuestionAnswering: 'QuestionAnswering',
  MultipleChoice: 'MultipleChoice',
} as const satisfies FamilyHeads;

/** Those of a family that is pre-trained with masked words alone. */
export const MASKED_HEADS = { ...COMMON_HEADS, PreTraining: 'MaskedLM' } as const satisfies FamilyHeads;

/** Those of a family that is pre-trained with pairs of sentences too. */
export const BERT_HEADS = {
  ...COMMON_HEADS,
  PreTraining: 'PreTraining',
  NextSentencePrediction: 'NextSentencePrediction',
} as const satisfies FamilyHeads;

/** What is computed of a head of a model. Throws UnsupportedError where the family has no such head. */
export function headOf(
  { modelType, headKinds }: { readonly modelType: string; readonly headKinds: FamilyHeads },
  kind: HeadKind,
): HeadKind {
  const computed = headKinds[kind];
  if (computed !== undefined) return computed;
  const classes = Object.keys(headKinds).map(other => `AutoModelFor${other}`);
  throw new UnsupportedError({
    what: `models of the family "${modelType}" have no head for ${kind}`,
    actual: `AutoModelFor${kind}`,
    supported: ['AutoModel', ...classes],
    next: `Load this model with one of these classes or for one of their tasks, or take a model of another family for ${kind}.`,
  });
}

/**
 * Whether a model that was loaded with a head has what another head computes with: its own, and with both heads of BERT's pre-training
 * either of them. Every model has the encoder alone.
 */
export function hasHead(
  { modelType, headKinds }: { readonly modelType: string; readonly headKinds: FamilyHeads },
  loaded: HeadKind | undefined,
  wanted: HeadKind | undefined,
): boolean {
  if (wanted === undefined || loaded === wanted) return true;
  if (loaded !== 'PreTraining') return false;
  const computed = headKinds.PreTraining;
  // ELECTRA's is the discriminator, which has neither.
  const both =
    computed === 'PreTraining' && modelType !== 'electra' ? ['MaskedLM', 'NextSentencePrediction'] : [computed];
  return both.includes(wanted);
}
