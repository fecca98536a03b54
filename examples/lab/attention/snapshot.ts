import { PATTERNS, patternScores, patternText } from './patterns.ts';
import { attentionOf, levelOf, thumbnailOf, thumbnailSide, writeThumbnail } from './thumbnails.ts';
import type { AttentionToken, AttentionView } from './types.ts';

/**
 * A view as JSON: what the export writes, and what the page shows in its first second. The attention is in 256 levels, the square root
 * of each number as one byte, in base64.
 */
export interface Snapshot {
  readonly kind: 'bert-attention';
  readonly model: string;
  readonly text: string;
  readonly pair?: string | undefined;
  readonly layers: number;
  readonly heads: number;
  readonly tokens: readonly AttentionToken[];
  /** Base64 of bytes [layers, heads, L, L]: 255 times the square root of the attention. */
  readonly attention: string;
}

const bytesOf = (base64: string): Uint8Array => Uint8Array.from(atob(base64), character => character.charCodeAt(0));

function base64Of(bytes: Uint8Array): string {
  let text = '';
  // The arguments of a call are limited in number.
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

/** Reads every head of a view. */
export async function snapshotOf(view: AttentionView, signal?: AbortSignal): Promise<Snapshot> {
  const { name: model, text, pair, layers, heads, tokens } = view;
  const area = tokens.length ** 2;
  const levels = new Uint8Array(layers * heads * area);
  for (let layer = 0; layer < layers; layer++) {
    for (let head = 0; head < heads; head++) {
      const map = await view.map(layer, head, signal);
      levels.set(Uint8Array.from(map, levelOf), (layer * heads + head) * area);
    }
  }
  return { kind: 'bert-attention', model, text, pair, layers, heads, tokens, attention: base64Of(levels) };
}

/** Throws where it is none, or does not hold what it says. */
export function viewOfSnapshot(snapshot: Snapshot): AttentionView {
  const { kind, model, layers, heads, tokens, attention } = snapshot;
  const L = tokens.length;
  const levels = bytesOf(attention);
  if (kind !== 'bert-attention' || levels.length !== layers * heads * L * L) {
    throw new Error(`a snapshot of ${layers} x ${heads} heads and ${L} tokens has ${levels.length} numbers`);
  }
  const mapOf = (index: number) => Float32Array.from(levels.subarray(index * L * L, (index + 1) * L * L), attentionOf);
  const side = thumbnailSide(L);
  const count = layers * heads;
  const scores = new Float32Array(count * PATTERNS.length);
  const thumbnails = { side, data: new Uint8Array(count * side * side) };
  const facts = patternText(tokens);
  for (let index = 0; index < count; index++) {
    const map = mapOf(index);
    scores.set(patternScores(map, facts), index * PATTERNS.length);
    writeThumbnail(map, L, thumbnailOf(thumbnails, index));
  }
  return {
    name: model,
    text: snapshot.text,
    pair: snapshot.pair,
    tokens,
    layers,
    heads,
    scores,
    thumbnails,
    guesses: new Map(),
    map: async (layer, head) => mapOf(layer * heads + head),
  };
}
