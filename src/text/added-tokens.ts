import { Fields } from '../json.ts';
import type { Normalizer } from './aligned-text.ts';
import { type AlignedText, align, slice, spacesAfter, spacesBefore } from './aligned-text.ts';
import { WORD } from './characters.ts';
import { TokenTrie } from './token-trie.ts';

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
  const contents = new TokenTrie<AddedToken>();
  for (const token of tokens) {
    const content = contentOf(token);
    // Texts have no lone surrogates, and half of a character is not to be found in them.
    if (content !== '' && !/\p{Surrogate}/u.test(content)) contents.add(content, token);
  }
  return (source, splitsSpecial) => {
    const sections: Section[] = [];
    const { text } = source;
    let done = 0;
    const add = (end: number, token?: AddedToken) => {
      if (done < end) sections.push({ text: slice(source, done, end), token });
      done = end;
    };
    for (let at = 0; at < text.length; ) {
      let end = at;
      let token: AddedToken | undefined;
      contents.visit(text, at, text.length, (longer, its) => {
        end = longer;
        token = its;
      });
      const start = at;
      at = Math.max(end, at + 1);
      if (token === undefined || (splitsSpecial && token.special)) continue;
      if (token.singleWord && isInsideWord(text, start, end)) continue;
      add(token.lstrip ? Math.max(done, spacesBefore(text, start, done)) : start);
      add(token.rstrip ? spacesAfter(text, end) : end, token);
    }
    add(text.length);
    return sections;
  };
}

/** Whether a word goes on on either side of a part of a text. */
function isInsideWord(text: string, start: number, end: number): boolean {
  const isPair = start > 1 && (text.charCodeAt(start - 1) & 0xfc00) === 0xdc00;
  const before = text.slice(isPair ? start - 2 : start - 1, start);
  const after = end < text.length ? String.fromCodePoint(text.codePointAt(end)!) : '';
  return (start > 0 && wordCharacter.test(before)) || wordCharacter.test(after);
}

const wordCharacter = new RegExp(`^[${WORD}]$`, 'u');

/**
 * Added tokens of the raw text, then the normaliser on what is between them, then those of the normalised text. Where special tokens are
 * split, what would be one is text like any other.
 */
/** Cuts a text into added tokens and what is between them. */
export type SectionFinder = (text: string, splitsSpecial?: boolean) => Section[];

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
