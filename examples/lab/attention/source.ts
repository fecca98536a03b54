import { PATTERNS, patternScores, patternText } from './patterns.ts';
import { thumbnailOf, thumbnailSide, writeThumbnail } from './thumbnails.ts';
import type { AttentionToken, AttentionView, Guess } from './types.ts';

/** Longer texts are cut in the overview: 384 heads at 256 tokens are 101 MB, and a picture has 48 pixels. */
export const MOST_TOKENS = 256;

/** Attention of at most so many bytes is read in one call, and kept for the large head. */
const MOST_BYTES = 32e6;

/** The tokens of a text, and what the model is given for them. */
export interface AttentionInput {
  readonly ids: readonly number[];
  readonly typeIds: readonly number[];
  readonly tokens: readonly AttentionToken[];
  /** How many tokens the whole text has. */
  readonly wholeLength: number;
}

/** A model whose attention can be read (model-source.ts makes one of a loaded model). */
export interface AttentionSource {
  readonly name: string;
  readonly layers: number;
  readonly heads: number;
  /** The id of the mask; undefined where the tokenizer has none. */
  readonly maskId: number | undefined;
  tokenize(text: string, pair: string | undefined, mostTokens: number): AttentionInput;
  /** The attention [heads, L, L] of the layers asked for; of the tokens in `guess` the likeliest words, where there is a masked-LM head. */
  run(
    input: AttentionInput,
    layers: readonly number[],
    options: { guess: readonly number[]; signal: AbortSignal | undefined },
  ): Promise<{ maps: Float32Array[]; guesses: ReadonlyMap<number, readonly Guess[]> }>;
}

export interface ReadOptions {
  readonly pair?: string | undefined;
  /** The indices of tokens that the model is given the mask for. */
  readonly masked?: readonly number[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The tokens with some of them masked. Added tokens, and tokens that are not there, stay as they are. */
function withMasks(input: AttentionInput, masked: readonly number[], maskId: number | undefined): AttentionInput {
  const wanted = new Set(maskId === undefined ? [] : masked.filter(i => input.tokens[i]?.word != null));
  if (wanted.size === 0) return input;
  return {
    ...input,
    ids: input.ids.map((id, i) => (wanted.has(i) ? maskId! : id)),
    tokens: input.tokens.map((token, i) => (wanted.has(i) ? { ...token, isMasked: true } : token)),
  };
}

/** Reads the attention of all heads, some layers at a time, so that memory stays bounded. Rejects with the model's error or the signal's reason. */
export async function readAttention(
  source: AttentionSource,
  text: string,
  { pair, masked = [], signal }: ReadOptions = {},
): Promise<AttentionView> {
  const input = withMasks(source.tokenize(text, pair, MOST_TOKENS), masked, source.maskId);
  const { tokens } = input;
  const { layers, heads, name } = source;
  const L = tokens.length;
  const layerBytes = heads * L * L * 4;
  const atOnce = Math.max(1, Math.min(layers, Math.floor(MOST_BYTES / layerBytes)));
  const side = thumbnailSide(L);
  const scores = new Float32Array(layers * heads * PATTERNS.length);
  const thumbnails = { side, data: new Uint8Array(layers * heads * side * side) };
  const facts = patternText(tokens);
  const kept = new Map<number, Float32Array>();
  let guesses: ReadonlyMap<number, readonly Guess[]> = new Map();
  const guess = [...tokens.keys()].filter(i => tokens[i]!.isMasked);
  for (let first = 0; first < layers; first += atOnce) {
    const wanted = layersFrom(first, Math.min(atOnce, layers - first));
    const answer = await source.run(input, wanted, { guess: first === 0 ? guess : [], signal });
    if (first === 0) guesses = answer.guesses;
    for (const [k, layer] of wanted.entries()) {
      const maps = answer.maps[k]!;
      for (let head = 0; head < heads; head++) {
        const index = layer * heads + head;
        const map = headOf(maps, head, L);
        scores.set(patternScores(map, facts), index * PATTERNS.length);
        writeThumbnail(map, L, thumbnailOf(thumbnails, index));
      }
      if (atOnce === layers) kept.set(layer, maps);
    }
  }
  return {
    name,
    text,
    pair,
    tokens,
    layers,
    heads,
    scores,
    thumbnails,
    guesses,
    cutFrom: input.wholeLength > L ? input.wholeLength : undefined,
    async map(layer, head, mapSignal) {
      let maps = kept.get(layer);
      if (!maps) {
        // Of a long text one layer is kept: heads that are looked at one after the other are often neighbours.
        [maps] = (await source.run(input, [layer], { guess: [], signal: mapSignal })).maps;
        kept.clear();
        kept.set(layer, maps!);
      }
      return headOf(maps!, head, L);
    },
  };
}

const layersFrom = (first: number, count: number): number[] => Array.from({ length: count }, (_, k) => first + k);

const headOf = (maps: Float32Array, head: number, length: number): Float32Array =>
  maps.subarray(head * length * length, (head + 1) * length * length);
