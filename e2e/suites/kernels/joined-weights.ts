import { type Builder, builder } from '../../../src/plan/builder.ts';
import type { Graph } from '../../../src/plan/op.ts';
import type { Sequence } from '../../../src/plan/sequence.ts';
import type { TensorData } from '../../../tests/interpreter.ts';
import { random } from '../../dispatch.ts';
import { type GraphOptions, graphOnDevice } from '../../graph-on-device.ts';
import { check, expect, expectEqual } from '../../harness.ts';
import { fewOf } from '../../slow-compiler.ts';

/** Weights made of several tensors, in groups, or the other way round; what a device binds decides in how many slices they stand. */

/** A graph whose only output reads one weight, behind rows of 48 columns. */
function graphOf(
  columns: number,
  write: (b: Builder, x: ReturnType<Builder['embed']>) => ReturnType<Builder['embed']>,
): Graph {
  const b = builder();
  b.output('y', write(b, b.embed({ words: { table: 'words', rows: 9 }, columns })));
  return b.graph();
}

const SEQUENCES: Sequence[] = [[0, 3, 8, 1], [7]].map(ids => ({ ids, positions: ids, types: ids }));

/** A weight made in some way and the same matrix as one tensor give the same bits, in every format, slice and order of arrival. */
async function expectSameBits(
  graphs: readonly [Graph, Graph],
  tensors: ReadonlyMap<string, TensorData>,
  {
    bindings,
    orders,
    pieceBytes = 1004,
  }: { bindings: readonly number[]; orders: readonly (readonly string[])[]; pieceBytes?: number },
): Promise<void> {
  const run = async (graph: Graph, maxBindingBytes: number, options: GraphOptions) => {
    const device = await graphOnDevice(graph, maxBindingBytes, { tensors, ...options });
    const results = await device.run(SEQUENCES);
    device.destroy();
    // Of an output in slices, the columns of all of them.
    return [...results].map(([name, data]) => ({ name, data: [...data] }));
  };
  for (const format of ['f32', 'f16', 'i8'] as const) {
    for (const maxBindingBytes of bindings) {
      // In textures where the device itself has them so, and in buffers.
      for (const adapter of fewOf([undefined, 'gpu'] as const)) {
        const wanted = await run(graphs[1], maxBindingBytes, { format, adapter });
        for (const order of orders) {
          const found = await run(graphs[0], maxBindingBytes, { format, adapter, order, pieceBytes });
          const numbers = (list: typeof found) => list.flatMap(({ data }) => data);
          expect(numbers(found).length > 0 && numbers(found).every(Number.isFinite), 'numbers');
          const label = `${format}, ${adapter ?? 'own'}, bindings of ${maxBindingBytes}, ${order.join(' ')}`;
          expectEqual(numbers(found), numbers(wanted), label);
        }
      }
    }
  }
}

check('a linear in groups has the bits of one whose weight is mostly zeros, in every format', async () => {
  const [N, K] = [30, 90];
  const make = random(7);
  const groups = [3, 1, 5] as const;
  const tensors = new Map<string, TensorData>([['words.weight', { shape: [9, K], data: make(9 * K) }]]);
  groups.forEach((count, part) => {
    const width = K / count;
    const data = make(N * width, 0.2);
    const whole = new Float32Array(N * K);
    for (let n = 0; n < N; n++) {
      whole.set(data.subarray(n * width, (n + 1) * width), n * K + Math.floor((n * count) / N) * width);
    }
    tensors.set(`g${part}.weight`, { shape: [N, width, 1], data });
    tensors.set(`w${part}.weight`, { shape: [N, K], data: whole });
  });
  const linear = (letter: string, more: { groups?: readonly number[] }) =>
    graphOf(K, (b, x) =>
      b.linear(x, { from: [0, 1, 2].map(i => `${letter}${i}`), outputs: N, outputHead: 10, bias: false, ...more }),
    );
  const orders = [
    ['words.weight', 'g0.weight', 'g1.weight', 'g2.weight'],
    ['g2.weight', 'g0.weight', 'words.weight', 'g1.weight'],
  ];
  await expectSameBits([linear('g', { groups }), linear('w', {})], tensors, { bindings: [2 ** 27], orders });
});

check('a linear in groups that comes in several bands has nothing of one band in the next', async () => {
  // 9.4 MB of float32 rows: more than a band holds.
  const [N, K, groups] = [3072, 768, 4];
  const make = random(13);
  const width = K / groups;
  const data = make(N * width, 0.1);
  const whole = new Float32Array(N * K);
  for (let n = 0; n < N; n++) {
    whole.set(data.subarray(n * width, (n + 1) * width), n * K + Math.floor((n * groups) / N) * width);
  }
  const tensors = new Map<string, TensorData>([
    ['words.weight', { shape: [9, K], data: make(9 * K) }],
    ['g.weight', { shape: [N, width, 1], data }],
    ['w.weight', { shape: [N, K], data: whole }],
  ]);
  const linear = (from: string, more: { groups?: number }) =>
    graphOf(K, (b, x) => b.linear(x, { from, outputs: N, bias: false, ...more }));
  await expectSameBits([linear('g', { groups }), linear('w', {})], tensors, {
    bindings: [2 ** 27],
    orders: [['words.weight', 'g.weight']],
    pieceBytes: 1_000_004,
  });
});

check('a decoder of two tensors, one of which stands the other way, has the bits of one that is whole', async () => {
  const [V, own, rest] = [301, 40, 50];
  const make = random(11);
  const [left, right] = [make(V * own, 0.2), make(rest * V, 0.2)];
  const whole = new Float32Array(V * (own + rest));
  for (let v = 0; v < V; v++) {
    for (let c = 0; c < own; c++) whole[v * (own + rest) + c] = left[v * own + c]!;
    for (let c = 0; c < rest; c++) whole[v * (own + rest) + own + c] = right[c * V + v]!;
  }
  const tensors = new Map<string, TensorData>([
    ['words.weight', { shape: [9, own + rest], data: make(9 * (own + rest)) }],
    ['left.weight', { shape: [V, own], data: left }],
    ['right', { shape: [rest, V], data: right }],
    ['whole.weight', { shape: [V, own + rest], data: whole }],
  ]);
  const decoder = (table: string, more: object) =>
    graphOf(own + rest, (b, x) => b.vocabulary(x, { table, rows: V, ...more }));
  const graphs = [decoder('left', { rest: { tensor: 'right', columns: rest } }), decoder('whole', {})] as const;
  const orders = [
    ['words.weight', 'left.weight', 'right'],
    ['right', 'words.weight', 'left.weight'],
  ];
  // Whole, and in slices whose float32 rows are three bindings.
  await expectSameBits(graphs, tensors, { bindings: [2 ** 27, 40_000], orders });
});
