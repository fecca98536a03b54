import { safetensors, type TensorBytes } from '../tests/checkpoint-bytes.ts';
import * as reference from '../tests/reference.ts';
import { random } from './dispatch.ts';

/** A BERT of any shape: the fields of its config.json. */
export interface BertShape {
  vocab_size: number;
  hidden_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  intermediate_size: number;
  hidden_act: string;
  max_position_embeddings: number;
  type_vocab_size: number;
}

/** A small model of columns, heads and words that no tile divides. */
export const UNEVEN_SHAPE: BertShape = {
  vocab_size: 1003,
  hidden_size: 40,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  intermediate_size: 72,
  hidden_act: 'gelu',
  max_position_embeddings: 32,
  type_vocab_size: 2,
};

export type StoredAs = 'F32' | 'F16' | 'BF16';
type Weights = ReadonlyMap<string, { shape: number[]; values: Float32Array }>;

export interface RandomBert {
  config: BertShape;
  /** As the file holds them: of F16 and BF16 the rounded values. */
  weights: Weights;
  /** The files of the model, by name. */
  files: Record<string, Uint8Array<ArrayBuffer>>;
}

const EPS = 1e-12;
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

/** The bytes of numbers in a type of safetensors, each cut (not rounded) to it, and the numbers that these bytes mean. */
function store(values: Float32Array<ArrayBuffer>, as: StoredAs): { bytes: Uint8Array; values: Float32Array } {
  if (as === 'F32') return { bytes: new Uint8Array(values.buffer), values };
  const bits = new Uint32Array(values.buffer);
  if (as === 'BF16') {
    const bytes = new Uint8Array(Uint16Array.from(bits, b => b >>> 16).buffer);
    return { bytes, values: new Float32Array(bits.map(b => (b & 0xffff0000) >>> 0).buffer) };
  }
  const halves = Uint16Array.from(bits, b => {
    const sign = (b >>> 16) & 0x8000;
    const exponent = ((b >>> 23) & 0xff) - 127 + 15;
    if (exponent >= 31) throw new Error('a random weight is too large for float16');
    // Below the smallest normal number: zero.
    return exponent <= 0 ? sign : sign | (exponent << 10) | ((b >>> 13) & 0x3ff);
  });
  const decoded = Float32Array.from(halves, h => {
    const size = h & 0x7fff ? 2 ** (((h >>> 10) & 31) - 15) * (1 + (h & 0x3ff) / 1024) : 0;
    return h & 0x8000 ? -size : size;
  });
  return { bytes: new Uint8Array(halves.buffer), values: decoded };
}

/** A BERT with random weights, in as many files as `shards`; `prefix` stands before the names, as in models with a head. */
export function randomBert(
  config: BertShape,
  {
    seed,
    as,
    shards = 1,
    prefix = '',
    pooler = true,
  }: { seed: number; as: StoredAs; shards?: number; prefix?: string; pooler?: boolean },
): RandomBert {
  const make = random(seed);
  const { hidden_size: C, intermediate_size: F } = config;
  const weights = new Map<string, { shape: number[]; values: Float32Array }>();
  const tensors: Record<string, TensorBytes> = {};
  const add = (name: string, shape: number[], scale: number, center = 0) => {
    const count = shape.reduce((a, b) => a * b);
    const { bytes, values } = store(
      make(count, scale).map(v => v + center),
      as,
    );
    weights.set(name, { shape, values });
    tensors[prefix + name] = { dtype: as, shape, bytes };
  };
  const linear = (name: string, N: number, K: number) => {
    add(`${name}.weight`, [N, K], 1 / Math.sqrt(K));
    add(`${name}.bias`, [N], 0.2);
  };
  const norm = (name: string) => {
    add(`${name}.weight`, [C], 0.2, 1);
    add(`${name}.bias`, [C], 0.2);
  };
  add('embeddings.word_embeddings.weight', [config.vocab_size, C], 0.5);
  add('embeddings.position_embeddings.weight', [config.max_position_embeddings, C], 0.5);
  add('embeddings.token_type_embeddings.weight', [config.type_vocab_size, C], 0.5);
  norm('embeddings.LayerNorm');
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const layer = `encoder.layer.${i}`;
    for (const part of ['query', 'key', 'value']) linear(`${layer}.attention.self.${part}`, C, C);
    linear(`${layer}.attention.output.dense`, C, C);
    norm(`${layer}.attention.output.LayerNorm`);
    linear(`${layer}.intermediate.dense`, F, C);
    linear(`${layer}.output.dense`, C, F);
    norm(`${layer}.output.LayerNorm`);
  }
  if (pooler) linear('pooler.dense', C, C);
  const raw = { model_type: 'bert', layer_norm_eps: EPS, ...config };
  return { config, weights, files: { 'config.json': json(raw), ...inFiles(tensors, shards) } };
}

