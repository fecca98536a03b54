import { type Fields, isRecord, isText, type Json } from '../json.ts';
import type { TokenizerClass } from './tokenizer-class.ts';

/**
 * A tokenizer.json with what tokenizer_config.json says differently: the class of the tokenizer writes its own settings over the file's
 * when it is loaded, the defaults of those that are not given included. Of a class that is not known only the prefix space is.
 * Source: __init__ of the fast classes of transformers 4.57.
 */
export function withClassSettings(json: Json, config: Fields, known: TokenizerClass | undefined): Json {
  const { normalizer, pre_tokenizer: preTokenizer, post_processor: postProcessor } = json;
  const changed: Json = { ...json };
  const { tokenizer_class: name } = config.json;
  // 5.x writes this name, and takes tokenizer.json as it is.
  const isLeft = name === 'TokenizersBackend';
  const isNamed = (name ?? null) !== null;
  const prefixes = config.flag('add_prefix_space', false);
  if (known?.normalizes && isOf(normalizer, 'BertNormalizer')) {
    const lowercase = config.flag('do_lower_case', true);
    changed.normalizer = {
      ...normalizer,
      lowercase,
      strip_accents: config.flag('strip_accents', lowercase),
      ...(known.normalizes === 'all' && { handle_chinese_chars: config.flag('tokenize_chinese_chars', true) }),
    };
  }
  if (!isLeft && isOf(preTokenizer, 'ByteLevel') && (isNamed || config.has('add_prefix_space'))) {
    changed.pre_tokenizer = { ...preTokenizer, add_prefix_space: prefixes };
  }
  if (known?.trims && isOf(postProcessor, 'RobertaProcessing', 'ByteLevel')) {
    changed.post_processor = {
      ...postProcessor,
      add_prefix_space: prefixes,
      trim_offsets: config.flag('trim_offsets', true),
    };
  }
  return changed;
}

const isOf = (component: unknown, ...types: readonly string[]): component is Json =>
  isRecord(component) && isText(component.type) && types.includes(component.type);

/** Which side is cut or padded: as tokenizer_config.json says, else as the `truncation` or `padding` of tokenizer.json does. */
export function sideOf(config: Fields, key: 'truncation_side' | 'padding_side', other: unknown): 'left' | 'right' {
  const isSide = (value: unknown): value is 'left' | 'right' => value === 'left' || value === 'right';
  const direction = isRecord(other) && isText(other.direction) ? other.direction.toLowerCase() : undefined;
  return config.get(key, isSide, "'left' or 'right'", isSide(direction) ? direction : 'right');
}

/** `model_max_length`, or by its older name `max_len`; Infinity where neither is there or the first is null. */
export function maxLengthOf(config: Fields): number {
  const key = config.json.model_max_length === undefined ? 'max_len' : 'model_max_length';
  return config.get(key, isPositive, 'a positive number', Number.POSITIVE_INFINITY);
}

const isPositive = (value: unknown): value is number => typeof value === 'number' && value > 0;
