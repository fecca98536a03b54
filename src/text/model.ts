import { Fields } from '../json.ts';
import { buildBpe } from './bpe.ts';
import { build } from './component.ts';
import { TOKENIZER_FILE } from './json-files.ts';
import { buildUnigram } from './unigram.ts';
import type { Model, Piece } from './vocabulary.ts';
import { buildWordPiece } from './word-piece.ts';

const kinds: Record<string, (config: Fields) => Model> = {
  WordPiece: buildWordPiece,
  BPE: buildBpe,
  Unigram: buildUnigram,
};

/** The `model` of a tokenizer.json; in old files the type is missing and shows in the fields. */
export function buildModel(value: unknown): Model {
  const config = new Fields(value, 'model', TOKENIZER_FILE).json;
  const inferred = Array.isArray(config.vocab) ? 'Unigram' : 'merges' in config ? 'BPE' : 'WordPiece';
  return withCache(build({ ...config, type: config.type ?? inferred }, 'model', kinds));
}

/** Words seen before, within the bounds of the Rust tokenizers: 10,000 words of less than 256 units. */
function withCache(model: Model): Model {
  const cache = new Map<string, readonly Piece[]>();
  const pieces = (word: string) => {
    const known = cache.get(word);
    if (known !== undefined) return known;
    const found = model.pieces(word);
    if (word.length < 256) {
      if (cache.size >= 10_000) cache.clear();
      cache.set(word, found);
    }
    return found;
  };
  return { ...model, pieces };
}
