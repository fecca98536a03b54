import { expect, test } from 'vitest';
import {
  CheckpointError,
  DeviceError,
  InputError,
  NotFiniteError,
  SourceError,
  UnsupportedError,
  WebGPUBertError,
} from '../src/errors.ts';
import { AutoTokenizer, PretrainedConfig, Tensor } from '../src/index.ts';
import * as packing from '../src/worker/packing.ts';
import { Unpackable } from '../src/worker/packing.ts';
import { gone } from '../src/worker/worker-error.ts';
import { fixtureFiles } from './fixture-files.ts';

/** What crosses between the page and the worker, through a structured clone. */

const crossed = (value: unknown): unknown =>
  packing.unpack(structuredClone(packing.pack(value, () => undefined).packed), () => undefined);

/** The properties that are not enumerable, of a value and of all inside of it. */
function hidden(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return undefined;
  const own = Object.entries(Object.getOwnPropertyDescriptors(value)).filter(
    ([name, { enumerable }]) => !enumerable && name !== 'length',
  );
  return [own.map(([name, { value }]) => [name, value]), Object.values(value).map(hidden)];
}
const facts = <T extends object>(value: T, fields: object): T =>
  Object.defineProperties(
    value,
    Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, { value: field, enumerable: false }])),
  );

test.each<[string, unknown]>([
  ['nothing', undefined],
  ['null', null],
  ['numbers', [0, -0, 1.5, Number.NaN, Number.NEGATIVE_INFINITY, 1n]],
  ['strings and flags', ['', 'ä\ud800', true]],
  ['nested lists and objects', { a: [{ b: [[1], []] }], c: { d: undefined } }],
  ['an own field called __proto__', JSON.parse('{"__proto__": {"a": 1}, "toString": 2}')],
  ['typed arrays', [Float32Array.of(1, -0), BigInt64Array.of(-1n), new Uint8Array(0)]],
  ['a part of an array', Float32Array.of(1, 2, 3, 4).subarray(1, 3)],
  ['a buffer', Uint8Array.of(1, 2).buffer],
  ['a date, an expression', [new Date(5), /a/g]],
  ['tensors', { a: new Tensor('float32', [1, 2, 3, 4], [2, 2]), b: [new Tensor('int64', [1n], [1])] }],
  ['a subtensor', new Tensor('float32', [1, 2, 3, 4], [2, 2])[1]],
  [
    'a vocabulary',
    new Map([
      ['a', 1],
      ['##b', 0],
    ]),
  ],
  ['a configuration', new PretrainedConfig({ model_type: 'gemma3_text', head_dim: 6, id2label: { 0: 'A' } })],
  ['facts of a list', facts([1, 2], { truncated: [true, false], tokens: [3, 4] })],
  ['facts of lists in a list', [facts([{ a: 1 }], { truncated: true, tokens: 5 }), facts([], { truncated: false })]],
  ['facts of a tensor', facts(new Tensor('uint8', [1], [1]), { truncated: [true], space: '{}' })],
  ['a sparse vector with facts', facts({ indices: Uint32Array.of(3), values: Float32Array.of(0.5) }, { tokens: 3 })],
])('%s crosses', (_, value) => {
  const there = crossed(value);
  expect(there).toStrictEqual(value);
  expect(hidden(there)).toEqual(hidden(value));
});

test('of a part of an array no more than that part crosses, and the whole stays as it is', () => {
  const whole = new Float32Array(1000).fill(2);
  const { packed, buffers } = packing.pack(whole.subarray(10, 12), () => undefined);
  const there = structuredClone(packed, { transfer: buffers });
  expect((there.value as Float32Array).buffer.byteLength).toBe(8);
  expect(whole.byteLength).toBe(4000);
});

test('the memory of tensors is named, once each, to be transferred', () => {
  const shared = new Float32Array(4);
  const value = {
    a: new Tensor('float32', shared, [4]),
    b: new Tensor('float32', shared, [2, 2]),
    c: Uint8Array.of(1),
  };
  const { packed, buffers } = packing.pack(value, () => undefined);
  expect(buffers).toEqual([shared.buffer, value.c.buffer]);
  const there = packing.unpack(structuredClone(packed, { transfer: buffers }), () => undefined) as typeof value;
  expect([shared.byteLength, value.c.byteLength]).toEqual([0, 0]);
  expect(there.a).toBeInstanceOf(Tensor);
  expect([there.a.dims, there.b.dims]).toEqual([[4], [2, 2]]);
  expect(there.a.data.buffer).toBe(there.b.data.buffer);
});

test('an object without a prototype crosses as any other', () => {
  expect(crossed(Object.assign(Object.create(null), { a: 1 }))).toEqual({ a: 1 });
});

