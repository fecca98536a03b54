import { padded } from '../../shaders/kernel.ts';
import { type DisentangledBias, type Graph, type Op, type Value, type Weight, weightKey } from '../plan/index.ts';
import type { AttendOp } from './attention-op.ts';
import type { TrainingOp } from './op.ts';

/**
 * Tensors that a graph reads and that are computed of weights alone: a graph over one sequence whose tokens are the rows of a table, all of
 * them in order. A model computes them once; a training step computes them in every micro-batch, because it changes what they are made of.
 */
export interface ComputedTables {
  readonly graph: Graph;
  readonly tensors: readonly ComputedTensor[];
}

/** A tensor, and the output that it is a part of: from column `first` on. */
export interface ComputedTensor {
  readonly tensor: string;
  readonly output: string;
  readonly first: number;
}

export interface TableFormOptions {
  /** The graph that reads the tensors: weights that both have become one object. */
  readonly graph: Graph;
  readonly like: (of: Pick<Value, 'rows' | 'columns'>, name: string) => Value;
  readonly push: (op: TrainingOp) => void;
  /** Adds an op of a forward pass in trainable form. */
  readonly add: (op: Op) => void;
  /** Dropout of the rows of a table, at a place of its own. */
  readonly dropped: (rows: Value) => Value;
}

/** The ops that compute the tables of a graph's attentions, added where the first one of a table reads it. */
export function tableForm(tables: readonly ComputedTables[], { graph, like, push, add, dropped }: TableFormOptions) {
  /** By key. */
  const weights = new Map<string, Weight>();
  const shared = (weight: Weight): Weight => {
    const key = weightKey(weight);
    const earlier = weights.get(key) ?? weight;
    weights.set(key, earlier);
    return earlier;
  };
  for (const op of graph.ops) {
    if (op.op !== 'linear') continue;
    shared(op.weight);
    if (op.bias) shared(op.bias);
  }
  /** The rows of a table of embeddings with its norm, which several graphs compute. */
  const embedded = new Map<string, Value>();
  /** By the name of a tensor. */
  const computed = new Map<string, { readonly value: Value; readonly first: number }>();

  function rowsOf(op: Extract<Op, { op: 'embed' }>): Value {
    const { words, norm, y } = op;
    if (!words || op.positions || op.types || op.tasks || op.scales || op.dropout || op.factor !== 1) {
      throw new Error(`graph: "${y.name}" is more than the rows of a table`);
    }
    const key = JSON.stringify([words, norm]);
    const earlier = embedded.get(key);
    if (earlier) return earlier;
    const rows = { rows: 'distances', columns: y.columns } as const;
    const table = like(rows, words.name);
    push({ op: 'tableRows', table: shared(words), y: table });
    let value = table;
    if (norm) {
      value = like(rows, norm.gamma.name);
      const own = { ...norm, gamma: shared(norm.gamma), beta: norm.beta && shared(norm.beta) };
      push({ op: 'norm', x: table, residual: undefined, norm: own, addend: undefined, y: value });
    }
    embedded.set(key, value);
    return value;
  }

  function compute({ graph: { ops, outputs }, tensors }: ComputedTables): void {
    const values = new Map<Value, Value>();
    for (const op of ops) {
      if (op.op === 'embed') values.set(op.y, dropped(rowsOf(op)));
      else if (op.op === 'linear') {
        const { x, weight, bias, y } = op;
        const value = like({ rows: 'distances', columns: y.columns }, `${y.name}.distances`);
        add({ ...op, x: values.get(x)!, weight: shared(weight), bias: bias && shared(bias), y: value });
        values.set(y, value);
      } else throw new Error(`graph: a table is computed by "${op.op}"`);
    }
    for (const { tensor, output, first } of tensors) {
      const value = values.get(outputs.find(({ name }) => name === output)!.value)!;
      computed.set(tensor, { value, first });
    }
  }

  function find(weight: Weight | undefined) {
    const tensor = weight?.parts[0]?.tensor;
    if (tensor === undefined) return undefined;
    if (!computed.has(tensor)) {
      const owner = tables.find(({ tensors }) => tensors.some(each => each.tensor === tensor));
      if (!owner) throw new Error(`graph: nothing computes "${tensor}"`);
      compute(owner);
    }
    return computed.get(tensor)!;
  }

  /** The columns `first` to `first + count` of a value. */
  function columns(x: Value, first: number, count: number): Value {
    if (first === 0 && count === x.columns) return x;
    const y = like({ rows: x.rows, columns: count }, `${x.name}.part`);
    push({ op: 'columns', x, first, y });
    return y;
  }

  /** What an attention has in the place of tables that are weights. */
  return (
    { keys, queries, count, rows }: DisentangledBias,
    { heads, headSize }: { readonly heads: number; readonly headSize: number },
  ): Pick<AttendOp, 'terms' | 'distances'> => {
    const width = heads * padded(headSize);
    const [ofQueries, ofKeys] = [find(queries), find(keys)];
    const parts = [ofQueries, ofKeys].flatMap(part => part ?? []);
    const [first, second] = parts;
    if (!first) throw new Error('graph: attention by distances without a table');
    let x: Value;
    // Both stand side by side where one linear makes them.
    if (second && second.value === first.value && second.first === first.first + width) {
      x = columns(first.value, first.first, 2 * width);
    } else {
      const [a, b] = parts.map(part => columns(part.value, part.first, width));
      x = a!;
      if (b) {
        x = like({ rows: 'distances', columns: 2 * width }, `${a!.name}+${b.name}`);
        push({ op: 'join', a: a!, b, y: x });
      }
    }
    const distances = like(x, `${x.name}.table`);
    push({ op: 'distanceTable', x, y: distances });
    return { terms: { keys: !!ofKeys, queries: !!ofQueries, count, rows }, distances };
  };
}
