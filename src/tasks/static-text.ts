import type { StaticTable } from '../model/index.ts';
import type { Encoding, TextTokenizer } from '../text/index.ts';

/** The tokens of a text, or of one window of it, as a static model reads them. */
export interface StaticWindow extends Pick<Encoding, 'ids' | 'tokens' | 'typeIds' | 'truncated'> {
  /** Tokens at the start that no pooling reads: the one that stands for a text without tokens, whose row is zero. */
  readonly unpooled: 0 | 1;
}

/** How a static model reads texts. */
export interface StaticReading {
  readonly table: StaticTable;
  readonly tokenizer: TextTokenizer;
  /** The most tokens that are read of a text, for model2vec. */
  readonly maxPositions: number;
  /** The encodings of a text without special tokens, of at most so many tokens. */
  encode(text: string, maxLength: number): readonly Encoding[];
  /** Whether all of a text is run, in windows. */
  readonly hasWindows: boolean;
}

/**
 * A function that gives the windows of a text, at least one. No special token is added.
 *
 * model2vec drops unknown tokens, and reads of a text no more than `max_length` tokens, nor more than `max_length` times the median
 * length of a token in characters, which it cuts before it tokenises (model2vec 0.10, model.py). sentence-transformers keeps unknown
 * tokens and cuts where tokenizer.json says (StaticEmbedding).
 */
export function staticWindows(reading: StaticReading): (text: string) => readonly StaticWindow[] {
  const { table, tokenizer, maxPositions, encode, hasWindows } = reading;
  const isModel2vec = table.library === 'model2vec';
  const maxLength = isModel2vec ? maxPositions : tokenizer.truncationLength;
  const droppedId = isModel2vec ? tokenizer.unknownId : undefined;
  const isCut = isModel2vec && !hasWindows && Number.isFinite(maxLength);
  const maxCharacters = isCut ? maxLength * medianTokenLength(tokenizer) : Number.POSITIVE_INFINITY;
  return text => {
    const read = firstCharacters(text, maxCharacters);
    const windows = encode(read, maxLength).map(({ ids, tokens, typeIds, truncated }): StaticWindow => {
      const isKept = (_: unknown, i: number) => ids[i] !== droppedId;
      return {
        ids: ids.filter(isKept),
        tokens: tokens.filter(isKept),
        typeIds: typeIds.filter(isKept),
        truncated: truncated || read !== text,
        unpooled: 0,
      };
    });
    const full = windows.filter(({ ids }) => ids.length > 0);
    return full.length > 0 ? full : [{ ...windows[0]!, ids: [0], tokens: [''], typeIds: [0], unpooled: 1 }];
  };
}

/** The first characters (code points) of a text. */
function firstCharacters(text: string, count: number): string {
  // A character has one or two units.
  if (text.length <= count) return text;
  const cut = Array.from(text.slice(0, 2 * count));
  return cut.length <= count && text.length <= 2 * count ? text : cut.slice(0, count).join('');
}

/** The median of the tokens' lengths in code points, rounded down. */
function medianTokenLength({ vocabulary }: TextTokenizer): number {
  const lengths = Array.from(vocabulary, token => Array.from(token).length).sort((a, b) => a - b);
  const middle = lengths.length / 2;
  return Math.floor((lengths[Math.ceil(middle) - 1]! + lengths[Math.floor(middle)]!) / 2);
}
