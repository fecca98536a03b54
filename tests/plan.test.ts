import { describe, expect, it } from 'vitest';
import { f32, packParams, padded, u32 } from '../shaders/kernel.ts';
import { type EncoderRequest, encoderGraph } from '../src/model/bert.ts';
import { readConfig } from '../src/model/config.ts';
import { slotBytes } from '../src/plan/arena.ts';
import { packBatch, type Sequence, sizesOf } from '../src/plan/batch.ts';
import { builder } from '../src/plan/builder.ts';
import type { Caps } from '../src/plan/caps.ts';
import type { Value } from '../src/plan/op.ts';
import { startPace } from '../src/plan/pace.ts';
import { passRoom, splitOutputs } from '../src/plan/passes.ts';
import { kernelsOf, type Plan, plan } from '../src/plan/plan.ts';
import { bucketTable } from '../src/plan/relative.ts';
import type { Step } from '../src/plan/step.ts';
import { GPU, LLVMPIPE, SWIFTSHADER, WORKGROUP_BYTES } from './caps.ts';
import { random } from './checkpoint-bytes.ts';
import { relativeBucket } from './reference.ts';

const ADAPTERS: Caps[] = [
  GPU,
  { ...GPU, maxInvocations: 128 },
  SWIFTSHADER,
  { ...SWIFTSHADER, subgroup: 4, f16: true },
  LLVMPIPE,
  { ...LLVMPIPE, storageTextures: false },
];
const config = readConfig({
  model_type: 'bert',
  vocab_size: 101,
  hidden_size: 27,
  num_hidden_layers: 3,
  num_attention_heads: 3,
  intermediate_size: 50,
  max_position_embeddings: 16,
  type_vocab_size: 2,
});
const REQUESTS: EncoderRequest[] = [
  { lastHiddenState: true },
  { lastHiddenState: true, pooler: true, hiddenStates: [0, 1, 2, 3], attentions: [0, 1, 2] },
  { pool: { pooling: 'mean', normalize: true } },
];
const planOf = (request: EncoderRequest, caps = GPU): Plan => plan(encoderGraph(config, request, caps), caps);
const sequence = (length: number, first = 0): Sequence => ({
  ids: Array.from({ length }, (_, i) => first + i),
  positions: Array.from({ length }, (_, i) => i),
  types: Array.from({ length }, () => 1),
});

describe('the builder', () => {
  it('infers shapes, padded to four floats', () => {
    const b = builder(GPU);
    const x = b.embed({ words: { table: 'words', rows: 10 }, columns: 27 });
    expect(x).toMatchObject({ rows: 'tokens', columns: 27, stride: 28 });
    const y = b.linear(x, { from: 'a', outputs: 50 });
    expect(y).toMatchObject({ rows: 'tokens', columns: 50, stride: 52 });
    // Heads of 9 take 12 floats each: 3 matrices of 3 heads.
    const qkv = b.linear(x, { from: ['q', 'k', 'v'], outputs: 27, outputHead: 9 });
    expect(qkv).toMatchObject({ columns: 3 * 3 * 12, stride: 108 });
    const { context, probabilities } = b.attention(qkv, { heads: 3, headSize: 9, name: 'self', probabilities: true });
    expect(context).toMatchObject({ rows: 'tokens', columns: 36, stride: 36 });
    expect(probabilities).toMatchObject({ rows: 'pairs', columns: 3, stride: 3 });
    expect(b.linear(context, { from: 'o', outputs: 27, inputHead: 9, residual: x })).toMatchObject({ stride: 28 });
    expect(b.pool(x, { pooling: 'mean', normalize: true, name: 'p', columns: 5 })).toMatchObject({
      rows: 'sequences',
      columns: 5,
      stride: 8,
    });
  });

  it('refuses operands that do not fit', () => {
    const b = builder(GPU);
    const x = b.embed({ words: { table: 'words', rows: 10 }, columns: 27 });
    const y = b.linear(x, { from: 'a', outputs: 50 });
    const row = b.pool(x, { pooling: 'cls', normalize: false, name: 'p' });
    expect(() => b.linear(x, { from: 'b', outputs: 50, residual: x })).toThrow(/different shapes/);
    expect(() => b.layerNorm(x, 'n', 1e-12, y)).toThrow(/different shapes/);
    expect(() => b.layerNorm(x, 'n', 1e-12, row)).toThrow(/different shapes/);
    expect(() => b.attention(x, { heads: 3, headSize: 9, name: 'self', probabilities: false })).toThrow(/27 columns/);
    expect(() => b.pool(row, { pooling: 'cls', normalize: false, name: 'p' })).toThrow(/columns/);
    expect(() => b.pool(x, { pooling: 'cls', normalize: false, name: 'p', columns: 28 })).toThrow(/28 columns of 27/);
    const several = { pooling: ['cls', 'mean'], normalize: false, name: 'p' } as const;
    expect(b.pool(x, several)).toMatchObject({ columns: 54, stride: 56 });
    expect(() => b.pool(x, { ...several, columns: 40 })).toThrow(/40 columns of 54/);
    expect(() => b.topK(y, 65)).toThrow(/the best 65, not 64 at most/);
    expect(b.topK(y, 64)).toMatchObject({ rows: 'tokens', columns: 2 * 50 + 2 });
  });

  it('makes one weight of what is asked for twice', () => {
    const b = builder(GPU);
    const x = b.embed({ words: { table: 'words', rows: 10 }, columns: 8 });
    b.output('y', b.linear(b.linear(x, { from: 'shared', outputs: 8 }), { from: 'shared', outputs: 8 }));
    expect(plan(b.graph(), GPU).weights.map(({ name }) => name)).toEqual([
      'words.weight',
      'shared.weight',
      'shared.bias',
    ]);
  });
});

