import type { Activation } from '../../shaders/activation.ts';
import { MOST_TEXELS, padded } from '../../shaders/kernel.ts';
import { elementBytes, type Format, rowElements } from '../../shaders/matrix.ts';
import type { Pooling } from '../../shaders/pool.ts';
import type { Caps } from './caps.ts';
import { MOST_K, type Norm, type Op, type Rows, type Value } from './op.ts';
import { profileOf } from './profiles.ts';
import { bucketTable } from './relative.ts';
import { matrix, type Storage, table, vector, vectorSlice, type Weight, weightKey } from './weight.ts';

/** The ops of one forward pass, in order, and what it gives. Pure data. */
export interface Graph {
  readonly ops: readonly Op[];
  readonly outputs: ReadonlyMap<string, Value>;
}

export interface LinearOptions {
  /** Tensor prefixes: `${prefix}.weight` [outputs, x.columns] and `${prefix}.bias` [outputs]; several are joined. */
  from: string | readonly string[];
  /** Of each prefix. */
  outputs: number;
  bias?: boolean;
  activation?: Activation;
  residual?: Value;
  /** The outputs are heads of this size; or the inputs are. */
  outputHead?: number;
  inputHead?: number;
}

export interface AttentionOptions {
  heads: number;
  headSize: number;
  name: string;
  probabilities: boolean;
  /** `${table}.weight` [buckets, heads]: a bias by the distance of key and query. */
  relative?: { table: string; buckets: number } | undefined;
}

/** `${table}.weight` [rows, columns]; of no rows: there is none. */
interface EmbedTable {
  table: string;
  rows: number;
}

/** Writes a graph: every method infers the shape of what it gives and refuses operands that do not fit. */
export type Builder = ReturnType<typeof builder>;

