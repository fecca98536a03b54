import { oneOf } from '../errors.ts';
import { type Fields, isText } from '../json.ts';

/** The kinds of attention by the names that `layer_types` has for them. */
const KINDS = ['full_attention', 'sliding_attention'] as const;
export type AttentionKind = (typeof KINDS)[number];

/**
 * The kind of every layer: `layer_types` of config.json, or what `missing` says of layer i. Throws CheckpointError where the list has
 * not an entry for each layer, UnsupportedError for another kind.
 */
export function attentionKinds(fields: Fields, layers: number, missing: (i: number) => AttentionKind): AttentionKind[] {
  if (!fields.has('layer_types')) return Array.from({ length: layers }, (_, i) => missing(i));
  const types = fields.list('layer_types');
  if (types.length !== layers) throw fields.malformed(types, `a list of ${layers}, one for each layer`, 'layer_types');
  return types.map(type => oneOf('"layer_types" of config.json', isText(type) ? type : String(type), KINDS));
}
