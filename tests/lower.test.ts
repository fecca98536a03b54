import { describe, expect, it } from 'vitest';
import { MOST_TEXELS, padded } from '../shaders/kernel.ts';
import type { Format } from '../shaders/matrix.ts';
import { readConfig } from '../src/model/config.ts';
import { encoderGraph } from '../src/model/encoder.ts';
import type { EncoderRequest } from '../src/model/request.ts';
import { type Builder, builder } from '../src/plan/builder.ts';
import { type LoweringOptions, lower } from '../src/plan/lower.ts';
import type { Graph } from '../src/plan/op.ts';
import { plan } from '../src/plan/plan.ts';
import { weightBytes, weightKey } from '../src/plan/weight.ts';
import { GPU, SWIFTSHADER } from './caps.ts';

const WHOLE: LoweringOptions = { format: 'f32', texels: false, maxBindingBytes: 1 << 27 };
const config = readConfig({
  model_type: 'bert',
  vocab_size: 101,
  hidden_size: 28,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  intermediate_size: 48,
  max_position_embeddings: 16,
  type_vocab_size: 2,
});
/** Bytes of a binding that holds so many rows of the word table. */
const bindingOf = (rows: number) => rows * 28 * 4;
const graphOf = (request: EncoderRequest): Graph => encoderGraph(config, request);
const MASKED: EncoderRequest = { head: { kind: 'MaskedLM' } };

function written(write: (b: Builder) => void): Graph {
  const b = builder();
  write(b);
  return b.graph();
}

describe('a graph', () => {
  it('is the same for every device: whole tables in plain float32', () => {
    const graph = graphOf({ ...MASKED, lastHiddenState: true });
    for (const op of graph.ops) {
      for (const weight of Object.values(op)) {
        if (typeof weight !== 'object' || weight === null || !('parts' in weight)) continue;
        expect(weight).toMatchObject({ first: 0, storage: { format: 'f32', texels: false } });
      }
    }
    const decoder = graph.ops.at(-1)!;
    expect(decoder).toMatchObject({ op: 'linear', y: { columns: 101 }, weight: { count: 101 } });
    const [embed] = graph.ops;
    expect(embed?.op === 'embed' && decoder.op === 'linear' && embed.words === decoder.weight).toBe(true);
  });

  it('that everything fits is lowered to its own ops', () => {
    const graph = graphOf({ ...MASKED, lastHiddenState: true });
    const lowered = lower(graph, WHOLE);
    expect(lowered.ops).toEqual(graph.ops);
    expect(lowered.outputs).toEqual(graph.outputs.map(output => ({ ...output, first: 0 })));
  });
});

describe('a word table that no binding holds', () => {
  it('is looked up in slices, which cover every row once and write one value', () => {
    const { ops } = lower(graphOf({ lastHiddenState: true }), { ...WHOLE, maxBindingBytes: bindingOf(42) });
    const embeds = ops.flatMap(op => (op.op === 'embed' ? [op] : []));
    expect(embeds.map(({ words }) => [words!.first, words!.count])).toEqual([
      [0, 40],
      [40, 40],
      [80, 21],
    ]);
    expect(new Set(embeds.map(({ y }) => y)).size).toBe(1);
    for (const { words } of embeds) expect(weightBytes(words!)).toBeLessThanOrEqual(bindingOf(42));
  });

  it('with the limits of every device is slices from 2^18 floats a column on', () => {
    const table = (rows: number, format: Format, columns = 384) =>
      lower(
        written(b => b.output('y', b.embed({ words: { table: 'words', rows }, columns }))),
        { ...WHOLE, format },
      ).ops.length;
    // 128 MiB / (384 * 4 bytes) = 87,381 rows, in halves twice as many.
    expect([87_381, 87_382, 250_037].map(rows => table(rows, 'f32'))).toEqual([1, 2, 3]);
    expect([174_762, 174_763, 250_037].map(rows => table(rows, 'f16'))).toEqual([1, 2, 2]);
    expect(table(250_037, 'i8')).toBe(1);
  });

  it('is sliced for a texture too, which holds fewer elements than a binding', () => {
    const graph = written(b => b.output('y', b.embed({ words: { table: 'words', rows: 250_000 }, columns: 384 })));
    const rows = (texels: boolean) =>
      lower(graph, { ...WHOLE, maxBindingBytes: 2 ** 31, texels }).ops.map(op => op.op === 'embed' && op.words!.count);
    expect(rows(false)).toEqual([250_000]);
    const perTexture = 4 * Math.floor(MOST_TEXELS / (384 / 4) / 4);
    expect(rows(true)).toEqual([perTexture, 250_000 - perTexture]);
  });

  it('shares its slices with a decoder that is tied to it: each is one weight', () => {
    const graph = graphOf(MASKED);
    for (const format of ['f32', 'f16', 'i8'] as const) {
      const { ops, weights } = plan(graph, { caps: { ...GPU, maxBindingBytes: 2000 }, format });
      const words = ops.flatMap(op => (op.op === 'embed' ? [op.words] : []));
      const decoders = ops.flatMap(op =>
        op.op === 'linear' && op.weight.name.startsWith('embeddings') ? [op.weight] : [],
      );
      expect(words.length).toBeGreaterThan(1);
      expect(decoders).toEqual(words);
      for (const [i, weight] of words.entries()) expect(decoders[i]).toBe(weight);
      expect(new Set(weights.map(weightKey)).size).toBe(weights.length);
      expect(weights.filter(({ name }) => name.startsWith('embeddings.word'))).toHaveLength(words.length);
    }
  });
});

