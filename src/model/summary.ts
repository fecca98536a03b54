import { describe, oneOf, UnsupportedError } from '../errors.ts';
import type { Fields } from '../json.ts';
import type { Summary } from './encoder-config.ts';
import { ACTIVATIONS, type SummaryDefaults } from './family.ts';

/** By `summary_type`. `cls_index` without an index is the last token. */
const POOLINGS = { first: 'cls', mean: 'mean', last: 'last', cls_index: 'last' } as const;

/**
 * Reads `summary_type`, `summary_use_proj` and `summary_activation` of config.json. Throws UnsupportedError for a type or an activation
 * that is not supported, and for an activation without a dense layer. Python takes the last token, and the mean, of the row with its
 * padding; here they are those of the text.
 * Source: ElectraSequenceSummary and RoFormerSequenceSummary of transformers.
 */
export function summaryOf(fields: Fields, missing: SummaryDefaults): Summary {
  const types = Object.keys(POOLINGS) as (keyof typeof POOLINGS)[];
  const type = fields.text('summary_type', missing.type);
  const dense = fields.flag('summary_use_proj', missing.dense);
  // null is none, an absent field the default.
  const name: unknown =
    'summary_activation' in fields.json ? (fields.json.summary_activation ?? undefined) : missing.activation;
  if (name !== undefined && !dense) {
    throw new UnsupportedError({
      what: '"summary_activation" of config.json is not supported without a dense layer',
      actual: `${describe(name)}, with "summary_use_proj" false`,
      supported: ['"summary_use_proj" true', '"summary_activation" null'],
      next: 'Take a checkpoint for multiple choice that was trained with a dense layer in its summary.',
    });
  }
  return {
    pooling: POOLINGS[oneOf<string>('"summary_type" of config.json', type, types) as keyof typeof POOLINGS],
    dense,
    activation:
      name === undefined
        ? undefined
        : ACTIVATIONS[oneOf('"summary_activation" of config.json', name, Object.keys(ACTIVATIONS)) as string],
  };
}
