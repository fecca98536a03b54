import { describe, expect, it } from 'vitest';
import { UnsupportedError } from '../src/errors.ts';
import type { Json } from '../src/json.ts';
import { MODEL_TYPE_OF_CLASSES } from '../src/model/class-name.ts';
import { modelTypeOf } from '../src/model/model-type.ts';
import { INSTEAD, insteadOf, REFUSED } from '../src/model/refused-types.ts';

/** The families whose classes are known: all that are built, or are about to be. */
const FAMILIES = [...new Set(Object.values(MODEL_TYPE_OF_CLASSES))].filter(type => !REFUSED.has(type));

function refusal(json: Json, supported: readonly string[] = FAMILIES): UnsupportedError {
  try {
    modelTypeOf(json, supported);
  } catch (error) {
    if (error instanceof UnsupportedError) return error;
    throw error;
  }
  throw new Error(`${JSON.stringify(json)} is not refused`);
}

describe('a config.json with model_type', () => {
  it.each(FAMILIES)('%s', model_type => {
    expect(modelTypeOf({ model_type }, FAMILIES)).toBe(model_type);
    expect(refusal({ model_type }, ['other']).supported).toEqual(['other']);
  });

  it.each([...REFUSED.keys()])('%s is refused with the reason', model_type => {
    const error = refusal({ model_type });
    expect(error.message).toContain(`got "${model_type}", a`);
    expect(error.message).toContain('expected an encoder of text that is built. ');
    expect(error.supported).toEqual(FAMILIES);
  });

  it.each([
    [
      'qwen3',
      /a decoder.*For embeddings take Alibaba-NLP\/gte-modernbert-base or google\/embeddinggemma-300m; for ranking/,
    ],
    ['bart', /an encoder with a decoder.*For zero-shot classification take MoritzLaurer\/deberta-v3/],
    ['t5', /an encoder with a decoder.*For embeddings/],
    ['lfm2', /a decoder.*For embeddings.*for ranking/],
    ['clip', /images and texts.*clip-ViT-B-32-multilingual-v1/],
    ['vit', /a model of images, .*Families of text that are built: bert, /],
    ['whisper', /a model of sound, .*Families of text that are built: bert, /],
    ['longformer', /global tokens.*For long texts take answerdotai\/ModernBERT-base/],
    ['big_bird', /global tokens.*ModernBERT/],
    ['luke', /entities.*For names and personal data take iiiorg/],
    ['openai_privacy_filter', /mixture of experts.*For names and personal data/],
    ['embedding_gemma2', /heads of two sizes.*For embeddings/],
    ['modernbert-decoder', /a decoder.*For embeddings/],
    ['jina_embeddings_v5', /LoRA adapter for each task.*For embeddings/],
  ])('%s is refused with an encoder to take', (model_type, message) => {
    expect(refusal({ model_type }).message).toMatch(message);
  });

  it('names only encoders whose family is built', () => {
    expect(refusal({ model_type: 'bart' }, ['roberta']).next).toBe(
      'For zero-shot classification take MoritzLaurer/roberta-base-zeroshot-v2.0-c.',
    );
    expect(refusal({ model_type: 'qwen3' }, ['bert']).next).toBe(
      'For embeddings take intfloat/multilingual-e5-small or sentence-transformers/all-MiniLM-L6-v2; for ranking take cross-encoder/ms-marco-MiniLM-L6-v2.',
    );
    expect(refusal({ model_type: 'qwen3' }, ['esm']).next).toBe('Families of text that are built: esm.');
    for (const encoders of Object.values(INSTEAD)) {
      for (const [id, modelType] of encoders) expect(FAMILIES, id).toContain(modelType);
    }
    expect(insteadOf(['late interaction'], FAMILIES)).toContain('lightonai/GTE-ModernColBERT-v1');
  });

  it('is taken once its family is built', () => {
    expect(modelTypeOf({ model_type: 'luke' }, ['luke'])).toBe('luke');
  });

  it.each(['mamba2000', 'BERT', 'toString', 5, true, [], {}])('%j is refused with the list of families', model_type => {
    expect(refusal({ model_type }).message).toContain(`one of ${FAMILIES.join(', ')}`);
  });

  it('nomic_bert with experts is refused, without them it is not', () => {
    const moe = refusal({ model_type: 'nomic_bert', num_experts: 8, moe_every_n_layers: 2 });
    expect(moe.message).toMatch(/"num_experts" of config.json.*got 8, a mixture of experts.*For embeddings/);
    for (const num_experts of [undefined, null, 0, 1]) {
      expect(modelTypeOf({ model_type: 'nomic_bert', num_experts }, FAMILIES)).toBe('nomic_bert');
    }
  });
});

