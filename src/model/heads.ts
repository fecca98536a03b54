import { malformed } from '../json.ts';
import type { Builder, Value, VocabularyPooling } from '../plan/index.ts';
import { CONFIG_FILE } from './config-file.ts';
import type { EncoderConfig, Summary } from './encoder-config.ts';
import { type HeadKind, headOf } from './head-kind.ts';
import { labelCount } from './labels.ts';

/** Whether a tensor is one of a head, or of the pooler that a head reads, by its canonical name. */
export const isOfHead = (canonical: string): boolean => !/^(embeddings|encoder|rotary_embeddings)/.test(canonical);

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
 * Adds a head to a graph; throws UnsupportedError where the family does not have it. Its outputs: `logits` ([B, labels], [T, labels], or [T, 2] for question answering: start and end);
 * `seq_relationship_logits` [B, 2]; masked LM: `logits` [T or picked, V], or with topK `top` [picked, 2 k + 2] (see TopKOp), or with `sparse` `sparse_embedding` [B, V] (see VocabularyPoolOp). A plan
 * may compute the last two in slices of the vocabulary.
 * Names and formulas: transformers' modeling_*.py of each family. Tensors have the names that checkpoint/file/names.ts translates.
 */
export function addHead(b: Builder, config: EncoderConfig, request: HeadRequest, encoded: Encoded): void {
  const { hiddenSize, modelType, classifier, norm } = config;
  const kind = headOf(config, request.kind);
  const { hidden, pooled } = encoded;
  const logits = (x: Value, from: string, outputs: number, name = 'logits', bias = true) =>
    b.output(name, b.linear(x, { from, outputs, bias }));
  const score = (x: Value, from: string, outputs: number) => logits(x, from, outputs, 'logits', classifier.outputBias);
  /** The head's dense layer and its norm, where it has one -> the shape of x. */
  const dense = (x: Value): Value => {
    const { activation, bias } = classifier;
    const y = b.linear(x, { from: 'classifier.dense', outputs: hiddenSize, activation, bias });
    return classifier.norm ? b.norm(y, { from: 'classifier.LayerNorm', ...norm }) : y;
  };
  const pool = (x: Value) => b.pool(x, { pooling: classifier.pooling, normalize: false, name: 'classifier.pool' });
  /** [B, outputs] */
  const classify = (outputs: number) => {
    if (classifier.dense === 'pooler') score(pooled(), 'classifier', outputs);
    else if (classifier.dense === 'none') score(pool(hidden), 'classifier', outputs);
    else
      score(classifier.pools === 'first' ? dense(pool(hidden)) : pool(dense(hidden)), 'classifier.out_proj', outputs);
  };
  /** [T, outputs] */
  const classifyTokens = (outputs: number, from: string) => {
    if (classifier.ofTokens) logits(dense(hidden), 'classifier.out_proj', outputs);
    else logits(hidden, from, outputs);
  };
  switch (kind) {
    case 'MaskedLM':
      maskedLM(b, config, request, hidden);
      return;
    case 'PreTraining':
      if (modelType === 'electra') {
        const from = 'discriminator_predictions.dense';
        const x = b.linear(hidden, { from, outputs: hiddenSize, activation: config.activation }); // [T, C]
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
      if (config.summary)
        logits(summarised(b, config, config.summary(), encoded), 'classifier', 1); // [B, 1]
      else if (config.choiceDense === 'pooler')
        logits(pooled(), 'classifier', 1); // [B, 1]
      else classify(1); // [B, 1]
      return;
    case 'SequenceClassification':
      classify(labelCount(config)); // [B, labels]
      return;
    case 'TokenClassification':
      classifyTokens(labelCount(config), 'classifier'); // [T, labels]
      return;
    case 'QuestionAnswering':
      classifyTokens(2, 'qa_outputs'); // [T, 2]
      return;
    default:
      kind satisfies never;
  }
}

/** The tokens of every sequence pooled, through a dense layer where there is one -> [B, C] */
function summarised(
  b: Builder,
  { hiddenSize }: EncoderConfig,
  { pooling, dense, activation }: Summary,
  { hidden, first }: Encoded,
): Value {
  const row = pooling === 'cls' ? first() : b.pool(hidden, { pooling, normalize: false, name: 'summary.pool' });
  return dense ? b.linear(row, { from: 'sequence_summary.summary', outputs: hiddenSize, activation }) : row;
}

/** dense, activation, norm, decoder. The decoder's weight is the word table where it is tied to it. */
function maskedLM(
  b: Builder,
  config: EncoderConfig,
  { picked = false, topK, sparse }: HeadRequest,
  hidden: Value,
): void {
  const { decoderSize: outputs, embeddingSize, masked, vocabSize, tiedDecoder } = config;
  const norm = masked.norm ?? config.norm;
  const x = picked ? b.gather(hidden, 'masked') : hidden; // [T or picked, C]
  const names = masked.names ?? { transform: 'cls.predictions.transform', bias: 'cls.predictions.bias' };
  const from = names.transform;
  const transform = (): Value => {
    const { activation, bias } = masked;
    const inner = b.linear(x, { from: `${from}.dense`, outputs, activation, bias }); // [., decoderSize]
    return b.norm(inner, { from: `${from}.LayerNorm`, ...norm }); // [., decoderSize]
  };
  const transformed = masked.transform ? transform() : x;
  const { rest: tensor } = masked;
  if (tensor !== undefined && embeddingSize > outputs) {
    const expected = `at most hidden_size, which is ${outputs}, for a masked-LM head`;
    throw malformed(CONFIG_FILE, { where: 'embedding_size', actual: embeddingSize, expected });
  }
  const rest = tensor !== undefined && outputs > embeddingSize && { tensor, columns: outputs - embeddingSize };
  const decoder = {
    ...(rest && { rest }),
    table: tiedDecoder ? 'embeddings.word_embeddings' : 'cls.predictions.decoder',
    bias: masked.decoderBias ? names.bias : undefined,
    rows: vocabSize,
  };
  if (sparse) {
    b.output('sparse_embedding', b.vocabularyPool(transformed, { ...decoder, ...sparse })); // [B, V]
    return;
  }
  const logits = b.vocabulary(transformed, decoder); // [., V]
  if (topK === undefined) b.output('logits', logits);
  else b.output('top', b.topK(logits, topK)); // [picked, 2 k + 2]
}
