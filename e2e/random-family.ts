import { safetensors, type TensorBytes } from '../tests/checkpoint-bytes.ts';
import * as reference from '../tests/reference.ts';
import { floats } from './checkpoint-edit.ts';
import { random } from './dispatch.ts';

/** A model of any family: its sizes under one set of names. */
export interface FamilyShape {
  family: 'bert' | 'distilbert' | 'roberta' | 'electra' | 'albert' | 'mpnet' | 'ernie';
  heads: number;
  headSize: number;
  inner: number;
  layers: number;
  vocabulary: number;
  longest: number;
  act: string;
  /** Of electra and albert. */
  embedding?: number;
  /** Of albert. */
  groups?: number;
  /** Of mpnet. */
  buckets?: number;
}

interface Layer {
  parts: readonly [string, string, string];
  out: string;
  outNorm: string;
  inner: string;
  outer: string;
  outerNorm: string;
}

/** The names of a family's tensors, as its checkpoints have them. */
interface Names {
  layer(i: number): Layer;
  types?: number;
  project?: string;
  relative?: string;
  tasks?: number;
  /** Positions begin here. */
  offset: number;
  eps: number;
  masked: { dense: string; norm: string; bias: string; act?: string };
}

const bertLayer = (i: number): Layer => {
  const at = `encoder.layer.${i}`;
  return {
    parts: [`${at}.attention.self.query`, `${at}.attention.self.key`, `${at}.attention.self.value`],
    out: `${at}.attention.output.dense`,
    outNorm: `${at}.attention.output.LayerNorm`,
    inner: `${at}.intermediate.dense`,
    outer: `${at}.output.dense`,
    outerNorm: `${at}.output.LayerNorm`,
  };
};
const predictions = 'cls.predictions.transform';
const BERT: Names = {
  layer: bertLayer,
  types: 2,
  offset: 0,
  eps: 1e-12,
  masked: { dense: `${predictions}.dense`, norm: `${predictions}.LayerNorm`, bias: 'cls.predictions.bias' },
};
const lmHead = { dense: 'lm_head.dense', norm: 'lm_head.layer_norm', bias: 'lm_head.bias', act: 'gelu' };

const NAMES: Record<FamilyShape['family'], Names> = {
  bert: BERT,
  ernie: { ...BERT, tasks: 3 },
  roberta: { ...BERT, types: 1, offset: 2, eps: 1e-5, masked: lmHead },
  distilbert: {
    offset: 0,
    eps: 1e-12,
    masked: { dense: 'vocab_transform', norm: 'vocab_layer_norm', bias: 'vocab_projector.bias' },
    layer: i => {
      const at = `transformer.layer.${i}`;
      return {
        parts: [`${at}.attention.q_lin`, `${at}.attention.k_lin`, `${at}.attention.v_lin`],
        out: `${at}.attention.out_lin`,
        outNorm: `${at}.sa_layer_norm`,
        inner: `${at}.ffn.lin1`,
        outer: `${at}.ffn.lin2`,
        outerNorm: `${at}.output_layer_norm`,
      };
    },
  },
  electra: {
    ...BERT,
    project: 'embeddings_project',
    masked: {
      dense: 'generator_predictions.dense',
      norm: 'generator_predictions.LayerNorm',
      bias: 'generator_lm_head.bias',
      act: 'gelu',
    },
  },
  albert: {
    ...BERT,
    project: 'encoder.embedding_hidden_mapping_in',
    masked: { dense: 'predictions.dense', norm: 'predictions.LayerNorm', bias: 'predictions.bias' },
    layer: i => {
      const at = `encoder.albert_layer_groups.${i}.albert_layers.0`;
      return {
        parts: [`${at}.attention.query`, `${at}.attention.key`, `${at}.attention.value`],
        out: `${at}.attention.dense`,
        outNorm: `${at}.attention.LayerNorm`,
        inner: `${at}.ffn`,
        outer: `${at}.ffn_output`,
        outerNorm: `${at}.full_layer_layer_norm`,
      };
    },
  },
  mpnet: {
    offset: 2,
    eps: 1e-12,
    masked: lmHead,
    relative: 'encoder.relative_attention_bias',
    layer: i => {
      const at = `encoder.layer.${i}`;
      return {
        ...bertLayer(i),
        parts: [`${at}.attention.attn.q`, `${at}.attention.attn.k`, `${at}.attention.attn.v`],
        out: `${at}.attention.attn.o`,
        outNorm: `${at}.attention.LayerNorm`,
      };
    },
  },
};

function configOf(shape: FamilyShape, { offset, eps, types, tasks }: Names): object {
  const { family, heads, headSize, inner, layers, vocabulary, longest, act } = shape;
  const sizes =
    family === 'distilbert'
      ? { dim: heads * headSize, n_heads: heads, n_layers: layers, hidden_dim: inner, activation: act }
      : {
          hidden_size: heads * headSize,
          num_attention_heads: heads,
          num_hidden_layers: layers,
          intermediate_size: inner,
          hidden_act: act,
          layer_norm_eps: eps,
        };
  return {
    model_type: family,
    ...sizes,
    vocab_size: vocabulary,
    max_position_embeddings: longest + offset,
    pad_token_id: offset ? 1 : 0,
    ...(types && { type_vocab_size: types }),
    ...(shape.embedding && { embedding_size: shape.embedding }),
    ...(shape.groups && { num_hidden_groups: shape.groups }),
    ...(shape.buckets && { relative_attention_num_buckets: shape.buckets }),
    ...(tasks && { use_task_id: true, task_type_vocab_size: tasks }),
  };
}

