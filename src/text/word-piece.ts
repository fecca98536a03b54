import type { Fields } from '../json.ts';
import { type Piece, readVocabulary, tokenSearch, unknownId, type VocabularyModel } from './vocabulary.ts';

/**
 * WordPiece (google-research/bert, tokenization.py): again and again the longest token that fits; if none fits, the word is unknown.
 * As in Python, a vocabulary may lack the token for unknown words: then a word that needs it is an error, and every other text has its ids.
 */
export function buildWordPiece(config: Fields): VocabularyModel {
  const prefix = config.text('continuing_subword_prefix', '##');
  const maxCharacters = config.integer('max_input_chars_per_word', 100);
  const unknown = config.text('unk_token');
  const ids = readVocabulary(config);
  const starts = tokenSearch(ids);
  const continuations = tokenSearch(ids, prefix);

  const unknownWord = (word: string): Piece[] => [
    { id: unknownId(config, { ids, unknown, word }), token: unknown, start: 0, end: word.length },
  ];
  const pieces = (word: string): Piece[] => {
    if (word.length > maxCharacters && [...word].length > maxCharacters) return unknownWord(word);
    const pieces: Piece[] = [];
    for (let start = 0; start < word.length; start = pieces.at(-1)!.end) {
      const token = (start > 0 ? continuations : starts).longest(word, start);
      if (token === undefined) return unknownWord(word);
      const { end, id } = token;
      pieces.push({ id, token: (start > 0 ? prefix : '') + word.slice(start, end), start, end });
    }
    return pieces;
  };
  return { ids, continuingSubwordPrefix: prefix, pieces };
}
