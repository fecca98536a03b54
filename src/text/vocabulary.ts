import { type Fields, isRecord, isWhole } from '../fields.ts';
import { utf8 } from './characters.ts';

/** A token of a word, and the UTF-16 units of the word that it covers. */
export interface Piece {
  id: number;
  token: string;
  start: number;
  end: number;
}

/** Cuts a word into the pieces of a vocabulary. */
export interface Model {
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

/** The length of the longest token, which bounds every search for one. */
export function longestToken(ids: ReadonlyMap<string, number>): number {
  return [...ids.keys()].reduce((longest, { length }) => Math.max(longest, length), 0);
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