export interface FamilyTokens {
  ids: readonly number[];
  types: readonly number[];
}

/** A checkpoint with random weights and a masked-LM head, and its forward pass in float64 on one sequence. */
export function randomFamily(shape: FamilyShape, seed: number) {
  const names = NAMES[shape.family];
  const { heads: H, headSize: D, inner: F, layers, vocabulary: V, longest, act, embedding, groups, buckets } = shape;
  const [C, E] = [H * D, embedding ?? H * D];
  const make = random(seed);
  const values = new Map<string, Float32Array>();
  const tensors: Record<string, TensorBytes> = {};
  // Before the names of the encoder stands the family's, as in every checkpoint with a head.
  const inFile = (name: string) =>
    Object.values(names.masked).some(own => name.startsWith(own)) ? name : `${shape.family}.${name}`;
  const add = (name: string, dims: number[], scale: number, center = 0) => {
    const own = make(
      dims.reduce((a, b) => a * b),
      scale,
    ).map(v => v + center);
    values.set(name, own);
    tensors[inFile(name)] = floats(own, dims);
  };
  const addLinear = (name: string, N: number, K: number) => {
    add(`${name}.weight`, [N, K], 1 / Math.sqrt(K));
    add(`${name}.bias`, [N], 0.2);
  };
  const addNorm = (name: string, columns: number) => {
    add(`${name}.weight`, [columns], 0.2, 1);
    add(`${name}.bias`, [columns], 0.2);
  };
  const { types, tasks, project, relative, offset, eps, masked } = names;
  add('embeddings.word_embeddings.weight', [V, E], 0.5);
  add('embeddings.position_embeddings.weight', [longest + offset, E], 0.5);
  if (types) add('embeddings.token_type_embeddings.weight', [types, E], 0.5);
  if (tasks) add('embeddings.task_type_embeddings.weight', [tasks, E], 0.5);
  addNorm('embeddings.LayerNorm', E);
  if (project) addLinear(project, C, E);
  if (relative) add(`${relative}.weight`, [buckets!, H], 0.8);
  for (let i = 0; i < (groups ?? layers); i++) {
    const { parts, out, outNorm, inner, outer, outerNorm } = names.layer(i);
    for (const part of parts) addLinear(part, C, C);
    addLinear(out, C, C);
    addNorm(outNorm, C);
    addLinear(inner, F, C);
    addLinear(outer, C, F);
    addNorm(outerNorm, C);
  }
  addLinear(masked.dense, E, C);
  addNorm(masked.norm, E);
  add(masked.bias, [V], 0.3);

  const get = (name: string): Float32Array => {
    const found = values.get(name);
    if (!found) throw new Error(`no weight ${name}`);
    return found;
  };
  const linear = (x: Float64Array, name: string, K: number, N: number, more: object = {}) =>
    reference.linear(x, get(`${name}.weight`), { K, N, bias: get(`${name}.bias`), ...more });
  const norm = (x: Float64Array, name: string) =>
    reference.layerNorm(x, get(`${name}.weight`), get(`${name}.bias`), eps);
  const activation = { gelu_new: 'gelu_tanh', swish: 'silu' }[act] ?? act;

  function forward({ ids, types: segments }: FamilyTokens) {
    const L = ids.length;
    const rows = (table: string, at: readonly number[]) => [get(`embeddings.${table}_embeddings.weight`), at] as const;
    const tables = [
      rows('word', ids),
      rows(
        'position',
        ids.map((_, i) => offset + i),
      ),
    ];
    if (types) tables.push(rows('token_type', segments));
    if (tasks)
      tables.push(
        rows(
          'task_type',
          ids.map(() => 0),
        ),
      );
    let x = norm(reference.embed(tables, E), 'embeddings.LayerNorm');
    if (project) x = linear(x, project, E, C);
    const attentions: Float64Array[] = [];
    for (let i = 0; i < layers; i++) {
      const names_ = names.layer(groups ? Math.trunc(i / (layers / groups)) : i);
      const qkv = new Float64Array(3 * L * C);
      for (const [p, part] of names_.parts.entries()) {
        const own = linear(x, part, C, C);
        for (let t = 0; t < L; t++) qkv.set(own.subarray(t * C, (t + 1) * C), (3 * t + p) * C);
      }
      const bias =
        relative &&
        ((d: number, h: number) => get(`${relative}.weight`)[reference.relativeBucket(d, buckets!) * H + h]!);
      const { context, probabilities } = reference.attention(qkv, [L], { H, D, ...(bias && { bias }) });
      attentions.push(probabilities);
      const normed = norm(linear(context, names_.out, C, C, { residual: x }), names_.outNorm);
      const inner = linear(normed, names_.inner, C, F, { activation });
      x = norm(linear(inner, names_.outer, F, C, { residual: normed }), names_.outerNorm);
    }
    const dense = linear(x, masked.dense, C, E, { activation: masked.act ?? activation });
    const words = get('embeddings.word_embeddings.weight');
    const logits = reference.linear(norm(dense, masked.norm), words, { K: E, N: V, bias: get(masked.bias) });
    return { last: x, attentions, logits };
  }
  const config = new TextEncoder().encode(JSON.stringify(configOf(shape, names))) as Uint8Array<ArrayBuffer>;
  return { files: { 'config.json': config, 'model.safetensors': safetensors(tensors) }, forward };
}
