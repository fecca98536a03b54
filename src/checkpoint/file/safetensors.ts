import { CheckpointError, type Complaint, describe } from '../../errors.ts';
import { isRecord, isText, isWhole, type Json } from '../../json.ts';
import type { TensorInfo } from './types.ts';

/** As in the reference implementation (huggingface/safetensors, safetensors/src/tensor.rs). */
const MAX_HEADER_BYTES = 100_000_000;

/** Every dtype of the format, with the bits of one element. Elements of 4 and 6 bits are packed without gaps. */
const DTYPE_BITS: ReadonlyMap<string, number> = new Map([
  ['F4', 4],
  ['F6_E2M3', 6],
  ['F6_E3M2', 6],
  ['BOOL', 8],
  ['U8', 8],
  ['I8', 8],
  ['F8_E5M2', 8],
  ['F8_E4M3', 8],
  ['F8_E8M0', 8],
  ['F8_E4M3FNUZ', 8],
  ['F8_E5M2FNUZ', 8],
  ['I16', 16],
  ['U16', 16],
  ['F16', 16],
  ['BF16', 16],
  ['I32', 32],
  ['U32', 32],
  ['F32', 32],
  ['I64', 64],
  ['U64', 64],
  ['F64', 64],
  ['C64', 64],
]);

/** What to do about bytes that no program would write. */
const BROKEN = 'Download the file again; if its size is the same then, save the model again.';
/** What to do about a whole file that contradicts itself: the program that wrote it made the mistake. */
const MISWRITTEN =
  'The file is as its author wrote it: save the model again with a current safetensors, or ask the author to.';

/** The error for a malformed file of a checkpoint. */
export const damaged = (file: string, what: string, more: Omit<Complaint, 'what'> & { tensor?: string }) =>
  new CheckpointError({ file, what, ...more });

/** A validated header. */
export interface SafetensorsHeader {
  /** In file order. */
  tensors: TensorInfo[];
  /** `__metadata__`; undefined where the file has none. */
  metadata: Readonly<Record<string, string>> | undefined;
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
    const what = `${file} is too short`;
    throw damaged(file, what, { actual: `${prefix.length} bytes`, expected: 'at least 8', next: BROKEN });
  }
  const length = Number(new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES) {
    const what = `the header of ${file} is too long`;
    throw damaged(file, what, { actual: `${length} bytes`, expected: `at most ${MAX_HEADER_BYTES}`, next: BROKEN });
  }
  if (fileLength !== undefined && length + 8 > fileLength) {
    const what = `the header of ${file} ends past the end`;
    throw damaged(file, what, { actual: `${fileLength} bytes`, expected: `at least ${length + 8}`, next: BROKEN });
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
  const { __metadata__, ...entries } = parseObject(json, file);
  // As in the reference implementation, null means that there is none.
  const metadata = __metadata__ ?? undefined;
  if (metadata !== undefined && !isTexts(metadata)) {
    const what = `__metadata__ of ${file} is malformed`;
    throw damaged(file, what, { actual: describe(metadata), expected: 'an object of strings', next: MISWRITTEN });
  }
  const tensors = Object.entries(entries).map(([name, entry]) => tensorInfo(name, entry, file));
  tensors.sort((a, b) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  let end = 0;
  for (const { name, byteOffset, byteLength } of tensors) {
    if (byteOffset !== end) {
      const how = byteOffset > end ? 'leaves a hole before it' : 'overlaps another one';
      const what = `tensor "${name}" of ${file} ${how}`;
      throw damaged(file, what, {
        actual: `a start at ${byteOffset}`,
        expected: `${end}`,
        next: MISWRITTEN,
        tensor: name,
      });
    }
    end += byteLength;
  }
  const expectedLength = 8 + json.length + end;
  if (fileLength !== undefined && fileLength !== expectedLength) throw wrongLength(file, fileLength, expectedLength);
  return { tensors, metadata, dataLength: end };
}

/** The error for a file that is cut off or goes on after its last tensor. */
export function wrongLength(file: string, actual: number | string, expected: number): CheckpointError {
  const how = typeof actual === 'number' && actual < expected ? 'is truncated' : 'goes on after its last tensor';
  return damaged(file, `${file} ${how}`, { actual: `${actual} bytes`, expected: `${expected} bytes`, next: BROKEN });
}

function parseObject(json: Uint8Array, file: string): Json {
  const fail = (what: string, next = BROKEN) => damaged(file, `the header of ${file} ${what}`, { next });
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(json);
    value = JSON.parse(text);
  } catch {
    throw fail('is not valid UTF-8 and JSON');
  }
  // The format forbids white space before the brace.
  if (text[0] !== '{') throw fail('does not start with "{"', MISWRITTEN);
  const duplicate = duplicateKey(text);
  if (duplicate !== undefined) throw fail(`has the key ${duplicate} twice`, MISWRITTEN);
  return value as Json;
}

/** A key that stands twice in one object: JSON.parse keeps the last value and reports nothing. `text` is valid JSON, read once. */
function duplicateKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  for (let at = 0; at < text.length; at++) {
    const mark = text[at];
    if (mark === '{') open.push(new Set());
    else if (mark === '}') open.pop();
    else if (mark === '"') {
      const start = at;
      at = endOfString(text, start);
      if (!isKey(text, at + 1)) continue;
      const key = text.slice(start, at + 1);
      const name = JSON.parse(key) as string;
      const keys = open.at(-1)!;
      if (keys.has(name)) return key;
      keys.add(name);
    }
  }
  return undefined;
}

/** The index of the quote that ends the string which begins at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
}

/** Whether the string that ends before `at` is a key: a colon follows, white space or not. */
function isKey(text: string, at: number): boolean {
  let next = at;
  while (' \t\n\r'.includes(text[next]!)) next++;
  return text[next] === ':';
}

function tensorInfo(name: string, entry: unknown, file: string): TensorInfo {
  const fail = (what: string, actual: unknown, expected: string) =>
    damaged(file, `tensor "${name}" of ${file} ${what}`, {
      actual: isWhole(actual) ? String(actual) : describe(actual),
      expected,
      next: MISWRITTEN,
      tensor: name,
    });
  if (!isRecord(entry)) throw fail('is malformed', entry, 'an object with dtype, shape and data_offsets');
  const { dtype, shape, data_offsets: span } = entry;
  const bits = isText(dtype) ? DTYPE_BITS.get(dtype) : undefined;
  if (!isText(dtype) || bits === undefined) {
    throw fail('has an unknown dtype', dtype, [...DTYPE_BITS.keys()].join(', '));
  }
  if (!isSizes(shape)) throw fail('has a malformed shape', shape, 'a list of whole numbers');
  if (!isSizes(span) || span.length !== 2) throw fail('has malformed data_offsets', span, 'two whole numbers');
  const [begin, end] = span as [number, number];
  // As in the reference implementation, an overflow counts also where a later size of zero would make the product zero.
  let elements = 1;
  for (const size of shape) {
    elements *= size;
    if (elements * bits > Number.MAX_SAFE_INTEGER) throw fail('has an overflowing shape', shape, 'less than 2^53 bits');
  }
  const byteLength = (elements * bits) / 8;
  if (byteLength !== end - begin) {
    throw fail('has a shape that does not fit its data', end - begin, `${byteLength} bytes for ${dtype} [${shape}]`);
  }
  return { name, dtype, shape, byteOffset: begin, byteLength, file };
}

const isTexts = (value: unknown): value is Record<string, string> =>
  isRecord(value) && Object.values(value).every(isText);
const isSizes = (value: unknown): value is number[] => Array.isArray(value) && value.every(isWhole);