describe('a linear that no binding holds', () => {
  const sliced = { ...WHOLE, maxBindingBytes: bindingOf(42) };

  it('is a linear for each slice, with its part of the bias, and its output has as many slices', () => {
    const { ops, outputs } = lower(graphOf(MASKED), sliced);
    const decoders = ops.flatMap(op => (op.op === 'linear' && op.y.name.startsWith('vocabulary') ? [op] : []));
    expect(decoders.map(({ y }) => [y.name, y.columns, y.stride])).toEqual([
      ['vocabulary[0..40]', 40, 40],
      ['vocabulary[40..80]', 40, 40],
      ['vocabulary[80..101]', 21, 24],
    ]);
    expect(decoders.map(({ bias }) => [bias?.name, bias?.first, bias?.count])).toEqual([
      ['cls.predictions.bias[0..40]', 0, 40],
      ['cls.predictions.bias[40..80]', 40, 40],
      ['cls.predictions.bias[80..101]', 80, 21],
    ]);
    expect(outputs).toEqual(
      decoders.map(({ y, weight: { first } }) => ({ name: 'logits', layer: undefined, first, value: y })),
    );
    const ids = ops.flatMap(op => ('y' in op ? [op.y.id] : []));
    expect(new Set(ids.slice(3)).size).toBe(ids.length - 3);
  });

  it('gives the best of each slice, no more than it has', () => {
    const { ops, outputs } = lower(graphOf({ head: { kind: 'MaskedLM', picked: true, topK: 32 } }), sliced);
    const tops = ops.flatMap(op => (op.op === 'topK' ? [op] : []));
    expect(tops.map(({ x, k, y }) => [x.columns, k, y.columns, y.stride])).toEqual([
      [40, 32, 66, 68],
      [40, 32, 66, 68],
      [21, 21, 44, 44],
    ]);
    expect(outputs.map(({ name, first, value }) => [name, first, value])).toEqual(
      tops.map(({ y }, i) => ['top', 40 * i, y]),
    );
  });

  it('stays whole where another op reads its result, or it has a residual: the load then refuses it by name', () => {
    const tooWide = written(b => {
      const x = b.embed({ words: { table: 'words', rows: 4 }, columns: 8 });
      const wide = b.linear(x, { from: 'wide', outputs: 100 });
      b.output('wide', wide);
      b.output('normed', b.norm(wide, { from: 'norm', eps: 1e-12 }));
      b.output('added', b.linear(x, { from: 'other', outputs: 100, residual: wide }));
    });
    const { ops, outputs } = lower(tooWide, { ...WHOLE, maxBindingBytes: 1000 });
    expect(ops.map(({ op }) => op)).toEqual(['embed', 'linear', 'norm', 'linear']);
    expect(outputs.map(({ value }) => value.columns)).toEqual([100, 100, 100]);
  });
});

