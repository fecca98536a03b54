import { CheckpointError, InputError } from '../errors.ts';
import { floatsToBrains, floatsToHalves } from '../halves.ts';
import type { SavedDtype } from './options.ts';

/** A tensor as it is to be written. */
export interface WrittenTensor {
  readonly name: string;
  /** As in the header: 'F32'. */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Blob;
}

/**
 * A safetensors file, as the reference implementation writes it: tensors of wider types first, those of one type by name, and the header
 * filled up with blanks so that the data begin at a multiple of 8 bytes. The data are nowhere in one piece.
 * Source: huggingface/safetensors, safetensors/src/tensor.rs, prepare.
 */
export function safetensorsFile(
  name: string,
  tensors: readonly WrittenTensor[],
  metadata: Readonly<Record<string, string>>,
): File {
  const sorted = [...tensors].sort((a, b) => widthOf(b) - widthOf(a) || (a.name < b.name ? -1 : 1));
  let end = 0;
  const entries = sorted.map(({ name, dtype, shape, bytes }): [string, unknown] => {
    const begin = end;
    end += bytes.size;
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  });
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries([['__metadata__', metadata], ...entries])));
  const header = new Uint8Array(8 * Math.ceil((8 + json.length) / 8)).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(json, 8);
  return new File([header, ...sorted.map(({ bytes }) => bytes)], name);
}

/** Bits of an element: those of a type of 8 bits need not be in its name. */
const widthOf = ({ dtype }: WrittenTensor): number => Number(dtype.slice(-2)) || 8;

/** Finite numbers from here on are infinite as a float16, or as a bfloat16: half a unit of the last place above the largest one. */
const TOO_LARGE: Readonly<Record<SavedDtype, number>> = {
  float32: Number.POSITIVE_INFINITY,
  float16: 65520,
  bfloat16: 2 ** 128 - 2 ** 119,
};

/**
 * Numbers as a file has them, rounded to nearest even. Throws InputError for a number that is too large for the type, CheckpointError for
 * one that is not finite: no load would accept the file. -Infinity is a score of the CPU's that forbids something.
 * @param tensor the name, for errors
 */
export function savedBytes(
  numbers: Float32Array<ArrayBuffer>,
  dtype: SavedDtype,
  tensor: string,
): Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer> {
  const limit = TOO_LARGE[dtype];
  for (let i = 0; i < numbers.length; i++) {
    const number = numbers[i]!;
    if (Math.abs(number) < limit || number === Number.NEGATIVE_INFINITY) continue;
    throw Number.isFinite(number) ? tooLarge(tensor, dtype, number) : notFinite(tensor, number);
  }
  if (dtype === 'float16') return floatsToHalves(numbers);
  if (dtype === 'bfloat16') return floatsToBrains(numbers);
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}

const tooLarge = (tensor: string, dtype: SavedDtype, number: number): InputError =>
  new InputError({
    what: `the tensor "${tensor}" does not fit into ${dtype}`,
    actual: String(number),
    expected: `numbers between -${TOO_LARGE[dtype]} and ${TOO_LARGE[dtype]}`,
    next: dtype === 'float16' ? "Save with dtype 'float32' or 'bfloat16'." : "Save with dtype 'float32'.",
  });

const notFinite = (tensor: string, number: number): CheckpointError =>
  new CheckpointError({
    what: `the tensor "${tensor}" cannot be saved`,
    actual: String(number),
    expected: 'finite numbers',
    next: 'A training that went wrong has left it: load the model again, and train with a smaller learning rate.',
    tensor,
  });
