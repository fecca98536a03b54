import type { DropoutRates } from '../gradients/index.ts';
import type { EncoderConfig } from '../model/index.ts';

/**
 * The probabilities of a family, by place: the first of these fields of config.json that is a number, else the number at the end. An empty
 * list is a place where the family drops nothing.
 */
interface Fields {
  readonly embeddings: readonly (string | number)[];
  readonly attention: readonly (string | number)[];
  readonly attentionOutput: readonly (string | number)[];
  readonly output: readonly (string | number)[];
  readonly classifier: readonly (string | number)[];
  /** Default: as `classifier`. */
  readonly classifierDense?: readonly (string | number)[];
  /** Default: the family has none. */
  readonly convolution?: readonly (string | number)[];
  readonly distances?: readonly (string | number)[];
}

const HIDDEN = ['hidden_dropout_prob', 0.1] as const;

/** BERT, and the families that took its code. */
const USUAL: Fields = {
  embeddings: HIDDEN,
  attention: ['attention_probs_dropout_prob', 0.1],
  attentionOutput: HIDDEN,
  output: HIDDEN,
  classifier: ['classifier_dropout', ...HIDDEN],
};

/** Families that drop nothing but attention's probabilities, and even those only where config.json says so. */
const ATTENTION_ALONE: Fields = {
  embeddings: [],
  attention: ['attention_dropout', 0],
  attentionOutput: [],
  output: [],
  classifier: ['classifier_dropout', 0],
};

/** Its dense layer of a classifier has a dropout of its own, and so have the rows of the table of relative distances in every layer. */
const DEBERTA: Fields = {
  ...USUAL,
  classifier: ['cls_dropout', ...HIDDEN],
  classifierDense: ['pooler_dropout', 0],
  convolution: HIDDEN,
  distances: HIDDEN,
};

/** As modeling_*.py of transformers 5 applies them; other families are as BERT. */
const FAMILIES: Readonly<Record<string, Fields>> = {
  // Nothing is dropped behind the projection of attention.
  distilbert: {
    embeddings: ['dropout', 0.1],
    attention: ['attention_dropout', 0.1],
    attentionOutput: [],
    output: ['dropout', 0.1],
    classifier: ['seq_classif_dropout', 0.2],
  },
  // The feed-forward layer drops nothing.
  albert: {
    embeddings: ['hidden_dropout_prob', 0],
    attention: ['attention_probs_dropout_prob', 0],
    attentionOutput: ['hidden_dropout_prob', 0],
    output: [],
    classifier: ['classifier_dropout_prob', 0.1],
  },
  mobilebert: {
    embeddings: ['hidden_dropout_prob', 0],
    attention: ['attention_probs_dropout_prob', 0.1],
    attentionOutput: ['hidden_dropout_prob', 0],
    output: ['hidden_dropout_prob', 0],
    classifier: ['classifier_dropout', 'hidden_dropout_prob', 0],
  },
  modernbert: {
    embeddings: ['embedding_dropout', 0],
    attention: ['attention_dropout', 0],
    attentionOutput: ['attention_dropout', 0],
    // Its mlp_dropout is inside the feed-forward layer; every checkpoint has 0 there.
    output: [],
    classifier: ['classifier_dropout', 0],
  },
  nomic_bert: {
    embeddings: ['embd_pdrop', 0],
    attention: ['attn_pdrop', 0],
    attentionOutput: ['resid_pdrop', 0],
    output: ['resid_pdrop', 0],
    classifier: ['classifier_dropout', 'resid_pdrop', 0],
  },
  neobert: ATTENTION_ALONE,
  eurobert: ATTENTION_ALONE,
  gemma3_text: ATTENTION_ALONE,
  deberta: DEBERTA,
  'deberta-v2': DEBERTA,
  rembert: { ...USUAL, classifier: ['classifier_dropout_prob', 0.1] },
};

/** The dropout of a training: what config.json says, or everywhere the given probability. */
export function dropoutRates(
  { modelType, raw }: Pick<EncoderConfig, 'modelType' | 'raw'>,
  given: number | undefined,
): DropoutRates {
  const family = FAMILIES[modelType] ?? USUAL;
  const { embeddings, attention, attentionOutput, output, classifier, classifierDense, convolution, distances } =
    family;
  const rate = (fields: readonly (string | number)[]): number => {
    for (const field of fields) {
      const value = typeof field === 'number' ? field : raw[field];
      if (typeof value === 'number') return given ?? value;
    }
    return 0;
  };
  return {
    embeddings: rate(embeddings),
    attention: rate(attention),
    attentionOutput: rate(attentionOutput),
    output: rate(output),
    classifier: rate(classifier),
    ...(classifierDense && { classifierDense: rate(classifierDense) }),
    ...(convolution && { convolution: rate(convolution) }),
    ...(distances && { distances: rate(distances) }),
  };
}
