import { Fields, type JsonFile } from '../json.ts';
import { type AlignedText, align, type Normalizer, slice, spacesAfter, spacesBefore } from './aligned-text.ts';
import { WORD } from './characters.ts';
import { TokenTrie } from './token-trie.ts';

/** A token, "[MASK]" for example, that is searched for in the text before the rest of it is given to the model. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  /** Searched for in the text before it is normalised. */
  readonly raw: boolean;
  /** Searched for in the normalised text, by the normalised form of its content. */
  readonly normalized: boolean;
  /** Found only where no word goes on at either side of it. */
  readonly singleWord: boolean;
  /** The white space before it becomes a part of it. */
  readonly lstrip: boolean;
  /** The white space behind it becomes a part of it. */
  readonly rstrip: boolean;
}

/** A part of a text: an added token, or a stretch between added tokens, which is given to the model. */
export interface Section {
  readonly text: AlignedText;
  readonly token?: AddedToken;
}

/** Reads an entry of `added_tokens` in tokenizer.json, or a special token in tokenizer_config.json. */
export function readAddedToken(entry: unknown, where: string, file: JsonFile): Omit<AddedToken, 'id' | 'raw'> {
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

/**
 * A function that cuts a text at the tokens: again and again at the leftmost one, and there at the longest.
 * @param contentOf the text that is searched for
 */
function tokenFinder(
  tokens: readonly AddedToken[],
  contentOf: (token: AddedToken) => string,
): (source: AlignedText, splitsSpecial: boolean) => Section[] {
  const contents = new TokenTrie<AddedToken>();
  // Two tokens may have one normalised content, as "AI" and "ai" in lower case. Special tokens are found before others, the first before
  // the second: so they are added in reverse.
  for (const token of tokens.toSorted((a, b) => Number(a.special) - Number(b.special) || b.id - a.id)) {
    const content = contentOf(token);
    // Texts have no lone surrogates, and half of a character must not be found in them.
    if (content !== '' && !/\p{Surrogate}/u.test(content)) contents.add(content, token);
  }
  return (source, splitsSpecial) => {
    const sections: Section[] = [];
    const { text } = source;
    /** Where the last section ends. */
    let lastEnd = 0;
    const add = (end: number, token?: AddedToken) => {
      if (lastEnd < end) sections.push({ text: slice(source, lastEnd, end), token });
      lastEnd = end;
    };
    for (let at = 0; at < text.length; ) {
      let end = at;
      let token: AddedToken | undefined;
      contents.visit(text, at, text.length, (longerEnd, longerToken) => {
        end = longerEnd;
        token = longerToken;
      });
      const start = at;
      at = Math.max(end, at + 1);
      if (token === undefined || (splitsSpecial && token.special)) continue;
      if (token.singleWord && isInsideWord(text, start, end)) continue;
      add(token.lstrip ? Math.max(lastEnd, spacesBefore(text, start, lastEnd)) : start);
      add(token.rstrip ? spacesAfter(text, end) : end, token);
    }
    add(text.length);
    return sections;
  };
}

/** Whether a word goes on at either side of a part of a text. */
function isInsideWord(text: string, start: number, end: number): boolean {
  const isPair = start > 1 && (text.charCodeAt(start - 1) & 0xfc00) === 0xdc00;
  const before = text.slice(isPair ? start - 2 : start - 1, start);
  const after = end < text.length ? String.fromCodePoint(text.codePointAt(end)!) : '';
  return (start > 0 && wordCharacter.test(before)) || wordCharacter.test(after);
}

const wordCharacter = new RegExp(`^[${WORD}]$`, 'u');

/**
 * Cuts a text into added tokens and the stretches between them.
 * @param splitsSpecial whether special tokens that are written in the text are read as plain text
 */
export type SectionFinder = (text: string, splitsSpecial?: boolean) => Section[];

/**
 * Three steps: the tokens of the raw text are cut out, what is between them is normalised, and the tokens of the normalised text are cut
 * out of that.
 */
export function sectionFinder(tokens: readonly AddedToken[], normalize: Normalizer): SectionFinder {
  const findRaw = tokenFinder(
    tokens.filter(token => token.raw),
    token => token.content,
  );
  const findNormalized = tokenFinder(
    tokens.filter(token => token.normalized),
    token => normalize(align(token.content)).text,
  );
  return (text, splitsSpecial = false) =>
    findRaw(align(text), splitsSpecial).flatMap(section =>
      section.token ? section : findNormalized(normalize(section.text), splitsSpecial),
    );
}
