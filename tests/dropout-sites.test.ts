import { describe, expect, it } from 'vitest';
import { trainableForm } from '../src/gradients/index.ts';
import { MODEL_TYPES, readConfig } from '../src/model/config.ts';
import { encoderGraph, type HeadKind, preparationsOf } from '../src/model/index.ts';
import { dropoutRates } from '../src/training/dropout-rates.ts';
import { drawnConfig } from './drawn-configs.ts';

/**
 * Where heads drop, and how much: the nn.Dropout of the classes for each head in modeling_*.py of transformers 5.24, with the defaults of
 * configuration_*.py. Of `nomic_bert` with GPT-2's names, `neobert`, `new` and `jina_bert` it is the code of their repositories. No head
 * of masked words has any, and question answering has it in DistilBERT and ModernBERT alone.
 */

/** Fields of config.json, each with a number of its own. */
const FIELDS = {
  hidden_dropout_prob: 0.11,
  attention_probs_dropout_prob: 0.12,
  classifier_dropout: 0.13,
  classifier_dropout_prob: 0.14,
  cls_dropout: 0.15,
  pooler_dropout: 0.16,
  dropout: 0.17,
  attention_dropout: 0.18,
  seq_classif_dropout: 0.19,
  qa_dropout: 0.21,
  embd_pdrop: 0.22,
  resid_pdrop: 0.23,
  attn_pdrop: 0.24,
  embedding_dropout: 0.25,
};

type Sites = Readonly<Record<string, number>>;
/** The probabilities before the linears of heads, with the fields above, then with none of them. */
interface Expected {
  readonly sequence: readonly [Sites, Sites];
  readonly tokens: readonly [Sites, Sites];
  readonly answers?: readonly [Sites, Sites];
  readonly preTraining?: readonly [Sites, Sites];
}

const NONE: readonly [Sites, Sites] = [{}, {}];
/** A pooler's row or tokens through one dropout (BertForSequenceClassification.dropout). */
const one = (given: number, usual: number): readonly [Sites, Sites] => [
  { classifier: given },
  usual ? { classifier: usual } : {},
];
/** Before the dense layer and before the last one (RobertaClassificationHead.dropout, called twice). */
const two = (given: number, usual: number): readonly [Sites, Sites] => [
  { 'classifier.dense': given, 'classifier.out_proj': given },
  { 'classifier.dense': usual, 'classifier.out_proj': usual },
];

// classifier_dropout, or hidden_dropout_prob where it is None.
const BERT: Expected = { sequence: one(0.13, 0.1), tokens: one(0.13, 0.1) };
const ROBERTA: Expected = { sequence: two(0.13, 0.1), tokens: one(0.13, 0.1) };
// hidden_dropout_prob in any case.
const HIDDEN_ONE: Expected = { sequence: one(0.11, 0.1), tokens: one(0.11, 0.1) };
const HIDDEN_TWO: Expected = { sequence: two(0.11, 0.1), tokens: one(0.11, 0.1) };
// ContextPooler.dropout is pooler_dropout, default 0; that of the classifier is cls_dropout, that of tokens hidden_dropout_prob.
const DEBERTA: Expected = {
  sequence: [{ 'classifier.dense': 0.16, 'classifier.out_proj': 0.15 }, { 'classifier.out_proj': 0.1 }],
  tokens: one(0.11, 0.1),
};

const FAMILIES: Readonly<Record<string, Expected>> = {
  // AlbertSOPHead.dropout, too.
  albert: {
    sequence: one(0.14, 0.1),
    tokens: one(0.14, 0.1),
    preTraining: [{ 'cls.seq_relationship': 0.14 }, { 'cls.seq_relationship': 0.1 }],
  },
  bert: BERT,
  camembert: ROBERTA,
  convbert: ROBERTA,
  'data2vec-text': ROBERTA,
  deberta: DEBERTA,
  'deberta-v2': DEBERTA,
  // Behind pre_classifier and its ReLU; config.dropout of tokens, config.qa_dropout of answers.
  distilbert: {
    sequence: [{ 'classifier.out_proj': 0.19 }, { 'classifier.out_proj': 0.2 }],
    tokens: one(0.17, 0.1),
    answers: [{ qa_outputs: 0.21 }, { qa_outputs: 0.1 }],
  },
  electra: ROBERTA,
  ernie: BERT,
  esm: HIDDEN_TWO,
  // EuroBertForSequenceClassification and ...ForTokenClassification have none.
  eurobert: { sequence: NONE, tokens: NONE },
  // GenericForSequenceClassification has none.
  gemma3_text: { sequence: NONE, tokens: NONE },
  gte: BERT,
  jina_bert: BERT,
  jina_embeddings_v3: ROBERTA,
  'megatron-bert': HIDDEN_ONE,
  // The default of hidden_dropout_prob is 0.
  mobilebert: { sequence: one(0.13, 0), tokens: one(0.13, 0) },
  // `drop` behind ModernBertPredictionHead, of default 0, in all three heads.
  modernbert: {
    sequence: [{ 'classifier.out_proj': 0.13 }, {}],
    tokens: [{ 'classifier.out_proj': 0.13 }, {}],
    answers: [{ 'classifier.out_proj': 0.13 }, {}],
  },
  mpnet: HIDDEN_TWO,
  // NeoBERTForSequenceClassification(classifier_dropout=0.1); the heads over tokens have the same layers.
  neobert: { sequence: two(0.13, 0.1), tokens: two(0.13, 0.1), answers: two(0.13, 0.1) },
  new: BERT,
  // The default of hidden_dropout_prob is 0.
  nomic_bert: { sequence: one(0.13, 0), tokens: one(0.13, 0) },
  rembert: { sequence: one(0.14, 0.1), tokens: one(0.14, 0.1) },
  roberta: ROBERTA,
  'roberta-prelayernorm': ROBERTA,
  roformer: HIDDEN_TWO,
  squeezebert: HIDDEN_ONE,
  'xlm-roberta': ROBERTA,
  'xlm-roberta-flash': ROBERTA,
};

