import { type Fields, isText } from '../json.ts';
import { type AlignedText, mapCharacters, prepend, replace, slice } from './aligned-text.ts';
import { byteLevel, isAscii, PUNCTUATION, WHITESPACE, WORD } from './characters.ts';
import { build } from './component.ts';
import { type Finder, finderOf, literal } from './pattern/index.ts';
import { pattern, type SplitBehavior, split, splitBehavior } from './split.ts';
import { scriptRuns } from './unicode-scripts.ts';

/** Cuts a normalised text into words, which are given to the model one by one. */
export type PreTokenizer = (source: AlignedText) => AlignedText[];

/** The `pre_tokenizer` of a tokenizer.json as a function; null leaves the text whole. */
export function buildPreTokenizer(config: unknown): PreTokenizer {
  return build(config, 'pre_tokenizer', PRE_TOKENIZERS, source => [source]);
}

/** A pre-tokenizer that cuts at the matches of `find`. */
const cutter =
  (find: Finder, behavior: SplitBehavior, invert = false): PreTokenizer =>
  source =>
    split(source, find, { behavior, invert });

const PRE_TOKENIZERS: Record<string, (config: Fields) => PreTokenizer> = {
  BertPreTokenizer: () =>
    cutter(finderOf(new RegExp(`[${PUNCTUATION}]|[^${WHITESPACE}${PUNCTUATION}]+`, 'gu')), 'Removed', true),
  Whitespace: () => cutter(finderOf(new RegExp(`[${WORD}]+|[^${WORD}${WHITESPACE}]+`, 'gu')), 'Removed', true),
  WhitespaceSplit: () => cutter(finderOf(/\p{White_Space}+/gu), 'Removed'),
  Punctuation: config => cutter(finderOf(new RegExp(`[${PUNCTUATION}]`, 'gu')), splitBehavior(config, 'Isolated')),
  Split: config => cutter(pattern(config), splitBehavior(config), config.flag('invert', false)),
  Digits: config => cutter(finderOf(/\p{N}/gu), config.flag('individual_digits', false) ? 'Isolated' : 'Contiguous'),
  ByteLevel: byteLevelPreTokenizer,
  Metaspace: metaspacePreTokenizer,
  CharDelimiterSplit: config => {
    const delimiter = config.get('delimiter', isOneCharacter, 'one character');
    return cutter(finderOf(new RegExp(literal(delimiter), 'gv')), 'Removed');
  },
  UnicodeScripts: () => scriptRuns,
  FixedLength: config => {
    const length = config.integer('length', 5, { min: 1 });
    return source => fixedLengths(source, length);
  },
  Sequence: config => {
    const steps = config.list('pretokenizers').map(buildPreTokenizer);
    return source => steps.reduce((words, cut) => words.flatMap(cut), [source]);
  },
};

/** The words of GPT-2 (openai/gpt-2, src/encoder.py). */
const gpt2Words =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const findGpt2Words = finderOf(gpt2Words);
const findSpaces = finderOf(/ /g);

function byteLevelPreTokenizer(config: Fields): PreTokenizer {
  const addPrefixSpace = config.flag('add_prefix_space', false);
  const usesRegex = config.flag('use_regex', true);
  return source => {
    const prefixed = addPrefixSpace && !source.text.startsWith(' ') ? prepend(source, ' ') : source;
    return (usesRegex ? split(prefixed, findGpt2Words, { behavior: 'Isolated' }) : [prefixed]).map(word =>
      isAscii(word.text) ? { ...word, text: word.text.replaceAll(' ', '\u0120') } : mapCharacters(word, byteLevel),
    );
  };
}

const isOneCharacter = (value: unknown): value is string => isText(value) && [...value].length === 1;
const isScheme = (value: unknown): value is string => isText(value) && ['always', 'first', 'never'].includes(value);

function metaspacePreTokenizer(config: Fields): PreTokenizer {
  const replacement = config.get('replacement', isOneCharacter, 'one character');
  const prependScheme = config.get('prepend_scheme', isScheme, 'always, first or never', 'always');
  const scheme = config.json.add_prefix_space === false ? 'never' : prependScheme;
  const splits = config.flag('split', true);
  const findReplacement = finderOf(new RegExp(literal(replacement), 'gv'));
  return source => {
    let aligned = replace(source, findSpaces, replacement);
    const prepends = scheme === 'always' || (scheme === 'first' && source.origin === 0);
    if (prepends && !aligned.text.startsWith(replacement)) aligned = prepend(aligned, replacement);
    return splits ? split(aligned, findReplacement, { behavior: 'MergedWithNext' }) : [aligned];
  };
}

/** Cuts a text every `length` characters. */
function fixedLengths(source: AlignedText, length: number): AlignedText[] {
  const starts: number[] = [];
  let unit = 0;
  let characters = 0;
  for (const character of source.text) {
    if (characters++ % length === 0) starts.push(unit);
    unit += character.length;
  }
  return starts.map((start, i) => slice(source, start, starts[i + 1]));
}
