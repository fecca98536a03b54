/** Similarities of rows of one matrix to a vector, and the best of them. All rows and vectors have length 1, so a dot product is the cosine. */

export interface Matrix {
  /** Row after row. */
  readonly data: Float32Array;
  readonly dims: number;
  /** Rows that are there by now. */
  readonly rows: number;
}

export const rowOf = ({ data, dims }: Matrix, row: number): Float32Array => data.subarray(row * dims, (row + 1) * dims);

/** The cosine of every row to `vector`. */
export function scoresOf(vector: Float32Array, { data, dims, rows }: Matrix): Float32Array {
  const scores = new Float32Array(rows);
  for (let row = 0, at = 0; row < rows; row += 1) {
    let sum = 0;
    for (let k = 0; k < dims; k += 1, at += 1) sum += vector[k]! * data[at]!;
    scores[row] = sum;
  }
  return scores;
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
