import { describe, expect, test } from 'vitest';
import { expectClose, expectEqual, expectSameBits } from '../e2e/harness.ts';
import { Tensor } from '../src/api/tensor.ts';

/** The harness of the browser tests itself: that what it compares can be found to differ. */

const fails = (actual: unknown, expected: unknown) => {
  expect(() => expectEqual(actual, expected, 'label'), 'given so').toThrow(/^label: /);
  expect(() => expectEqual(expected, actual, 'label'), 'the other way round').toThrow(/^label: /);
  expect(() => expectSameBits(actual, expected, 'label')).toThrow(/^label: /);
  // Also deep inside.
  expect(() => expectEqual([{ a: [1, actual] }], [{ a: [1, expected] }], 'label')).toThrow(/^label: at \[0\]\.a\[1\]/);
};
const bits = (...words: number[]) => new Float32Array(Uint32Array.from(words).buffer);

describe('expectEqual', () => {
  test.each<[string, unknown, unknown]>([
    ['NaN and null', Number.NaN, null],
    ['NaN and 0', Number.NaN, 0],
    ['-0 and 0', -0, 0],
    ['undefined and null', undefined, null],
    ['infinity and null', Number.POSITIVE_INFINITY, null],
    ['a number and its text', 1, '1'],
    ['a number and a bigint', 1, 1n],
    ['true and 1', true, 1],
    ['neighbouring doubles', 1, 1 + Number.EPSILON],
    ['lists of another length', [1, 2], [1, 2, 3]],
    ['a list that has NaN where the other has null', [1, Number.NaN], [1, null]],
    ['a list and an object', [], {}],
    ['a hole and undefined', new Array(1), [undefined]],
    ['a field that is undefined and none', { a: undefined }, {}],
    ['fields of other names', { a: 1 }, { b: 1 }],
    ['fields that differ', { a: 1, b: { c: -0 } }, { a: 1, b: { c: 0 } }],
    ['an object and null', {}, null],
    ['a typed array and a list', Float32Array.of(1), [1]],
    ['typed arrays of two types', Float32Array.of(1), Float64Array.of(1)],
    ['the same bytes as signed and unsigned', Int8Array.of(1), Uint8Array.of(1)],
    ['typed arrays of another length', Float32Array.of(1), Float32Array.of(1, 0)],
    ['one bit', bits(0x3f800000), bits(0x3f800001)],
    ['-0 and 0 in a typed array', Float32Array.of(-0), Float32Array.of(0)],
    ['two kinds of NaN', bits(0x7fc00000), bits(0x7fc00001)],
    ['bigints', BigInt64Array.of(1n), BigInt64Array.of(2n)],
    ['Maps', new Map([['a', 1]]), new Map([['a', 2]])],
    ['Maps with other keys', new Map([['a', 1]]), new Map([['b', 1]])],
    ['a Map and an object', new Map(), {}],
    ['Sets', new Set([1]), new Set([2])],
    ['errors', new Error('a'), new Error('b')],
    ['dims of tensors', new Tensor('float32', [1, 2], [1, 2]), new Tensor('float32', [1, 2], [2, 1])],
    ['types of tensors', new Tensor('int8', [1, 2], [2]), new Tensor('uint8', [1, 2], [2])],
    ['tensors', new Tensor('float32', [1, Number.NaN], [2]), new Tensor('float32', [1, 2], [2])],
  ])('%s are told apart', (_, actual, expected) => fails(actual, expected));

  test.each<[string, unknown]>([
    ['numbers', [0, -0, 1.5, 2 ** 60, 1n]],
    ['NaN', [Number.NaN]],
    ['nothing', [null, undefined, [], {}, '']],
    ['objects, whatever the order of their fields', { b: 1, a: [{ c: 'x' }] }],
    ['typed arrays', [Float32Array.of(1, -0), BigInt64Array.of(-1n)]],
    ['Maps and Sets', [new Map([['a', Float32Array.of(1)]]), new Set(['a'])]],
    ['tensors', new Tensor('float32', [1, 2], [2])],
  ])('%s equal their copies', (_, value) => {
    const copy = value instanceof Tensor ? value.clone() : structuredClone(value);
    expectEqual(copy, value, 'a copy');
    expectEqual({ b: 1, a: 2 }, { a: 2, b: 1 }, 'fields in another order');
  });

  test('a view and an array of its own are the same', () => {
    expectSameBits(Float32Array.of(9, 1, 2).subarray(1), Float32Array.of(1, 2), 'a view');
  });

  test('says where and what', () => {
    expect(() => expectEqual({ a: [1, Number.NaN] }, { a: [1, null] }, 'label')).toThrow(
      'label: at a[1]: got NaN, expected null',
    );
    expect(() => expectEqual(bits(0x3f800000), bits(0x3f800001), 'label')).toThrow(
      'label: at [0]: got 1 (0x3f800000), expected 1.0000001192092896 (0x3f800001)',
    );
  });
});

describe('expectSameBits', () => {
  test.each<[string, unknown]>([
    ['NaN', Float32Array.of(1, Number.NaN)],
    ['infinity', Float32Array.of(Number.NEGATIVE_INFINITY)],
    ['NaN in a list', [[1, Number.NaN]]],
    ['NaN in a field', { label: 'a', score: Number.NaN }],
    ['NaN in a Map', new Map([['a', Float32Array.of(Number.NaN)]])],
    ['NaN in a tensor', new Tensor('float32', [Number.NaN], [1])],
    ['no numbers', []],
    ['no numbers in a typed array', new Float32Array(0)],
    ['undefined', undefined],
  ])('%s on both sides proves nothing', (_, value) => {
    expect(() => expectSameBits(value, value, 'label')).toThrow(/^label: (not finite|there are no numbers)/);
  });

  test('takes what is finite and the same', () => {
    expectSameBits(
      [{ label: 'a', score: 0.5 }, Float32Array.of(1)],
      [{ label: 'a', score: 0.5 }, Float32Array.of(1)],
      '',
    );
    expectSameBits(BigInt64Array.of(1n), BigInt64Array.of(1n), 'bigints');
  });
});

test('expectClose finds NaN, and an infinity that was not expected', () => {
  const close = (actual: number[], expected: number[]) => () =>
    expectClose(actual, expected, { label: 'x', absolute: 1 });
  expect(close([Number.NaN], [0])).toThrow();
  expect(close([0], [Number.NaN])).toThrow();
  expect(close([Number.POSITIVE_INFINITY], [0])).toThrow();
  expect(close([0], [0, 1])).toThrow();
  expect(close([0.5], [0])).not.toThrow();
});
