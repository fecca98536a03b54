import { FAMILIES } from '../src/model/families/index.ts';
import type { FieldName } from '../src/model/family.ts';

/** A whole number from `least` to `most`, both included. */
export type Pick = (least: number, most: number) => number;

/** Fields beyond those that every family has. */
type MoreFields = (
  pick: Pick,
  sizes: { readonly layers: number; readonly headSize: number; readonly heads: number },
) => object;

/** What is drawn for a family beside its sizes. A family without a row has nothing more to draw. */
const MORE_FIELDS: Readonly<Record<string, MoreFields>> = {
  electra: pick => ({ embedding_size: pick(5, 40) }),
  albert: (pick, { layers }) => ({ embedding_size: pick(5, 40), num_hidden_groups: pick(1, layers) }),
  mpnet: pick => ({ relative_attention_num_buckets: 2 * pick(4, 16) }),
  ernie: pick => ({ use_task_id: pick(0, 1) === 1 }),
  modernbert: pick => ({
    local_attention: pick(0, 40),
    global_attn_every_n_layers: pick(1, 3),
    norm_bias: pick(0, 1) === 1,
    attention_bias: pick(0, 1) === 1,
    mlp_bias: pick(0, 1) === 1,
    classifier_pooling: pick(0, 1) ? 'mean' : 'cls',
  }),
};

/** Activations by the spellings of config.json. */
const ACTIVATIONS = ['gelu', 'gelu_new', 'relu', 'silu'];

/** Marsaglia's xorshift of 32 bits (Journal of Statistical Software 8, 14), which the text of a seed starts. */
export function picker(seed: string): Pick {
  let state = 0x9e3779b9;
  const step = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  for (const character of seed) {
    state ^= character.charCodeAt(0);
    step();
  }
  return (least, most) => least + Math.floor((step() / 2 ** 32) * (most - least + 1));
}

/** A config.json of a family in a shape that nobody trains: few layers, heads of odd halves, rows that need padding. */
export function drawnConfig(modelType: string, draw: number): Record<string, unknown> {
  const { fields = {} } = FAMILIES[modelType]!;
  const pick = picker(`${modelType} ${draw}`);
  const named = (name: FieldName): string => [fields[name] ?? name].flat()[0]!;
  const layers = pick(1, 3);
  const heads = pick(1, 4);
  // Columns of a head turn in pairs.
  const headSize = 2 * pick(2, 9);
  return {
    model_type: modelType,
    [named('vocab_size')]: pick(40, 300),
    [named('hidden_size')]: heads * headSize,
    [named('num_attention_heads')]: heads,
    [named('num_hidden_layers')]: layers,
    [named('intermediate_size')]: pick(8, 90),
    [named('max_position_embeddings')]: 90,
    [named('hidden_act')]: ACTIVATIONS[pick(0, ACTIVATIONS.length - 1)],
    ...MORE_FIELDS[modelType]?.(pick, { layers, headSize, heads }),
  };
}
