import { type Fields, isRecord, isText, type Json } from '../json.ts';
import type { SpecialTokens } from './special-tokens.ts';
import { type NumberedToken, templateProcessing, textPiece, tokenPiece } from './template.ts';
import type { TokenizerClass } from './tokenizer-class.ts';

/**
 * Applies the settings of tokenizer_config.json to a tokenizer.json. In transformers the class of the tokenizer overwrites some settings
 * of the file when it is loaded; a setting that is not in tokenizer_config.json is overwritten with its default. An unknown class
 * overwrites the prefix space alone.
 * Source: __init__ of the fast classes of transformers 4.57.
 */
export function withClassSettings(json: Json, config: Fields, tokenizerClass: TokenizerClass | undefined): Json {
  const { normalizer, pre_tokenizer: preTokenizer, post_processor: postProcessor } = json;
  const changed: Json = { ...json };
  const { tokenizer_class: name } = config.json;
  // transformers 5 writes this name, and takes tokenizer.json as it is.
  const keepsFile = name === 'TokenizersBackend';
  const hasClass = (name ?? null) !== null;
  const addsPrefixSpace = config.flag('add_prefix_space', false);
  if (tokenizerClass?.normalizes && isOf(normalizer, 'BertNormalizer')) {
    const lowercase = config.flag('do_lower_case', true);
    changed.normalizer = {
      ...normalizer,
      lowercase,
      strip_accents: config.flag('strip_accents', lowercase),
      ...(tokenizerClass.normalizes === 'all' && { handle_chinese_chars: config.flag('tokenize_chinese_chars', true) }),
    };
  }
  if (!keepsFile && isOf(preTokenizer, 'ByteLevel') && (hasClass || config.has('add_prefix_space'))) {
    changed.pre_tokenizer = { ...preTokenizer, add_prefix_space: addsPrefixSpace };
  }
  if (tokenizerClass?.trims && isOf(postProcessor, 'RobertaProcessing', 'ByteLevel')) {
    changed.post_processor = {
      ...postProcessor,
      add_prefix_space: addsPrefixSpace,
      trim_offsets: config.flag('trim_offsets', true),
    };
  }
  return changed;
}

/**
 * The `post_processor` of a class that puts bos before every text and eos behind it. transformers 4.57 replaces that of the file always,
 * 5 only if tokenizer_config.json has add_bos_token or add_eos_token, which 4.57 always writes: so it is here.
 */
export function withBounds(
  postProcessor: unknown,
  config: Fields,
  tokenizerClass: TokenizerClass | undefined,
  { bos, eos }: SpecialTokens,
): unknown {
  const isNamed = config.has('add_bos_token') || config.has('add_eos_token');
  if (!tokenizerClass?.addsBounds || !(isNamed || (postProcessor ?? null) === null)) return postProcessor;
  const tokenOf = (adds: boolean, special: SpecialTokens['bos']): NumberedToken[] =>
    adds && special ? [[special.token, special.id]] : [];
  const starts = tokenOf(config.flag('add_bos_token', true), bos);
  const ends = tokenOf(config.flag('add_eos_token', false), eos);
  const around = (id: 'A' | 'B', typeId: number) => [
    ...starts.map(token => tokenPiece(token, typeId)),
    textPiece(id),
    ...ends.map(token => tokenPiece(token, typeId)),
  ];
  const single = around('A', 0);
  return templateProcessing(single, [...single, ...around('B', 1)], [...starts, ...ends]);
}

const isOf = (component: unknown, ...types: readonly string[]): component is Json =>
  isRecord(component) && isText(component.type) && types.includes(component.type);

/**
 * The side at which texts are cut or padded: that of tokenizer_config.json, or else of `truncation` or `padding` in tokenizer.json.
 * @param fallback `truncation` or `padding` of tokenizer.json
 * @param missing the side if no file names one
 */
export function sideOf(
  config: Fields,
  key: 'truncation_side' | 'padding_side',
  fallback: unknown,
  missing: 'left' | 'right' = 'right',
): 'left' | 'right' {
  const isSide = (value: unknown): value is 'left' | 'right' => value === 'left' || value === 'right';
  const direction = isRecord(fallback) && isText(fallback.direction) ? fallback.direction.toLowerCase() : undefined;
  return config.get(key, isSide, "'left' or 'right'", isSide(direction) ? direction : missing);
}

/** `model_max_length`, or `max_len`, its older name; Infinity if both are missing or the first is null. */
export function maxLengthOf(config: Fields): number {
  const key = config.json.model_max_length === undefined ? 'max_len' : 'model_max_length';
  return config.get(key, isPositive, 'a positive number', Number.POSITIVE_INFINITY);
}

const isPositive = (value: unknown): value is number => typeof value === 'number' && value > 0;
