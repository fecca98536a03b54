import type { Backend } from '../engine/index.ts';
import { WeightReader } from '../gpu/index.ts';

/** Reads the tensors of a model back from its backend, as float32 in the order of the file: see WeightReader. */
export interface TensorReader {
  /** Whether a weight is made of the tensor. */
  has(tensor: string): boolean;
  read(tensor: string): AsyncIterable<Float32Array<ArrayBuffer>>;
}

/** A backend that reads its weights itself. */
export interface ReadableBackend extends Backend {
  readTensors(signal: AbortSignal | undefined): TensorReader;
}

const readsItself = (backend: Backend): backend is ReadableBackend => 'readTensors' in backend;

/** @param signal aborts the reading, which rejects at once with its reason */
export function tensorReader(backend: Backend, signal?: AbortSignal): TensorReader {
  if (readsItself(backend)) return backend.readTensors(signal);
  const { access } = backend;
  if (!access) throw new Error('a backend whose weights cannot be read');
  const { device, weights, signal: life } = access;
  return new WeightReader({ device, weights, life, signal });
}

/** A whole tensor. */
export async function wholeTensor(reader: TensorReader, tensor: string): Promise<Float32Array<ArrayBuffer>> {
  const pieces: Float32Array<ArrayBuffer>[] = [];
  for await (const piece of reader.read(tensor)) pieces.push(piece);
  const [only, ...more] = pieces;
  if (only && more.length === 0) return only;
  const whole = new Float32Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
