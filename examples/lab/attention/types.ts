/** What <bert-attention> shows: the attention of every head of a model on one text, or on a text and its pair. */

export interface AttentionToken {
  /** The piece of the text, or for a token that the tokenizer added its name: "[CLS]". */
  readonly text: string;
  /** 0 in the text, 1 in its pair; null for a token that the tokenizer added. */
  readonly segment: 0 | 1 | null;
  /** Of an added token: whether it opens the sequence ([CLS], <s>) or ends a text ([SEP], </s>). */
  readonly special?: 'start' | 'end' | undefined;
  /** The number of its word in the sequence; null for an added token. Pieces of one word share it. */
  readonly word: number | null;
  /** The whole word, in lower case; '' for an added token. */
  readonly wordText: string;
  /** Whether the model was given the mask in its place. */
  readonly isMasked?: boolean | undefined;
}

/** Small pictures of all heads: `side` rows and columns each, the square root of the attention in 0..255, layer by layer. */
export interface Thumbnails {
  readonly side: number;
  /** [layers x heads, side, side] */
  readonly data: Uint8Array;
}

export interface Guess {
  readonly text: string;
  /** Probability, 0 to 1. */
  readonly score: number;
}

export interface AttentionView {
  /** The model's name. */
  readonly name: string;
  readonly text: string;
  readonly pair?: string | undefined;
  readonly tokens: readonly AttentionToken[];
  readonly layers: number;
  /** Heads in each layer. */
  readonly heads: number;
  /** [layers x heads, PATTERNS.length] (patterns.ts), each 0 to 1. */
  readonly scores: Float32Array;
  readonly thumbnails: Thumbnails;
  /** What a masked-LM head guesses for a masked token, by the token's index; empty where there is no such head. */
  readonly guesses: ReadonlyMap<number, readonly Guess[]>;
  /** How many tokens the text has, where more than are shown. */
  readonly cutFrom?: number | undefined;
  /** The attention of one head, [L, L]: row i holds what token i attends to, and sums to 1. */
  map(layer: number, head: number, signal?: AbortSignal): Promise<Float32Array>;
}
