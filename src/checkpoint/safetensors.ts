import { CheckpointError } from '../errors.ts';
import type { TensorInfo } from './types.ts';

/** As in the reference implementation (huggingface/safetensors, safetensors/src/tensor.rs). */
const MAX_HEADER_BYTES = 100_000_000;

/** Bits of one element, for every type of the format; F4 and F6 share bytes. */
const DTYPE_BITS: ReadonlyMap<string, number> = new Map(
  Object.entries({
    4: 'F4',
    6: 'F6_E2M3 F6_E3M2',
    8: 'BOOL U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ',
    16: 'I16 U16 F16 BF16',
    32: 'I32 U32 F32',
    64: 'I64 U64 F64 C64',
  }).flatMap(([bits, names]) => names.split(' ').map(name => [name, Number(bits)] as const)),
);

const RELOAD = 'The file is damaged: download or save it again.';

/** A validated header. */
export interface SafetensorsHeader {
  /** In file order. */
  tensors: TensorInfo[];
  /** Bytes of all tensors together; the file is 8 + header + these bytes long. */
  dataLength: number;
}

/**
 * The length in bytes of the JSON header, from the first 8 bytes of a file (an unsigned little-endian 64-bit number).
 * @param fileLength the size of the whole file, where it is known
 * @throws CheckpointError where the number is above 100 MB or points past the end of the file
 */
export function headerLength(prefix: Uint8Array, file: string, fileLength?: number): number {
  if (prefix.length < 8) {
    throw new CheckpointError({
      file,
      what: `${file} is too short to be a safetensors file`,
      actual: `${prefix.length} bytes`,
      expected: 'at least 8, which give the length of the header',
      next: RELOAD,
    });
  }
  const length = Number(new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES) {
    throw new CheckpointError({
      file,
      what: `the header of ${file} is too long`,
      actual: `${length} bytes`,
      expected: `at most ${MAX_HEADER_BYTES}`,
      next: 'It is probably not a safetensors file.',
    });
  }
  if (fileLength !== undefined && length + 8 > fileLength) {
    throw new CheckpointError({
      file,
      what: `the header of ${file} ends past the end of the file`,
      actual: `a file of ${fileLength} bytes`,
      expected: `at least ${length + 8}`,
      next: RELOAD,
    });
  }
  return length;
}

/**
 * Parses and validates the JSON header of a safetensors file completely: afterwards every tensor lies inside the data,
 * no two overlap, no byte of the data is unaccounted for, and every shape agrees with its span.
 * @param json the bytes of the header, without the 8 bytes of its length
 * @param file the file's name, for messages
 * @param fileLength the size of the whole file, where it is known
 * @throws CheckpointError one for each thing that can be wrong
 */
export function parseHeader(json: Uint8Array, file: string, fileLength?: number): SafetensorsHeader {
  const entries = Object.entries(parseObject(json, file));
  const tensors: TensorInfo[] = [];
  for (const [name, entry] of entries) {
    if (name === '__metadata__') checkMetadata(entry, file);
    else tensors.push(tensorInfo(name, entry, file));
  }
  tensors.sort((a, b) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  let end = 0;
  for (const { name, byteOffset, byteLength } of tensors) {
    if (byteOffset !== end) {
      throw new CheckpointError({
        file,
        tensor: name,
        what: `tensor "${name}" of ${file} ${byteOffset > end ? 'leaves a hole before it' : 'overlaps another one'}`,
        actual: `data that begin at byte ${byteOffset}`,
        expected: `${end}, where the tensor before it ends`,
        next: RELOAD,
      });
    }
    end += byteLength;
  }
  const whole = 8 + json.length + end;
  if (fileLength !== undefined && fileLength !== whole) throw wrongLength(file, fileLength, whole);
  return { tensors, dataLength: end };
}

/** The error for a file that is cut off or goes on after its last tensor. */
export function wrongLength(file: string, actual: number | string, expected: number): CheckpointError {
  const truncated = typeof actual === 'number' && actual < expected;
  return new CheckpointError({
    file,
    what: `${file} ${truncated ? 'is truncated' : 'goes on after its last tensor'}`,
    actual: `${actual} bytes`,
    expected: `${expected} bytes, as its header says`,
    next: RELOAD,
  });
}

function parseObject(json: Uint8Array, file: string): object {
  const fail = (what: string, cause?: unknown) =>
    new CheckpointError({ file, what: `the header of ${file} ${what}`, next: RELOAD, cause });
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(json);
  } catch (cause) {
    throw fail('is not valid UTF-8', cause);
  }
  if (text[0] !== '{') throw fail('does not start with "{"');
  let value: object;
  try {
    value = JSON.parse(text) as object;
  } catch (cause) {
    throw fail('is not valid JSON', cause);
  }
  const twice = duplicateKey(text);
  if (twice !== undefined) throw fail(`has the key ${twice} twice`);
  return value;
}

