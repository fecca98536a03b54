import { Fields } from '../json.ts';
import { buildBpe } from './bpe.ts';
import { build } from './component.ts';
import { TOKENIZER_FILE } from './json-files.ts';
import { buildUnigram } from './unigram.ts';
import type { Piece, VocabularyModel } from './vocabulary.ts';
import { buildWordLevel } from './word-level.ts';
import { buildWordPiece } from './word-piece.ts';

const MODELS: Record<string, (config: Fields) => VocabularyModel> = {
  WordPiece: buildWordPiece,
  WordLevel: buildWordLevel,
  BPE: buildBpe,
  Unigram: buildUnigram,
};

/** The `model` of a tokenizer.json. Old files have no type: it is inferred from the other fields. */
export function buildVocabularyModel(value: unknown): VocabularyModel {
  const { json } = new Fields(value, 'model', TOKENIZER_FILE);
  const inferredType = Array.isArray(json.vocab) ? 'Unigram' : 'merges' in json ? 'BPE' : 'WordPiece';
  return withCache(build({ ...json, type: json.type ?? inferredType }, 'model', MODELS));
}

/** The limits of the Rust tokenizers' cache. */
const MAX_CACHED_WORDS = 10_000;
const CACHED_LENGTH = 256;

/** A model that remembers the pieces of words. */
function withCache(model: VocabularyModel): VocabularyModel {
  const cache = new Map<string, readonly Piece[]>();
  const pieces = (word: string) => {
    const cached = cache.get(word);
    if (cached !== undefined) return cached;
    const computed = model.pieces(word);
    if (word.length < CACHED_LENGTH) {
      if (cache.size >= MAX_CACHED_WORDS) cache.clear();
      cache.set(word, computed);
    }
    return computed;
  };
  return { ...model, pieces };
}