describe('a config.json without model_type', () => {
  it.each([
    ['BertModel', 'bert'],
    ['BertForMaskedLM', 'bert'],
    ['DistilBertForSequenceClassification', 'distilbert'],
    ['RobertaForTokenClassification', 'roberta'],
    ['RobertaPreLayerNormForMaskedLM', 'roberta-prelayernorm'],
    ['XLMRobertaModel', 'xlm-roberta'],
    ['CamembertForQuestionAnswering', 'camembert'],
    ['ElectraForPreTraining', 'electra'],
    ['DebertaModel', 'deberta'],
    ['DebertaV2ForMultipleChoice', 'deberta-v2'],
    ['MPNetForMaskedLM', 'mpnet'],
    ['RoFormerForMaskedLM', 'roformer'],
    ['DPRQuestionEncoder', 'dpr'],
    ['DPRContextEncoder', 'dpr'],
    ['ModernBertForMaskedLM', 'modernbert'],
    ['JinaEmbeddingsV3Model', 'jina_embeddings_v3'],
    ['NeoBERTLMHead', 'neobert'],
    ['EsmForMaskedLM', 'esm'],
  ])('%s is %s', (className, modelType) => {
    for (const model_type of [undefined, null, '']) {
      expect(modelTypeOf({ model_type, architectures: [className] }, FAMILIES)).toBe(modelType);
    }
    expect(modelTypeOf({ architectures: ['Other', className] }, FAMILIES)).toBe(modelType);
  });

  it('model_type wins over architectures', () => {
    expect(modelTypeOf({ model_type: 'bert', architectures: ['RobertaModel'] }, FAMILIES)).toBe('bert');
  });

  it.each([
    ['BartForSequenceClassification', /"bart", an encoder with a decoder/],
    ['T5EncoderModel', /"t5", an encoder with a decoder/],
    ['LongformerModel', /"longformer"/],
    ['ModernBertDecoderForCausalLM', /"modernbert-decoder", a decoder/],
  ])('%s is refused with the reason', (className, message) => {
    expect(refusal({ architectures: [className] }).message).toMatch(message);
  });

  it.each([[['BertFancyModel']], [['Model']], [['toString']], [[]], ['BertModel'], [[5]], [undefined]])(
    'architectures %j: the list of families',
    architectures => {
      const { message } = refusal({ architectures });
      expect(message).toMatch(/does not tell the family.*no "model_type".*one of bert, .*add "model_type"/);
    },
  );
});

const FLASH = 'jinaai/xlm-roberta-flash-implementation--';
const JINA = 'jinaai/jina-bert-implementation--';

