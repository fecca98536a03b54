import { InputError } from '../errors.ts';
import type { Encoding } from '../text/index.ts';
import type { Limits } from './tokenize-call.ts';

interface PaddingOptions extends Pick<Limits, 'padding' | 'maxLength' | 'multiple'> {
  readonly side: 'left' | 'right';
  /** Whether the tokenizer has a token to pad with. */
  readonly canPad: boolean;
}

/** The encodings of a batch of texts as rows of equal length, where padding is asked for. */
export class PaddedBatch {
  readonly encodings: readonly Encoding[];
  /** The length of each row, padding included. */
  readonly lengths: readonly number[];
  readonly #side: 'left' | 'right';

  /** @throws InputError if a row must be padded and the tokenizer has no token for that */
  constructor(encodings: readonly Encoding[], { padding, maxLength, multiple, side, canPad }: PaddingOptions) {
    const longest = encodings.reduce(
      (longest, { ids }) => Math.max(longest, ids.length),
      padding === 'max_length' ? maxLength : 0,
    );
    const paddedLength = padding === false ? 0 : Math.ceil(longest / multiple) * multiple;
    if (!canPad && encodings.some(({ ids }) => ids.length < paddedLength)) {
      throw new InputError({ what: 'this tokenizer has no token to pad with', next: 'Encode the texts one by one.' });
    }
    this.encodings = encodings;
    this.lengths = encodings.map(({ ids }) => Math.max(ids.length, paddedLength));
    this.#side = side;
  }

  /** One value for each token of a row, with a filler for each token of padding. */
  row<T>(index: number, filler: T, valuesOf: (encoding: Encoding) => readonly T[]): T[] {
    const values = valuesOf(this.encodings[index]!);
    const filling = new Array<T>(this.lengths[index]! - values.length).fill(filler);
    return this.#side === 'left' ? [...filling, ...values] : [...values, ...filling];
  }

  rows<T>(filler: T, valuesOf: (encoding: Encoding) => readonly T[]): T[][] {
    return this.encodings.map((_, index) => this.row(index, filler, valuesOf));
  }
}
