import type { Fields } from '../json.ts';
import { readVocabulary, type VocabularyModel } from './vocabulary.ts';

/** A word is one token: its own if the vocabulary has it, else the one for unknown words. */
export function buildWordLevel(config: Fields): VocabularyModel {
  const ids = readVocabulary(config);
  const unknown = config.text('unk_token');
  return {
    ids,
    pieces: word => {
      const token = ids.has(word) ? word : unknown;
      const id = ids.get(token);
      if (id === undefined) {
        throw config.malformed(unknown, `a token of the vocabulary, for the word ${JSON.stringify(word)}`, 'unk_token');
      }
      return [{ id, token, start: 0, end: word.length }];
    },
  };
}