/** The values that a step reads and writes, by what its kernel declares: nothing of src/plan is asked. */
function valuesOf({ kernel, args }: Step): { reads: Value[]; writes: Value[] } {
  const of = (isWrite: boolean) =>
    args.flatMap((arg, i) =>
      arg.kind === 'value' && (kernel.bindings[i]!.access === 'write') === isWrite ? [arg.value] : [],
    );
  return { reads: of(false), writes: of(true) };
}

/** Runs steps on slots that hold the name of the last value written: every read must find its own value. */
function simulate(steps: readonly Step[], { slotOf }: Pick<Plan, 'slotOf'>, outputs: Iterable<Value>): string[] {
  const slots = new Map<number, number>();
  const wrong: string[] = [];
  const find = (value: Value, why: string) => {
    if (slots.get(slotOf.get(value.id)!) !== value.id) wrong.push(`${value.name} is gone ${why}`);
  };
  steps.forEach((step, i) => {
    const { reads, writes } = valuesOf(step);
    for (const value of reads) find(value, `at step ${i}`);
    // A dispatch may not bind one buffer twice where it writes.
    const used = [...reads, ...writes].map(({ id }) => slotOf.get(id)!);
    for (const value of writes) {
      if (used.filter(slot => slot === slotOf.get(value.id)).length > 1) wrong.push(`step ${i} writes what it reads`);
      slots.set(slotOf.get(value.id)!, value.id);
    }
  });
  for (const value of outputs) find(value, 'at the end');
  return wrong;
}

/** A random graph of every op, each reading any value before it, some of them kept; weights as floats or as bytes. */
function randomGraph(seed: number) {
  const next = random(seed);
  const below = (limit: number) => Math.floor(next() * limit);
  const b = builder(GPU, seed % 3 === 0 ? 'i8' : 'f32');
  const values = [b.embed({ words: { table: 'words', rows: 10 }, columns: 4 * (1 + below(5)) })];
  for (let i = 0; i < 25; i++) {
    const x = values[below(values.length)]!;
    const alike = values.filter(v => v.rows === x.rows && v.stride === x.stride);
    const residual = next() < 0.5 ? alike[below(alike.length)] : undefined;
    const kind = below(8);
    const pool = { pooling: 'mean', normalize: false, name: `pool${i}` } as const;
    if (kind < 2) values.push(b.layerNorm(x, `norm${i}`, 1e-12, residual));
    else if (kind === 2 && x.rows === 'tokens') values.push(b.pool(x, pool));
    else if (kind === 3 && x.rows === 'tokens') values.push(b.gather(x, 'masked'));
    else if (kind === 4) b.output(`top${i}`, b.topK(x, 3));
    else if (kind === 5 && x.rows === 'tokens') {
      const qkv = b.linear(x, { from: ['q', 'k', 'v'].map(part => `${part}${i}`), outputs: 8, outputHead: 4 });
      const attended = b.attention(qkv, { heads: 2, headSize: 4, name: `self${i}`, probabilities: next() < 0.5 });
      values.push(attended.context);
      if (attended.probabilities && next() < 0.5) b.output(`probabilities${i}`, attended.probabilities);
    } else {
      values.push(b.linear(x, { from: `linear${i}`, outputs: residual?.columns ?? 4 * (1 + below(8)), residual }));
    }
  }
  values.forEach((value, i) => {
    if (next() < 0.15 || i === values.length - 1) b.output(`out${i}`, value);
  });
  return b.graph();
}

