import { InputError } from '../errors.ts';
import type { Sequence, TokenDropout } from '../plan/index.ts';
import type { EncoderConfig } from './encoder-config.ts';

/** Tokens as a caller gives them. No number is checked yet. */
export interface RawSequence {
  readonly ids: readonly number[];
  /** Segments. Default: 0 for every token. */
  readonly types?: readonly number[] | undefined;
  /** Rows of the position table. Default: those of `positionsOf`. */
  readonly positions?: readonly number[] | undefined;
  /** The places of the tokens in their padded row. Default: 0, 1, 2, ... */
  readonly places?: readonly number[] | undefined;
  /** The tokens that a head is computed for, where it is not computed for all: their indices in `ids`. */
  readonly masked?: readonly number[] | undefined;
  /** How many tokens at the start a pooling leaves out. */
  readonly unpooled?: number | undefined;
  /** How many tokens at the start no token attends to. Attention probabilities cannot be asked for then. */
  readonly unattended?: number | undefined;
}

/** Checks that every number is an index into its table, so that no kernel reads past the end of one. Throws InputError. */
export function checkSequence(
  config: EncoderConfig,
  { ids, types, positions, places, masked, unpooled, unattended }: RawSequence,
): Sequence {
  if (ids.length === 0) {
    throw new InputError({
      what: 'a sequence has no tokens',
      actual: '0 tokens',
      expected: 'at least 1',
      next: 'Tokenise with special tokens, or leave the sequence out.',
    });
  }
  const { vocabSize, typeVocabSize, sharesOneType, maxPositions, positionOffset } = config;
  const positionRows = positions ?? positionsOf(config, ids);
  const given = types ?? new Uint8Array(ids.length);
  const segments = sharesOneType ? new Uint8Array(given.length) : given;
  checkIndices(ids, vocabSize, 'token id', 'Use the tokenizer that belongs to this model.');
  // A model without segments ignores them; in Python such a model does not take them at all.
  if (typeVocabSize > 0) {
    checkIndices(
      segments,
      typeVocabSize,
      'token type id',
      'Leave token_type_ids out, or use the tokenizer that belongs to this model.',
    );
  }
  checkIndices(
    positionRows,
    maxPositions + positionOffset,
    'position',
    `This model takes at most ${maxPositions} tokens: truncate the text, or split it.`,
  );
  if (segments.length !== ids.length || positionRows.length !== ids.length) {
    throw new InputError({
      what: 'the ids, token types and positions of a sequence differ in number',
      actual: `${ids.length}, ${segments.length} and ${positionRows.length}`,
      expected: 'the same number of each',
    });
  }
  const wordFactors = config.tokenDropout && dropoutFactors(config.tokenDropout, ids);
  return { ids, types: segments, positions: positionRows, wordFactors, places, masked, unpooled, unattended };
}

/** See TokenDropout. */
function dropoutFactors({ token, share }: TokenDropout, ids: readonly number[]): number[] {
  const dropped = ids.filter(id => id === token).length;
  const kept = (1 - share) / (1 - dropped / ids.length);
  return ids.map(id => (id === token ? 0 : kept));
}

/**
 * The rows of the position table for the tokens of one row: 0, 1, 2, ... In fairseq's models tokens that are no padding count from the
 * padding's id + 1, and padding has the padding's id (transformers' create_position_ids_from_input_ids).
 */
export function positionsOf({ positionOffset, padTokenId }: EncoderConfig, ids: readonly number[]): number[] {
  if (positionOffset === 0) return Array.from(ids.keys());
  let count = 0;
  return ids.map(id => (id === padTokenId ? padTokenId : positionOffset + count++));
}

function checkIndices(values: ArrayLike<number>, limit: number, noun: string, next: string): void {
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
