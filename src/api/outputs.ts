import type { SequenceOutputs } from '../plan/index.ts';
import type { UnpaddedRow } from './inputs.ts';
import { Tensor } from './tensor.ts';

/** One row per sequence -> [B, columns] */
export function stack(name: string, outputs: readonly SequenceOutputs[]): Tensor {
  const data = joined(outputs.map(out => out.get(name)!));
  return new Tensor('float32', data, [outputs.length, data.length / outputs.length]);
}

/** Arrays one behind the other, copied. */
export function joined(parts: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const data = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part, at);
    at += part.length;
  }
  return data;
}

/** One row per token -> [B, width, columns], every token at the place that it had in its padded row. */
export function padTokens(
  name: string,
  outputs: readonly SequenceOutputs[],
  rows: readonly UnpaddedRow[],
  width: number,
): Tensor {
  const columns = outputs[0]!.get(name)!.length / rows[0]!.places.length;
  const data = new Float32Array(outputs.length * width * columns);
  outputs.forEach((out, b) => {
    const from = out.get(name)!;
    rows[b]!.places.forEach((place, i) => {
      data.set(from.subarray(i * columns, (i + 1) * columns), (b * width + place) * columns);
    });
  });
  return new Tensor('float32', data, [outputs.length, width, columns]);
}

/** [H, L, L] of every sequence -> [B, H, width, width] */
export function padPairs(
  name: string,
  outputs: readonly SequenceOutputs[],
  rows: readonly UnpaddedRow[],
  width: number,
): Tensor {
  const heads = outputs[0]!.get(name)!.length / rows[0]!.places.length ** 2;
  const data = new Float32Array(outputs.length * heads * width * width);
  outputs.forEach((out, b) => {
    const from = out.get(name)!;
    const { places } = rows[b]!;
    const L = places.length;
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < L; i++) {
        const to = ((b * heads + h) * width + places[i]!) * width;
        for (let j = 0; j < L; j++) data[to + places[j]!] = from[(h * L + i) * L + j]!;
      }
    }
  });
  return new Tensor('float32', data, [outputs.length, heads, width, width]);
}

/** The outputs named `{name}.{first}`: what each slice of a vocabulary gave, with the first token of the slice. */
export function slicesOf(out: SequenceOutputs, name: string): { first: number; data: Float32Array }[] {
  return [...out].flatMap(([key, data]) => {
    const [own, first] = key.split('.');
    return own === name ? [{ first: Number(first), data }] : [];
  });
}

/** The slices `logits.{first}` [rows, V_i] of a vocabulary, joined: [rows, V]. */
export function joinSlices(out: SequenceOutputs, vocabSize: number): Float32Array {
  const slices = slicesOf(out, 'logits');
  if (slices.length === 1) return slices[0]!.data;
  const rows = slices.reduce((sum, { data }) => sum + data.length, 0) / vocabSize;
  const joined = new Float32Array(rows * vocabSize);
  for (const { first, data } of slices) {
    const columns = data.length / rows;
    for (let row = 0; row < rows; row++) {
      joined.set(data.subarray(row * columns, (row + 1) * columns), row * vocabSize + first);
    }
  }
  return joined;
}