describe('the arena', () => {
  it.each(Array.from({ length: 60 }, (_, seed) => seed))(
    'no value is overwritten while it is needed: graph %i',
    seed => {
      const made = plan(randomGraph(seed), GPU);
      expect(simulate(made.steps, made, made.outputs.values())).toEqual([]);
      for (const { id, rows, stride } of made.steps.flatMap(step => valuesOf(step).writes)) {
        expect(made.slots[made.slotOf.get(id)!]!.get(rows)).toBeGreaterThanOrEqual(stride);
      }
      expect(made.slots.length).toBeLessThan(made.ops.length);
    },
  );

  it('the simulation finds an arena that is too small', () => {
    const { steps, slotOf, outputs } = planOf({ lastHiddenState: true });
    const [first] = valuesOf(steps[0]!).writes;
    const all = new Map([...slotOf].map(([id]) => [id, slotOf.get(first!.id)!]));
    expect(simulate(steps, { slotOf: all }, outputs.values())).not.toEqual([]);
  });

  it.each(REQUESTS)('an encoder keeps its outputs: %j', request => {
    const made = planOf(request);
    expect(simulate(made.steps, made, made.outputs.values())).toEqual([]);
  });

  it('more layers need no more room', () => {
    const deep = { ...config, layers: 12, layerWeights: Array.from({ length: 12 }, (_, i) => i) };
    const { slots } = plan(encoderGraph(deep, { lastHiddenState: true }, GPU), GPU);
    expect(slots).toEqual(planOf({ lastHiddenState: true }).slots);
    expect(slots.length).toBeLessThanOrEqual(4);
  });

  it('counts the bytes of slots, each a multiple of 16', () => {
    const sizes = sizesOf([3, 4], 4);
    expect(slotBytes(new Map([['tokens', 28]]), sizes)).toBe(7 * 28 * 4);
    expect(slotBytes(new Map([['pairs', 3]]), sizes)).toBe(Math.ceil((25 * 3) / 4) * 16);
    expect(slotBytes(new Map([['sequences', 4]]), sizesOf([], 4))).toBe(16);
  });
});

describe('bucketTable', () => {
  it.each([4, 8, 14, 32, 50, 64, 128])('%i buckets are those of the reference, for every distance', buckets => {
    const table = bucketTable(buckets);
    expect(table).toHaveLength(2 * 128 + 1);
    for (let distance = -300; distance <= 300; distance++) {
      const at = Math.max(-128, Math.min(128, distance)) + 128;
      expect(table[at], `distance ${distance}`).toBe(relativeBucket(distance, buckets));
    }
  });

  it('32 buckets, by hand: single distances below 8, then ranges; keys before the query first', () => {
    const table = bucketTable(32);
    const of = (distance: number) => table[distance + 128];
    expect([0, -1, -7, -8, -11, -12, -16, -23, -32, -64, -127, -128].map(of)).toEqual([
      0, 1, 7, 8, 8, 9, 10, 11, 12, 14, 15, 15,
    ]);
    expect([1, 7, 8, 16, 128].map(of)).toEqual([17, 23, 24, 26, 31]);
  });
});

