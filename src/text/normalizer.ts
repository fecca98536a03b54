import type { Fields } from '../fields.ts';
import type { AlignedText } from './aligned-text.ts';
import { byteLevel, WHITESPACE } from './characters.ts';
import { Charsmap } from './charsmap.ts';
import { build } from './component.ts';
import { pattern } from './pattern.ts';
import { normalizeForm, type UnicodeForm } from './unicode-form.ts';

export type Normalizer = (source: AlignedText) => AlignedText;

/** The `normalizer` of a tokenizer.json as a function; null is the identity. */
export function buildNormalizer(config: unknown, where = 'normalizer'): Normalizer {
  return config === null || config === undefined ? source => source : build(config, where, kinds);
}

const form = (name: UnicodeForm) => () => (source: AlignedText) => normalizeForm(source, name);
const keepUnless = (unwanted: RegExp) => (character: string) => (unwanted.test(character) ? '' : character);

const kinds: Record<string, (config: Fields) => Normalizer> = {
  BertNormalizer: bertNormalizer,
  NFC: form('NFC'),
  NFD: form('NFD'),
  NFKC: form('NFKC'),
  NFKD: form('NFKD'),
  Lowercase: () => lowercase,
  StripAccents: () => source => source.mapCharacters(keepUnless(/\p{M}/u)),
  Replace: config => {
    const from = pattern(config.json.pattern, 'normalizer.pattern');
    const content = config.text('content');
    return source => source.replace(from, content);
  },
  Strip: config => {
    const left = config.flag('strip_left', false) ? `^${space}+` : '(?!)';
    const right = config.flag('strip_right', false) ? `${space}+$` : '(?!)';
    const ends = new RegExp(`${left}|${right}`, 'gu');
    return source => source.replace(ends, '');
  },
  Prepend: config => {
    const prefix = config.text('prepend');
    return source => source.prepend(prefix);
  },
  Nmt: () => source => source.mapCharacters(nmtCharacter),
  Precompiled: config => {
    const charsmap = new Charsmap(config.text('precompiled_charsmap'));
    return source => charsmap.normalize(source);
  },
  ByteLevel: () => source => source.mapCharacters(byteLevel),
  Sequence: config => {
    const parts = config.list('normalizers').map(part => buildNormalizer(part));
    return source => parts.reduce((aligned, normalize) => normalize(aligned), source);
  },
};

const space = `[${WHITESPACE}]`;

function lowercase(source: AlignedText): AlignedText {
  const whole = source.text.toLowerCase();
  // Character by character, as Rust: a final sigma is not special. ASCII alone cannot differ.
  return isAscii(source.text) ? source.relabel(whole) : source.mapCharacters(character => character.toLowerCase());
}

const isAscii = (value: string) => /^[ -~]*$/.test(value);

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
      if (clean || spaceChinese) aligned = aligned.mapCharacters(cleanCharacter);
      if (stripAccents) aligned = normalizeForm(aligned, 'NFD').mapCharacters(keepUnless(/\p{Mn}/u));
    }
    return lower ? lowercase(aligned) : aligned;
  };
}

const whitespace = new RegExp(space, 'u');
const control = /(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\ufffd]/u;
const chinese =
  /[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/u;

/** SentencePiece's nmt_nfkc, without the nfkc. */
function nmtCharacter(character: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this removes.
  if (/[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]/.test(character)) return '';
  return /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/.test(character) ? ' ' : character;
}