test('a URL, and what is kept on this side', () => {
  expect(crossed(new URL('https://a.test/b?c'))).toEqual(new URL('https://a.test/b?c'));
  const stop = new AbortController();
  const { packed } = packing.pack({ a: [stop.signal] }, value => (value === stop.signal ? 7 : undefined));
  expect(packing.unpack(structuredClone(packed), number => `number ${number}`)).toEqual({ a: ['number 7'] });
});

test.each<[string, unknown, string]>([
  ['a function', { a: [() => 1] }, 'a function at a.0'],
  ['a symbol', Symbol('a'), 'a symbol at '],
  ['an instance of a class', { device: new (class Other {})() }, 'an instance of Other at device'],
  ['a promise', [Promise.resolve()], 'a Promise at 0'],
])('%s does not cross', (_, value, message) => {
  expect(() => crossed(value)).toThrow(Unpackable);
  expect(() => crossed(value)).toThrow(message);
});

const complaint = { what: 'a', actual: 'b', expected: 'c', next: 'D.' };
test.each<Error>([
  new WebGPUBertError(complaint),
  new DeviceError({ what: 'a' }),
  new InputError({ ...complaint, cause: new SourceError({ ...complaint, file: 'f', cause: new TypeError('t') }) }),
  new SourceError({ ...complaint, file: 'config.json', url: 'https://a.test/', status: 404 }),
  new CheckpointError({ ...complaint, file: 'model.safetensors', tensor: 'w' }),
  new UnsupportedError({ what: 'a', supported: ['b', 'c'] }),
  new NotFiniteError({ ...complaint, output: 'logits', sequence: 3 }),
  gone('for a test'),
  new RangeError('r', { cause: { any: ['thing'] } }),
  new AggregateError([new TypeError('one'), new InputError({ what: 'two' })], 'several'),
  new DOMException('stopped', 'AbortError'),
])('%s crosses with its class and its fields', error => {
  const there = crossed(error) as Error;
  expect(there).toBeInstanceOf(error.constructor);
  expect(Object.getPrototypeOf(there)).toBe(Object.getPrototypeOf(error));
  expect(String(there)).toBe(String(error));
  if (error instanceof DOMException) return;
  expect(there.stack).toBe(error.stack);
  expect(Object.keys(there)).toEqual(Object.keys(error));
  for (const name of Object.getOwnPropertyNames(error)) {
    expect(Reflect.get(there, name), name).toEqual(Reflect.get(error, name));
  }
  if (error.cause instanceof Error) expect((there.cause as Error).constructor).toBe(error.cause.constructor);
});

test('an error of another class becomes one of the nearest class, and leaves out what cannot cross', () => {
  class Special extends DeviceError {
    readonly info = { reason: 'unknown' };
    readonly close = () => undefined;
  }
  const there = crossed(new Special(complaint)) as Special;
  expect(Object.getPrototypeOf(there)).toBe(DeviceError.prototype);
  expect([there.what, there.info, there.close]).toEqual(['a', { reason: 'unknown' }, undefined]);
});

test("word_ids of a tokenizer's result answers for every row", async () => {
  const tokenizer = await AutoTokenizer.from_pretrained(fixtureFiles('random/bert-base'));
  const texts = ['one two', 'three'];
  for (const result of [
    tokenizer(texts, { padding: true }),
    tokenizer(texts, { return_tensor: false }),
    tokenizer('one two', { return_tensor: false }),
  ]) {
    const there = crossed(result) as typeof result;
    expect(there).toEqual(result);
    expect(Object.keys(there)).not.toContain('word_ids');
    expect(there.word_ids()).toEqual(result.word_ids());
    expect(() => there.word_ids(7)).toThrow(InputError);
    expect(() => there.word_ids(7)).toThrow(/the row is wrong/);
  }
  expect((crossed(tokenizer(texts, { padding: true })) as ReturnType<typeof tokenizer>).word_ids(1)).toEqual(
    tokenizer(texts, { padding: true }).word_ids(1),
  );
});

test('a list of chosen files keeps their paths; files under names keep those', async () => {
  const file = Object.assign(new Blob(['{}']), { name: 'config.json', webkitRelativePath: 'bert/config.json' });
  const list = { 0: file, length: 1, [Symbol.toStringTag]: 'FileList' };
  for (const chosen of [list, [file]]) {
    const [there] = crossed(chosen) as [{ name: string; blob: Blob }];
    expect([there.name, await there.blob.text()]).toEqual(['bert/config.json', '{}']);
  }
  expect(Object.keys(crossed({ 'config.json': new Blob(['{}']) }) as object)).toEqual(['config.json']);
});
