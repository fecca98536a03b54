import { describe, expect, test } from 'vitest';
import { headerLength, parseHeader } from '../src/checkpoint/file/safetensors.ts';
import { CheckpointError } from '../src/errors.ts';
import { safetensors, withHeader } from './checkpoint-bytes.ts';

function parse(file: Uint8Array, size: number | undefined = file.length) {
  const length = headerLength(file.subarray(0, 8), 'a.safetensors', size);
  return parseHeader(file.subarray(8, 8 + length), 'a.safetensors', size);
}

function failure(file: Uint8Array, size?: number): CheckpointError {
  try {
    parse(file, size);
  } catch (error) {
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as CheckpointError).file).toBe('a.safetensors');
    return error as CheckpointError;
  }
  throw new Error('It was accepted.');
}

const entry = (dtype: string, shape: unknown, span: unknown) => JSON.stringify({ dtype, shape, data_offsets: span });
const one = (text: string, bytes = 16) => withHeader(`{"a":${text}}`, new Uint8Array(bytes));

describe('a valid header', () => {
  test('the example of the reference implementation', () => {
    const header = '{"attn.0":{"dtype":"F32","shape":[1,2,3],"data_offsets":[0,24]}}';
    expect(parse(withHeader(header, new Uint8Array(24)))).toEqual({
      tensors: [
        { name: 'attn.0', dtype: 'F32', shape: [1, 2, 3], byteOffset: 0, byteLength: 24, file: 'a.safetensors' },
      ],
      dataLength: 24,
    });
  });

  test('no tensors, padding, metadata', () => {
    expect(parse(withHeader('{}      ')).tensors).toEqual([]);
    expect(parse(withHeader('{"__metadata__":{"framework":"pt"}}     ')).tensors).toEqual([]);
    expect(parse(withHeader('{"__metadata__":null}')).tensors).toEqual([]);
  });

  test('metadata of any length and with any characters, and names with quotes', () => {
    const values = [
      'f'.repeat(40),
      'a'.repeat(1_000_000),
      '\\'.repeat(100_000),
      '"'.repeat(99_999),
      '{}:'.repeat(9),
      ' ',
      '',
    ];
    const metadata = Object.fromEntries(values.map((value, i) => [`"${i}\\`, value]));
    const header = JSON.stringify(
      { __metadata__: metadata, a: { dtype: 'U8', shape: [1], data_offsets: [0, 1] } },
      null,
      1,
    );
    const spaced = header.replaceAll('":', '" \t\r\n :');
    expect(parse(withHeader(spaced, new Uint8Array(1))).tensors.map(({ name }) => name)).toEqual(['a']);
  });

  test('tensors in any order come in file order; scalars and empty tensors', () => {
    const header = `{"b":${entry('F16', [2], [4, 8])},"e":${entry('F32', [0, 7], [4, 4])},"a":${entry('F32', [], [0, 4])}}`;
    expect(parse(withHeader(header, new Uint8Array(8))).tensors.map(({ name }) => name)).toEqual(['a', 'e', 'b']);
  });

  test.each([
    ['F4', 2, 1],
    ['F6_E2M3', 4, 3],
    ['F6_E3M2', 4, 3],
    ['BOOL', 1, 1],
    ['U8', 1, 1],
    ['I8', 1, 1],
    ['F8_E5M2', 1, 1],
    ['F8_E4M3', 1, 1],
    ['F8_E8M0', 1, 1],
    ['F8_E4M3FNUZ', 1, 1],
    ['F8_E5M2FNUZ', 1, 1],
    ['I16', 1, 2],
    ['U16', 1, 2],
    ['F16', 1, 2],
    ['BF16', 1, 2],
    ['I32', 1, 4],
    ['U32', 1, 4],
    ['F32', 1, 4],
    ['F64', 1, 8],
    ['I64', 1, 8],
    ['U64', 1, 8],
    ['C64', 1, 8],
  ])('%s', (dtype, elements, bytes) => {
    expect(parse(one(entry(dtype, [elements], [0, bytes]), bytes)).tensors[0]?.byteLength).toBe(bytes);
    expect(failure(one(entry(dtype, [elements], [0, bytes + 1]), bytes + 1)).message).toContain(
      'does not fit its data',
    );
  });

  test('names that JSON can write, also __proto__ and equal ones in different objects', () => {
    const header = `{"__proto__":${entry('U8', [1], [0, 1])},"shape":${entry('U8', [1], [1, 2])},"a\\"{b":${entry('U8', [1], [2, 3])}}`;
    expect(parse(withHeader(header, new Uint8Array(3))).tensors.map(({ name }) => name)).toEqual([
      '__proto__',
      'shape',
      'a"{b',
    ]);
  });
});

