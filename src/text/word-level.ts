import type { Fields } from '../json.ts';
import { readVocabulary, unknownId, type VocabularyModel } from './vocabulary.ts';

/** A word is one token: its own if the vocabulary has it, else the one for unknown words. */
export function buildWordLevel(config: Fields): VocabularyModel {
  const ids = readVocabulary(config);
  const unknown = config.text('unk_token');
  return {
    ids,
    pieces: word => {
      const id = ids.get(word);
      if (id !== undefined) return [{ id, token: word, start: 0, end: word.length }];
      return [{ id: unknownId(config, { ids, unknown, word }), token: unknown, start: 0, end: word.length }];
    },
  };
}
