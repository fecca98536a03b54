import { inSlices } from './slices.ts';

/** Similarities of rows of one matrix to a vector, and the best of them. All rows and vectors have length 1, so a dot product is the cosine. */

export interface Matrix {
  /** Row after row. */
  readonly data: Float32Array;
  readonly dims: number;
  /** Rows that are there by now. */
  readonly rows: number;
}

export const rowOf = ({ data, dims }: Matrix, row: number): Float32Array => data.subarray(row * dims, (row + 1) * dims);

/** So many rows are scored before the clock is looked at. */
const PIECE = 256;

/**
 * The cosines of a vector with the rows of a matrix that grows: no row is scored twice. It works in slices, since so many products hold
 * a phone's thread for longer than a frame.
 */
export class RowScores {
  readonly vector: Float32Array;
  readonly matrix: Matrix;
  readonly #values: Float32Array;
  #done = 0;

  constructor(vector: Float32Array, matrix: Matrix) {
    this.vector = vector;
    this.matrix = matrix;
    this.#values = new Float32Array(matrix.data.length / matrix.dims);
  }

  /** The scores of the rows that are there now. Rejects with the signal's reason; what was scored by then is kept. */
  async all(signal: AbortSignal): Promise<Float32Array> {
    const { rows } = this.matrix;
    await inSlices(this.#pieces(rows), signal, () => {});
    return this.#values.subarray(0, rows);
  }

  *#pieces(rows: number): Generator<void> {
    const { data, dims } = this.matrix;
    while (this.#done < rows) {
      const until = Math.min(rows, this.#done + PIECE);
      for (let row = this.#done, at = row * dims; row < until; row += 1) {
        let sum = 0;
        for (let k = 0; k < dims; k += 1, at += 1) sum += this.vector[k]! * data[at]!;
        this.#values[row] = sum;
      }
      this.#done = until;
      yield;
    }
  }
}

/** The rows of the `most` highest scores, the highest first; of equal ones the earlier row. */
export function best(scores: Float32Array, most: number, without = -1): number[] {
  const rows: number[] = [];
  for (let row = 0; row < scores.length; row += 1) {
    const score = scores[row]!;
    if (row === without || (rows.length === most && !(score > scores[rows.at(-1)!]!))) continue;
    let place = rows.length;
    while (place > 0 && scores[rows[place - 1]!]! < score) place -= 1;
    rows.splice(place, 0, row);
    if (rows.length > most) rows.pop();
  }
  return rows;
}
