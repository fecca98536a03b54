import type { Activation } from '../../shaders/activation.ts';
import { type Caps, MOST_TEXELS, padded } from '../../shaders/kernel.ts';
import { elementBytes, type Format, rowElements } from '../../shaders/matrix.ts';
import type { Pooling } from '../../shaders/pool.ts';
import type { Norm, Op, Rows, Value } from './op.ts';
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

/** Writes a graph: every method infers the shape of what it gives and refuses operands that do not fit. */
export class Builder {
  readonly #ops: Op[] = [];
  readonly #outputs = new Map<string, Value>();
  /** Weights by what they are made of, so that shared layers and tied tables are one buffer. */
  readonly #weights = new Map<string, Weight>();
  readonly #bucketTables = new Map<number, Uint32Array<ArrayBuffer>>();
  readonly #quantized = new Map<number, Value>();
  readonly #caps: Caps;
  /** Of the weights of linears and of the word table, which are nearly all there is; the rest is kept in float32. */
  readonly #storage: Storage;
  #values = 0;

  constructor(caps: Caps, format: Format = 'f32') {
    this.#caps = caps;
    this.#storage = { format, texels: caps.textures };
  }

  /** LayerNorm(words[id] + positions[position] + types[type] + tasks[0]) -> [T, columns]; prefixes are of tables and of the norm. */
  embed(from: {
    words: { table: string; rows: number };
    positions?: { table: string; rows: number } | undefined;
    types?: { table: string; rows: number } | undefined;
    tasks?: { table: string; rows: number } | undefined;
    norm?: { from: string; eps: number };
    columns: number;
  }): Value {
    const { words, positions, types, tasks, norm, columns } = from;
    const small = (t: { table: string; rows: number } | undefined) =>
      t && this.#weight(matrix([`${t.table}.weight`], t.rows, columns));
    const y = this.#value('embeddings', 'tokens', columns);
    this.#ops.push({
      op: 'embed',
      words: this.#table(words.table, words.rows, columns),
      positions: small(positions),
      types: small(types),
      tasks: small(tasks),
      norm: norm && this.#norm(norm.from, columns, norm.eps),
      y,
    });
    return y;
  }

  /** activation(x weight^T + bias) + residual -> [rows of x, outputs of all prefixes] */
  linear(x: Value, options: LinearOptions): Value {
    const { outputs, bias = true, activation, residual, outputHead, inputHead } = options;
    const from = typeof options.from === 'string' ? [options.from] : options.from;
    const inner = inputHead === undefined ? x.columns : (x.columns / padded(inputHead)) * inputHead;
    const names = (suffix: string) => from.map(prefix => `${prefix}.${suffix}`);
    const weight = this.#weight(
      matrix(names('weight'), outputs, inner, {
        rowHead: outputHead,
        columnHead: inputHead,
        storage: this.#storage,
      }),
    );
    const each = outputHead === undefined ? outputs : (outputs / outputHead) * padded(outputHead);
    const y = this.#value(from.join('+'), x.rows, each * from.length);
    this.#must(
      weight.stride === x.stride,
      `${y.name}: a weight of ${weight.stride} columns and an input of ${x.stride}`,
    );
    if (residual) this.#same(y, residual);
    this.#ops.push({
      op: 'linear',
      x: this.#operand(x),
      weight,
      bias: bias ? this.#weight(vector(names('bias'), outputs, outputHead)) : undefined,
      activation,
      residual,
      y,
    });
    return y;
  }

  /** qkv [T, 3 H D] -> context [T, H D], and [H, L, L] of every sequence where `probabilities` names them. */
  attention(
    qkv: Value,
    { heads, headSize, name, probabilities, relative }: AttentionOptions,
  ): { context: Value; probabilities: Value | undefined } {
    const width = heads * padded(headSize);
    this.#must(qkv.columns === 3 * width, `${name}: ${qkv.columns} columns of q, k, v, not ${3 * width}`);
    const out = {
      context: this.#value(`${name}.context`, 'tokens', width),
      probabilities: probabilities ? this.#value(`${name}.probabilities`, 'pairs', heads, heads) : undefined,
    };
    this.#ops.push({
      op: 'attention',
      qkv,
      heads,
      headSize,
      scale: 1 / Math.sqrt(headSize),
      relative: relative && {
        bias: this.#weight(matrix([`${relative.table}.weight`], relative.buckets, heads)),
        buckets: this.#buckets(relative.buckets),
      },
      ...out,
    });
    return out;
  }

  /** LayerNorm(x + residual) */
  layerNorm(x: Value, from: string, eps: number, residual?: Value): Value {
    if (residual) this.#same(x, residual);
    const y = this.#value(from, x.rows, x.columns);
    this.#ops.push({ op: 'layerNorm', x, residual, norm: this.#norm(from, x.columns, eps), y });
    return y;
  }

  /** [T, C] -> [B, columns] */
  pool(x: Value, options: { pooling: Pooling; normalize: boolean; columns?: number; name: string }): Value {
    const { pooling, normalize, columns = x.columns, name } = options;
    this.#must(x.rows === 'tokens' && columns <= x.columns, `${name}: ${columns} columns of ${x.columns}`);
    const y = this.#value(name, 'sequences', columns);
    this.#ops.push({ op: 'pool', x, pooling, normalize, y });
    return y;
  }

  /** The rows of x that each pass names -> [masked, C] */
  gather(x: Value, rows: 'masked'): Value {
    const y = this.#value(`${x.name}.${rows}`, rows, x.columns);
    this.#ops.push({ op: 'gather', x, y });
    return y;
  }

  /** x table^T + bias, one value per slice of the table, which begins at row `first` -> [rows of x, rows of the slice] each */
  vocabulary(x: Value, from: { table: string; bias: string; rows: number }): { first: number; logits: Value }[] {
    return this.#table(from.table, from.rows, x.columns).map(weight => {
      const y = this.#value(`vocabulary.${weight.first}`, x.rows, weight.count);
      const bias = this.#weight(vectorSlice(from.bias, from.rows, weight.first, weight.count));
      this.#ops.push({
        op: 'linear',
        x: this.#operand(x),
        weight,
        bias,
        activation: undefined,
        residual: undefined,
        y,
      });
      return { first: weight.first, logits: y };
    });
  }

  /** The best k of every row -> [rows of x, 2 k + 2]: see shaders/top-k.ts */
  topK(x: Value, most: number): Value {
    const k = Math.min(most, x.columns);
    const y = this.#value(`${x.name}.top`, x.rows, 2 * k + 2);
    this.#ops.push({ op: 'topK', x, k, y });
    return y;
  }

  /** Names a value that the pass shall give back. */
  output(name: string, value: Value): void {
    this.#outputs.set(name, value);
  }

  graph(): Graph {
    return { ops: this.#ops, outputs: this.#outputs };
  }

  /** A table may be too large for one binding: then it is several slices. */
  #table(name: string, rows: number, columns: number): Weight[] {
    const { format, texels } = this.#storage;
    const elements = Math.min(
      this.#caps.maxBindingBytes / elementBytes(format),
      texels ? MOST_TEXELS : Number.POSITIVE_INFINITY,
    );
    const most = Math.floor(elements / rowElements(format, columns));
    return table(`${name}.weight`, rows, columns, most, this.#storage).map(weight => this.#weight(weight));
  }

  /** What a linear reads of x: x itself, or its bytes where the weights are bytes. Made once, for all linears that read x. */
  #operand(x: Value): Value {
    if (this.#storage.format !== 'i8') return x;
    const known = this.#quantized.get(x.id);
    if (known) return known;
    const stride = rowElements('i8', x.columns);
    const y = this.#value(`${x.name}.quantized`, x.rows, stride, stride);
    this.#ops.push({ op: 'quantize', x, y });
    this.#quantized.set(x.id, y);
    return y;
  }

  /** One array for all layers, so that it is one buffer. */
  #buckets(count: number): Uint32Array<ArrayBuffer> {
    const table = this.#bucketTables.get(count) ?? bucketTable(count);
    this.#bucketTables.set(count, table);
    return table;
  }

  #norm(from: string, columns: number, eps: number): Norm {
    return {
      gamma: this.#weight(vector([`${from}.weight`], columns)),
      beta: this.#weight(vector([`${from}.bias`], columns)),
      eps,
    };
  }

  #weight(weight: Weight): Weight {
    const key = weightKey(weight);
    const known = this.#weights.get(key);
    if (!known) this.#weights.set(key, weight);
    return known ?? weight;
  }

  #value(name: string, rows: Rows, columns: number, stride = padded(columns)): Value {
    return { id: this.#values++, name, rows, columns, stride };
  }

  #same(a: Value, b: Value): void {
    this.#must(a.rows === b.rows && a.stride === b.stride, `${a.name} and ${b.name} have different shapes`);
  }

  /** A failure here is a mistake in a model description, not in anybody's input. */
  #must(holds: boolean, message: string): void {
    if (!holds) throw new Error(`graph: ${message}`);
  }
}
