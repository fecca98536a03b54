/** What class names of transformers end in, behind the name of the family. A name that ends in a longer one stands first. */
const ENDINGS = [
  'PreTrainedModel',
  'LMHeadModel',
  'EncoderModel',
  'Model',
  'LMHead',
  'LoRA',
  'QuestionEncoder',
  'ContextEncoder',
  'Reader',
  'Config',
];

/** The part of a class name that names the family: 'DebertaV2' of DebertaV2ForMaskedLM, 'NomicBert' of NomicBertModel. */
export function familyPart(className: string): string {
  const task = className.search(/For[A-Z]/);
  if (task > 0) return className.slice(0, task);
  const ending = ENDINGS.find(end => className.length > end.length && className.endsWith(end));
  return ending === undefined ? className : className.slice(0, -ending.length);
}

/** The `model_type` of each family, by the family's part of the names of its classes. */
export const MODEL_TYPE_OF_CLASSES: Readonly<Record<string, string>> = {
  Bert: 'bert',
  DistilBert: 'distilbert',
  Roberta: 'roberta',
  XLMRoberta: 'xlm-roberta',
  Camembert: 'camembert',
  Electra: 'electra',
  Albert: 'albert',
  MPNet: 'mpnet',
  Ernie: 'ernie',
  ModernBert: 'modernbert',
  DebertaV2: 'deberta-v2',
  Deberta: 'deberta',
  NomicBert: 'nomic_bert',
  New: 'new',
  Gte: 'gte',
  JinaEmbeddingsV3: 'jina_embeddings_v3',
  JinaBert: 'jina_bert',
  XLMRobertaFlash: 'xlm-roberta-flash',
  EuroBert: 'eurobert',
  Gemma3Text: 'gemma3_text',
  RoFormer: 'roformer',
  NeoBERT: 'neobert',
  Data2VecText: 'data2vec-text',
  MegatronBert: 'megatron-bert',
  RobertaPreLayerNorm: 'roberta-prelayernorm',
  RemBert: 'rembert',
  DPR: 'dpr',
  Esm: 'esm',
  MobileBert: 'mobilebert',
  SqueezeBert: 'squeezebert',
  ConvBert: 'convbert',
  // Families that are refused with a reason (refused-types.ts).
  Bart: 'bart',
  MBart: 'mbart',
  T5: 't5',
  MT5: 'mt5',
  GPT2: 'gpt2',
  Llama: 'llama',
  Mistral: 'mistral',
  Qwen2: 'qwen2',
  Qwen3: 'qwen3',
  ModernBertDecoder: 'modernbert-decoder',
  CLIP: 'clip',
  CLIPText: 'clip_text_model',
  ViT: 'vit',
  Whisper: 'whisper',
  Longformer: 'longformer',
  BigBird: 'big_bird',
  Funnel: 'funnel',
  Xmod: 'xmod',
  Luke: 'luke',
  LayoutLM: 'layoutlm',
  XLMRobertaXL: 'xlm-roberta-xl',
  Lfm2: 'lfm2',
  Ultrabert: 'ultrabert',
};
