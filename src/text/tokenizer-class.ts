import { isRecord, isText } from '../json.ts';

/** The roles of special tokens, in the order in which Python adds them to a vocabulary. */
export const ROLES = ['bos', 'eos', 'unk', 'sep', 'pad', 'cls', 'mask'] as const;
export type Role = (typeof ROLES)[number];

/** How a tokenizer class of transformers 4.57 reads vocabulary files, and what it changes in a tokenizer.json. */
export interface TokenizerClass {
  /** The model that is built from vocabulary files if there is no tokenizer.json; undefined if the class needs a tokenizer.json. */
  readonly model?: 'WordPiece' | 'BPE' | 'WordLevel';
  /** The special tokens of the roles for which the files name none. */
  readonly special: Readonly<Partial<Record<Role, string>>>;
  /** Special tokens without a role, if the files name none. */
  readonly additional?: readonly string[];
  /** How special tokens are put around texts if there is no tokenizer.json. */
  readonly layout?: 'BERT' | 'MPNet' | 'Funnel' | 'RoBERTa' | 'GPT-2' | 'ESM';
  /** The flags of special tokens that the class adds itself if the files name none; they replace those in tokenizer.json. */
  readonly flags?: Readonly<Partial<Record<Role, { readonly lstrip?: true; readonly normalized?: boolean }>>>;
  /** As `flags`, but only if there is no tokenizer.json. */
  readonly slowFlags?: Readonly<Partial<Record<Role, { readonly lstrip?: true }>>>;
  /** Whether do_lower_case and strip_accents are applied to a tokenizer.json; with 'all', tokenize_chinese_chars too. */
  readonly normalizes?: 'all' | 'case';
  /** Whether add_prefix_space and trim_offsets are applied to the post-processor. */
  readonly trims?: true;
  /**
   * Whether add_bos_token and add_eos_token of tokenizer_config.json replace the post-processor of a tokenizer.json: bos before a text, eos
   * behind it. Without the first of them there is a bos.
   */
  readonly addsBounds?: true;
  /** The side of the padding if no file names it. Default: 'right'. */
  readonly paddingSide?: 'left';
  /** Whether lists of words need add_prefix_space: in the vocabulary a word begins with its space. */
  readonly needsPrefixSpace?: true;
}

const BERT: TokenizerClass = {
  model: 'WordPiece',
  special: { unk: '[UNK]', sep: '[SEP]', pad: '[PAD]', cls: '[CLS]', mask: '[MASK]' },
  layout: 'BERT',
  normalizes: 'all',
};

/** The special tokens of fairseq. */
const FAIRSEQ = { bos: '<s>', eos: '</s>', unk: '<unk>', sep: '</s>', pad: '<pad>', cls: '<s>', mask: '<mask>' };

const ROBERTA: TokenizerClass = {
  model: 'BPE',
  special: FAIRSEQ,
  layout: 'RoBERTa',
  flags: { mask: { lstrip: true, normalized: false } },
  trims: true,
  needsPrefixSpace: true,
};

const BART: TokenizerClass = { ...ROBERTA, flags: { mask: { lstrip: true, normalized: true } } };

const XLM_ROBERTA: TokenizerClass = { special: FAIRSEQ, flags: { mask: { lstrip: true } } };

/** The special tokens that ALBERT and DeBERTa share. */
const BRACKETS = { bos: '[CLS]', eos: '[SEP]', sep: '[SEP]', cls: '[CLS]', mask: '[MASK]' };

/** The classes by their names without the ending "Tokenizer" or "TokenizerFast". */
const CLASSES: Readonly<Record<string, TokenizerClass>> = {
  Bert: BERT,
  DistilBert: BERT,
  Electra: BERT,
  ConvBert: BERT,
  MobileBert: BERT,
  SqueezeBert: BERT,
  LayoutLM: BERT,
  Lxmert: BERT,
  RetriBert: BERT,
  Realm: BERT,
  DPRContextEncoder: BERT,
  DPRQuestionEncoder: BERT,
  DPRReader: BERT,
  MPNet: {
    ...BERT,
    special: { ...FAIRSEQ, unk: '[UNK]' },
    layout: 'MPNet',
    normalizes: 'case',
    flags: { bos: {}, eos: {}, unk: {}, sep: {}, pad: {}, cls: {}, mask: { lstrip: true } },
  },
  Funnel: { ...BERT, special: { ...FAIRSEQ, sep: '<sep>', cls: '<cls>' }, layout: 'Funnel' },
  Roberta: ROBERTA,
  Longformer: ROBERTA,
  Bart: BART,
  LED: BART,
  Mvp: { ...ROBERTA, flags: { mask: { lstrip: true } } },
  GPT2: {
    model: 'BPE',
    special: { bos: '<|endoftext|>', eos: '<|endoftext|>', unk: '<|endoftext|>' },
    layout: 'GPT-2',
    needsPrefixSpace: true,
  },
  Deberta: {
    model: 'BPE',
    special: { ...BRACKETS, unk: '[UNK]', pad: '[PAD]' },
    layout: 'BERT',
    slowFlags: { mask: { lstrip: true } },
    needsPrefixSpace: true,
  },
  XLMRoberta: XLM_ROBERTA,
  Camembert: {
    special: FAIRSEQ,
    additional: ['<s>NOTUSED', '</s>NOTUSED', '<unk>NOTUSED'],
    flags: { mask: { lstrip: true, normalized: false } },
  },
  Albert: {
    special: { ...BRACKETS, unk: '<unk>', pad: '<pad>' },
    flags: { mask: { lstrip: true, normalized: false } },
  },
  RemBert: { special: { ...BRACKETS, unk: '<unk>', pad: '<pad>' }, flags: { mask: { lstrip: true } } },
  Gemma: { special: { bos: '<bos>', eos: '<eos>', unk: '<unk>', pad: '<pad>' }, addsBounds: true, paddingSide: 'left' },
  Llama: { special: { bos: '<s>', eos: '</s>', unk: '<unk>' }, addsBounds: true, paddingSide: 'left' },
  Esm: {
    model: 'WordLevel',
    special: { eos: '<eos>', unk: '<unk>', pad: '<pad>', cls: '<cls>', mask: '<mask>' },
    layout: 'ESM',
  },
  DebertaV2: { special: { ...BRACKETS, unk: '[UNK]', pad: '[PAD]' } },
};

