import type { Activation } from '../../shaders/activation.ts';
import type { Builder, Value, VocabularyPooling } from '../plan/index.ts';
import { type EncoderConfig, labelCount } from './config.ts';

/** The head on top of the encoder, by the suffix of its Python class: BertForMaskedLM. */
export type HeadKind =
  | 'MaskedLM'
  | 'PreTraining'
  | 'NextSentencePrediction'
  | 'SequenceClassification'
  | 'MultipleChoice'
  | 'TokenClassification'
  | 'QuestionAnswering';

/** What a pass computes of a head. */
export interface HeadRequest {
  readonly kind: HeadKind;
  /** Masked LM only: logits of the picked tokens (Sequence.masked), not of all tokens. */
  readonly picked?: boolean;
  /** Masked LM of picked tokens only: the k best of the vocabulary instead of all logits, at most MAX_K. */
  readonly topK?: number;
  /** Masked LM only: the logits pooled over the tokens of each sequence, instead of logits. */
  readonly sparse?: VocabularyPooling;
}

/** The encoder's results that heads read. */
interface Encoded {
  /** [T, C] */
  hidden: Value;
  /** [B, C]: the pooler's output. Added to the graph by the first call. */
  pooled: () => Value;
  /** [B, C]: the first token of every sequence. Added to the graph by the first call. */
  first: () => Value;
}

/**
 * Adds a head to a graph. Its outputs: `logits` ([B, labels], [T, labels], or [T, 2] for question answering: start and end);
 * `seq_relationship_logits` [B, 2]; masked LM: `logits` [T or picked, V], or with topK `top` [picked, 2 k + 2] (see TopKOp), or with `sparse` `sparse_embedding` [B, V] (see VocabularyPoolOp). A plan
 * may compute the last two in slices of the vocabulary.
 * Names and formulas: transformers' modeling_*.py of each family. Tensors have the names that checkpoint/file/names.ts translates.
 */
export function addHead(b: Builder, config: EncoderConfig, request: HeadRequest, encoded: Encoded): void {
  const { hiddenSize, modelType, classifier } = config;
  const { kind } = request;
  const { hidden, pooled, first } = encoded;
  const dense = (x: Value, from: string, activation: Activation) =>
    b.linear(x, { from, outputs: hiddenSize, activation });
  const logits = (x: Value, from: string, outputs: number, name = 'logits') =>
    b.output(name, b.linear(x, { from, outputs }));
  /** [B, outputs]: from the pooler's output, or with an activation from the first token through a dense layer. */
  const classify = (outputs: number, activation: Activation | undefined) => {
    if (activation) logits(dense(first(), 'classifier.dense', activation), 'classifier.out_proj', outputs);
    else logits(pooled(), 'classifier', outputs);
  };
  switch (kind) {
    case 'MaskedLM':
      maskedLM(b, config, request, hidden);
      return;
    case 'PreTraining':
      if (modelType === 'electra') {
        const x = dense(hidden, 'discriminator_predictions.dense', config.activation); // [T, C]
        logits(x, 'discriminator_predictions.dense_prediction', 1); // [T, 1]
        return;
      }
      maskedLM(b, config, request, hidden);
      logits(pooled(), 'cls.seq_relationship', 2, 'seq_relationship_logits'); // [B, 2]
      return;
    case 'NextSentencePrediction':
      logits(pooled(), 'cls.seq_relationship', 2); // [B, 2]
      return;
    case 'MultipleChoice':
      // ELECTRA and DistilBERT have a dense layer of their own on the first token, all others the pooler.
      if (modelType === 'electra')
        logits(dense(first(), 'sequence_summary.summary', 'gelu'), 'classifier', 1); // [B, 1]
      else classify(1, modelType === 'distilbert' ? classifier : undefined); // [B, 1]
      return;
    case 'SequenceClassification':
      classify(labelCount(config), classifier); // [B, labels]
      return;
    case 'TokenClassification':
      logits(hidden, 'classifier', labelCount(config)); // [T, labels]
      return;
    case 'QuestionAnswering':
      logits(hidden, 'qa_outputs', 2); // [T, 2]
      return;
    default:
      kind satisfies never;
  }
}

/** dense, activation, LayerNorm, decoder. The decoder's weight is the word table where it is tied to it. */
function maskedLM(
  b: Builder,
  config: EncoderConfig,
  { picked = false, topK, sparse }: HeadRequest,
  hidden: Value,
): void {
  const { embeddingSize, maskedActivation, normEps, vocabSize, tiedDecoder } = config;
  const x = picked ? b.gather(hidden, 'masked') : hidden; // [T or picked, C]
  const from = 'cls.predictions.transform';
  const inner = b.linear(x, {
    from: `${from}.dense`,
    outputs: embeddingSize,
    activation: maskedActivation,
  }); // [., E]
  const normed = b.norm(inner, { from: `${from}.LayerNorm`, eps: normEps }); // [., E]
  const decoder = {
    table: tiedDecoder ? 'embeddings.word_embeddings' : 'cls.predictions.decoder',
    bias: 'cls.predictions.bias',
    rows: vocabSize,
  };
  if (sparse) {
    b.output('sparse_embedding', b.vocabularyPool(normed, { ...decoder, ...sparse })); // [B, V]
    return;
  }
  const logits = b.vocabulary(normed, decoder); // [., V]
  if (topK === undefined) b.output('logits', logits);
  else b.output('top', b.topK(logits, topK)); // [picked, 2 k + 2]
}
