import type { Backend, TensorReader } from '../engine/index.ts';

/** @param signal aborts the reading, which rejects at once with its reason */
export const tensorReader = (backend: Backend, signal?: AbortSignal): TensorReader => backend.readTensors(signal);

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
