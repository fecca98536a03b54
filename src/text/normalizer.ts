import type { Fields } from '../json.ts';
import {
  type AlignedText,
  mapCharacters,
  type Normalizer,
  prepend,
  replace,
  spacesAfter,
  spacesBefore,
} from './aligned-text.ts';
import { byteLevel, isAscii } from './characters.ts';
import { charsmapNormalizer } from './charsmap.ts';
import { build, inTurn } from './component.ts';
import { pattern } from './split.ts';
import { normalizeForm, type UnicodeForm } from './unicode-form.ts';

/** The `normalizer` of a tokenizer.json as a function; null is the identity. */
export function buildNormalizer(config: unknown): Normalizer {
  return build(config, 'normalizer', NORMALIZERS, source => source);
}

const form = (name: UnicodeForm) => () => (source: AlignedText) => normalizeForm(source, name);
const mapping = (change: (character: string) => string) => (source: AlignedText) => mapCharacters(source, change);
const without = (unwanted: RegExp) => mapping(character => (unwanted.test(character) ? '' : character));

const NORMALIZERS: Record<string, (config: Fields) => Normalizer> = {
  BertNormalizer: bertNormalizer,
  NFC: form('NFC'),
  NFD: form('NFD'),
  NFKC: form('NFKC'),
  NFKD: form('NFKD'),
  Lowercase: () => lowercase,
  StripAccents: () => without(/\p{M}/u),
  Replace: config => {
    const find = pattern(config);
    const content = config.text('content');
    return source => replace(source, find, content);
  },
  Strip: config => {
    const left = config.flag('strip_left', false);
    const right = config.flag('strip_right', false);
    return source => strip(source, left, right);
  },
  Prepend: config => {
    const prefix = config.text('prepend');
    return source => prepend(source, prefix);
  },
  Nmt: () => mapping(nmtCharacter),
  Precompiled: charsmapNormalizer,
  ByteLevel: () => mapping(byteLevel),
  Sequence: config => inTurn(config.list('normalizers').map(buildNormalizer)),
};

function strip(source: AlignedText, left: boolean, right: boolean): AlignedText {
  const { text, places, origin } = source;
  const start = left ? spacesAfter(text, 0) : 0;
  const end = right ? spacesBefore(text, text.length, start) : text.length;
  return { text: text.slice(start, end), places: places.subarray(start, end), origin };
}

function lowercase(source: AlignedText): AlignedText {
  // Character by character, as Rust does: a final sigma is not special. For ASCII there is no difference.
  return isAscii(source.text)
    ? { ...source, text: source.text.toLowerCase() }
    : mapCharacters(source, character => character.toLowerCase());
}

/** google-research/bert, tokenization.py, BasicTokenizer; the code point ranges are the Rust tokenizers'. */
function bertNormalizer(config: Fields): Normalizer {
  const lower = config.flag('lowercase', true);
  const clean = config.flag('clean_text', true);
  const spaceChinese = config.flag('handle_chinese_chars', true);
  const stripAccents = config.flag('strip_accents', lower);
  const cleanCharacter = (character: string) => {
    if (clean && control.test(character)) return '';
    if (clean && whitespace.test(character)) return ' ';
    return spaceChinese && chinese.test(character) ? ` ${character} ` : character;
  };
  return source => {
    let aligned = source;
    if (!isAscii(source.text)) {
      aligned = mapCharacters(aligned, cleanCharacter);
      if (stripAccents) aligned = withoutAccents(normalizeForm(aligned, 'NFD'));
    }
    return lower ? lowercase(aligned) : aligned;
  };
}

const withoutAccents = without(/\p{Mn}/u);
const whitespace = /\p{White_Space}/u;
const control = /(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\ufffd]/u;
const chinese =
  /[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/u;

/** The part of SentencePiece's nmt_nfkc that is not NFKC: control characters vanish, odd spaces become plain ones. */
function nmtCharacter(character: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this removes.
  if (/[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]/.test(character)) return '';
  return /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/.test(character) ? ' ' : character;
}
