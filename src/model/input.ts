import { InputError } from '../errors.ts';
import type { Sequence } from '../plan/index.ts';
import type { EncoderConfig } from './config.ts';

/** Tokens as a caller gives them: any numbers, none checked. */
export interface RawSequence {
  readonly ids: readonly number[];
  /** Segments; 0 for every token where missing. */
  readonly types?: readonly number[] | undefined;
  /** Rows of the position table; those of `positionsOf` where missing. */
  readonly positions?: readonly number[] | undefined;
  /** Where the tokens stood in their padded row; 0, 1, 2, ... where missing. */
  readonly places?: readonly number[] | undefined;
  /** Tokens that a head is wanted for alone, by their places in `ids`. */
  readonly masked?: readonly number[] | undefined;
  /** How many tokens at the start are left out where the sequence is pooled. */
  readonly unpooled?: number | undefined;
}

/**
 * A sequence that the kernels can take as it is: every number is an index into its table. Throws InputError otherwise, so that
 * nothing is ever read past the end of a table.
 */
export function checkSequence(
  config: EncoderConfig,
  { ids, types, positions, places: rows, masked, unpooled }: RawSequence,
): Sequence {
  if (ids.length === 0) {
    throw new InputError({
      what: 'a sequence has no tokens',
      actual: '0 tokens',
      expected: 'at least 1',
      next: 'Tokenise with special tokens, or leave the sequence out.',
    });
  }
  const { vocabSize, typeVocabSize, maxPositions, positionOffset } = config;
  const places = positions ?? positionsOf(config, ids);
  const segments = types ?? new Uint8Array(ids.length);
  within(ids, vocabSize, 'token id', 'Use the tokenizer that belongs to this model.');
  // A model without segments ignores them, as Python's does not take them at all.
  if (typeVocabSize > 0)
    within(segments, typeVocabSize, 'token type id', 'Leave token_type_ids out if the model has none.');
  within(
    places,
    maxPositions + positionOffset,
    'position',
    `This model takes at most ${maxPositions} tokens: truncate the text, or split it.`,
  );
  if (segments.length !== ids.length || places.length !== ids.length) {
    throw new InputError({
      what: 'the ids, token types and positions of a sequence differ in number',
      actual: `${ids.length}, ${segments.length} and ${places.length}`,
      expected: 'the same number of each',
    });
  }
  return { ids, types: segments, positions: places, places: rows, masked, unpooled };
}

/**
 * The rows of the position table that the tokens of one row take: 0, 1, 2, ...; in fairseq's models the count of tokens that are
 * no padding, from the padding's id + 1 on, and the padding's id for padding (transformers' create_position_ids_from_input_ids).
 */
export function positionsOf({ positionOffset, padTokenId }: EncoderConfig, ids: readonly number[]): number[] {
  if (positionOffset === 0) return Array.from(ids.keys());
  let count = 0;
  return ids.map(id => (id === padTokenId ? padTokenId : positionOffset + count++));
}

function within(values: ArrayLike<number>, limit: number, noun: string, next: string): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (Number.isInteger(value) && value >= 0 && value < limit) continue;
    throw new InputError({
      what: `a ${noun} is not one of the model's`,
      actual: `${value} (at ${i} of ${values.length})`,
      expected: `a whole number from 0 to ${limit - 1}`,
      next,
    });
  }
}
