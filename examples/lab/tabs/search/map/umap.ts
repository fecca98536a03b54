import type { Neighbours } from './neighbours.ts';
import { randomOf } from './random.ts';

/**
 * UMAP (McInnes, Healy and Melville 2018, arXiv 1802.03426) into two dimensions, as umap-learn 0.5 computes it with its defaults, on typed
 * arrays: the fuzzy graph of the nearest neighbours, and a layout of it by gradient descent with negative samples. It starts from
 * positions that are given. umap-js does the same on arrays of arrays, with 103 kB.
 */

/** umap-learn counts a point among its own neighbours: 15 with it. */
export const NEIGHBOURS = 14;

/** Of the curve 1 / (1 + a d^2b) that is fitted for min_dist 0.1 and spread 1. */
const A = 1.576943460405378;
const B = 0.8950608781227859;
const NEGATIVE_SAMPLES = 5;

/** The edges of the fuzzy graph, both ways: from, to and weight from 0 to 1. */
export interface FuzzyGraph {
  readonly from: Int32Array;
  readonly to: Int32Array;
  readonly weights: Float32Array;
}

/** How far the neighbours of each point count: of a point's nearest neighbour the distance, and the scale of the fall-off beyond it. */
function scalesOf({ count, distances }: Neighbours): { nearest: Float64Array; scales: Float64Array } {
  const points = distances.length / count;
  const nearest = new Float64Array(points);
  const scales = new Float64Array(points);
  // With the point itself, whose distance is 0.
  const target = Math.log2(count + 1);
  const meanOfAll = distances.reduce((sum, distance) => sum + distance, 0) / (points * (count + 1));
  for (let point = 0; point < points; point += 1) {
    const own = distances.subarray(point * count, (point + 1) * count);
    const rho = own.find(distance => distance > 0) ?? 0;
    let [low, high, scale] = [0, Number.POSITIVE_INFINITY, 1];
    for (let i = 0; i < 64; i += 1) {
      let sum = 0;
      for (const distance of own) sum += distance > rho ? Math.exp(-(distance - rho) / scale) : 1;
      if (Math.abs(sum - target) < 1e-5) break;
      if (sum > target) {
        high = scale;
        scale = (low + high) / 2;
      } else {
        low = scale;
        scale = high === Number.POSITIVE_INFINITY ? scale * 2 : (low + high) / 2;
      }
    }
    const mean = rho > 0 ? own.reduce((sum, distance) => sum + distance, 0) / (count + 1) : meanOfAll;
    nearest[point] = rho;
    scales[point] = Math.max(scale, 1e-3 * mean);
  }
  return { nearest, scales };
}

export function fuzzyGraphOf(neighbours: Neighbours): FuzzyGraph {
  const { count, indices, distances } = neighbours;
  const { nearest, scales } = scalesOf(neighbours);
  const points = indices.length / count;
  const weights = new Float32Array(indices.length);
  for (let edge = 0; edge < indices.length; edge += 1) {
    const point = Math.floor(edge / count);
    const beyond = distances[edge]! - nearest[point]!;
    weights[edge] = beyond <= 0 || scales[point] === 0 ? 1 : Math.exp(-beyond / scales[point]!);
  }
  /** The weight of the edge the other way; 0 where there is none. */
  const back = (from: number, to: number): number => {
    const place = indices.subarray(to * count, (to + 1) * count).indexOf(from);
    return place < 0 ? 0 : weights[to * count + place]!;
  };
  const from: number[] = [];
  const to: number[] = [];
  const both: number[] = [];
  for (let point = 0; point < points; point += 1) {
    for (let edge = point * count; edge < (point + 1) * count; edge += 1) {
      const other = indices[edge]!;
      const there = weights[edge]!;
      const here = back(point, other);
      // An edge that both ends have is met twice; one that a single end has gets its other direction here.
      const weight = there + here - there * here;
      from.push(point);
      to.push(other);
      both.push(weight);
      if (indices.subarray(other * count, (other + 1) * count).includes(point)) continue;
      from.push(other);
      to.push(point);
      both.push(weight);
    }
  }
  return { from: Int32Array.from(from), to: Int32Array.from(to), weights: Float32Array.from(both) };
}

export const epochsFor = (points: number): number => (points <= 10_000 ? 500 : 200);

/** Both coordinates from 0 to 10. */
function scaled(positions: Float32Array): Float32Array {
  const ends = [0, 1].map(axis => {
    const values = positions.filter((_, i) => i % 2 === axis);
    return [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))] as const;
  });
  return positions.map((value, i) => {
    const [low, high] = ends[i % 2]!;
    return high > low ? (10 * (value - low)) / (high - low) : 5;
  });
}

/**
 * Moves points until neighbours are near and others are not. Yields after each epoch; the positions are the same array, so whoever keeps
 * them copies them.
 */
export function* layoutOf({ from, to, weights }: FuzzyGraph, start: Float32Array): Generator<Float32Array> {
  const points = start.length / 2;
  const epochs = epochsFor(points);
  const random = randomOf(42);
  // Points that lie on each other would never part.
  const positions = scaled(start).map(value => value + (random() - 0.5) * 1e-3);
  const largest = weights.reduce((a, b) => Math.max(a, b), 0);
  // An edge is used once in so many epochs; one that would not be used at all is left out.
  const every = Float64Array.from(weights, weight => (weight > largest / epochs ? largest / weight : 0));
  const next = Float64Array.from(every);
  const nextNegative = every.map(each => each / NEGATIVE_SAMPLES);
  const clipped = (gradient: number) => Math.max(-4, Math.min(4, gradient));
  for (let epoch = 0; epoch < epochs; epoch += 1) {
    const rate = 1 - epoch / epochs;
    for (let edge = 0; edge < from.length; edge += 1) {
      if (every[edge] === 0 || next[edge]! > epoch) continue;
      const a = from[edge]! * 2;
      const b = to[edge]! * 2;
      pull(positions, a, b, rate, clipped);
      next[edge]! += every[edge]!;
      const everyNegative = every[edge]! / NEGATIVE_SAMPLES;
      const negatives = Math.floor((epoch - nextNegative[edge]!) / everyNegative);
      for (let i = 0; i < negatives; i += 1) {
        const other = Math.floor(random() * points) * 2;
        if (other !== a) push(positions, a, other, rate, clipped);
      }
      nextNegative[edge]! += negatives * everyNegative;
    }
    yield positions;
  }
}

type Clip = (gradient: number) => number;

function pull(positions: Float32Array, a: number, b: number, rate: number, clipped: Clip): void {
  const dx = positions[a]! - positions[b]!;
  const dy = positions[a + 1]! - positions[b + 1]!;
  const square = dx * dx + dy * dy;
  if (square === 0) return;
  const power = square ** B;
  const factor = (-2 * A * B * power) / square / (A * power + 1);
  const x = clipped(factor * dx) * rate;
  const y = clipped(factor * dy) * rate;
  positions[a]! += x;
  positions[a + 1]! += y;
  positions[b]! -= x;
  positions[b + 1]! -= y;
}

function push(positions: Float32Array, a: number, b: number, rate: number, clipped: Clip): void {
  const dx = positions[a]! - positions[b]!;
  const dy = positions[a + 1]! - positions[b + 1]!;
  const square = dx * dx + dy * dy;
  if (square === 0) return;
  const factor = (2 * B) / ((0.001 + square) * (A * square ** B + 1));
  positions[a]! += clipped(factor * dx) * rate;
  positions[a + 1]! += clipped(factor * dy) * rate;
}
