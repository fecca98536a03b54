import { type Fields, isRecord, isWhole } from '../json.ts';
import { utf8 } from './characters.ts';
import { TokenTrie } from './token-trie.ts';

/** A token, and the UTF-16 units of a word, [start, end), that it covers. */
export interface Piece {
  id: number;
  token: string;
  start: number;
  end: number;
}

/** The `model` of a tokenizer: cuts a word into the pieces of a vocabulary. */
export interface VocabularyModel {
  readonly ids: ReadonlyMap<string, number>;
  /** The mark of a piece that continues a word ("##"); undefined if the model has none. */
  readonly continuingSubwordPrefix?: string;
  pieces(word: string): readonly Piece[];
}

/** Reads `model.vocab`, an object from tokens to ids. */
export function readVocabulary(config: Fields): Map<string, number> {
  return new Map(Object.entries(config.get('vocab', isIds, 'an object from tokens to ids')));
}

/** The id of the token for unknown words. Throws SourceError, which names the word, where the vocabulary has no such token. */
export function unknownId(
  config: Fields,
  { ids, unknown, word }: { ids: ReadonlyMap<string, number>; unknown: string; word: string },
): number {
  const id = ids.get(unknown);
  if (id !== undefined) return id;
  throw config.malformed(unknown, `a token of the vocabulary, for the word ${JSON.stringify(word)}`, 'unk_token');
}

const isIds = (value: unknown): value is Record<string, number> =>
  isRecord(value) && Object.values(value).every(isWhole);

/** Tokens up to this length are looked up one length after the other; longer tokens are in a tree. */
const SHORT_LENGTH = 32;

/** A search for the tokens that begin at a place of a text. */
export interface TokenSearch {
  /** Calls `onToken` for every token that begins at `start`, shortest first. */
  all(text: string, start: number, onToken: (end: number, id: number) => void): void;
  /** The longest token that begins at `start`. */
  longest(text: string, start: number): { end: number; id: number } | undefined;
}

/**
 * A search among the tokens of a vocabulary. A lookup for every length up to that of the longest token would take, at every place,
 * the square of that length. So only the lengths are tried that some short token has, and long tokens are in a tree.
 * @param prefix only tokens with this prefix are searched for, and without it
 */
export function tokenSearch(ids: ReadonlyMap<string, number>, prefix = ''): TokenSearch {
  const lengths = new Set<number>();
  const long = new TokenTrie<number>();
  let hasLong = false;
  for (const [token, id] of ids) {
    if (!token.startsWith(prefix)) continue;
    const length = token.length - prefix.length;
    if (length <= SHORT_LENGTH) lengths.add(length);
    else {
      hasLong = true;
      long.add(token.slice(prefix.length), id);
    }
  }
  lengths.delete(0);
  const shortLengths = [...lengths].sort((a, b) => a - b);
  const idAt = (text: string, start: number, end: number) =>
    end <= text.length ? ids.get(prefix + text.slice(start, end)) : undefined;
  return {
    all: (text, start, onToken) => {
      for (const length of shortLengths) {
        const id = idAt(text, start, start + length);
        if (id !== undefined) onToken(start + length, id);
      }
      if (hasLong) long.visit(text, start, text.length, onToken);
    },
    longest: (text, start) => {
      let longest: { end: number; id: number } | undefined;
      if (hasLong) {
        long.visit(text, start, text.length, (end, id) => {
          longest = { end, id };
        });
      }
      for (let i = shortLengths.length - 1; longest === undefined && i >= 0; i--) {
        const end = start + shortLengths[i]!;
        const id = idAt(text, start, end);
        if (id !== undefined) longest = { end, id };
      }
      return longest;
    },
  };
}

/**
 * The pieces for a part of a word: its token; or else the tokens of its UTF-8 bytes ("<0x0A>"), if the model falls back to bytes and
 * has a token for each of them; or else undefined.
 */
export function piecesOf(
  ids: ReadonlyMap<string, number>,
  { token, start, end }: Omit<Piece, 'id'>,
  fallsBack: boolean,
): Piece[] | undefined {
  const pieceOf = (token: string): Piece => ({ id: ids.get(token)!, token, start, end });
  if (ids.has(token)) return [pieceOf(token)];
  if (!fallsBack) return undefined;
  const bytes = Array.from(utf8(token), byte => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  return bytes.every(byte => ids.has(byte)) ? bytes.map(pieceOf) : undefined;
}
