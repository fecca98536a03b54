import { describe, expect, it } from 'vitest';
import type { Activation } from '../shaders/activation.ts';
import type { Pooling } from '../shaders/pool.ts';
import type { HeadRequest } from '../src/model/heads.ts';
import { encoderGraph, readConfig } from '../src/model/index.ts';
import { type Builder, builder, type Graph, plan, type Sequence, type Value } from '../src/plan/index.ts';
import type { Op } from '../src/plan/op.ts';
import { describeDifference, firstDifference, namedValues, withEveryValue } from './bisect.ts';
import { GPU } from './caps.ts';
import { random } from './checkpoint-bytes.ts';
import { interpret, type TensorData, type TensorLookup, valueNames } from './interpreter.ts';
import * as reference from './reference.ts';

/** Sizes around the widths of workgroups and vectors. */
const SIZES = [1, 7, 63, 65];
/** Both sides compute in float64: what is left is the order of additions. */
const TOLERANCE = 1e-12;

/** Random tensors by name, made when first asked for. */
function randomTensors(shapes: Readonly<Record<string, readonly number[]>>): TensorLookup {
  const next = random(7);
  const tensors = new Map<string, TensorData>();
  for (const [name, shape] of Object.entries(shapes)) {
    const data = Float64Array.from({ length: shape.reduce((a, b) => a * b) }, () => 2 * next() - 1);
    tensors.set(name, { shape, data });
  }
  return name => {
    const tensor = tensors.get(name);
    if (!tensor) throw new Error(`no tensor ${name}`);
    return tensor;
  };
}

const VOCABULARY = 41;
const POSITIONS = 80;
const next = random(3);
/** A sequence of so many random tokens. */
const sequenceOf = (length: number, more: Partial<Sequence> = {}): Sequence => ({
  ids: Array.from({ length }, () => Math.floor(VOCABULARY * next())),
  positions: Array.from({ length }, (_, i) => POSITIONS - 1 - i),
  types: Array.from({ length }, () => Math.floor(2 * next())),
  ...more,
});
const joined = (batch: readonly Sequence[], name: 'ids' | 'positions' | 'types') =>
  batch.flatMap(sequence => Array.from(sequence[name]));
const lengthsOf = (batch: readonly Sequence[]) => batch.map(({ ids }) => ids.length);

/** Without a norm: the values of `x.weight` by the ids, [T, C]. */
const rowsOf = (b: Builder, C: number) => b.embed({ words: { table: 'x', rows: VOCABULARY }, columns: C });
const inputOf = (tensors: TensorLookup, batch: readonly Sequence[], C: number) =>
  reference.embed([[tensors('x.weight').data, joined(batch, 'ids')]], C);

/** The graph of one value. */
function graphOf(write: (b: Builder) => Value): Graph {
  const b = builder();
  b.output('y', write(b));
  return b.graph();
}
const run = (graph: Graph, tensors: TensorLookup, batch: readonly Sequence[]) =>
  interpret(graph, tensors, batch).outputs.get('y')!.data;

function expectSame(actual: Float64Array, expected: Float64Array): void {
  expect(actual.length).toBe(expected.length);
  expect(actual.length).toBeGreaterThan(0);
  const worst = expected.reduce((max, e, i) => Math.max(max, Math.abs(actual[i]! - e) / (1 + Math.abs(e))), 0);
  expect(worst).toBeLessThanOrEqual(TOLERANCE);
}

const BATCHES = SIZES.map(length => [sequenceOf(length), sequenceOf(3)]);

