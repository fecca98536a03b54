import { Fields } from '../fields.ts';
import type { AlignedText } from './aligned-text.ts';
import { WHITESPACE, WORD } from './characters.ts';
import type { Normalizer } from './normalizer.ts';

/** A token that is looked for in the text before the model sees it, as "[MASK]" is. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  /** Looked for in the normalised text, in its own normalised form. */
  readonly normalized: boolean;
  readonly singleWord: boolean;
  /** Takes the white space on that side into itself. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

/** A part of a text: either one added token, or what is left for the model. */
export interface Section {
  readonly text: AlignedText;
  readonly token?: AddedToken;
}

export function readAddedTokens(value: unknown): AddedToken[] {
  return new Fields({ added_tokens: value }, '').list('added_tokens', []).map((entry, i) => {
    const config = new Fields(entry, `added_tokens[${i}]`);
    const content = config.text('content');
    if (content === '') throw config.malformed(content, 'some text', 'content');
    const special = config.flag('special', false);
    return {
      id: config.integer('id'),
      content,
      special,
      normalized: config.flag('normalized', !special),
      singleWord: config.flag('single_word', false),
      lstrip: config.flag('lstrip', false),
      rstrip: config.flag('rstrip', false),
    };
  });
}

type Finder = (source: AlignedText) => Section[];

/** Cuts a text at the leftmost, and there the longest, of the given tokens. */
export function tokenFinder(tokens: readonly AddedToken[], contentOf: (token: AddedToken) => string): Finder {
  const byContent = new Map(tokens.map(token => [contentOf(token), token]));
  byContent.delete('');
  if (byContent.size === 0)
    return source => (source.text === '' ? [] : [{ text: source.slice(0, source.text.length) }]);
  const contents = [...byContent.keys()].sort((a, b) => b.length - a.length);
  const any = new RegExp(contents.map(content => content.replace(/[$()*+.?[\\\]^{|}]/g, '\\$&')).join('|'), 'gu');
  return source => {
    const sections: Section[] = [];
    let done = 0;
    for (const match of source.text.matchAll(any)) {
      const token = byContent.get(match[0])!;
      let start = match.index;
      let end = start + match[0].length;
      if (
        token.singleWord &&
        (endsInWord.test(source.text.slice(0, start)) || startsInWord.test(source.text.slice(end)))
      ) {
        continue;
      }
      if (token.lstrip) start = Math.max(done, start - spaceAtEnd.exec(source.text.slice(done, start))![0].length);
      if (token.rstrip) end += spaceAtStart.exec(source.text.slice(end))![0].length;
      if (done < start) sections.push({ text: source.slice(done, start) });
      sections.push({ text: source.slice(start, end), token });
      done = end;
    }
    if (done < source.text.length) sections.push({ text: source.slice(done, source.text.length) });
    return sections;
  };
}

const endsInWord = new RegExp(`[${WORD}]$`, 'u');
const startsInWord = new RegExp(`^[${WORD}]`, 'u');
const spaceAtEnd = new RegExp(`[${WHITESPACE}]*$`, 'u');
const spaceAtStart = new RegExp(`^[${WHITESPACE}]*`, 'u');

/** Added tokens of the raw text, then the normaliser on what is between them, then those of the normalised text. */
export function sectionFinder(
  tokens: readonly AddedToken[],
  normalize: Normalizer,
  align: (text: string) => AlignedText,
) {
  const findRaw = tokenFinder(
    tokens.filter(token => !token.normalized),
    token => token.content,
  );
  const findNormalized = tokenFinder(
    tokens.filter(token => token.normalized),
    token => normalize(align(token.content)).text,
  );
  return (text: string): Section[] =>
    findRaw(align(text)).flatMap(section =>
      section.token === undefined ? findNormalized(normalize(section.text)) : section,
    );
}
