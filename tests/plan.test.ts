import { describe, expect, it } from 'vitest';
import { declarations, f32, packParams, padded, read, u32, write } from '../shaders/kernel.ts';
import { readConfig } from '../src/model/config.ts';
import { encoderGraph } from '../src/model/encoder.ts';
import type { EncoderRequest } from '../src/model/request.ts';
import { arena, slotBytes } from '../src/plan/arena.ts';
import { packBatch, sizesOf } from '../src/plan/batch.ts';
import { builder } from '../src/plan/builder.ts';
import type { Caps } from '../src/plan/caps.ts';
import type { Value } from '../src/plan/op.ts';
import { startPace } from '../src/plan/pace.ts';
import { passRoom, type SequenceOutputs, splitOutputs } from '../src/plan/passes.ts';
import { kernelsOf, type Plan, plan } from '../src/plan/plan.ts';
import { bucketTable } from '../src/plan/relative.ts';
import type { Sequence } from '../src/plan/sequence.ts';
import { type Argument, checkStep, type Step } from '../src/plan/step.ts';
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
const planOf = (request: EncoderRequest, caps = GPU): Plan => plan(encoderGraph(config, request), { caps });
const sequence = (length: number, first = 0): Sequence => ({
  ids: Array.from({ length }, (_, i) => first + i),
  positions: Array.from({ length }, (_, i) => i),
  types: Array.from({ length }, () => 1),
});

describe('the builder', () => {
  it('infers shapes, padded to four floats', () => {
    const b = builder();
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
    const b = builder();
    const x = b.embed({ words: { table: 'words', rows: 10 }, columns: 27 });
    const y = b.linear(x, { from: 'a', outputs: 50 });
    const row = b.pool(x, { pooling: 'cls', normalize: false, name: 'p' });
    expect(() => b.linear(x, { from: 'b', outputs: 50, residual: x })).toThrow(/different shapes/);
    expect(() => b.norm(x, { from: 'n', eps: 1e-12, residual: y })).toThrow(/different shapes/);
    expect(() => b.norm(x, { from: 'n', eps: 1e-12, residual: row })).toThrow(/different shapes/);
    expect(() => b.attention(x, { heads: 3, headSize: 9, name: 'self', probabilities: false })).toThrow(/27 columns/);
    expect(() => b.pool(row, { pooling: 'cls', normalize: false, name: 'p' })).toThrow(/columns/);
    expect(() => b.pool(x, { pooling: 'cls', normalize: false, name: 'p', columns: 28 })).toThrow(/28 columns of 27/);
    const several = { pooling: ['cls', 'mean'], normalize: false, name: 'p' } as const;
    expect(b.pool(x, several)).toMatchObject({ columns: 54, stride: 56 });
    expect(() => b.pool(x, { ...several, columns: 40 })).toThrow(/40 columns of 54/);
    expect(() => b.topK(y, 65)).toThrow(/the best 65, not 64 at most/);
    expect(b.topK(y, 64)).toMatchObject({ rows: 'tokens', columns: 2 * 50 + 2 });
  });

  it('refuses two outputs of one name, unless they are of different layers', () => {
    const b = builder();
    const x = b.embed({ words: { table: 'words', rows: 10 }, columns: 8 });
    b.output('states', x, 0);
    b.output('states', x, 1);
    b.output('last', x);
    expect(() => b.output('states', x, 1)).toThrow('two outputs are called states of layer 1');
    expect(() => b.output('last', x)).toThrow('two outputs are called last');
    expect(b.graph().outputs.map(({ name, layer }) => [name, layer])).toEqual([
      ['states', 0],
      ['states', 1],
      ['last', undefined],
    ]);
  });

  it('makes one weight of what is asked for twice', () => {
    const b = builder();
    const x = b.embed({ words: { table: 'words', rows: 10 }, columns: 8 });
    b.output('y', b.linear(b.linear(x, { from: 'shared', outputs: 8 }), { from: 'shared', outputs: 8 }));
    expect(plan(b.graph(), { caps: GPU }).weights.map(({ name }) => name)).toEqual([
      'words.weight',
      'shared.weight',
      'shared.bias',
    ]);
  });
});