/** The names of the classes that read vocabulary files. */
export const VOCABULARY_CLASSES: readonly string[] = Object.keys(CLASSES)
  .filter(name => CLASSES[name]!.model)
  .map(name => `${name}Tokenizer`);

/** The class for each `model_type` of a text encoder for which transformers 4.57 or 5 has one. */
const CLASS_OF_MODEL: Readonly<Record<string, string>> = {
  albert: 'Albert',
  bart: 'Bart',
  bert: 'Bert',
  'bert-generation': 'BertGeneration',
  'bert-japanese': 'BertJapanese',
  bertweet: 'Bertweet',
  big_bird: 'BigBird',
  camembert: 'Camembert',
  canine: 'Canine',
  convbert: 'ConvBert',
  'data2vec-text': 'Roberta',
  deberta: 'Deberta',
  'deberta-v2': 'DebertaV2',
  distilbert: 'DistilBert',
  dpr: 'DPRQuestionEncoder',
  electra: 'Electra',
  ernie: 'Bert',
  ernie_m: 'ErnieM',
  esm: 'Esm',
  flaubert: 'Flaubert',
  fnet: 'FNet',
  funnel: 'Funnel',
  gemma3_text: 'Gemma',
  gpt2: 'GPT2',
  gte: 'XLMRoberta',
  herbert: 'Herbert',
  ibert: 'Roberta',
  jina_embeddings_v3: 'XLMRoberta',
  layoutlm: 'LayoutLM',
  led: 'LED',
  longformer: 'Longformer',
  luke: 'Luke',
  lxmert: 'Lxmert',
  mega: 'Roberta',
  'megatron-bert': 'Bert',
  mobilebert: 'MobileBert',
  mpnet: 'MPNet',
  mra: 'Roberta',
  mvp: 'Mvp',
  nezha: 'Bert',
  nomic_bert: 'Bert',
  nystromformer: 'Albert',
  phobert: 'Phobert',
  qdqbert: 'Bert',
  realm: 'Realm',
  rembert: 'RemBert',
  retribert: 'RetriBert',
  roberta: 'Roberta',
  'roberta-prelayernorm': 'Roberta',
  roformer: 'RoFormer',
  splinter: 'Splinter',
  squeezebert: 'SqueezeBert',
  tapas: 'Tapas',
  'visual-bert': 'Bert',
  visual_bert: 'Bert',
  xlm: 'XLM',
  'xlm-roberta': 'XLMRoberta',
  'xlm-roberta-xl': 'XLMRoberta',
  xmod: 'XLMRoberta',
  yoso: 'Albert',
};

/** The class of a name in `tokenizer_class`; undefined for a class that changes nothing in a tokenizer.json but its prefix space. */
export function tokenizerClassOf(name: string | undefined): TokenizerClass | undefined {
  const base = name?.replace(/Tokenizer(Fast)?$/, '') ?? '';
  return Object.hasOwn(CLASSES, base) ? CLASSES[base] : undefined;
}

/**
 * The name of the class that transformers 4.57 takes: `tokenizer_class` of tokenizer_config.json, else that of config.json, else the class
 * for its model_type; undefined if there is none.
 */
export function classNameOf(tokenizerConfig: unknown, config: unknown): string | undefined {
  const named = [tokenizerConfig, config]
    .map(file => (isRecord(file) ? file.tokenizer_class : undefined))
    .find(name => isText(name) && name !== '');
  if (isText(named)) return named;
  const type = isRecord(config) ? config.model_type : undefined;
  if (!isText(type) || !Object.hasOwn(CLASS_OF_MODEL, type)) return undefined;
  return `${CLASS_OF_MODEL[type]}Tokenizer`;
}
