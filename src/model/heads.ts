import type { Activation } from '../../shaders/activation.ts';
import type { Builder } from '../plan/builder.ts';
import type { Value } from '../plan/op.ts';
import type { EncoderConfig } from './config.ts';

/** What stands on top of the encoder, by the suffix of Python's class: BertForMaskedLM. */
export type HeadKind =
  | 'MaskedLM'
  | 'PreTraining'
  | 'NextSentencePrediction'
  | 'SequenceClassification'
  | 'MultipleChoice'
  | 'TokenClassification'
  | 'QuestionAnswering';

/** How a pass shall use the head. */
export interface HeadRequest {
  readonly kind: HeadKind;
  /** Masked LM only: logits of the picked tokens alone, not of all. */
  readonly picked?: boolean;
  /** Masked LM of picked tokens: the best so many of the vocabulary, and the log of the sum of all exponentials. */
  readonly topK?: number;
}

interface Built {
  /** [T, C] */
  hidden: Value;
  /** [B, C], made when first asked for. */
  pooled: () => Value;
  /** [B, C]: the first token of every sequence. */
  first: () => Value;
}

/** Classification on a sequence: the pooler's output, or the first token through a dense layer with this activation. */
const SEQUENCE_DENSE: Readonly<Record<string, Activation>> = {
  distilbert: 'relu',
  roberta: 'tanh',
  'xlm-roberta': 'tanh',
  camembert: 'tanh',
  mpnet: 'tanh',
  electra: 'gelu',
};

/** The activation of the masked-LM transform, where it is not the encoder's. */
const MASKED_ACTIVATION: Readonly<Record<string, Activation>> = {
  roberta: 'gelu',
  'xlm-roberta': 'gelu',
  camembert: 'gelu',
  mpnet: 'gelu',
  electra: 'gelu',
};

/** The families whose choices are judged by the first token through their dense layer; all others but ELECTRA use the pooler. */
const CHOICE_DENSE = ['distilbert'];

/**
 * Adds a head to a graph. Outputs, by name: `logits` ([B, labels], [T, labels], or [T, 2] for question answering: start and end);
 * `seq_relationship_logits` [B, 2]; masked LM: `logits.{first}` [T or picked, V_i], one per slice of the vocabulary by its first
 * token, or with topK `top.{first}` [picked, 2 k + 2].
 * Names and formulas: transformers' modeling_*.py of each family; tensors by the names that checkpoint/names.ts translates.
 */
export function addHead(b: Builder, config: EncoderConfig, request: HeadRequest, built: Built): void {
  const { hiddenSize, modelType, labels } = config;
  const { kind } = request;
  const { hidden, pooled, first } = built;
  const dense = (x: Value, from: string, activation: Activation) =>
    b.linear(x, { from, outputs: hiddenSize, activation });
  switch (kind) {
    case 'MaskedLM':
      maskedLM(b, config, request, hidden);
      return;
    case 'PreTraining':
      if (modelType === 'electra') {
        const x = dense(hidden, 'discriminator_predictions.dense', config.activation); // [T, C]
        b.output('logits', b.linear(x, { from: 'discriminator_predictions.dense_prediction', outputs: 1 })); // [T, 1]
        return;
      }
      maskedLM(b, config, request, hidden);
      b.output('seq_relationship_logits', b.linear(pooled(), { from: 'cls.seq_relationship', outputs: 2 })); // [B, 2]
      return;
    case 'NextSentencePrediction':
      b.output('logits', b.linear(pooled(), { from: 'cls.seq_relationship', outputs: 2 })); // [B, 2]
      return;
    case 'MultipleChoice': {
      if (modelType === 'electra') {
        const x = dense(first(), 'sequence_summary.summary', 'gelu'); // [B, C]
        b.output('logits', b.linear(x, { from: 'classifier', outputs: 1 })); // [B, 1]
        return;
      }
      const own = CHOICE_DENSE.includes(modelType);
      const x = own ? dense(first(), 'classifier.dense', SEQUENCE_DENSE[modelType]!) : pooled(); // [B, C]
      b.output('logits', b.linear(x, { from: own ? 'classifier.out_proj' : 'classifier', outputs: 1 })); // [B, 1]
      return;
    }
    case 'SequenceClassification': {
      const outputs = labels.length;
      const activation = SEQUENCE_DENSE[modelType];
      const x = activation ? dense(first(), 'classifier.dense', activation) : pooled(); // [B, C]
      b.output('logits', b.linear(x, { from: activation ? 'classifier.out_proj' : 'classifier', outputs })); // [B, labels]
      return;
    }
    case 'TokenClassification':
      b.output('logits', b.linear(hidden, { from: 'classifier', outputs: labels.length })); // [T, labels]
      return;
    case 'QuestionAnswering':
      b.output('logits', b.linear(hidden, { from: 'qa_outputs', outputs: 2 })); // [T, 2]
      return;
    default:
      kind satisfies never;
  }
}

/** dense, activation, LayerNorm, then the vocabulary: the word table again where the decoder is tied to it. */
function maskedLM(b: Builder, config: EncoderConfig, { picked = false, topK }: HeadRequest, hidden: Value): void {
  const { embeddingSize, modelType, activation, normEps, vocabSize, tiedDecoder } = config;
  const x = picked ? b.gather(hidden, 'masked') : hidden; // [T or picked, C]
  const from = 'cls.predictions.transform';
  const inner = b.linear(x, {
    from: `${from}.dense`,
    outputs: embeddingSize,
    activation: MASKED_ACTIVATION[modelType] ?? activation,
  }); // [., E]
  const normed = b.layerNorm(inner, `${from}.LayerNorm`, normEps); // [., E]
  const slices = b.vocabulary(normed, {
    table: tiedDecoder ? 'embeddings.word_embeddings' : 'cls.predictions.decoder',
    bias: 'cls.predictions.bias',
    rows: vocabSize,
  }); // [., V_i] each
  for (const { first, logits } of slices) {
    if (topK === undefined) b.output(`logits.${first}`, logits);
    else b.output(`top.${first}`, b.topK(logits, topK)); // [picked, 2 k + 2]
  }
}
