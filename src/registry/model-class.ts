import { oneOf } from '../errors.ts';
import type { HeadKind } from '../model/index.ts';
import type { VectorClass } from '../vectors/index.ts';

/** What a class of models reads beside an encoder and its tokenizer. */
interface ClassInfo {
  readonly head?: HeadKind;
  /** Set where the files of sentence-transformers say what the model is. */
  readonly vectors?: VectorClass;
}

/** The classes whose `from_pretrained` loads a model, by name. */
const CLASSES = {
  AutoModel: {},
  AutoModelForMaskedLM: { head: 'MaskedLM' },
  AutoModelForPreTraining: { head: 'PreTraining' },
  AutoModelForNextSentencePrediction: { head: 'NextSentencePrediction' },
  AutoModelForSequenceClassification: { head: 'SequenceClassification' },
  AutoModelForTokenClassification: { head: 'TokenClassification' },
  AutoModelForQuestionAnswering: { head: 'QuestionAnswering' },
  AutoModelForMultipleChoice: { head: 'MultipleChoice' },
  SparseEncoder: { vectors: 'SparseEncoder' },
  MultiVectorEncoder: { vectors: 'MultiVectorEncoder' },
} as const satisfies Readonly<Record<string, ClassInfo>>;

/** The name of a class that loads models. */
export type ModelClass = keyof typeof CLASSES;

/** A class by its name. Throws UnsupportedError for one that is not built. */
export const classOf = (name: string): ClassInfo =>
  CLASSES[oneOf('this model_class', name, Object.keys(CLASSES)) as ModelClass];