describe('everything that can be wrong', () => {
  const huge = withHeader('{}');
  new DataView(huge.buffer).setBigUint64(0, 2n ** 63n, true);
  const justTooLong = withHeader('{}');
  new DataView(justTooLong.buffer).setBigUint64(0, 100_000_001n, true);
  const pastEnd = withHeader('{}');
  new DataView(pastEnd.buffer).setBigUint64(0, 3n, true);
  const valid = safetensors({ a: { dtype: 'F32', shape: [4], bytes: new Uint8Array(16) } });

  test.each<[string, Uint8Array, string]>([
    ['shorter than 8 bytes', new Uint8Array(7), 'too short'],
    ['empty', new Uint8Array(0), 'too short'],
    ['header length of 2^63', huge, 'too long'],
    ['header length over 100 MB', justTooLong, 'too long'],
    ['header past the end of the file', pastEnd, 'past the end'],
    ['invalid UTF-8', withHeader(Uint8Array.of(0x7b, 0xff, 0x7d)), 'not valid UTF-8'],
    ['a byte order mark', withHeader('\ufeff{}'), 'not valid UTF-8 and JSON'],
    ['leading space', withHeader(' {}'), 'does not start with "{"'],
    ['an array', withHeader('[]'), 'does not start with "{"'],
    ['an empty header', withHeader(''), 'not valid UTF-8 and JSON'],
    ['cut JSON', withHeader('{"a":'), 'not valid UTF-8 and JSON'],
    ['two values', withHeader('{}{}'), 'not valid UTF-8 and JSON'],
    [
      'a tensor twice',
      withHeader(`{"a":${entry('U8', [0], [0, 0])},"a":${entry('U8', [0], [0, 0])}}`),
      'key "a" twice',
    ],
    ['the same key in another spelling', withHeader(`{"a":${entry('U8', [0], [0, 0])}, "\\u0061" :{}}`), 'twice'],
    ['a field twice', one('{"dtype":"U8","dtype":"F32","shape":[4],"data_offsets":[0,16]}'), 'key "dtype" twice'],
    ['metadata twice', withHeader('{"__metadata__":{"a":"1","a":"2"}}'), 'key "a" twice'],
    ['metadata no object', withHeader('{"__metadata__":"pt"}'), '__metadata__'],
    ['metadata with a number', withHeader('{"__metadata__":{"a":1}}'), '__metadata__'],
    ['entry no object', one('5'), 'is malformed'],
    ['entry null', one('null'), 'is malformed'],
    ['entry an array', one('[]'), 'is malformed'],
    ['no dtype', one('{"shape":[4],"data_offsets":[0,16]}'), 'unknown dtype'],
    ['no shape', one('{"dtype":"F32","data_offsets":[0,16]}'), 'malformed shape'],
    ['no data_offsets', one('{"dtype":"F32","shape":[4]}'), 'malformed data_offsets'],
    ['unknown dtype', one(entry('F33', [4], [0, 16])), 'unknown dtype'],
    ['dtype a number', one('{"dtype":32,"shape":[4],"data_offsets":[0,16]}'), 'unknown dtype'],
    ['dtype of a prototype', one(entry('constructor', [4], [0, 16])), 'unknown dtype'],
    ['shape no array', one(entry('F32', 4, [0, 16])), 'malformed shape'],
    ['shape negative', one(entry('F32', [-4], [0, 16])), 'malformed shape'],
    ['shape a fraction', one(entry('F32', [4.5], [0, 16])), 'malformed shape'],
    ['shape a string', one(entry('F32', ['4'], [0, 16])), 'malformed shape'],
    ['shape unsafe', one(entry('F32', [2 ** 53], [0, 16])), 'malformed shape'],
    ['product overflow', one(entry('F32', [2 ** 30, 2 ** 30], [0, 16])), 'overflowing shape'],
    ['product overflow with a zero', one(entry('F32', [2 ** 30, 2 ** 30, 0], [0, 0])), 'overflowing shape'],
    ['bits overflow', one(entry('F64', [2 ** 48], [0, 16])), 'overflowing shape'],
    ['half a byte', one(entry('F4', [3], [0, 1])), 'does not fit its data'],
    ['offsets not two', one(entry('F32', [4], [0])), 'malformed data_offsets'],
    ['offsets three', one(entry('F32', [4], [0, 8, 16])), 'malformed data_offsets'],
    ['offsets negative', one(entry('F32', [4], [-16, 0])), 'malformed data_offsets'],
    ['begin after end', one(entry('F32', [4], [16, 0])), 'does not fit its data'],
    ['span too small', one(entry('F32', [4], [0, 12])), 'does not fit its data'],
    ['a hole at the start', one(entry('F32', [2], [8, 16])), 'hole'],
    [
      'a hole',
      withHeader(`{"a":${entry('U8', [1], [0, 1])},"b":${entry('U8', [1], [2, 3])}}`, new Uint8Array(3)),
      'hole',
    ],
    [
      'overlap',
      withHeader(`{"a":${entry('U8', [2], [0, 2])},"b":${entry('U8', [2], [1, 3])}}`, new Uint8Array(3)),
      'overlaps',
    ],
    [
      'the same span',
      withHeader(`{"a":${entry('U8', [2], [0, 2])},"b":${entry('U8', [2], [0, 2])}}`, new Uint8Array(2)),
      'overlaps',
    ],
    ['truncated', valid.subarray(0, -1), 'is truncated'],
    ['trailing bytes', Uint8Array.of(...valid, 0), 'goes on'],
  ])('%s', (_, file, words) => {
    expect(failure(file).message).toContain(words);
  });

  test('names the tensor and says what to do', () => {
    const error = failure(one(entry('F32', [4], [0, 12])));
    expect(error.tensor).toBe('a');
    expect(error.message).toBe(
      'tensor "a" of a.safetensors has a shape that does not fit its data: got 12, expected 16 bytes for F32 [4]. ' +
        'The file is as its author wrote it: save the model again with a current safetensors, or ask the author to.',
    );
  });

  /** Headers of about n characters, each long in another way. */
  const long: Record<string, (n: number) => Uint8Array> = {
    'one value of the metadata': n => withHeader(`{"__metadata__":{"commit":"${'a'.repeat(n)}"}}`),
    'one value full of escapes': n => withHeader(`{"__metadata__":{"a":"${'\\\\\\"'.repeat(n / 4)}"}}`),
    'many values': n =>
      withHeader(`{"__metadata__":{${Array.from({ length: n / 64 }, (_, i) => `"${i}":"${'b'.repeat(50)}"`)}}}`),
    'one name': n => withHeader(`{"${'c'.repeat(n)}":${entry('U8', [0], [0, 0])}}`),
    spaces: n => withHeader(`{"a"${' '.repeat(n / 2)}:${entry('U8', [0], [0, 0])}${' '.repeat(n / 2)}}`),
    'one shape': n => withHeader(`{"a":${entry('U8', [0, ...Array(Math.floor(n / 2)).fill(1)], [0, 0])}}`),
    'tensors in another order than that of the file': n => {
      const count = Math.max(2, Math.floor(n / 64));
      const entries = Array.from({ length: count }, (_, i) => `"layer.${i}":${entry('U8', [1], [i, i + 1])}`);
      return withHeader(
        `{${entries.filter((_, i) => i % 2)},${entries.filter((_, i) => i % 2 === 0)}}`,
        new Uint8Array(count),
      );
    },
  };

  // One test: where the first kind takes for ever, the others must not be tried.
  test(`takes no more time than in proportion to its length: ${Object.keys(long).join(', ')}`, () => {
    const time = (make: (n: number) => Uint8Array, n: number, turns: number) => {
      const file = make(n);
      let least = Number.POSITIVE_INFINITY;
      for (let i = 0; i < turns; i++) {
        const began = performance.now();
        parse(file);
        least = Math.min(least, performance.now() - began);
      }
      return least;
    };
    // What doubles with each character would never come to an end further below: here it takes most of a second.
    for (const [kind, make] of Object.entries(long)) {
      for (const n of [16, 20, 24, 28]) expect(time(make, n, 2), `${kind}, ${n} characters`).toBeLessThan(100);
      const n = 200_000;
      // Whoever else computes may hold up one try, but not each of four.
      const tries: number[] = [];
      while (tries.length < 4 && !(tries.at(-1)! < 0)) {
        const [once, four] = [time(make, n, 5), time(make, 4 * n, 5)];
        // Four times as long in proportion, sixteen times as its square.
        tries.push(four - 9 * once - 20);
      }
      expect(tries.at(-1), `${kind}: milliseconds over the bound, in each try: ${tries}`).toBeLessThan(0);
    }
  });
});

describe('what can be done about it', () => {
  const advice = (file: Uint8Array) => failure(file).next;
  const valid = one(entry('F32', [4], [0, 16]));

  test('bytes that are lost can be had again, what an author wrote cannot', () => {
    expect(advice(valid.subarray(0, -1))).toMatch(/^Download the file again/);
    expect(advice(withHeader('{'))).toMatch(/^Download the file again/);
    for (const header of ['{"__metadata__":{"a":1}}', ` {}`, '{"a":{},"a":{}}', '{"a":[]}']) {
      expect(advice(withHeader(header)), header).toMatch(/as its author wrote it/);
    }
  });

  test('a value that is nested deeply is described, not written out', () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    expect(failure(one(`{"dtype":"F32","shape":${deep},"data_offsets":[0,16]}`)).actual).toBe('a list of 1');
  });
});
