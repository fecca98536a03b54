import { describe, expect, test } from 'vitest';
import {
  CheckpointError,
  checkNames,
  DeviceError,
  describe as describeValue,
  InputError,
  NotFiniteError,
  SourceError,
  UnsupportedError,
  WebGPUBertError,
} from '../src/errors.ts';

const cause = new Error('why');
const complaint = { what: 'a is wrong', actual: '1', expected: '2', next: 'Do this.', cause };
const message = 'a is wrong: got 1, expected 2. Do this.';

test('what is passed is described in few words', () => {
  for (const [value, words] of [
    [Promise.resolve(5), 'a promise, which was not awaited'],
    [new Set(['a']), 'an object without fields'],
    [{ a: 1, b: 2 }, 'an object ({ a, b })'],
    [() => 5, 'a function'],
    [[], 'an empty list'],
    [[['a']], 'a list of 1'],
    [null, 'null'],
    [5, 'number 5'],
  ] as const) {
    expect(describeValue(value)).toBe(words);
  }
});

test('options: an object, with a signal and a callback that are such', () => {
  const check = (options: unknown) => () => checkNames('a call', options as object, ['signal', 'progress_callback']);
  for (const right of [null, undefined, {}, { signal: AbortSignal.timeout(1000), progress_callback: () => 5 }]) {
    expect(check(right)).not.toThrow();
  }
  expect(check({ signal: null, progress_callback: null })).not.toThrow();
  for (const wrong of ['mean', ['a'], { signal: 5 }, { signal: {} }, { progress_callback: 'log' }]) {
    expect(check(wrong)).toThrow(InputError);
  }
  expect(check({ signal: new AbortController() })).toThrow('Pass its `signal`');
});

describe('an error says what, actual, expected and next, and carries them with the objects it is about', () => {
  test.each([
    [new WebGPUBertError(complaint), 'WebGPUBertError', {}],
    [new DeviceError(complaint), 'DeviceError', {}],
    [new InputError(complaint), 'InputError', {}],
    [
      new SourceError({ ...complaint, file: 'f', url: 'u', status: 404 }),
      'SourceError',
      { file: 'f', url: 'u', status: 404 },
    ],
    [new CheckpointError({ ...complaint, file: 'f', tensor: 't' }), 'CheckpointError', { file: 'f', tensor: 't' }],
    [new UnsupportedError({ ...complaint, supported: ['b'] }), 'UnsupportedError', { supported: ['b'] }],
    [new NotFiniteError({ ...complaint, output: 'o', sequence: 3 }), 'NotFiniteError', { output: 'o', sequence: 3 }],
  ])('%s', (error, name, objects) => {
    expect(error).toBeInstanceOf(WebGPUBertError);
    expect([error.message, error.cause]).toEqual([message, cause]);
    const { what, actual, expected, next } = complaint;
    // Own and enumerable: they are there in a copy, and when the error is logged as JSON.
    expect({ ...error }).toEqual({ name, what, actual, expected, next, ...objects });
  });
});

test('what is not told is not in the message', () => {
  expect(new InputError({ what: 'a is wrong' }).message).toBe('a is wrong.');
  expect(new InputError({ what: 'a is wrong', expected: '2' }).message).toBe('a is wrong: expected 2.');
  expect(new InputError({ what: 'a is wrong', actual: '1' }).message).toBe('a is wrong: got 1.');
  expect('cause' in new InputError({ what: 'a is wrong' })).toBe(false);
  expect(new UnsupportedError({ what: 'a is not supported', supported: ['b', 'c'] }).expected).toBe('one of b, c');
});

test('texts of any length are cut off, in the message and in the properties', () => {
  const long = 'x'.repeat(100_000);
  const error = new CheckpointError({ what: long, actual: long, expected: long, next: long, file: long, tensor: long });
  const { what, actual, expected, next, file, tensor } = error;
  expect(error.message.length).toBeLessThan(4100);
  expect([what, actual, expected, next, file, tensor].map(text => text?.length)).toEqual(Array(6).fill(1001));
});
