/**
 * Text to token ids and back: the tokenizer of a checkpoint, with character offsets, truncation and windows. `api` and `tasks` import it.
 * It never knows a model, a GPU, or where its files came from.
 */

export { withOlderFiles } from './added-vocabulary.ts';
export { type AlignedText, slice } from './aligned-text.ts';
export { cleanUp } from './decoder.ts';
export type { Encoding } from './encoding.ts';
export { type EncodeOptions, type TextInput, TextTokenizer } from './text-tokenizer.ts';
export { classNameOf, ROLES, tokenizerClassOf, VOCABULARY_CLASSES } from './tokenizer-class.ts';
export { fromVocabularyFiles, slowConfig, vocabularyFileNames } from './vocabulary-files.ts';
export type { TruncationSide, TruncationStrategy } from './windows.ts';
