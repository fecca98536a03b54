import { type Fields, malformed } from '../fields.ts';
import type { AlignedText } from './aligned-text.ts';
import { byteLevel, PUNCTUATION, WHITESPACE, WORD } from './characters.ts';
import { build } from './component.ts';
import { translate } from './oniguruma.ts';
import { pattern, type SplitBehavior, split, splitBehavior } from './pattern.ts';

/** Cuts a normalised text into the words that the model takes one by one. */
export type PreTokenizer = (source: AlignedText) => AlignedText[];

/** The `pre_tokenizer` of a tokenizer.json as a function; null leaves the text whole. */
export function buildPreTokenizer(config: unknown, where = 'pre_tokenizer'): PreTokenizer {
  return config === null || config === undefined ? source => [source] : build(config, where, kinds);
}

const cutter = (cut: RegExp, behavior: SplitBehavior, invert?: boolean) => (source: AlignedText) =>
  split(source, cut, behavior, invert);

const kinds: Record<string, (config: Fields) => PreTokenizer> = {
  BertPreTokenizer: () => cutter(new RegExp(`[${PUNCTUATION}]|[^${WHITESPACE}${PUNCTUATION}]+`, 'gu'), 'Removed', true),
  Whitespace: () => cutter(new RegExp(`[${WORD}]+|[^${WORD}${WHITESPACE}]+`, 'gu'), 'Removed', true),
  WhitespaceSplit: () => cutter(new RegExp(`[${WHITESPACE}]+`, 'gu'), 'Removed'),
  Punctuation: config =>
    cutter(
      new RegExp(`[${PUNCTUATION}]`, 'gu'),
      splitBehavior(config.json.behavior ?? 'Isolated', 'pre_tokenizer.behavior'),
    ),
  Split: config =>
    cutter(
      pattern(config.json.pattern, 'pre_tokenizer.pattern'),
      splitBehavior(config.json.behavior, 'pre_tokenizer.behavior'),
      config.flag('invert', false),
    ),
  Digits: config => cutter(/\p{N}/gu, config.flag('individual_digits', false) ? 'Isolated' : 'Contiguous'),
  ByteLevel: byteLevelPreTokenizer,
  Metaspace: metaspacePreTokenizer,
  Sequence: config => {
    const parts = config.list('pretokenizers').map(part => buildPreTokenizer(part));
    return source => parts.reduce((pieces, cut) => pieces.flatMap(cut), [source]);
  },
};

/** The words of GPT-2 (openai/gpt-2, src/encoder.py). */
const gpt2Words = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

function byteLevelPreTokenizer(config: Fields): PreTokenizer {
  const addPrefixSpace = config.flag('add_prefix_space', false);
  const words = config.flag('use_regex', true) ? new RegExp(translate(gpt2Words), 'gv') : undefined;
  return source => {
    const prefixed = addPrefixSpace && !source.text.startsWith(' ') ? source.prepend(' ') : source;
    return (words ? split(prefixed, words, 'Isolated') : [prefixed]).map(word =>
      /^[ -~]*$/.test(word.text) ? word.relabel(word.text.replaceAll(' ', '\u0120')) : word.mapCharacters(byteLevel),
    );
  };
}

function metaspacePreTokenizer(config: Fields): PreTokenizer {
  const replacement = config.text('replacement');
  if ([...replacement].length !== 1) throw malformed('pre_tokenizer.replacement', replacement, 'one character');
  const scheme = config.json.add_prefix_space === false ? 'never' : (config.json.prepend_scheme ?? 'always');
  if (scheme !== 'always' && scheme !== 'first' && scheme !== 'never') {
    throw malformed('pre_tokenizer.prepend_scheme', scheme, 'always, first or never');
  }
  const cut = config.flag('split', true) ? pattern({ String: replacement }, 'pre_tokenizer.replacement') : undefined;
  return source => {
    let aligned = source.replace(/ /g, replacement);
    const prepends = scheme === 'always' || (scheme === 'first' && source.origin === 0);
    if (prepends && !aligned.text.startsWith(replacement)) aligned = aligned.prepend(replacement);
    return cut === undefined ? [aligned] : split(aligned, cut, 'MergedWithNext');
  };
}
