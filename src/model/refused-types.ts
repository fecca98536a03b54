import { UnsupportedError } from '../errors.ts';

/** What people use a model for, in the words of an error. */
type Use =
  | 'embeddings'
  | 'ranking'
  | 'zero-shot classification'
  | 'names and personal data'
  | 'late interaction'
  | 'texts that CLIP finds images for'
  | 'long texts';

/** An encoder with its `model_type`. */
type Encoder = readonly [id: string, modelType: string];

/**
 * Encoders to take instead, the best first. Each of these repositories has safetensors and files of a tokenizer that are read. Only those
 * whose family is built are named, and at most two.
 */
export const INSTEAD: Readonly<Record<Use, readonly Encoder[]>> = {
  embeddings: [
    ['Alibaba-NLP/gte-modernbert-base', 'modernbert'],
    ['google/embeddinggemma-300m', 'gemma3_text'],
    ['intfloat/multilingual-e5-small', 'bert'],
    ['sentence-transformers/all-MiniLM-L6-v2', 'bert'],
  ],
  ranking: [
    ['Alibaba-NLP/gte-reranker-modernbert-base', 'modernbert'],
    ['BAAI/bge-reranker-v2-m3', 'xlm-roberta'],
    ['cross-encoder/ms-marco-MiniLM-L6-v2', 'bert'],
  ],
  'zero-shot classification': [
    ['MoritzLaurer/deberta-v3-base-zeroshot-v2.0-c', 'deberta-v2'],
    ['MoritzLaurer/roberta-base-zeroshot-v2.0-c', 'roberta'],
  ],
  'names and personal data': [
    ['iiiorg/piiranha-v1-detect-personal-information', 'deberta-v2'],
    ['dslim/bert-base-NER', 'bert'],
  ],
  'late interaction': [
    ['lightonai/GTE-ModernColBERT-v1', 'modernbert'],
    ['answerdotai/answerai-colbert-small-v1', 'bert'],
  ],
  'texts that CLIP finds images for': [['sentence-transformers/clip-ViT-B-32-multilingual-v1', 'distilbert']],
  'long texts': [['answerdotai/ModernBERT-base', 'modernbert']],
};

/** Why a family is not computed, and what its models are used for. */
interface Refusal {
  readonly why: string;
  readonly uses: readonly Use[];
}

const refusals = (why: string, uses: readonly Use[], modelTypes: string): [string, Refusal][] =>
  modelTypes.split(' ').map(modelType => [modelType, { why, uses }]);

const DECODER = 'a decoder, whose tokens see only those before them';
const ENCODER_DECODER = 'an encoder with a decoder';
const IMAGES = 'a model of images';