describe.each(SIZES)('the ops of the interpreter and those of tests/reference.ts, %i columns', C => {
  const batch = BATCHES[SIZES.indexOf(C)]!;

  it('embed', () => {
    const table = (rows: number) => [rows, C];
    const tensors = randomTensors({
      'w.weight': table(VOCABULARY),
      'p.weight': table(POSITIONS),
      't.weight': table(2),
      'task.weight': table(3),
      'n.weight': [C],
      'n.bias': [C],
    });
    const graph = graphOf(b =>
      b.embed({
        words: { table: 'w', rows: VOCABULARY },
        positions: { table: 'p', rows: POSITIONS },
        types: { table: 't', rows: 2 },
        tasks: { table: 'task', rows: 3 },
        norm: { from: 'n', eps: 1e-3 },
        columns: C,
      }),
    );
    const [w, p, t, task] = ['w', 'p', 't', 'task'].map(name => tensors(`${name}.weight`).data);
    const ids = joined(batch, 'ids');
    const sum = reference.embed(
      [
        [w!, ids],
        [p!, joined(batch, 'positions')],
        [t!, joined(batch, 'types')],
        [task!, ids.map(() => 0)],
      ],
      C,
    );
    const expected = reference.layerNorm(sum, tensors('n.weight').data, tensors('n.bias').data, 1e-3);
    expectSame(run(graph, tensors, batch), expected);
  });

  it.each<Activation | undefined>([undefined, ...(Object.keys(reference.activations) as Activation[])])(
    'linear, %s',
    activation => {
      const N = 9;
      const tensors = randomTensors({
        'x.weight': [VOCABULARY, C],
        'a.weight': [N, C],
        'a.bias': [N],
        'b.weight': [N, C],
        'b.bias': [N],
        'r.weight': [2 * N, C],
      });
      const graph = graphOf(b => {
        const x = rowsOf(b, C);
        const residual = b.linear(x, { from: 'r', outputs: 2 * N, bias: false });
        return b.linear(x, { from: ['a', 'b'], outputs: N, activation, residual });
      });
      const x = inputOf(tensors, batch, C);
      const both = (suffix: string) => [...tensors(`a.${suffix}`).data, ...tensors(`b.${suffix}`).data];
      const residual = reference.linear(x, tensors('r.weight').data, { K: C, N: 2 * N });
      const expected = reference.linear(x, both('weight'), {
        K: C,
        N: 2 * N,
        bias: both('bias'),
        residual,
        ...(activation && { activation }),
      });
      expectSame(run(graph, tensors, batch), expected);
    },
  );

  it.each([false, true])('attention, relative %s', isRelative => {
    // Heads of a size that the graph may pad.
    const [H, D, buckets] = [3, 5, 32];
    const shape = { weight: [H * D, C], bias: [H * D] };
    const tensors = randomTensors({
      'x.weight': [VOCABULARY, C],
      ...Object.fromEntries(
        ['q', 'k', 'v'].flatMap(part => Object.entries(shape).map(([name, size]) => [`${part}.${name}`, size])),
      ),
      'o.weight': [C, H * D],
      'o.bias': [C],
      'far.weight': [buckets, H],
    });
    // Tokens far from each other, as those between paddings are.
    const places = (length: number) => Array.from({ length }, (_, i) => 5 * i);
    const spread = batch.map(sequence => ({ ...sequence, places: places(sequence.ids.length) }));
    const b = builder();
    const qkv = b.linear(rowsOf(b, C), { from: ['q', 'k', 'v'], outputs: H * D, outputHead: D });
    const bias = isRelative ? { table: 'far', buckets } : undefined;
    const { context, probabilities } = b.attention(qkv, {
      heads: H,
      headSize: D,
      name: 'self',
      probabilities: true,
      bias,
    });
    b.output('y', b.linear(context, { from: 'o', outputs: C, inputHead: D }));
    b.output('p', probabilities!);
    const { outputs } = interpret(b.graph(), tensors, spread);

    const x = inputOf(tensors, spread, C);
    const parts = ['q', 'k', 'v'].map(part =>
      reference.linear(x, tensors(`${part}.weight`).data, { K: C, N: H * D, bias: tensors(`${part}.bias`).data }),
    );
    const T = x.length / C;
    const side = Float64Array.from(
      Array.from({ length: T }, (_, t) => parts.flatMap(part => [...part.subarray(t * H * D, (t + 1) * H * D)])).flat(),
    );
    const far = tensors('far.weight').data;
    const biasOf = (distance: number, h: number) => far[reference.relativeBucket(5 * distance, buckets) * H + h]!;
    const expected = reference.attention(side, lengthsOf(spread), { H, D, ...(isRelative && { bias: biasOf }) });
    expectSame(outputs.get('p')!.data, expected.probabilities);
    const attended = reference.linear(expected.context, tensors('o.weight').data, {
      K: H * D,
      N: C,
      bias: tensors('o.bias').data,
    });
    expectSame(outputs.get('y')!.data, attended);
  });

  it('norm', () => {
    const tensors = randomTensors({ 'x.weight': [VOCABULARY, C], 'r.weight': [C, C], 'n.weight': [C], 'n.bias': [C] });
    const graph = graphOf(b => {
      const x = rowsOf(b, C);
      return b.norm(x, { from: 'n', eps: 1e-2, residual: b.linear(x, { from: 'r', outputs: C, bias: false }) });
    });
    const x = inputOf(tensors, batch, C);
    const residual = reference.linear(x, tensors('r.weight').data, { K: C, N: C });
    const [gamma, beta] = [tensors('n.weight').data, tensors('n.bias').data];
    expectSame(run(graph, tensors, batch), reference.layerNorm(x, gamma, beta, 1e-2, residual));
  });

  it('normalize', () => {
    const tensors = randomTensors({ 'x.weight': [VOCABULARY, C] });
    tensors('x.weight').data.fill(0, 0, C);
    const zero = [{ ids: [0], types: [0], positions: [0] }, ...batch];
    const graph = graphOf(b => b.normalize(rowsOf(b, C)));
    const y = run(graph, tensors, zero);
    expectSame(y, reference.l2Norm(inputOf(tensors, zero, C), C));
    expect([...y.subarray(0, C)]).toEqual(new Array(C).fill(0));
  });

  it('weigh', () => {
    const tensors = randomTensors({ 'x.weight': [VOCABULARY, C], 'r.weight': [C, C], factors: [2] });
    const graph = graphOf(b => {
      const x = rowsOf(b, C);
      return b.weightedMean([x, b.linear(x, { from: 'r', outputs: C, bias: false })], 'factors');
    });
    const x = inputOf(tensors, batch, C);
    const other = reference.linear(x, tensors('r.weight').data, { K: C, N: C });
    const [first, second] = tensors('factors').data as unknown as [number, number];
    const mean = Float64Array.from(x, (v, i) => (first * v + second * other[i]!) / (first + second));
    expectSame(run(graph, tensors, batch), mean);
  });

  const POOLINGS: readonly Pooling[] = ['mean', 'cls', 'max', 'last', 'mean_sqrt', 'weighted'];
  it.each([...POOLINGS.map(pooling => [pooling]), POOLINGS])('pool %s', (...poolings) => {
    const tensors = randomTensors({ 'x.weight': [VOCABULARY, C] });
    // Of the last none is left.
    const unpooled = [0, 2, 3];
    const three = [...batch, sequenceOf(3)].map((sequence, b) => ({ ...sequence, unpooled: unpooled[b] }));
    for (const normalize of [false, true]) {
      for (const columns of poolings.length === 1 ? [C, Math.ceil(C / 2)] : [C * poolings.length]) {
        const graph = graphOf(b => b.pool(rowsOf(b, C), { pooling: poolings, normalize, columns, name: 'pool' }));
        const expected = reference.pool(inputOf(tensors, three, C), lengthsOf(three), {
          C,
          pooling: poolings,
          kept: columns,
          normalize,
          unpooled,
        });
        expectSame(run(graph, tensors, three), expected);
      }
    }
  });

  it('vocabularyPool', () => {
    const V = 21;
    const tensors = randomTensors({ 'x.weight': [VOCABULARY, C], 'table.weight': [V, C], bias: [V] });
    const decoder = { table: 'table', bias: 'bias', rows: V };
    const logits = run(
      graphOf(b => b.vocabulary(rowsOf(b, C), decoder)),
      tensors,
      batch,
    );
    for (const pooling of ['max', 'sum'] as const) {
      for (const logarithms of [1, 2] as const) {
        const graph = graphOf(b => b.vocabularyPool(rowsOf(b, C), { ...decoder, pooling, logarithms }));
        const expected = reference.vocabularyPool(logits, lengthsOf(batch), { V, pooling, logarithms });
        expectSame(run(graph, tensors, batch), expected);
      }
    }
  });

  it('gather', () => {
    const tensors = randomTensors({ 'x.weight': [VOCABULARY, C] });
    const picked = batch.map((sequence, b) => ({ ...sequence, masked: b === 0 ? [sequence.ids.length - 1, 0] : [1] }));
    const graph = graphOf(b => b.gather(rowsOf(b, C), 'masked'));
    const [first, second] = [picked[0]!, picked[1]!];
    const wanted = [first.ids[first.ids.length - 1]!, first.ids[0]!, second.ids[1]!];
    expectSame(run(graph, tensors, picked), reference.embed([[tensors('x.weight').data, wanted]], C));
  });

  it('topK', () => {
    const k = Math.min(C, 5);
    const { data } = randomTensors({ x: [VOCABULARY, C] })('x');
    // Some equal ones, whose order is that of their places.
    const table = data.map(v => Math.round(20 * v) / 20);
    const tensors: TensorLookup = () => ({ shape: [VOCABULARY, C], data: table });
    const graph = graphOf(b => b.topK(rowsOf(b, C), 5));
    const x = inputOf(tensors, batch, C);
    const expected = reference.topK(x, { V: C, k }).flatMap(({ best, logSumExp }) => {
      const maximum = best[0]!.value;
      return [maximum, Math.exp(logSumExp - maximum), ...best.flatMap(({ value, index }) => [value, index])];
    });
    expectSame(run(graph, tensors, batch), Float64Array.from(expected));
  });
});