describe('code of a repository', () => {
  it.each<[string, string, Json]>([
    [
      'nomic-embed-text-v1.5',
      'nomic_bert',
      {
        model_type: 'nomic_bert',
        auto_map: {
          AutoConfig: 'nomic-ai/nomic-bert-2048--configuration_hf_nomic_bert.NomicBertConfig',
          AutoModel: 'nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel',
          AutoModelForMaskedLM: 'nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertForPreTraining',
        },
      },
    ],
    [
      'gte-base-en-v1.5',
      'new',
      {
        model_type: 'new',
        auto_map: {
          AutoConfig: 'Alibaba-NLP/new-impl--configuration.NewConfig',
          AutoModel: 'Alibaba-NLP/new-impl--modeling.NewModel',
          AutoModelForSequenceClassification: 'Alibaba-NLP/new-impl--modeling.NewForSequenceClassification',
        },
      },
    ],
    [
      'stella_en_400M_v5',
      'new',
      { model_type: 'new', auto_map: { AutoConfig: 'configuration.NewConfig', AutoModel: 'modeling.NewModel' } },
    ],
    [
      'snowflake-arctic-embed-m-v2.0',
      'gte',
      {
        model_type: 'gte',
        auto_map: {
          AutoConfig: 'configuration_hf_alibaba_nlp_gte.GteConfig',
          AutoModel: 'modeling_hf_alibaba_nlp_gte.GteModel',
        },
      },
    ],
    [
      'jina-embeddings-v2-base-en',
      'jina_bert',
      {
        model_type: 'bert',
        position_embedding_type: 'alibi',
        auto_map: {
          AutoConfig: `${JINA}configuration_bert.JinaBertConfig`,
          AutoModel: `${JINA}modeling_bert.JinaBertModel`,
          AutoModelForMaskedLM: `${JINA}modeling_bert.JinaBertForMaskedLM`,
        },
      },
    ],
    [
      'jina-embeddings-v2-base-code',
      'jina_bert',
      { model_type: 'bert', auto_map: { AutoModel: 'jinaai/jina-bert-v2-qk-post-norm--modeling_bert.JinaBertModel' } },
    ],
    [
      'jina-embeddings-v3',
      'xlm-roberta-flash',
      {
        model_type: 'xlm-roberta',
        auto_map: {
          AutoConfig: `${FLASH}configuration_xlm_roberta.XLMRobertaFlashConfig`,
          AutoModel: `${FLASH}modeling_lora.XLMRobertaLoRA`,
          AutoModelForMaskedLM: `${FLASH}modeling_xlm_roberta.XLMRobertaForMaskedLM`,
          AutoModelForPreTraining: `${FLASH}modeling_xlm_roberta.XLMRobertaForPreTraining`,
        },
      },
    ],
    [
      'jina-reranker-v2-base-multilingual, which has no model_type',
      'xlm-roberta-flash',
      {
        architectures: ['XLMRobertaForSequenceClassification'],
        position_embedding_type: 'absolute',
        auto_map: {
          AutoConfig: 'configuration_xlm_roberta.XLMRobertaFlashConfig',
          AutoModel: 'modeling_xlm_roberta.XLMRobertaModel',
          AutoModelForSequenceClassification: 'modeling_xlm_roberta.XLMRobertaForSequenceClassification',
        },
      },
    ],
    [
      'EuroBERT-210m',
      'eurobert',
      {
        model_type: 'eurobert',
        auto_map: {
          AutoConfig: 'configuration_eurobert.EuroBertConfig',
          AutoModel: 'modeling_eurobert.EuroBertModel',
          AutoModelForPreTraining: 'modeling_eurobert.EuroBertPreTrainedModel',
          AutoModelForMaskedLM: 'modeling_eurobert.EuroBertForMaskedLM',
        },
      },
    ],
    [
      'NeoBERT',
      'neobert',
      {
        model_type: 'neobert',
        auto_map: {
          AutoConfig: 'model.NeoBERTConfig',
          AutoModel: 'model.NeoBERT',
          AutoModelForMaskedLM: 'model.NeoBERTLMHead',
          AutoModelForSequenceClassification: 'model.NeoBERTForSequenceClassification',
        },
      },
    ],
    ['JinaBERT without auto_map', 'jina_bert', { model_type: 'bert', position_embedding_type: 'alibi' }],
    ['flash without auto_map', 'xlm-roberta-flash', { model_type: 'xlm-roberta', position_embedding_type: 'rotary' }],
  ])('of %s is computed as %s', (_, modelType, json) => {
    expect(modelTypeOf(json, FAMILIES)).toBe(modelType);
  });

  it.each<[string, Json, string]>([
    [
      'MosaicBERT',
      { AutoConfig: 'configuration_bert.BertConfig', AutoModelForMaskedLM: 'bert_layers.BertForMaskedLM' },
      'BertForMaskedLM ("bert_layers.BertForMaskedLM")',
    ],
    [
      'BERT with another softmax',
      { AutoConfig: 'configuration_bert.BertConfig', AutoModel: 'modeling_bert.BertModel' },
      'BertModel ("modeling_bert.BertModel")',
    ],
    [
      'an XLM-RoBERTa of an unknown kind',
      { AutoModel: 'a/b--modeling_xlm_roberta.XLMRobertaModel' },
      'XLMRobertaModel',
    ],
    ['the images of nomic', { AutoModel: 'modeling_hf_nomic_bert.NomicVisionModel' }, 'NomicVisionModel'],
    ['a head of its own', { AutoModelForSequenceClassification: 'heads.BertForRegression' }, 'BertForRegression'],
    [
      'a known encoder with a head of its own',
      { AutoModel: 'modeling.NewModel', AutoModelForTokenClassification: 'modeling.CrfForTokenClassification' },
      'CrfForTokenClassification',
    ],
    [
      'a known class with an unknown configuration',
      { AutoConfig: 'other.OtherConfig', AutoModel: 'modeling.NewModel' },
      'NewModel',
    ],
  ])('of %s is refused by the name of its class, never computed as BERT', (_, auto_map, className) => {
    const error = refusal({ model_type: 'bert', auto_map });
    expect(error.message).toContain(`code of the repository, which is not run: got ${className}`);
    expect(error.message).toContain('Its name does not tell what it computes.');
    expect(error.supported).toContain('NomicBert…');
  });

  it.each<Json>([
    { AutoTokenizer: ['tokenization.MyTokenizer', null] },
    { AutoConfig: 'configuration.MyConfig' },
    { AutoConfig: 'configuration.MyConfig', AutoTokenizer: 'tokenization.MyTokenizer' },
    { AutoModelForCausalLM: 'modeling.MyForCausalLM' },
    {},
  ])('that computes no model here is not refused: %j', auto_map => {
    expect(modelTypeOf({ model_type: 'bert', auto_map }, FAMILIES)).toBe('bert');
  });

  it.each([null, 'modeling.BertModel', [], 5])('auto_map %j says nothing', auto_map => {
    expect(modelTypeOf({ model_type: 'bert', auto_map }, FAMILIES)).toBe('bert');
  });

  it('a configuration alone tells its family', () => {
    const auto_map = { AutoConfig: 'jinaai/x--configuration_bert.JinaBertConfig' };
    expect(modelTypeOf({ model_type: 'bert', auto_map }, FAMILIES)).toBe('jina_bert');
  });

  it('of a family that is refused is refused with its reason', () => {
    const auto_map = { AutoModel: 'modeling_jina_embeddings_v5.JinaEmbeddingsV5Model' };
    expect(refusal({ model_type: 'jina_embeddings_v5', auto_map }).message).toContain('a LoRA adapter');
  });

  it('whose family is not built yet is refused with the list', () => {
    const error = refusal({ model_type: 'bert', auto_map: { AutoModel: 'modeling_bert.JinaBertModel' } }, ['bert']);
    expect(error.message).toContain('got "jina_bert", expected one of bert');
  });
});