function inFiles(tensors: Record<string, TensorBytes>, shards: number): Record<string, Uint8Array<ArrayBuffer>> {
  if (shards === 1) return { 'model.safetensors': safetensors(tensors) };
  const entries = Object.entries(tensors);
  const files: Record<string, Uint8Array<ArrayBuffer>> = {};
  const weight_map: Record<string, string> = {};
  for (let i = 0; i < shards; i++) {
    const mine = entries.filter((_, at) => at % shards === i);
    const file = `model-0000${i + 1}-of-0000${shards}.safetensors`;
    files[file] = safetensors(Object.fromEntries(mine));
    for (const [name] of mine) weight_map[name] = file;
  }
  const total_size = entries.reduce((sum, [, { bytes }]) => sum + bytes.length, 0);
  return { ...files, 'model.safetensors.index.json': json({ metadata: { total_size }, weight_map }) };
}

export interface Tokens {
  ids: readonly number[];
  types: readonly number[];
  positions: readonly number[];
}

/** The forward pass of BERT over one sequence, in float64, from the twins of the kernels: nothing of src/ is used. */
export function forward({ config, weights }: RandomBert, { ids, types, positions }: Tokens) {
  const { hidden_size: C, num_attention_heads: H, intermediate_size: F } = config;
  const D = C / H;
  const L = ids.length;
  const get = (name: string) => {
    const found = weights.get(name);
    if (!found) throw new Error(`no weight ${name}`);
    return found.values;
  };
  const linear = (x: Float64Array, name: string, K: number, N: number, activation?: string, residual?: Float64Array) =>
    reference.linear(x, get(`${name}.weight`), {
      K,
      N,
      bias: get(`${name}.bias`),
      ...(activation && { activation }),
      ...(residual && { residual }),
    });
  const norm = (x: Float64Array, name: string) =>
    reference.layerNorm(x, get(`${name}.weight`), get(`${name}.bias`), EPS);
  const table = (name: string, rows: readonly number[]) => [get(`embeddings.${name}_embeddings.weight`), rows] as const;

  const sum = reference.embed([table('word', ids), table('position', positions), table('token_type', types)], C);
  let x = norm(sum, 'embeddings.LayerNorm');
  const hiddenStates = [x];
  const attentions: Float64Array[] = [];
  const activation = { gelu_new: 'gelu_tanh', swish: 'silu' }[config.hidden_act] ?? config.hidden_act;
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const layer = `encoder.layer.${i}`;
    const parts = ['query', 'key', 'value'].map(part => linear(x, `${layer}.attention.self.${part}`, C, C));
    const qkv = new Float64Array(3 * L * C);
    for (const [p, part] of parts.entries())
      for (let t = 0; t < L; t++) qkv.set(part.subarray(t * C, (t + 1) * C), (3 * t + p) * C);
    const { context, probabilities } = reference.attention(qkv, [L], { H, D });
    attentions.push(probabilities);
    const attended = linear(context, `${layer}.attention.output.dense`, C, C, undefined, x);
    const normed = norm(attended, `${layer}.attention.output.LayerNorm`);
    const inner = linear(normed, `${layer}.intermediate.dense`, C, F, activation);
    x = norm(linear(inner, `${layer}.output.dense`, F, C, undefined, normed), `${layer}.output.LayerNorm`);
    hiddenStates.push(x);
  }
  const pooled = weights.has('pooler.dense.weight') ? linear(x.slice(0, C), 'pooler.dense', C, C, 'tanh') : undefined;
  return { last: x, hiddenStates, attentions, pooled };
}
