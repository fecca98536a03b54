import type { Matrix } from '../rank.ts';

/** For each row its nearest ones by cosine, the nearest first; the row itself is none of them. */
export interface Neighbours {
  readonly count: number;
  readonly indices: Int32Array;
  /** 1 - cosine, from 0 to 2. */
  readonly distances: Float32Array;
}

/** Compares every pair of rows once. `onRow` is called after each row; rows have length 1. */
export function neighboursOf({ data, dims, rows }: Matrix, most: number, onRow: (row: number) => void): Neighbours {
  const count = Math.min(most, rows - 1);
  const indices = new Int32Array(rows * count).fill(-1);
  const distances = new Float32Array(rows * count).fill(Number.POSITIVE_INFINITY);
  const offer = (row: number, other: number, distance: number) => {
    const first = row * count;
    let place = first + count - 1;
    if (!(distance < distances[place]!)) return;
    for (; place > first && distances[place - 1]! > distance; place -= 1) {
      distances[place] = distances[place - 1]!;
      indices[place] = indices[place - 1]!;
    }
    distances[place] = distance;
    indices[place] = other;
  };
  const offerBoth = (a: number, b: number, cosine: number) => {
    const distance = Math.max(0, 1 - cosine);
    offer(a, b, distance);
    offer(b, a, distance);
  };
  for (let a = 0; a < rows; a += 1) {
    const vector = data.subarray(a * dims, (a + 1) * dims);
    let b = a + 1;
    // Four at a time: each number of the row is read once for all of them.
    for (; b + 3 < rows; b += 4) {
      let [sum0, sum1, sum2, sum3] = [0, 0, 0, 0];
      for (let k = 0, at = b * dims; k < dims; k += 1, at += 1) {
        const value = vector[k]!;
        sum0 += value * data[at]!;
        sum1 += value * data[at + dims]!;
        sum2 += value * data[at + 2 * dims]!;
        sum3 += value * data[at + 3 * dims]!;
      }
      offerBoth(a, b, sum0);
      offerBoth(a, b + 1, sum1);
      offerBoth(a, b + 2, sum2);
      offerBoth(a, b + 3, sum3);
    }
    for (; b < rows; b += 1) {
      let sum = 0;
      for (let k = 0, at = b * dims; k < dims; k += 1, at += 1) sum += vector[k]! * data[at]!;
      offerBoth(a, b, sum);
    }
    onRow(a);
  }
  return { count, indices, distances };
}