describe('a graph', () => {
  const bert = {
    model_type: 'bert',
    vocab_size: VOCABULARY,
    hidden_size: 15,
    num_hidden_layers: 2,
    num_attention_heads: 3,
    intermediate_size: 22,
    max_position_embeddings: POSITIONS,
    type_vocab_size: 2,
  };
  const config = readConfig(bert);
  const graph = encoderGraph(config, { lastHiddenState: true, attentions: [1], head: { kind: 'MaskedLM' } });
  /** Random weights for whatever a graph asks for. */
  const weightsOf = ({ ops }: Graph): TensorLookup => {
    const shapes: Record<string, readonly number[]> = {};
    JSON.stringify(ops, (_, value) => {
      if (value?.tensor && value.shape) shapes[value.tensor] = value.shape;
      return value;
    });
    return randomTensors(shapes);
  };
  const tensors = weightsOf(graph);
  const batch = [sequenceOf(7), sequenceOf(1), sequenceOf(12)];
  const numbers = (other: Graph) =>
    new Map([...interpret(other, tensors, batch).values].map(([name, { data }]) => [name, Float32Array.from(data)]));
  /** The graph with one op in place of another. */
  const changed = (at: (op: Op) => boolean, change: (op: Op) => Op): Graph => {
    const place = graph.ops.findIndex(at);
    expect(place).toBeGreaterThan(0);
    return { ...graph, ops: graph.ops.map((op, i) => (i === place ? change(op) : op)) };
  };
  /** float32 keeps 24 bits. */
  const difference = (actual: ReadonlyMap<string, ArrayLike<number>>) =>
    firstDifference(graph, tensors, batch, { actual, tolerance: 1e-5 });

  it('gives the same alone and in a batch', () => {
    const whole = interpret(graph, tensors, batch).outputs.get('last_hidden_state')!;
    const alone = batch.flatMap(sequence => [
      ...interpret(graph, tensors, [sequence]).outputs.get('last_hidden_state')!.data,
    ]);
    expect([...whole.data]).toEqual(alone);
  });

  it('gives every value by its name', () => {
    const { values, outputs } = interpret(graph, tensors, batch);
    expect([...values.keys()]).toEqual([...valueNames(graph).values()]);
    expect(values.get('encoder.layer.1.output.LayerNorm')).toBe(outputs.get('last_hidden_state'));
    expect(values.get('encoder.layer.1.attention.self.probabilities')).toBe(outputs.get('attentions.1'));
    for (const { rows, columns, data } of values.values()) expect(data.length).toBe(rows * columns);
    const every = withEveryValue(graph);
    expect(every.outputs.map(({ name }) => name)).toEqual([...values.keys()]);
    expect(interpret(every, tensors, batch).outputs).toEqual(values);
  });

  it('numbers the values of layers that share their weights', () => {
    const shared = encoderGraph(readConfig({ ...bert, model_type: 'albert' }), { lastHiddenState: true });
    const names = [...valueNames(shared).values()];
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(expect.arrayContaining(['encoder.layer.0.output.dense', 'encoder.layer.0.output.dense#2']));
    const { outputs, values } = interpret(shared, weightsOf(shared), batch);
    expect(outputs.get('last_hidden_state')).toBe(values.get('encoder.layer.0.output.LayerNorm#2'));
  });

  it('picks the same logits as are in the rows of all tokens, and the best of them', () => {
    const places = [[6, 0], [], [3]];
    const picked = batch.map((sequence, b) => ({ ...sequence, masked: places[b]! }));
    const logitsOf = (head: Omit<HeadRequest, 'kind'>, name: string) => {
      const masked = encoderGraph(config, { head: { kind: 'MaskedLM', ...head } });
      return interpret(masked, tensors, picked).outputs.get(name)!;
    };
    const whole = logitsOf({}, 'logits').data;
    const rows = [6, 0, 7 + 1 + 3].flatMap(token => [...whole.subarray(token * VOCABULARY, (token + 1) * VOCABULARY)]);
    expect([...logitsOf({ picked: true }, 'logits').data]).toEqual(rows);
    const { data, columns } = logitsOf({ picked: true, topK: 4 }, 'top');
    expect(columns).toBe(2 + 2 * 4);
    for (const [r, { best }] of reference.topK(rows, { V: VOCABULARY, k: 4 }).entries()) {
      const pairs = best.flatMap(({ value, index }) => [value, index]);
      expect([...data.subarray(r * columns + 2, (r + 1) * columns)]).toEqual(pairs);
    }
  });

  it('with every value as an output is planned with a slot for each, in slices where a binding is small', () => {
    const every = withEveryValue(graph);
    // Room for 16 rows of the word table.
    const { outputs, slotOf } = plan(every, { caps: { ...GPU, maxBindingBytes: 16 * 4 * 16 } });
    const slots = outputs.map(({ value }) => slotOf.get(value.id));
    expect(new Set(slots).size).toBe(outputs.length);
    expect(outputs.length).toBe(every.outputs.length + 2);
    // What the device computes in slices is found whole.
    const { values } = interpret(graph, tensors, batch);
    const results = outputs.map(({ name, first, value }) => {
      const { columns, data } = values.get(name)!;
      return data.filter((_, i) => i % columns >= first && i % columns < first + value.columns);
    });
    expect(namedValues(outputs, results)).toEqual(new Map([...values].map(([name, { data }]) => [name, data])));
  });

  it('refuses a tensor of another shape, and an id that no table has', () => {
    const other: TensorLookup = name =>
      name.includes('query.bias') ? { shape: [3], data: new Float32Array(3) } : tensors(name);
    expect(() => interpret(graph, other, batch)).toThrow(/query\.bias is \[3\], not \[15\]/);
    expect(() => interpret(graph, tensors, [{ ids: [VOCABULARY], positions: [0], types: [0] }])).toThrow(/no word 41/);
  });

  it('of a backend without a mistake has no first difference', () => {
    expect(difference(numbers(graph))).toBeUndefined();
  });

  const mistakes: [name: string, graph: Graph, place: string][] = [
    [
      'a wrong scale',
      changed(
        op => op.op === 'attention',
        op => ({ ...op, scale: 0.45 }) as Op,
      ),
      'attention encoder.layer.0.attention.self.context: ',
    ],
    [
      'another activation',
      changed(
        op => op.op === 'linear' && op.activation === 'gelu',
        op => ({ ...op, activation: 'gelu_tanh' }) as Op,
      ),
      'linear encoder.layer.0.intermediate.dense: ',
    ],
    [
      'a forgotten residual',
      changed(
        op => op.op === 'norm' && op.y.name === 'encoder.layer.1.output.LayerNorm',
        op => ({ ...op, residual: undefined }) as Op,
      ),
      'norm encoder.layer.1.output.LayerNorm: ',
    ],
    [
      'a forgotten bias',
      changed(
        op => op.op === 'linear' && op.y.name === 'encoder.layer.1.output.dense',
        op => ({ ...op, bias: undefined }) as Op,
      ),
      'linear encoder.layer.1.output.dense: ',
    ],
  ];
  it.each(mistakes)('of a backend with %s is found at its op', (_, mistaken, place) => {
    const actual = numbers(mistaken);
    const first = difference(actual);
    expect(first && describeDifference(first)).toMatch(place);
    // The outputs alone show it too.
    const { difference: size } = difference(new Map([...actual].filter(([name]) => name === 'vocabulary')))!;
    expect(size).toBeGreaterThan(1e-5);
  });

  it('with a single wrong number, or NaN, is found at its row and column', () => {
    const name = 'encoder.layer.0.output.dense';
    for (const wrong of [0.5, Number.NaN]) {
      const actual = numbers(graph);
      actual.get(name)![15 * 9 + 4]! += wrong;
      expect(difference(actual)).toMatchObject({ name, row: 9, column: 4 });
    }
    const short = new Map([[name, new Float32Array(3)]]);
    expect(() => difference(short)).toThrow(/3 numbers, not 300/);
  });
});