describe('the pooled logits of a vocabulary', () => {
  const pooled = (rows: number) =>
    written(b => {
      const x = b.embed({ words: { table: 'words', rows }, columns: 8 });
      b.output(
        'sparse_embedding',
        b.vocabularyPool(x, { table: 'words', bias: 'bias', rows, pooling: 'max', logarithms: 1 }),
      );
    });
  const partsOf = ({ ops }: ReturnType<typeof lower>) =>
    ops.flatMap(op => (op.op === 'linearSlice' ? [[op.weight.name, op.bias?.name, op.from, op.y.columns]] : []));

  it('are made of some columns after the other, with the whole table', () => {
    const lowered = lower(pooled(9001), WHOLE);
    expect(partsOf(lowered)).toEqual([
      ['words.weight', 'bias', 0, 4096],
      ['words.weight', 'bias', 4096, 4096],
      ['words.weight', 'bias', 8192, 809],
    ]);
    const pools = lowered.ops.flatMap(op => (op.op === 'logitsPool' ? [op] : []));
    expect(pools.map(({ first }) => first)).toEqual([0, 4096, 8192]);
    // All write the one output, which is no slice.
    expect(lowered.outputs).toEqual([{ name: 'sparse_embedding', layer: undefined, first: 0, value: pools[0]!.y }]);
    expect(new Set(pools.map(({ y }) => y)).size).toBe(1);
  });

  it('and of a table in slices with the slices that embed reads', () => {
    // Slices of 5,000 rows of 8 floats.
    const lowered = lower(pooled(9001), { ...WHOLE, maxBindingBytes: 5000 * 32 });
    expect(partsOf(lowered)).toEqual([
      ['words.weight[0..5000]', 'bias[0..5000]', 0, 4096],
      ['words.weight[0..5000]', 'bias[0..5000]', 4096, 904],
      ['words.weight[5000..9001]', 'bias[5000..9001]', 0, 4001],
    ]);
    const pools = lowered.ops.flatMap(op => (op.op === 'logitsPool' ? [op.first] : []));
    expect(pools).toEqual([0, 4096, 5000]);
    const tables = new Set(lowered.ops.flatMap(op => (op.op === 'embed' ? [op.words] : [])));
    expect(lowered.ops.every(op => op.op !== 'linearSlice' || tables.has(op.weight))).toBe(true);
  });

  it('take turns in one slot', () => {
    const { slots, slotOf, ops } = plan(pooled(9001), { caps: GPU });
    const slices = ops.flatMap(op => (op.op === 'linearSlice' ? [slotOf.get(op.y.id)] : []));
    expect(slices).toHaveLength(3);
    expect(new Set(slices).size).toBe(1);
    expect(slots[slices[0]!]!.get('tokens')).toBe(4096);
  });
});

describe('weights of bytes', () => {
  it('are read with the bytes of x, which are made once for all linears', () => {
    const graph = written(b => {
      const x = b.embed({ words: { table: 'words', rows: 4 }, columns: 200 });
      const [one, two] = ['one', 'two'].map(from => b.linear(x, { from, outputs: 8 }));
      b.output('one', one!);
      b.output('two', b.linear(one!, { from: 'three', outputs: 8, residual: two! }));
    });
    const { ops } = lower(graph, { ...WHOLE, format: 'i8' });
    expect(ops.map(op => op.op)).toEqual(['embed', 'quantize', 'linear', 'linear', 'quantize', 'linear']);
    const [, quantize, one, two, , three] = ops;
    // 50 elements of four bytes, and the scales of four groups.
    expect(quantize).toMatchObject({ y: { name: 'embeddings.quantized', columns: 54, stride: 54 } });
    for (const op of [one, two]) expect(op).toMatchObject({ op: 'linear', x: { name: 'embeddings.quantized' } });
    expect(three).toMatchObject({ residual: { name: 'two' } });
    expect(lower(graph, { ...WHOLE, format: 'f16' }).ops.map(op => op.op)).not.toContain('quantize');
  });

  it.each(['f32', 'f16', 'i8'] as const)(
    '%s: linears and the word table, in textures where they are; the rest is float32',
    format => {
      for (const caps of [GPU, SWIFTSHADER]) {
        const { weights } = plan(graphOf({ ...MASKED, pooler: true }), { caps, format });
        for (const { name, storage, stride } of weights) {
          const isMatrix = stride > 1 && !/position_embeddings|token_type/.test(name);
          const texels = isMatrix && caps === SWIFTSHADER;
          expect(storage, name).toEqual(isMatrix ? { format, texels } : { format: 'f32', texels: false });
        }
      }
    },
  );
});

it('slices of a table are of whole rows, free of padding but for the last', () => {
  const { ops } = lower(graphOf(MASKED), { ...WHOLE, maxBindingBytes: bindingOf(11) });
  const heights = ops.flatMap(op => (op.op === 'embed' ? [op.words!.height] : []));
  expect(heights).toEqual([...Array(12).fill(8), padded(101 - 96)]);
});