/** The values that a step reads and writes, by the variables that its WGSL declares: nothing of src/plan is asked. */
function valuesOf({ kernel, args }: Pick<Step, 'kernel' | 'args'>): { reads: Value[]; writes: Value[] } {
  const bound = [
    ...kernel.code.matchAll(/@binding\([1-9]\d*\)\s*var(<storage, read_write>)?(?:<storage, read>)? (\w+)\s*:/g),
  ];
  const values = (isWrite: boolean) =>
    bound.flatMap(([, write, name]) => {
      const arg = args[name!];
      return arg?.kind === 'value' && (write !== undefined) === isWrite ? [arg.value] : [];
    });
  return { reads: values(false), writes: values(true) };
}

/** Runs steps on slots that hold the name of the last value written: every read must find its own value. */
function simulate(
  steps: readonly Pick<Step, 'kernel' | 'args'>[],
  { slotOf }: Pick<Plan, 'slotOf'>,
  outputs: Iterable<Value>,
): string[] {
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

/** A random graph of every op, each reading any value before it, some of them kept. */
function randomGraph(seed: number) {
  const next = random(seed);
  const below = (limit: number) => Math.floor(next() * limit);
  const b = builder();
  const values = [b.embed({ words: { table: 'words', rows: 10 }, columns: 4 * (1 + below(5)) })];
  for (let i = 0; i < 25; i++) {
    const x = values[below(values.length)]!;
    const alike = values.filter(v => v.rows === x.rows && v.stride === x.stride);
    const residual = next() < 0.5 ? alike[below(alike.length)] : undefined;
    const kind = below(8);
    const pool = { pooling: 'mean', normalize: false, name: `pool${i}` } as const;
    if (kind < 2) values.push(b.norm(x, { from: `norm${i}`, eps: 1e-12, ...(residual && { residual }) }));
    else if (kind === 2 && x.rows === 'tokens') values.push(b.pool(x, pool));
    else if (kind === 3 && x.rows === 'tokens') values.push(b.gather(x, 'masked'));
    else if (kind === 4) b.output(`top${i}`, b.topK(x, 3));
    else if (kind === 5 && x.rows === 'tokens') {
      const heads = { heads: 2, keyHeads: 1 + below(2), headSize: 4 };
      const outputs = [8, 4 * heads.keyHeads, 4 * heads.keyHeads];
      let qkv = b.linear(x, { from: ['q', 'k', 'v'].map(part => `${part}${i}`), outputs, outputHead: 4 });
      const norm = (part: string) => ({ from: `${part}${i}`, eps: 1e-6, kind: 'rms', bias: false }) as const;
      const span = next() < 0.5 ? 'head' : 'row';
      if (next() < 0.3) qkv = b.queryKeyNorm(qkv, { ...heads, span, query: norm('qn'), key: norm('kn') });
      if (next() < 0.3) qkv = b.rotary(qkv, { ...heads, frequencies: [1, 0.01], interleaved: next() < 0.5 });
      const attended = b.attention(qkv, {
        ...heads,
        name: `self${i}`,
        probabilities: next() < 0.5,
        window: next() < 0.3 ? below(9) : undefined,
        bias: next() < 0.3 ? { slopes: [0.5, 0.25] } : undefined,
      });
      values.push(attended.context);
      if (attended.probabilities && next() < 0.5) b.output(`probabilities${i}`, attended.probabilities);
    } else {
      const gate = next() < 0.3 ? residual : undefined;
      const outputs = residual?.columns ?? 4 * (1 + below(8));
      values.push(b.linear(x, { from: `linear${i}`, outputs, gate, residual: next() < 0.8 ? residual : undefined }));
    }
  }
  values.forEach((value, i) => {
    if (next() < 0.15 || i === values.length - 1) b.output(`out${i}`, value);
  });
  return b.graph();
}

const outputValues = ({ outputs }: Pick<Plan, 'outputs'>): Value[] => outputs.map(({ value }) => value);

describe('the arena', () => {
  it.each(Array.from({ length: 60 }, (_, seed) => seed))(
    'no value is overwritten while it is needed: graph %i',
    seed => {
      const made = plan(randomGraph(seed), { caps: GPU, format: seed % 3 === 0 ? 'i8' : 'f32' });
      expect(simulate(made.steps, made, outputValues(made))).toEqual([]);
      for (const { id, rows, stride } of made.steps.flatMap(step => valuesOf(step).writes)) {
        expect(made.slots[made.slotOf.get(id)!]!.get(rows)).toBeGreaterThanOrEqual(stride);
      }
      expect(made.slots.length).toBeLessThan(made.ops.length);
    },
  );

  it('the simulation finds an arena that is too small', () => {
    const made = planOf({ lastHiddenState: true });
    const { steps, slotOf } = made;
    const [first] = valuesOf(steps[0]!).writes;
    const all = new Map([...slotOf].map(([id]) => [id, slotOf.get(first!.id)!]));
    expect(simulate(steps, { slotOf: all }, outputValues(made))).not.toEqual([]);
  });

  it('sees every operand of a step, however many there are and whatever they are called', () => {
    const values = Array.from(
      { length: 6 },
      (_, id): Value => ({
        id,
        name: `value ${id}`,
        rows: 'tokens',
        columns: 4,
        stride: 4,
      }),
    );
    /** A dispatch of a kernel that no op has: it reads values under the names of `inputs` and writes one. */
    const stepOn = (inputs: Record<string, number>, y: number): Pick<Step, 'kernel' | 'args'> => {
      const bindings = [...Object.keys(inputs).map(name => read(name)), write('y')];
      const kernel = {
        name: 'new',
        code: declarations(bindings, []),
        bindings,
        params: [],
        workgroups: () => [1, 1, 1] as const,
      };
      const ids = Object.entries({ ...inputs, y });
      return {
        kernel,
        args: Object.fromEntries(ids.map(([name, id]) => [name, { kind: 'value', value: values[id]! }])),
      };
    };
    // Values 0 and 1 are read once more by the last step but one, by two more inputs than any op has.
    const steps = [
      stepOn({}, 0),
      stepOn({ x: 0 }, 1),
      stepOn({ x: 1 }, 2),
      stepOn({ x: 2 }, 3),
      stepOn({ x: 3, gate: 0, positions: 1 }, 4),
      stepOn({ x: 4 }, 5),
    ];
    const { slots, slotOf } = arena(steps, [values[5]!]);
    expect(simulate(steps, { slotOf }, [values[5]!])).toEqual([]);
    const slotsOf = (...ids: number[]) => new Set(ids.map(id => slotOf.get(id))).size;
    expect(slotsOf(0, 1, 3, 4)).toBe(4);
    // Without the two inputs two slots would do, and what they read would be gone.
    const forgetful = steps.map((step, i) => (i === 4 ? stepOn({ x: 3 }, 4) : step));
    const tooFew = arena(forgetful, [values[5]!]);
    expect(tooFew.slots.length).toBeLessThan(slots.length);
    expect(simulate(steps, tooFew, [values[5]!])).not.toEqual([]);
  });

  it.each(REQUESTS)('an encoder keeps its outputs: %j', request => {
    const made = planOf(request);
    expect(simulate(made.steps, made, outputValues(made))).toEqual([]);
  });

  it('more layers need no more room', () => {
    const layers = 12;
    const layerWeights = Array.from({ length: layers }, (_, i) => i);
    const deep = { ...config, layers, layerWeights, attentions: layerWeights.map(() => ({})) };
    const { slots } = plan(encoderGraph(deep, { lastHiddenState: true }), { caps: GPU });
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
          fill(Array(600).fill(length), plan(encoderGraph(wide, { lastHiddenState: true }), { caps }), caps);
        expect(own(software)).toBe(Math.max(1, most(layers, C, length, 2 ** 32)));
        const readback = Math.floor((64 << 20) / (4 * C * length));
        const onGpu = Math.min(8192 / length, readback);
        expect(own({ ...GPU, maxBindingBytes: 1 << 30 })).toBe(onGpu);
      }
    }
    // A masked-LM head: C^2 and the vocabulary for each mask.
    const masks = { ...shaped(6, 384), vocabSize: 30_000 };
    const made = plan(encoderGraph(masks, { head: { kind: 'MaskedLM', picked: true } }), { caps: software });
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
    const made = plan(encoderGraph(config, { attentions: [0] }), { caps: GPU });
    const each = 4 * config.heads * 64 * 64;
    expect(fill(Array(9).fill(64), made, { ...GPU, maxBindingBytes: 2 * each + 4 })).toBe(2);
  });

  it('end where too many bytes would be read back', () => {
    const wide = { ...config, heads: 9, keyHeads: 9, headSize: 3, maxPositions: 512 };
    const made = plan(encoderGraph(wide, { attentions: [0, 1, 2] }), { caps: GPU });
    const each = 4 * 9 * 512 * 512 * config.layers;
    expect(fill(Array(20).fill(512), made, GPU)).toBe(Math.floor((64 << 20) / each));
  });

  it('splitOutputs gives every sequence its own', () => {
    const made = planOf(REQUESTS[1]!);
    const pass = [sequence(2), sequence(3)];
    const sizes = sizesOf([2, 3], made.queryTile);
    const all = made.outputs.map(({ value: { rows, columns } }) =>
      Float32Array.from({ length: sizes[rows] * columns }, (_, i) => i),
    );
    const [first, second] = splitOutputs(made, pass, all);
    const get = (outputs: SequenceOutputs | undefined, name: string, layer?: number) =>
      outputs!.find(output => output.name === name && output.layer === layer)!;
    expect(first!.map(({ name, layer }) => [name, layer])).toEqual(
      made.outputs.map(({ name, layer }) => [name, layer]),
    );
    expect(get(first, 'last_hidden_state')).toMatchObject({ first: 0, columns: 27 });
    expect(get(first, 'last_hidden_state').data).toHaveLength(2 * 27);
    expect(get(second, 'last_hidden_state').data[0]).toBe(2 * 27);
    expect(get(second, 'last_hidden_state').data).toHaveLength(3 * 27);
    expect(get(second, 'pooler_output').data[0]).toBe(27);
    expect(get(first, 'attentions', 0).data).toHaveLength(3 * 4);
    expect(get(second, 'attentions', 0).data[0]).toBe(3 * 4);
    expect(get(second, 'attentions', 0).data).toHaveLength(3 * 9);
    expect(get(second, 'hidden_states', 2).data).toHaveLength(3 * 27);
    const place = made.outputs.findIndex(({ name }) => name === 'pooler_output');
    expect(get(second, 'pooler_output').data.buffer).toBe(all[place]!.buffer);
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
        expect(Object.keys(args).sort()).toEqual(kernel.bindings.map(({ name }) => name).sort());
        // Baseline adapters bind 8 storage buffers.
        expect(kernel.bindings.length).toBeLessThanOrEqual(8);
        const fields = /struct Params \{ ([^}]*) \}/.exec(kernel.code)![1]!.matchAll(/(\w+): (\w+),/g);
        expect([...fields].map(([, name, type]) => ({ name, type }))).toEqual([...kernel.params]);
        expect(Object.keys(params).sort()).toEqual(kernel.params.map(({ name }) => name).sort());
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
        const placeOf = (arg: Argument) => (arg.kind === 'value' ? `slot ${made.slotOf.get(arg.value.id)}` : arg.kind);
        const places = Object.values(args).map(placeOf);
        for (const { name, access } of kernel.bindings) {
          if (access !== 'write') continue;
          expect(args[name]!.kind).toBe('value');
          expect(places.filter(place => place === placeOf(args[name]!))).toHaveLength(1);
        }
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
});

