import type { Json } from '../json.ts';

/** A special token and its id. */
export type NumberedToken = readonly [content: string, id: number];

/** The place of a text, or of its pair, in a template. */
export const textPiece = (id: 'A' | 'B'): Json => ({ Sequence: { id, type_id: id === 'A' ? 0 : 1 } });

/** A special token in a template. */
export const tokenPiece = ([id]: NumberedToken, type_id: number): Json => ({ SpecialToken: { id, type_id } });

/** The `post_processor` of a tokenizer.json that puts special tokens around a text, and a text and its pair, as the pieces say. */
export const templateProcessing = (single: Json[], pair: Json[], tokens: readonly NumberedToken[]): Json => ({
  type: 'TemplateProcessing',
  single,
  pair,
  special_tokens: Object.fromEntries(tokens.map(([id, number]) => [id, { id, ids: [number], tokens: [id] }])),
});