/** By the names of model_type. */
export const REFUSED: ReadonlyMap<string, Refusal> = new Map([
  ...refusals(
    DECODER,
    ['embeddings', 'ranking'],
    'qwen2 qwen3 qwen2_moe qwen3_moe llama mistral mixtral ministral gemma gemma2 phi3 lfm2',
  ),
  ...refusals(
    DECODER,
    ['embeddings'],
    'gpt2 gpt_neo gpt_neox gptj gpt_oss openai-gpt ctrl opt bloom falcon phi stablelm olmo olmo2 smollm3 granite cohere deepseek_v3 glm llama4 mamba biogpt xlnet modernbert-decoder',
  ),
  ...refusals(ENCODER_DECODER, ['zero-shot classification', 'embeddings'], 'bart mbart'),
  ...refusals(
    ENCODER_DECODER,
    ['embeddings'],
    't5 mt5 umt5 longt5 t5gemma t5gemma2 switch_transformers pegasus marian m2m_100 led blenderbot bigbird_pegasus prophetnet fsmt plbart mvp encoder-decoder',
  ),
  ...refusals(
    'a model of images and texts',
    ['texts that CLIP finds images for'],
    'clip clip_text_model chinese_clip altclip siglip siglip2 siglip_text_model vision-text-dual-encoder',
  ),
  ...refusals(
    `${IMAGES} and texts`,
    ['embeddings'],
    'blip gemma3 qwen2_vl qwen2_5_vl qwen3_vl colpali colqwen2 modernvbert colmodernvbert visual_bert lxmert smolvlm neomme',
  ),
  ...refusals(IMAGES, [], 'vit deit beit swin dinov2 convnext resnet'),
  ...refusals('a model of sound', [], 'whisper wav2vec2 hubert wavlm clap'),
  ...refusals(
    'an encoder whose tokens see a window and some global tokens, which is not built',
    ['long texts'],
    'longformer big_bird',
  ),
  ...refusals(
    'an encoder that shortens its sequence from block to block, which is not built',
    ['embeddings'],
    'funnel',
  ),
  ...refusals('an encoder with an adapter for each language, which is not built', ['embeddings'], 'xmod'),
  ...refusals('an encoder of words and entities, which is not built', ['names and personal data'], 'luke mluke'),
  ...refusals(
    'an encoder of texts with their places on a page, which is not built',
    ['embeddings'],
    'layoutlm layoutlmv2 layoutlmv3 lilt markuplm',
  ),
  ...refusals('an encoder of tables, which is not built', ['embeddings'], 'tapas'),
  ...refusals(
    'an encoder that is not built',
    ['embeddings'],
    'xlm flaubert xlm-roberta-xl ibert nystromformer yoso fnet mra canine perceiver reformer splinter bert-generation ernie_m nezha mega ultrabert norbert',
  ),
  ...refusals('a mixture of experts, which is not built', ['names and personal data'], 'openai_privacy_filter'),
  ...refusals(
    'an encoder with embeddings in every layer and heads of two sizes, which is not built',
    ['embeddings'],
    'embedding_gemma2',
  ),
  ...refusals(
    'a model with a LoRA adapter for each task in a folder of its own, which is not built',
    ['embeddings'],
    'jina_embeddings_v5',
  ),
]);

/** Variants of families that are built, by a field of config.json. */
const REFUSED_VARIANTS: Readonly<Record<string, { field: string; isRefused: (value: unknown) => boolean } & Refusal>> =
  {
    nomic_bert: {
      field: 'num_experts',
      isRefused: value => typeof value === 'number' && value > 1,
      why: 'a mixture of experts, which is not built',
      uses: ['embeddings'],
    },
  };

/** The sentence that names encoders to take instead; undefined where none is known. */
export function insteadOf(uses: readonly Use[], supported: readonly string[]): string | undefined {
  const advice = uses.flatMap(use => {
    const ids = INSTEAD[use].filter(([, modelType]) => supported.includes(modelType)).map(([id]) => id);
    return ids.length > 0 ? [`for ${use} take ${ids.slice(0, 2).join(' or ')}`] : [];
  });
  return advice.length > 0 ? `${advice.join('; ')}.`.replace('f', 'F') : undefined;
}

/** @throws UnsupportedError for a family, or a variant of one, that is not computed, with the reason and an encoder to take instead */
export function checkType(
  modelType: string,
  json: Readonly<Record<string, unknown>>,
  supported: readonly string[],
): void {
  const refusal = supported.includes(modelType) ? undefined : REFUSED.get(modelType);
  if (refusal) throw refused('"model_type" of config.json', `"${modelType}", ${refusal.why}`, refusal, supported);
  const variant = Object.hasOwn(REFUSED_VARIANTS, modelType) ? REFUSED_VARIANTS[modelType] : undefined;
  if (!variant?.isRefused(json[variant.field])) return;
  throw refused(
    `"${variant.field}" of config.json`,
    `${String(json[variant.field])}, ${variant.why}`,
    variant,
    supported,
  );
}

function refused(name: string, actual: string, { uses }: Refusal, supported: readonly string[]): UnsupportedError {
  return new UnsupportedError({
    what: `${name} is not supported`,
    actual,
    expected: 'an encoder of text that is built',
    supported,
    next: insteadOf(uses, supported) ?? `Families of text that are built: ${supported.join(', ')}.`,
  });
}

/** The error for a model of the library gliner, which has a gliner_config.json in place of config.json. */
export function glinerError(name: string, supported: readonly string[]): UnsupportedError {
  return new UnsupportedError({
    what: `${name} is not supported`,
    actual: 'gliner_config.json: GLiNER, an encoder with an LSTM and a head of spans on it, which are not built',
    expected: 'config.json, of an encoder of text that is built',
    supported,
    next: insteadOf(['names and personal data', 'zero-shot classification'], supported),
  });
}