describe('packBatch', () => {
  const batch = packBatch([sequence(5, 10), sequence(1, 40), sequence(9, 50)], 4);
  const rows = (of: Uint32Array) => Array.from({ length: of.length / 4 }, (_, i) => [...of.subarray(4 * i, 4 * i + 4)]);

  it('knows its sizes', () => {
    expect(batch.sizes).toMatchObject({ tokens: 15, sequences: 3, tiles: 2 + 1 + 3, pairs: 25 + 1 + 81 });
    expect(sizesOf([5, 1, 9], 4)).toMatchObject(batch.sizes);
    expect(sizesOf([5, 1, 9], 1).tiles).toBe(15);
  });

  it('packs without padding', () => {
    expect(rows(batch.tokens)).toEqual([
      ...[0, 1, 2, 3, 4].map(i => [10 + i, i, 1, i]),
      [40, 0, 1, 0],
      ...[0, 1, 2, 3, 4, 5, 6, 7, 8].map(i => [50 + i, i, 1, i]),
    ]);
    const places = [0, 3, 4, 5, 9];
    expect(rows(packBatch([{ ...sequence(5), places }], 4).tokens).map(row => row[3])).toEqual(places);
    expect(rows(batch.sequences)).toEqual([
      [0, 5, 0, 0],
      [5, 6, 25, 0],
      [6, 15, 26, 0],
    ]);
  });

  it('lists tiles that cover every query once', () => {
    expect(rows(batch.tiles)).toEqual([
      [0, 5, 0, 0],
      [0, 5, 4, 0],
      [5, 6, 5, 25],
      [6, 15, 6, 26],
      [6, 15, 10, 26],
      [6, 15, 14, 26],
    ]);
  });
});

describe('passes', () => {
  /** On a GPU as if it were endlessly fast: what its speed allows is in pace.test.ts. */
  const fill = (lengths: number[], made: Plan, caps: Caps) => {
    const most = caps.adapter === 'gpu' ? Number.POSITIVE_INFINITY : startPace(caps).budget;
    const room = passRoom(made, caps, most);
    return lengths.findIndex(length => !room(sequence(length)));
  };

  it('end at the token budget; the first sequence always fits', () => {
    const made = planOf({ pool: { pooling: 'mean', normalize: true } });
    const software = SWIFTSHADER;
    expect(fill(Array(100).fill(16), made, software)).toBe(1024 / 16);
    expect(fill(Array(1000).fill(16), made, GPU)).toBe(8192 / 16);
    expect(fill([5000, 1], made, software)).toBe(1);
    expect(fill([1, 1024], made, software)).toBe(1);
    expect(fill([1, 1023, 1], made, software)).toBe(2);
  });

  it('end at so much work, on a CPU sooner; the more of it a token is, the fewer there are', () => {
    // Of every layer Q, K, V and the output [C, C], and two of [C, 4 C]; and 2 C for each pair of tokens.
    const most = (layers: number, C: number, length: number, work: number) =>
      Math.floor(work / (layers * (12 * C * C * length + 2 * C * length * length)));
    const fields = { num_attention_heads: 12, max_position_embeddings: 512, type_vocab_size: 2, vocab_size: 101 };
    const shaped = (layers: number, C: number) =>
      readConfig({
        model_type: 'bert',
        ...fields,
        num_hidden_layers: layers,
        hidden_size: C,
        intermediate_size: 4 * C,
      });
    const software = LLVMPIPE;
    for (const [layers, C] of [
      [6, 384],
      [12, 768],
    ] as const) {
      for (const length of [16, 128, 512]) {
        const wide = shaped(layers, C);
        const own = (caps: Caps) =>
          fill(Array(600).fill(length), plan(encoderGraph(wide, { lastHiddenState: true }, caps), caps), caps);
        expect(own(software)).toBe(Math.max(1, most(layers, C, length, 2 ** 32)));
        const readback = Math.floor((64 << 20) / (4 * C * length));
        const onGpu = Math.min(8192 / length, readback);
        expect(own({ ...GPU, maxBindingBytes: 1 << 30 })).toBe(onGpu);
      }
    }
    // A masked-LM head: C^2 and the vocabulary for each mask.
    const masks = { ...shaped(6, 384), vocabSize: 30_000 };
    const made = plan(encoderGraph(masks, { head: { kind: 'MaskedLM', picked: true } }, software), software);
    const room = passRoom(made, software, 2 ** 32);
    const each = { ...sequence(16), masked: [...Array(16).keys()] };
    const own = 6 * (12 * 384 ** 2 * 16 + 2 * 384 * 16 ** 2) + 16 * (384 ** 2 + 384 * 30_000);
    expect(Array.from({ length: 600 }, () => room(each)).indexOf(false)).toBe(Math.floor(2 ** 32 / own));
  });

  it('end where a binding would be too small, also for the power of two that room is made for', () => {
    const made = planOf({ lastHiddenState: true });
    const widest = Math.max(...made.slots.map(slot => slot.get('tokens') ?? 0));
    const caps = { ...GPU, maxBindingBytes: 4 * widest * 100 };
    const tokens = fill(Array(200).fill(1), made, caps);
    expect(tokens).toBe(64);
    for (const slot of made.slots)
      expect(slotBytes(slot, sizesOf(Array(64).fill(1), 1))).toBeLessThanOrEqual(caps.maxBindingBytes);
  });

  it('end where attention maps would not fit into a binding', () => {
    const made = plan(encoderGraph(config, { attentions: [0] }, GPU), GPU);
    const each = 4 * config.heads * 64 * 64;
    expect(fill(Array(9).fill(64), made, { ...GPU, maxBindingBytes: 2 * each + 4 })).toBe(2);
  });

  it('end where too many bytes would be read back', () => {
    const wide = { ...config, heads: 9, headSize: 3, maxPositions: 512 };
    const made = plan(encoderGraph(wide, { attentions: [0, 1, 2] }, GPU), GPU);
    const each = 4 * 9 * 512 * 512 * config.layers;
    expect(fill(Array(20).fill(512), made, GPU)).toBe(Math.floor((64 << 20) / each));
  });

  it('splitOutputs gives every sequence its own', () => {
    const made = planOf(REQUESTS[1]!);
    const pass = [sequence(2), sequence(3)];
    const sizes = sizesOf([2, 3], made.queryTile);
    const all = new Map(
      [...made.outputs].map(([name, { rows, columns }]) => [
        name,
        Float32Array.from({ length: sizes[rows] * columns }, (_, i) => i),
      ]),
    );
    const [first, second] = splitOutputs(made, pass, all);
    expect([...first!.keys()]).toEqual([...made.outputs.keys()]);
    expect(first!.get('last_hidden_state')).toHaveLength(2 * 27);
    expect(second!.get('last_hidden_state')![0]).toBe(2 * 27);
    expect(second!.get('last_hidden_state')).toHaveLength(3 * 27);
    expect(second!.get('pooler_output')![0]).toBe(27);
    expect(first!.get('attentions.0')).toHaveLength(3 * 4);
    expect(second!.get('attentions.0')![0]).toBe(3 * 4);
    expect(second!.get('attentions.0')).toHaveLength(3 * 9);
    expect(second!.get('pooler_output')!.buffer).toBe(all.get('pooler_output')!.buffer);
  });
});