/** The probabilities of the dropouts whose result a linear of the head reads, by the name of the linear. */
function sitesOf(modelType: string, head: HeadKind, raw: Record<string, number>): Sites | undefined {
  const config = readConfig(drawnConfig(modelType, 1));
  const kind = config.headKinds[head];
  if (kind === undefined) return undefined;
  const graph = encoderGraph(config, { head: { kind } });
  const form = trainableForm(
    graph,
    dropoutRates({ modelType, raw }, kind, undefined),
    undefined,
    preparationsOf(config),
  );
  const sites: Record<string, number> = {};
  for (const op of form.ops) {
    if (op.op !== 'linear') continue;
    const { tensor } = op.weight.parts[0]!;
    const before = form.ops.find(other => other.op === 'dropout' && other.y === op.x);
    if (before?.op !== 'dropout' || /^(embeddings|encoder)/.test(tensor)) continue;
    sites[tensor.replace(/\.weight$/, '')] = before.dropout.probability;
  }
  return sites;
}

const NAMES = {
  sequence: 'SequenceClassification',
  tokens: 'TokenClassification',
  answers: 'QuestionAnswering',
  preTraining: 'PreTraining',
} as const satisfies Record<keyof Expected, HeadKind>;

describe('the dropout of heads', () => {
  it('is known of every family with heads', () => {
    const headed = MODEL_TYPES.filter(
      modelType => Object.keys(readConfig(drawnConfig(modelType, 1)).headKinds).length > 0,
    );
    expect(Object.keys(FAMILIES).sort()).toEqual([...headed].sort());
  });

  it.each(Object.entries(FAMILIES))('stands where Python has it: %s', (modelType, expected) => {
    for (const [key, head] of Object.entries(NAMES) as [keyof Expected, HeadKind][]) {
      const [given, usual] = expected[key] ?? NONE;
      expect(sitesOf(modelType, head, FIELDS) ?? given, head).toEqual(given);
      expect(sitesOf(modelType, head, {}) ?? usual, head).toEqual(usual);
    }
    expect(sitesOf(modelType, 'MaskedLM', FIELDS) ?? {}).toEqual({});
  });

  it('has the names of both codes of Nomic, and the defaults of families that drop nothing', () => {
    const rates = (modelType: string, raw: Record<string, number>) => {
      const { embeddings, attention, output, classifier } = dropoutRates(
        { modelType, raw },
        'SequenceClassification',
        undefined,
      );
      return [embeddings, attention, output, classifier];
    };
    const { embd_pdrop, resid_pdrop, attn_pdrop, hidden_dropout_prob, attention_probs_dropout_prob } = FIELDS;
    expect(rates('nomic_bert', { embd_pdrop, resid_pdrop, attn_pdrop })).toEqual([0.22, 0.24, 0.23, 0.22]);
    expect(rates('nomic_bert', { hidden_dropout_prob, attention_probs_dropout_prob })).toEqual([
      0.11, 0.12, 0.11, 0.11,
    ]);
    expect(rates('nomic_bert', {})).toEqual([0, 0, 0, 0]);
    expect(rates('rembert', {})).toEqual([0, 0, 0, 0.1]);
    expect(rates('gte', {})).toEqual([0.1, 0, 0.1, 0.1]);
    // modeling_esm.py leaves out the call of EsmEmbeddings.dropout.
    expect(rates('esm', {})).toEqual([0, 0.1, 0.1, 0.1]);
  });

  it('is the given probability wherever Python has any', () => {
    const rates = dropoutRates({ modelType: 'distilbert', raw: {} }, 'SequenceClassification', 0.4);
    expect(rates).toMatchObject({ classifier: 0.4, classifierDense: 0, answers: 0.4, attentionOutput: 0 });
  });
});
