import type { Fields } from '../json.ts';
import { type Piece, tokenSearch, type VocabularyModel, vocabulary } from './vocabulary.ts';

/** WordPiece (google-research/bert, tokenization.py): the longest token that fits, again and again, or unknown. */
export function buildWordPiece(config: Fields): VocabularyModel {
  const prefix = config.text('continuing_subword_prefix', '##');
  const maxCharacters = config.integer('max_input_chars_per_word', 100);
  const unknown = config.text('unk_token');
  const ids = vocabulary(config, unknown);
  const unknownId = ids.get(unknown)!;
  const first = tokenSearch(ids);
  const next = tokenSearch(ids, prefix);

  const pieces = (word: string): Piece[] => {
    const whole = [{ id: unknownId, token: unknown, start: 0, end: word.length }];
    if (word.length > maxCharacters && [...word].length > maxCharacters) return whole;
    const found: Piece[] = [];
    for (let start = 0; start < word.length; start = found.at(-1)!.end) {
      const token = (start > 0 ? next : first).longest(word, start);
      if (token === undefined) return whole;
      const { end, id } = token;
      found.push({ id, token: (start > 0 ? prefix : '') + word.slice(start, end), start, end });
    }
    return found;
  };
  return { ids, continuingSubwordPrefix: prefix, pieces };
}