describe('steps', () => {
  it.each(ADAPTERS)('declare every binding once and get an argument for each: %j', caps => {
    for (const request of REQUESTS) {
      const made = planOf(request, caps);
      for (const { kernel, args, params } of made.steps) {
        const declared = [
          ...kernel.code.matchAll(/@group\(0\) @binding\((\d+)\)\s*var(?:<(\w+)(?:, (\w+))?>)? (\w+)\s*:/g),
        ];
        expect(declared.map(([, at]) => Number(at))).toEqual([0, ...kernel.bindings.map((_, i) => i + 1)]);
        expect(declared.map(([, , space]) => space)).toEqual([
          'uniform',
          ...kernel.bindings.map(({ access }) => (access === 'texel' ? undefined : 'storage')),
        ]);
        expect(declared.slice(1).map(([, , , access, name]) => [name, access])).toEqual(
          kernel.bindings.map(({ name, access }) => [
            name,
            { read: 'read', write: 'read_write', texel: undefined }[access],
          ]),
        );
        expect(args).toHaveLength(kernel.bindings.length);
        // Baseline adapters bind 8 storage buffers.
        expect(kernel.bindings.length).toBeLessThanOrEqual(8);
        const fields = /struct Params \{ ([^}]*) \}/.exec(kernel.code)![1]!.matchAll(/(\w+): (\w+),/g);
        expect([...fields].map(([, name, type]) => ({ name, type }))).toEqual([...kernel.params]);
        for (const { name } of kernel.params) expect(Object.keys(params)).toContain(name);
        for (const { name, access } of kernel.bindings)
          expect(
            kernel.code.split(access === 'texel' ? ` ${name}_at(` : `${name}[`).length,
            `${kernel.name}: ${name}`,
          ).toBeGreaterThan(1);
        expect(/undefined|\[object|\bNaN\b|^#/m.exec(kernel.code.replace(/\/\/.*/g, ''))).toBeNull();
      }
    }
  });

  it.each(ADAPTERS)('bind what a kernel writes to nothing else, and write to values only: %j', caps => {
    for (const request of REQUESTS) {
      const made = planOf(request, caps);
      for (const { kernel, args } of made.steps) {
        const places = args.map(arg => (arg.kind === 'value' ? `slot ${made.slotOf.get(arg.value.id)}` : arg.kind));
        kernel.bindings.forEach(({ access }, i) => {
          if (access !== 'write') return;
          expect(args[i]!.kind).toBe('value');
          expect(places.filter(place => place === places[i])).toHaveLength(1);
        });
      }
    }
  });

  it.each(ADAPTERS)('keep to the limits of every adapter: %j', caps => {
    const lengths = [1, 7, 300];
    for (const request of REQUESTS) {
      const made = planOf(request, caps);
      const sizes: Record<string, number> = { ...sizesOf(lengths, made.queryTile) };
      for (const { kernel, params } of made.steps) {
        const known = Object.fromEntries(
          Object.entries(params).map(([name, value]) => [name, typeof value === 'number' ? value : sizes[value]!]),
        );
        for (const n of kernel.workgroups(known)) expect(Number.isInteger(n) && n >= 1 && n <= 65535).toBe(true);
        const size = /@workgroup_size\(([\d, ]+)\)/.exec(kernel.code)![1]!.split(',').map(Number);
        expect(size.reduce((a, b) => a * b)).toBeLessThanOrEqual(caps.maxInvocations);
        const shared = [...kernel.code.matchAll(/var<workgroup> \w+: array<(vec4f|f32|u32|vec4u), (\d+)>/g)];
        const bytes = shared.reduce((sum, [, type, n]) => sum + Number(n) * (type!.startsWith('vec4') ? 16 : 4), 0);
        expect(bytes).toBeLessThanOrEqual(WORKGROUP_BYTES);
      }
    }
  });

  it('of another length are the same kernels: what is compiled does not depend on it', () => {
    const made = planOf(REQUESTS[0]!);
    const kernels = kernelsOf(made.steps);
    // embed, qkv, attention, output, norm, intermediate, output of the layer: not one more for three layers.
    expect(kernels).toHaveLength(7);
    expect(new Set(kernels.map(({ code }) => code)).size).toBe(7);
    expect(made.steps).toHaveLength(1 + 3 * 7);
  });

  it('a table that no binding holds is several dispatches, which cover every row once', () => {
    const caps = { ...GPU, maxBindingBytes: padded(27) * 4 * 40 };
    const made = planOf(REQUESTS[0]!, caps);
    const embeds = made.steps.filter(({ kernel }) => kernel.name.startsWith('embed'));
    expect(embeds.map(({ params }) => [params.first, params.count])).toEqual([
      [0, 40],
      [40, 40],
      [80, 21],
    ]);
    expect(kernelsOf(embeds)).toHaveLength(1);
  });
});

describe('the params of a kernel', () => {
  const kernel = { name: 'a kernel', params: [u32('rows'), f32('eps')] };
  it('are all given, or it is a mistake in the plan', () => {
    const view = new DataView(new ArrayBuffer(16));
    packParams(kernel, { rows: 7, eps: 0.5, more: 1 }, view, 4);
    expect([view.getUint32(4, true), view.getFloat32(8, true)]).toEqual([7, 0.5]);
    expect(() => packParams(kernel, { rows: 7 }, view, 0)).toThrow('"a kernel" got no value for its param "eps"');
  });

  it('are those of every step of every plan', () => {
    for (const caps of ADAPTERS) {
      for (const request of REQUESTS) {
        for (const { kernel, params } of planOf(request, caps).steps) {
          expect(Object.keys(params), kernel.name).toEqual(
            expect.arrayContaining(kernel.params.map(({ name }) => name)),
          );
        }
      }
    }
  });
});
