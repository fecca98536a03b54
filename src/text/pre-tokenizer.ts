import type { AlignedText } from './aligned-text.ts';
import { byteLevel, PUNCTUATION, WHITESPACE, WORD } from './characters.ts';
import { build, flag, type Json, list, malformed, text } from './component.ts';
import { pattern, type SplitBehavior, split, splitBehavior } from './pattern.ts';

/** Cuts a normalised text into the words that the model takes one by one. */
export type PreTokenizer = (source: AlignedText) => AlignedText[];

/** The `pre_tokenizer` of a tokenizer.json as a function; null leaves the text whole. */
export function buildPreTokenizer(config: unknown, where = 'pre_tokenizer'): PreTokenizer {
  return config === null || config === undefined ? source => [source] : build(config, where, kinds);
}

const cutter = (cut: RegExp, behavior: SplitBehavior, invert?: boolean) => (source: AlignedText) =>
  split(source, cut, behavior, invert);

const kinds: Record<string, (config: Json) => PreTokenizer> = {
  BertPreTokenizer: () => cutter(new RegExp(`[${PUNCTUATION}]|[^${WHITESPACE}${PUNCTUATION}]+`, 'gu'), 'Removed', true),
  Whitespace: () => cutter(new RegExp(`[${WORD}]+|[^${WORD}${WHITESPACE}]+`, 'gu'), 'Removed', true),
  WhitespaceSplit: () => cutter(new RegExp(`[${WHITESPACE}]+`, 'gu'), 'Removed'),
  Punctuation: config =>
    cutter(
      new RegExp(`[${PUNCTUATION}]`, 'gu'),
      splitBehavior(config.behavior ?? 'Isolated', 'pre_tokenizer.behavior'),
    ),
  Split: config =>
    cutter(
      pattern(config.pattern, 'pre_tokenizer.pattern'),
      splitBehavior(config.behavior, 'pre_tokenizer.behavior'),
      flag(config.invert, 'pre_tokenizer.invert', false),
    ),
  Digits: config =>
    cutter(
      /\p{N}/gu,
      flag(config.individual_digits, 'pre_tokenizer.individual_digits', false) ? 'Isolated' : 'Contiguous',
    ),
  ByteLevel: byteLevelPreTokenizer,
  Metaspace: metaspacePreTokenizer,
  Sequence: config => {
    const parts = list(config.pretokenizers, 'pre_tokenizer.pretokenizers').map(part => buildPreTokenizer(part));
    return source => parts.reduce((pieces, cut) => pieces.flatMap(cut), [source]);
  },
};

/** The words of GPT-2 (openai/gpt-2, src/encoder.py), with the Unicode white space that Oniguruma's \s is. */
const gpt2Words = new RegExp(
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
    .replaceAll('[^\\s', `[^${WHITESPACE}`)
    .replaceAll('\\s', WHITESPACE)
    .replaceAll('\\S', '\\P{White_Space}'),
  'gu',
);

function byteLevelPreTokenizer(config: Json): PreTokenizer {
  const addPrefixSpace = flag(config.add_prefix_space, 'pre_tokenizer.add_prefix_space', false);
  const useRegex = flag(config.use_regex, 'pre_tokenizer.use_regex', true);
  return source => {
    const prefixed = addPrefixSpace && !source.text.startsWith(' ') ? source.prepend(' ') : source;
    const words = useRegex ? split(prefixed, gpt2Words, 'Isolated') : [prefixed];
    return words.map(word =>
      /^[ -~]*$/.test(word.text) ? word.relabel(word.text.replaceAll(' ', '\u0120')) : word.mapCharacters(byteLevel),
    );
  };
}

function metaspacePreTokenizer(config: Json): PreTokenizer {
  const replacement = text(config.replacement, 'pre_tokenizer.replacement');
  if ([...replacement].length !== 1) throw malformed('pre_tokenizer.replacement', replacement, 'one character');
  const scheme = config.add_prefix_space === false ? 'never' : (config.prepend_scheme ?? 'always');
  if (scheme !== 'always' && scheme !== 'first' && scheme !== 'never') {
    throw malformed('pre_tokenizer.prepend_scheme', scheme, 'always, first or never');
  }
  const cut = flag(config.split, 'pre_tokenizer.split', true)
    ? pattern({ String: replacement }, 'pre_tokenizer.replacement')
    : undefined;
  return source => {
    let aligned = source.replace(/ /g, replacement);
    const prepends = scheme === 'always' || (scheme === 'first' && source.origin === 0);
    if (prepends && !aligned.text.startsWith(replacement)) aligned = aligned.prepend(replacement);
    return cut === undefined ? [aligned] : split(aligned, cut, 'MergedWithNext');
  };
}
