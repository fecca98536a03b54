import type { SequenceOutput, SequenceOutputs } from '../plan/index.ts';
import type { UnpaddedRow } from './inputs.ts';
import { Tensor } from './tensor.ts';

/** One row per sequence -> [B, columns] */
export function stack(name: string, outputs: readonly SequenceOutputs[]): Tensor {
  const data = joined(outputs.map(output => outputOf(output, name)));
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

/** Which output of the sequences, and where their tokens stood. */
export interface PaddedOutput {
  readonly name: string;
  readonly layer?: number | undefined;
  readonly rows: readonly UnpaddedRow[];
  /** Columns of the rows with their padding. */
  readonly width: number;
}

/** One row per token -> [B, width, columns], every token at the place that it had in its padded row. */
export function padTokens(outputs: readonly SequenceOutputs[], { name, layer, rows, width }: PaddedOutput): Tensor {
  const columns = columnsOf(slicesOf(outputs[0]!, name, layer));
  const data = new Float32Array(outputs.length * width * columns);
  outputs.forEach((output, b) => {
    const from = outputOf(output, name, layer);
    rows[b]!.places.forEach((place, i) => {
      data.set(from.subarray(i * columns, (i + 1) * columns), (b * width + place) * columns);
    });
  });
  return new Tensor('float32', data, [outputs.length, width, columns]);
}

/** [H, L, L] of every sequence -> [B, H, width, width] */
export function padPairs(outputs: readonly SequenceOutputs[], { name, layer, rows, width }: PaddedOutput): Tensor {
  const heads = columnsOf(slicesOf(outputs[0]!, name, layer));
  const data = new Float32Array(outputs.length * heads * width * width);
  outputs.forEach((output, b) => {
    const from = outputOf(output, name, layer);
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

/** The slices of an output, in the order of their columns: one, where it was computed whole. */
export const slicesOf = (outputs: SequenceOutputs, name: string, layer?: number): SequenceOutput[] =>
  outputs.filter(output => output.name === name && output.layer === layer);

const columnsOf = (slices: readonly SequenceOutput[]): number => slices.reduce((sum, { columns }) => sum + columns, 0);

/** An output [rows, columns] that was asked for, whole: slices are joined by columns. */
export function outputOf(outputs: SequenceOutputs, name: string, layer?: number): Float32Array {
  const slices = slicesOf(outputs, name, layer);
  const [whole] = slices;
  if (!whole) throw new Error(`a pass gave no ${name}${layer === undefined ? '' : ` of layer ${layer}`}`);
  if (slices.length === 1) return whole.data;
  const width = columnsOf(slices);
  const rows = whole.data.length / whole.columns;
  const data = new Float32Array(rows * width);
  for (const { first, columns, data: slice } of slices) {
    for (let row = 0; row < rows; row++) {
      data.set(slice.subarray(row * columns, (row + 1) * columns), row * width + first);
    }
  }
  return data;
}
