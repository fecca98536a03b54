import type { UnpaddedRow } from './model-inputs.ts';
import type { SequenceOutputs } from './plan/passes.ts';
import { Tensor } from './tensor.ts';

/** One row per sequence -> [B, columns] */
export function stack(name: string, outputs: readonly SequenceOutputs[], columns: number): Tensor {
  const data = new Float32Array(outputs.length * columns);
  outputs.forEach((out, b) => {
    data.set(out.get(name)!, b * columns);
  });
  return new Tensor('float32', data, [outputs.length, columns]);
}

/** One row per token -> [B, width, columns], every token at the place that it had in its padded row. */
export function padTokens(
  name: string,
  outputs: readonly SequenceOutputs[],
  rows: readonly Pick<UnpaddedRow, 'places'>[],
  width: number,
  columns: number,
): Tensor {
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
  heads: number,
): Tensor {
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

/** The slices `logits.{i}` [L, V_i] of a vocabulary, joined to `logits` [L, V]. */
export function joinSlices(out: Map<string, Float32Array>, vocabSize: number): void {
  const slices: Float32Array[] = [];
  for (let slice = out.get('logits.0'); slice; slice = out.get(`logits.${slices.length}`)) slices.push(slice);
  const [only] = slices;
  if (only && slices.length === 1) {
    out.set('logits', only);
    return;
  }
  const rows = slices.reduce((sum, { length }) => sum + length, 0) / vocabSize;
  const joined = new Float32Array(rows * vocabSize);
  let column = 0;
  for (const slice of slices) {
    const columns = slice.length / rows;
    for (let row = 0; row < rows; row++)
      joined.set(slice.subarray(row * columns, (row + 1) * columns), row * vocabSize + column);
    column += columns;
  }
  out.set('logits', joined);
}