/** JSON.parse keeps the last of two equal keys and says nothing; this finds one. `text` is valid JSON. */
function duplicateKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  for (const [token, key] of text.matchAll(/("(?:[^"\\]+|\\.)*")\s*:|"(?:[^"\\]+|\\.)*"|[{}]/g)) {
    if (token === '{') open.push(new Set());
    else if (token === '}') open.pop();
    else if (key !== undefined) {
      const name = JSON.parse(key) as string;
      const keys = open.at(-1)!;
      if (keys.has(name)) return key;
      keys.add(name);
    }
  }
  return undefined;
}

function checkMetadata(entry: unknown, file: string): void {
  const valid = isObject(entry) && Object.values(entry).every(value => typeof value === 'string');
  if (valid) return;
  throw new CheckpointError({
    file,
    what: `__metadata__ of ${file} is malformed`,
    actual: excerpt(entry),
    expected: 'an object whose values are strings',
    next: RELOAD,
  });
}

function tensorInfo(name: string, entry: unknown, file: string): TensorInfo {
  const fail = (what: string, actual: unknown, expected: string) =>
    new CheckpointError({
      file,
      tensor: name,
      what: `tensor "${name}" of ${file} ${what}`,
      actual: excerpt(actual),
      expected,
      next: RELOAD,
    });
  if (!isObject(entry)) throw fail('is malformed', entry, 'an object with dtype, shape and data_offsets');
  const { dtype, shape, data_offsets: span } = entry;
  for (const key of ['dtype', 'shape', 'data_offsets']) {
    if (!(key in entry)) throw fail(`has no ${key}`, Object.keys(entry), 'dtype, shape and data_offsets');
  }
  const bits = typeof dtype === 'string' ? DTYPE_BITS.get(dtype) : undefined;
  if (typeof dtype !== 'string' || bits === undefined) {
    throw fail('has an unknown dtype', dtype, `one of ${[...DTYPE_BITS.keys()].join(', ')}`);
  }
  if (!isSizes(shape)) throw fail('has a malformed shape', shape, 'non-negative integers');
  if (!isSizes(span) || span.length !== 2) throw fail('has malformed data_offsets', span, 'two non-negative integers');
  const [begin, end] = span as [number, number];
  if (begin > end) throw fail('ends before it begins', span, 'begin <= end');
  // As in the reference, also a product that a later zero would bring back is an overflow.
  let elements = 1;
  for (const size of shape) {
    elements *= size;
    if (elements * bits > Number.MAX_SAFE_INTEGER) throw fail('has an overflowing shape', shape, 'less than 2^53 bits');
  }
  const spanBits = elements * bits;
  if (spanBits % 8 !== 0) throw fail('does not fill whole bytes', `${dtype} ${excerpt(shape)}`, 'a multiple of 8 bits');
  if (spanBits / 8 !== end - begin) {
    throw fail(
      'has a shape that does not fit its data',
      `${end - begin} bytes`,
      `${spanBits / 8} for ${dtype} [${shape}]`,
    );
  }
  return { name, dtype, shape, byteOffset: begin, byteLength: end - begin, file };
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(size => Number.isSafeInteger(size) && size >= 0);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function excerpt(value: unknown): string {
  const text = typeof value === 'string' && !value.startsWith('"') ? value : (JSON.stringify(value) ?? 'nothing');
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
