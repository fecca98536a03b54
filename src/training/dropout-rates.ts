import type { DropoutRates } from '../gradients/index.ts';
import type { EncoderConfig, HeadKind } from '../model/index.ts';

/** The first of these fields of config.json that is a number, else the number at the end. An empty list: nothing is dropped there. */
type Rate = readonly (string | number)[];

/** The probabilities of a family, by place. */
interface Fields {
  readonly embeddings: Rate;
  readonly attention: Rate;
  readonly attentionOutput: Rate;
  readonly output: Rate;
  readonly classifier: Rate;
  /** In place of `classifier` where tokens are classified. Default: as `classifier`. */
  readonly tokens?: Rate;
  /** Default: as `classifier`. */
  readonly classifierDense?: Rate;
  /** Default: the family has none. */
  readonly answers?: Rate;
  readonly sentenceOrder?: Rate;
  readonly convolution?: Rate;
  readonly distances?: Rate;
}

const HIDDEN = ['hidden_dropout_prob', 0.1] as const;
/** The same of families whose default is to drop nothing. */
const HIDDEN_OR_NONE = ['hidden_dropout_prob', 0] as const;

/** BERT, and the families that took its code. */
const USUAL: Fields = {
  embeddings: HIDDEN,
  attention: ['attention_probs_dropout_prob', 0.1],
  attentionOutput: HIDDEN,
  output: HIDDEN,
  classifier: ['classifier_dropout', ...HIDDEN],
};

/** Families whose classifiers have no field of their own. */
const HIDDEN_ALONE: Fields = { ...USUAL, classifier: HIDDEN };

/** Families that drop nothing but attention's probabilities, and even those only where config.json says so. */
const ATTENTION_ALONE: Fields = {
  embeddings: [],
  attention: ['attention_dropout', 0],
  attentionOutput: [],
  output: [],
  classifier: [],
};

/** Its dense layer of a classifier has a dropout of its own, and so have the rows of the table of relative distances in every layer. */
const DEBERTA: Fields = {
  ...USUAL,
  classifier: ['cls_dropout', ...HIDDEN],
  classifierDense: ['pooler_dropout', 0],
  tokens: HIDDEN,
  convolution: HIDDEN,
  distances: HIDDEN,
};

const GTE: Fields = { ...USUAL, attention: ['attention_probs_dropout_prob', 0] };

/** As modeling_*.py of transformers 5 applies them; other families are as BERT. */
const FAMILIES: Readonly<Record<string, Fields>> = {
  // Nothing is dropped behind the projection of attention.
  distilbert: {
    embeddings: ['dropout', 0.1],
    attention: ['attention_dropout', 0.1],
    attentionOutput: [],
    output: ['dropout', 0.1],
    // Behind the activation of the dense layer alone.
    classifier: ['seq_classif_dropout', 0.2],
    classifierDense: [],
    tokens: ['dropout', 0.1],
    answers: ['qa_dropout', 0.1],
  },
  // The feed-forward layer drops nothing.
  albert: {
    embeddings: HIDDEN_OR_NONE,
    attention: ['attention_probs_dropout_prob', 0],
    attentionOutput: HIDDEN_OR_NONE,
    output: [],
    classifier: ['classifier_dropout_prob', 0.1],
    sentenceOrder: ['classifier_dropout_prob', 0.1],
  },
  mobilebert: {
    embeddings: HIDDEN_OR_NONE,
    attention: ['attention_probs_dropout_prob', 0.1],
    attentionOutput: HIDDEN_OR_NONE,
    output: HIDDEN_OR_NONE,
    classifier: ['classifier_dropout', ...HIDDEN_OR_NONE],
  },
  modernbert: {
    embeddings: ['embedding_dropout', 0],
    attention: ['attention_dropout', 0],
    attentionOutput: ['attention_dropout', 0],
    // Its mlp_dropout is inside the feed-forward layer; every checkpoint has 0 there.
    output: [],
    // Behind the norm of the dense layer alone.
    classifier: ['classifier_dropout', 0],
    classifierDense: [],
  },
  // The names of the hub's code, then those of transformers 5.
  nomic_bert: {
    embeddings: ['embd_pdrop', ...HIDDEN_OR_NONE],
    attention: ['attn_pdrop', 'attention_probs_dropout_prob', 0],
    attentionOutput: ['resid_pdrop', ...HIDDEN_OR_NONE],
    output: ['resid_pdrop', ...HIDDEN_OR_NONE],
    classifier: ['classifier_dropout', 'embd_pdrop', ...HIDDEN_OR_NONE],
  },
  // Its code has the 0.1 as an argument.
  neobert: { ...ATTENTION_ALONE, classifier: ['classifier_dropout', 0.1] },
  eurobert: ATTENTION_ALONE,
  gemma3_text: ATTENTION_ALONE,
  deberta: DEBERTA,
  'deberta-v2': DEBERTA,
  rembert: {
    embeddings: HIDDEN_OR_NONE,
    attention: ['attention_probs_dropout_prob', 0],
    attentionOutput: HIDDEN_OR_NONE,
    output: HIDDEN_OR_NONE,
    classifier: ['classifier_dropout_prob', 0.1],
  },
  // Its embeddings have a dropout that is not called.
  esm: { ...HIDDEN_ALONE, embeddings: [] },
  'megatron-bert': HIDDEN_ALONE,
  mpnet: HIDDEN_ALONE,
  roformer: HIDDEN_ALONE,
  squeezebert: HIDDEN_ALONE,
  gte: GTE,
  new: GTE,
};

/** The dropout of a training of a head, or of an embedder without one: what config.json says, or everywhere the given probability. */
export function dropoutRates(
  { modelType, raw }: Pick<EncoderConfig, 'modelType' | 'raw'>,
  head: HeadKind | undefined,
  given: number | undefined,
): DropoutRates {
  const { classifier, tokens = classifier, classifierDense, ...rest } = FAMILIES[modelType] ?? USUAL;
  const rate = (fields: Rate): number => {
    for (const field of fields) {
      const value = typeof field === 'number' ? field : raw[field];
      if (typeof value === 'number') return given ?? value;
    }
    return 0;
  };
  const { embeddings, attention, attentionOutput, output, answers, sentenceOrder, convolution, distances } = rest;
  return {
    embeddings: rate(embeddings),
    attention: rate(attention),
    attentionOutput: rate(attentionOutput),
    output: rate(output),
    classifier: rate(head === 'TokenClassification' ? tokens : classifier),
    ...(classifierDense && { classifierDense: rate(classifierDense) }),
    ...(answers && { answers: rate(answers) }),
    ...(sentenceOrder && { sentenceOrder: rate(sentenceOrder) }),
    ...(convolution && { convolution: rate(convolution) }),
    ...(distances && { distances: rate(distances) }),
  };
}