describe('a step', () => {
  const kernel: Step['kernel'] = {
    name: 'a kernel',
    code: '',
    bindings: [read('x'), write('y')],
    params: [u32('rows')],
    workgroups: () => [1, 1, 1],
  };
  const value = (id: number): Argument => ({
    kind: 'value',
    value: { id, name: `value ${id}`, rows: 'tokens', columns: 4, stride: 4 },
  });
  const whole = { kernel, args: { x: value(0), y: value(1) }, params: { rows: 'tokens' } } as const;

  it('has an argument for each binding and a value for each param, and no other', () => {
    expect(() => checkStep(whole)).not.toThrow();
    expect(() => checkStep({ ...whole, args: { y: value(1) } })).toThrow('the kernel "a kernel" got no argument "x"');
    expect(() => checkStep({ ...whole, args: { ...whole.args, z: value(2) } })).toThrow(
      'the kernel "a kernel" has no argument "z", but got one',
    );
    expect(() => checkStep({ ...whole, params: {} })).toThrow('the kernel "a kernel" got no param "rows"');
    expect(() => checkStep({ ...whole, params: { rows: 'tokens', eps: 1 } })).toThrow(
      'the kernel "a kernel" has no param "eps", but got one',
    );
  });

  it('writes to activations only', () => {
    const args = { ...whole.args, y: { kind: 'input', input: 'tokens' } } as const;
    expect(() => checkStep({ ...whole, args })).toThrow('the kernel "a kernel" writes to "y", which is no activation');
  });
});
