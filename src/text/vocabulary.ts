import { type Fields, isRecord, isWhole } from '../json.ts';
import { utf8 } from './characters.ts';
import { TokenTrie } from './token-trie.ts';

/** A token of a word, and the UTF-16 units of the word that it covers. */
export interface Piece {
  id: number;
  token: string;
  start: number;
  end: number;
}

/** Cuts a word into the pieces of a vocabulary. */
export interface VocabularyModel {
  readonly ids: ReadonlyMap<string, number>;
  /** What marks a piece inside of a word ("##"), where the model has such a mark. */
  readonly continuingSubwordPrefix?: string;
  pieces(word: string): readonly Piece[];
}

/** `model.vocab` where it is an object from token to id, with the token that stands for what is unknown if there is one. */
export function vocabulary(config: Fields, unknown?: string): Map<string, number> {
  const ids = new Map(Object.entries(config.get('vocab', isIds, 'an object from tokens to ids')));
  if (unknown === undefined || ids.has(unknown)) return ids;
  throw config.malformed('a vocabulary without it', `the token ${unknown}`, 'vocab');
}

const isIds = (value: unknown): value is Record<string, number> =>
  isRecord(value) && Object.values(value).every(isWhole);

/** Tokens up to this length are looked up one length after the other, longer ones in a tree. */
const SHORT = 32;

/** A search for the tokens that stand at a place of a text. */
export interface TokenSearch {
  /** Calls `found` for every token that stands in the text at `start`, shortest first. */
  each(text: string, start: number, found: (end: number, id: number) => void): void;
  /** The longest of them. */
  longest(text: string, start: number): { end: number; id: number } | undefined;
}

/**
 * A search among the tokens of a vocabulary. A single long token would make a lookup for each length up to its own cost the
 * square of that length, at every place: so only lengths that some token has are tried, and few of them.
 * @param prefix what is left out of the tokens; those without it are not looked for
 */
export function tokenSearch(ids: ReadonlyMap<string, number>, prefix = ''): TokenSearch {
  const lengths = new Set<number>();
  const long = new TokenTrie<number>();
  let hasLong = false;
  for (const [token, id] of ids) {
    if (!token.startsWith(prefix)) continue;
    const length = token.length - prefix.length;
    if (length <= SHORT) lengths.add(length);
    else {
      hasLong = true;
      long.add(token.slice(prefix.length), id);
    }
  }
  lengths.delete(0);
  const short = [...lengths].sort((a, b) => a - b);
  const at = (text: string, start: number, end: number) =>
    end <= text.length ? ids.get(prefix + text.slice(start, end)) : undefined;
  return {
    each: (text, start, found) => {
      for (const length of short) {
        const id = at(text, start, start + length);
        if (id !== undefined) found(start + length, id);
      }
      if (hasLong) long.visit(text, start, text.length, found);
    },
    longest: (text, start) => {
      let longest: { end: number; id: number } | undefined;
      const found = (end: number, id: number) => {
        longest = { end, id };
      };
      if (hasLong) long.visit(text, start, text.length, found);
      for (let i = short.length - 1; longest === undefined && i >= 0; i--) {
        const end = start + short[i]!;
        const id = at(text, start, end);
        if (id !== undefined) found(end, id);
      }
      return longest;
    },
  };
}

/**
 * What stands for a part of a word: its token, or else the tokens of its UTF-8 bytes ("<0x0A>") where the model falls back to
 * them and has them all, or else undefined.
 */
export function piecesOf(
  ids: ReadonlyMap<string, number>,
  { token, start, end }: Omit<Piece, 'id'>,
  fallsBack: boolean,
): Piece[] | undefined {
  const find = (token: string): Piece => ({ id: ids.get(token)!, token, start, end });
  if (ids.has(token)) return [find(token)];
  if (!fallsBack) return undefined;
  const bytes = Array.from(utf8(token), byte => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  return bytes.every(byte => ids.has(byte)) ? bytes.map(find) : undefined;
}