export function builder(caps: Caps, format: Format = 'f32') {
  const ops: Op[] = [];
  const outputs = new Map<string, Value>();
  /** Weights by what they are made of, so that shared layers and tied tables are one buffer. */
  const weights = new Map<string, Weight>();
  const quantized = new Map<Value, Value>();
  /** Of the weights of linears and of the word table, which are nearly all there is; the rest is kept in float32. */
  const storage: Storage = { format, texels: profileOf(caps).target.texture !== undefined };
  let values = 0;

  /** A failure here is a mistake in a model description, not in anybody's input. */
  function must(holds: boolean, message: string): void {
    if (!holds) throw new Error(`graph: ${message}`);
  }

  const same = (a: Value, b: Value | undefined): void =>
    must(!b || (a.rows === b.rows && a.stride === b.stride), `${a.name} and ${b?.name} have different shapes`);

  const value = (name: string, rows: Rows, columns: number, stride = padded(columns)): Value => ({
    id: values++,
    name,
    rows,
    columns,
    stride,
  });

  function known(weight: Weight): Weight {
    const key = weightKey(weight);
    const first = weights.get(key) ?? weight;
    weights.set(key, first);
    return first;
  }

  /** A table may be too large for one binding: then it is several slices. */
  function slices(name: string, rows: number, columns: number): Weight[] {
    const elements = Math.min(
      caps.maxBindingBytes / elementBytes(format),
      storage.texels ? MOST_TEXELS : Number.POSITIVE_INFINITY,
    );
    const most = Math.floor(elements / rowElements(format, columns));
    return table(`${name}.weight`, rows, columns, most, storage).map(known);
  }

  /** What a linear reads of x: x itself, or its bytes where the weights are bytes. Made once, for all linears that read x. */
  function operand(x: Value): Value {
    if (format !== 'i8') return x;
    const made = quantized.get(x);
    if (made) return made;
    const stride = rowElements('i8', x.columns);
    const y = value(`${x.name}.quantized`, x.rows, stride, stride);
    ops.push({ op: 'quantize', x, y });
    quantized.set(x, y);
    return y;
  }

  const normOf = (from: string, columns: number, eps: number): Norm => ({
    gamma: known(vector([`${from}.weight`], columns)),
    beta: known(vector([`${from}.bias`], columns)),
    eps,
  });

  return {
    /** LayerNorm(words[id] + positions[position] + types[type] + tasks[0]) -> [T, columns]; prefixes are of tables and of the norm. */
    embed(from: {
      words: EmbedTable;
      positions?: EmbedTable | undefined;
      types?: EmbedTable | undefined;
      tasks?: EmbedTable | undefined;
      norm?: { from: string; eps: number };
      columns: number;
    }): Value {
      const { words, positions, types, tasks, norm, columns } = from;
      const small = (each: EmbedTable | undefined) =>
        each?.rows ? known(matrix([`${each.table}.weight`], each.rows, columns)) : undefined;
      const y = value('embeddings', 'tokens', columns);
      ops.push({
        op: 'embed',
        words: slices(words.table, words.rows, columns),
        positions: small(positions),
        types: small(types),
        tasks: small(tasks),
        norm: norm && normOf(norm.from, columns, norm.eps),
        y,
      });
      return y;
    },

    /** activation(x weight^T + bias) + residual -> [rows of x, outputs of all prefixes] */
    linear(x: Value, options: LinearOptions): Value {
      const { outputs: each, bias = true, activation, residual, outputHead, inputHead } = options;
      const from = [options.from].flat();
      const inner = inputHead ? (x.columns / padded(inputHead)) * inputHead : x.columns;
      const names = (suffix: string) => from.map(prefix => `${prefix}.${suffix}`);
      const weight = known(
        matrix(names('weight'), each, inner, { rowHead: outputHead, columnHead: inputHead, storage }),
      );
      const columns = outputHead ? (each / outputHead) * padded(outputHead) : each;
      const y = value(from.join('+'), x.rows, columns * from.length);
      must(weight.stride === x.stride, `${y.name}: a weight of ${weight.stride} columns and an input of ${x.stride}`);
      same(y, residual);
      ops.push({
        op: 'linear',
        x: operand(x),
        weight,
        bias: bias ? known(vector(names('bias'), each, outputHead)) : undefined,
        activation,
        residual,
        y,
      });
      return y;
    },

    /** qkv [T, 3 H D] -> context [T, H D], and [H, L, L] of every sequence where `probabilities` names them. */
    attention(
      qkv: Value,
      { heads, headSize, name, probabilities, relative }: AttentionOptions,
    ): { context: Value; probabilities: Value | undefined } {
      const width = heads * padded(headSize);
      must(qkv.columns === 3 * width, `${name}: ${qkv.columns} columns of q, k, v, not ${3 * width}`);
      const out = {
        context: value(`${name}.context`, 'tokens', width),
        probabilities: probabilities ? value(`${name}.probabilities`, 'pairs', heads, heads) : undefined,
      };
      ops.push({
        op: 'attention',
        qkv,
        heads,
        headSize,
        scale: 1 / Math.sqrt(headSize),
        relative: relative && {
          bias: known(matrix([`${relative.table}.weight`], relative.buckets, heads)),
          buckets: bucketTable(relative.buckets),
        },
        ...out,
      });
      return out;
    },

    /** LayerNorm(x + residual) */
    layerNorm(x: Value, from: string, eps: number, residual?: Value): Value {
      same(x, residual);
      const y = value(from, x.rows, x.columns);
      ops.push({ op: 'layerNorm', x, residual, norm: normOf(from, x.columns, eps), y });
      return y;
    },

    /** [T, C] -> [B, columns]; of several poolings, which all are whole, [B, poolings C] */
    pool(
      x: Value,
      options: { pooling: Pooling | readonly Pooling[]; normalize: boolean; columns?: number; name: string },
    ): Value {
      const { normalize, name } = options;
      const poolings = [options.pooling].flat();
      const all = poolings.length * x.columns;
      const columns = options.columns ?? all;
      const fits = poolings.length > 1 ? columns === all : columns <= all;
      must(x.rows === 'tokens' && fits, `${name}: ${columns} columns of ${all}`);
      const y = value(name, 'sequences', columns);
      ops.push({ op: 'pool', x, poolings, normalize, y });
      return y;
    },

    /** The rows of x that each pass names -> [masked, C] */
    gather(x: Value, rows: 'masked'): Value {
      const y = value(`${x.name}.${rows}`, rows, x.columns);
      ops.push({ op: 'gather', x, y });
      return y;
    },

    /** x table^T + bias, one value per slice of the table, which begins at row `first` -> [rows of x, rows of the slice] each */
    vocabulary(x: Value, from: { table: string; bias: string; rows: number }): { first: number; logits: Value }[] {
      return slices(from.table, from.rows, x.columns).map(weight => {
        const { first, count } = weight;
        const logits = value(`vocabulary.${first}`, x.rows, count);
        const bias = known(vectorSlice(from.bias, from.rows, first, count));
        ops.push({ op: 'linear', x: operand(x), weight, bias, activation: undefined, residual: undefined, y: logits });
        return { first, logits };
      });
    },

    /** The best k of every row, no more than MOST_K -> [rows of x, 2 k + 2]: see shaders/top-k.ts */
    topK(x: Value, most: number): Value {
      must(most <= MOST_K, `${x.name}: the best ${most}, not ${MOST_K} at most`);
      const k = Math.min(most, x.columns);
      const y = value(`${x.name}.top`, x.rows, 2 * k + 2);
      ops.push({ op: 'topK', x, k, y });
      return y;
    },

    /** Names a value that the pass shall give back. */
    output(name: string, value: Value): void {
      outputs.set(name, value);
    },

    graph: (): Graph => ({ ops, outputs }),
  };
}
