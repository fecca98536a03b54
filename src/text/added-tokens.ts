import { Fields } from '../fields.ts';
import { type AlignedText, align, slice } from './aligned-text.ts';
import { literal, WORD } from './characters.ts';
import type { Normalizer } from './normalizer.ts';

/** A token that is looked for in the text before the model sees it, as "[MASK]" is. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  /** Looked for in the text as it is. */
  readonly raw: boolean;
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

/** An entry of the `added_tokens` of a tokenizer.json, or of what tokenizer_config.json says of a token. */
export function readAddedToken(entry: unknown, where: string, file?: string): Omit<AddedToken, 'id' | 'raw'> {
  const config = new Fields(entry, where, file);
  const content = config.text('content');
  if (content === '') throw config.malformed(content, 'some text', 'content');
  const special = config.flag('special', false);
  return {
    content,
    special,
    normalized: config.flag('normalized', !special),
    singleWord: config.flag('single_word', false),
    lstrip: config.flag('lstrip', false),
    rstrip: config.flag('rstrip', false),
  };
}

type Finder = (source: AlignedText, splitsSpecial: boolean) => Section[];

/** Cuts a text at the leftmost, and there the longest, of the given tokens. */
function tokenFinder(tokens: readonly AddedToken[], contentOf: (token: AddedToken) => string): Finder {
  const byContent = new Map(tokens.map(token => [contentOf(token), token]));
  byContent.delete('');
  const contents = [...byContent.keys()].sort((a, b) => b.length - a.length);
  const any = new RegExp(contents.map(literal).join('|') || '(?!)', 'gu');
  return (source, splitsSpecial) => {
    const sections: Section[] = [];
    const { text } = source;
    let done = 0;
    const add = (end: number, token?: AddedToken) => {
      if (done < end) sections.push({ text: slice(source, done, end), token });
      done = end;
    };
    for (const match of text.matchAll(any)) {
      const token = byContent.get(match[0])!;
      if (splitsSpecial && token.special) continue;
      const before = text.slice(0, match.index);
      const after = text.slice(match.index + match[0].length);
      if (token.singleWord && (endsInWord.test(before) || startsInWord.test(after))) continue;
      add(token.lstrip ? Math.max(done, before.search(spaceAtEnd)) : match.index);
      add(text.length - (token.rstrip ? after.replace(spaceAtStart, '') : after).length, token);
    }
    add(text.length);
    return sections;
  };
}

const endsInWord = new RegExp(`[${WORD}]$`, 'u');
const startsInWord = new RegExp(`^[${WORD}]`, 'u');
const spaceAtEnd = /\p{White_Space}*$/u;
const spaceAtStart = /^\p{White_Space}*/u;

/**
 * Added tokens of the raw text, then the normaliser on what is between them, then those of the normalised text. Where special tokens are
 * split, what would be one is text like any other.
 */
export function sectionFinder(tokens: readonly AddedToken[], normalize: Normalizer) {
  const findRaw = tokenFinder(
    tokens.filter(token => token.raw),
    token => token.content,
  );
  const findNormalized = tokenFinder(
    tokens.filter(token => token.normalized),
    token => normalize(align(token.content)).text,
  );
  return (text: string, splitsSpecial = false): Section[] =>
    findRaw(align(text), splitsSpecial).flatMap(section =>
      section.token ? section : findNormalized(normalize(section.text), splitsSpecial),
    );
}
