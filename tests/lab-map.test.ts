import { afterEach, describe, expect, test, vi } from 'vitest';
import { drawMap, lookAround, mapping, sentenceMap, surroundings } from '../examples/lab/tabs/search/map/map-state.ts';
import type { MapRequest } from '../examples/lab/tabs/search/map/map-worker.ts';
import { neighboursOf } from '../examples/lab/tabs/search/map/neighbours.ts';
import { groupsOf, paintPoints } from '../examples/lab/tabs/search/map/paint.ts';
import { placeOf, planeOf, reduced } from '../examples/lab/tabs/search/map/pca.ts';
import { randomOf } from '../examples/lab/tabs/search/map/random.ts';
import { fuzzyGraphOf, layoutOf, NEIGHBOURS } from '../examples/lab/tabs/search/map/umap.ts';
import { moved, pointAt, pointTowards, toCanvas, wholeView, zoomed } from '../examples/lab/tabs/search/map/view.ts';
import type { TextIndex, Vectors } from '../examples/lab/tabs/search/text-index.ts';
import python from './fixtures/umap.json' with { type: 'json' };

/** What Python says of the same vectors: tests/fixtures/tools/umap_graph.py. */
const matrix = {
  data: Float32Array.from(python.vectors),
  dims: python.dims,
  rows: python.vectors.length / python.dims,
};

test('the plane, the places in it and the share of the variance are those of numpy', () => {
  const plane = planeOf(matrix);
  expect(plane.explained).toBeCloseTo(python.explained, 5);
  for (const [i, value] of plane.positions.entries()) expect(value).toBeCloseTo(python.positions[i]!, 5);
  const [x, y] = placeOf(matrix.data.subarray(0, matrix.dims), plane);
  expect([x, y].map(Math.fround)).toEqual([...plane.positions.subarray(0, 2)]);
});

test('rows that are all the same, or differ in one direction, have a plane', () => {
  const same = planeOf({ data: new Float32Array(12).fill(0.5), dims: 4, rows: 3 });
  expect([...same.positions]).toEqual([0, 0, 0, 0, 0, 0]);
  const line = planeOf({ data: Float32Array.of(0, 0, 1, 0, 2, 0), dims: 2, rows: 3 });
  expect(line.explained).toBeCloseTo(1, 6);
  expect([...line.positions].map(value => value + 0)).toEqual([-1, 0, 0, 0, 1, 0]);
});

test('rows in as many directions as they have columns keep the cosines of centred rows', () => {
  const { data, dims, rows } = matrix;
  const turned = reduced(matrix, dims);
  const mean = Array.from({ length: dims }, (_, k) => {
    const column = data.filter((_, i) => i % dims === k);
    return column.reduce((sum, value) => sum + value, 0) / rows;
  });
  const centred = (row: number) => mean.map((value, k) => data[row * dims + k]! - value);
  const cosine = (a: readonly number[], b: readonly number[]) =>
    a.reduce((sum, value, k) => sum + value * b[k]!, 0) / Math.hypot(...a) / Math.hypot(...b);
  for (let row = 1; row < rows; row += 1) {
    const both = [0, row].map(each => [...turned.data.subarray(each * dims, (each + 1) * dims)]) as [
      number[],
      number[],
    ];
    expect(cosine(...both)).toBeCloseTo(cosine(centred(0), centred(row)), 5);
  }
});

test('neighbours are the nearest by cosine, in their order', () => {
  const { count, indices, distances } = neighboursOf(matrix, 5, () => {});
  const { data, dims, rows } = matrix;
  const row = (i: number) => data.subarray(i * dims, (i + 1) * dims);
  for (let i = 0; i < rows; i += 1) {
    const all = Array.from({ length: rows }, (_, j) => ({
      j,
      distance: 1 - row(i).reduce((sum, value, k) => sum + value * row(j)[k]!, 0),
    })).filter(({ j }) => j !== i);
    all.sort((a, b) => a.distance - b.distance);
    expect([...indices.subarray(i * count, (i + 1) * count)]).toEqual(all.slice(0, 5).map(({ j }) => j));
    expect(distances[i * count]).toBeCloseTo(all[0]!.distance, 6);
  }
});

describe('UMAP', () => {
  test('has the graph of umap-learn', () => {
    const { from, to, weights } = fuzzyGraphOf(neighboursOf(matrix, NEIGHBOURS, () => {}));
    const edges = Array.from(from, (a, i) => [a, to[i]!, weights[i]!] as const);
    edges.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    // umap-learn leaves out edges of weight 0; numbers of both are float32, and its search for the scales ends at 1e-5.
    const shown = edges.filter(([, , weight]) => weight > 1e-6);
    const expected = python.edges.filter(([, , weight]) => weight! > 1e-6);
    expect(shown.map(([a, b]) => [a, b])).toEqual(expected.map(([a, b]) => [a, b]));
    for (const [i, [, , weight]] of shown.entries()) expect(weight).toBeCloseTo(expected[i]![2]!, 3);
  });

  test('keeps groups together, ends with finite places, and is the same each time', () => {
    // Three groups in eight dimensions, around three axes.
    const random = randomOf(3);
    const rows = 60;
    const data = new Float32Array(rows * 8);
    for (let row = 0; row < rows; row += 1) {
      const vector = Array.from({ length: 8 }, (_, k) => (k === row % 3 ? 1 : 0) + 0.3 * (random() - 0.5));
      const length = Math.hypot(...vector);
      data.set(
        vector.map(value => value / length),
        row * 8,
      );
    }
    const groups = { data, dims: 8, rows };
    const draw = () => {
      const graph = fuzzyGraphOf(neighboursOf(groups, NEIGHBOURS, () => {}));
      let last = new Float32Array();
      for (const positions of layoutOf(graph, planeOf(groups).positions)) last = positions.slice();
      return last;
    };
    const positions = draw();
    expect(positions.every(Number.isFinite)).toBe(true);
    const distance = (a: number, b: number) =>
      Math.hypot(positions[2 * a]! - positions[2 * b]!, positions[2 * a + 1]! - positions[2 * b + 1]!);
    for (let a = 0; a < rows; a += 1) {
      const others = Array.from({ length: rows }, (_, b) => b).filter(b => b !== a);
      const nearest = others.sort((b, c) => distance(a, b) - distance(a, c)).slice(0, 5);
      expect(nearest.every(b => b % 3 === a % 3)).toBe(true);
    }
    expect(draw()).toEqual(positions);
  });
});

describe('the view of a map', () => {
  const positions = Float32Array.of(0, 0, 4, 0, 0, 2, 4, 2, 2, 1);
  const size = { width: 448, height: 248 };

  test('has all points, at one scale in both directions', () => {
    const view = wholeView(positions, size);
    expect(view).toEqual({ x: 2, y: 1, scale: 100 });
    expect(toCanvas(view, size, 0, 0)).toEqual([24, 24]);
  });

  test('zooms around a place, which stays where it is, and no further out than all points', () => {
    const whole = wholeView(positions, size);
    const near = zoomed(whole, whole, size, 2, 24, 24);
    expect(near.scale).toBe(200);
    expect(toCanvas(near, size, 0, 0)).toEqual([24, 24]);
    expect(zoomed(moved(near, 30, 40), whole, size, 0.1, 0, 0)).toEqual(whole);
    expect(toCanvas(moved(near, 30, 40), size, 0, 0)).toEqual([54, 64]);
  });

  test('finds the point at a place, and the one that an arrow key leads to', () => {
    const view = wholeView(positions, size);
    expect(pointAt(positions, view, size, 228, 126, 10)).toBe(4);
    expect(pointAt(positions, view, size, 120, 60, 10)).toBeUndefined();
    expect(pointTowards(positions, 4, 'ArrowRight')).toBe(1);
    expect(pointTowards(positions, 0, 'ArrowDown')).toBe(2);
    expect(pointTowards(positions, 0, 'ArrowUp')).toBe(0);
    expect(pointTowards(positions, 0, 'a')).toBeUndefined();
  });
});

/** Vectors of chance, as a model would have made them. */
function vectorsOf(rows: number, dims: number): Vectors {
  const random = randomOf(5);
  const data = Float32Array.from({ length: rows * dims }, () => random() - 0.5);
  return { space: 'a', model: { name: 'a', id: 'a', dtype: 'fp32' }, dims, rows, data };
}

describe('the page beside its map', () => {
  afterEach(() => {
    mapping.stop();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  /** Workers that only take down what they are given. */
  function stubWorkers() {
    const workers: { requests: MapRequest[]; isEnded: boolean; onmessage?: (event: { data: unknown }) => void }[] = [];
    vi.stubGlobal(
      'Worker',
      class {
        requests: MapRequest[] = [];
        isEnded = false;
        constructor() {
          workers.push(this);
        }
        postMessage(request: MapRequest) {
          this.requests.push(request);
        }
        terminate() {
          this.isEnded = true;
        }
      },
    );
    return workers;
  }

  const until = async (isSo: () => boolean) => {
    while (!isSo()) await new Promise(resolve => setTimeout(resolve, 1));
  };

  test('hands the vectors to the worker in pieces, whole and in order, and keeps its own', async () => {
    const workers = stubWorkers();
    const vectors = vectorsOf(3_000, 384);
    drawMap({ id: 'x', vectors } as TextIndex, 'pca');
    const pieces = () => (workers[0]?.requests ?? []).filter(request => request.kind === 'rows');
    await until(() => pieces().reduce((sum, { data }) => sum + data.length, 0) === vectors.data.length);
    expect(workers[0]!.requests[0]).toEqual({ kind: 'job', job: { kind: 'pca', dims: 384, rows: 3_000 } });
    // A copy of a mebibyte takes a fraction of a millisecond.
    expect(Math.max(...pieces().map(({ data }) => data.byteLength))).toBeLessThanOrEqual(2 ** 20);
    const joined = new Float32Array(vectors.data.length);
    for (const { at, data } of pieces()) joined.set(data, at);
    expect(Buffer.compare(Buffer.from(joined.buffer), Buffer.from(vectors.data.buffer))).toBe(0);
    expect(vectors.data.length).toBe(3_000 * 384);
  });

  test('says after Stop that UMAP was stopped, and how far it came', async () => {
    const workers = stubWorkers();
    const vectors = vectorsOf(20, 8);
    drawMap({ id: 'x', vectors } as TextIndex, 'umap');
    await until(() => workers[0]?.onmessage !== undefined);
    const positions = new Float32Array(40);
    workers[0]!.onmessage!({ data: { kind: 'plane', plane: { positions } } });
    workers[0]!.onmessage!({ data: { kind: 'layout', positions, done: 120, total: 500 } });
    mapping.halt();
    expect(workers[0]!.isEnded).toBe(true);
    expect(mapping.isStopped.value).toBe(true);
    expect(sentenceMap.value).toMatchObject({ kind: 'umap', moved: { done: 120, total: 500 } });
  });

  test('compares only the passage on which a pointer rests, and none twice', async () => {
    const vectors = vectorsOf(2_000, 4);
    let now = 0;
    // By this clock each piece of work is late, and gives up its turn.
    vi.spyOn(performance, 'now').mockImplementation(() => {
      now += 20;
      return now;
    });
    const seen: (number | undefined)[] = [];
    const forget = surroundings.subscribe(value => void seen.push(value?.row));
    await Promise.all([1, 2, 3, 4].map(row => lookAround(vectors, row)));
    expect(seen).toEqual([undefined, 4]);
    const found = surroundings.value!;
    const dot = (a: number, b: number) =>
      vectors.data.subarray(4 * a, 4 * a + 4).reduce((sum, value, k) => sum + value * vectors.data[4 * b + k]!, 0);
    const others = Array.from({ length: 2_000 }, (_, row) => row).filter(row => row !== 4);
    const nearest = others.sort((a, b) => dot(4, b) - dot(4, a)).slice(0, 6);
    expect(found.neighbours.map(({ row }) => row)).toEqual(nearest);
    await lookAround(vectors, 4);
    expect(surroundings.value).toBe(found);
    forget();
  });

  test('sorts the points by colour once for all pictures of a map', () => {
    const count = 4_000;
    const random = randomOf(9);
    const scores = Float32Array.from({ length: count }, () => random());
    const made = groupsOf(count, { owners: undefined, scores, hits: [3, 4, count + 1] }, 6);
    expect(made.hits).toEqual([3, 4]);
    expect(made.groups.flatMap(({ rows }) => [...rows]).sort((a, b) => a - b)).toEqual([...scores.keys()]);
    const highest = made.groups.map(({ rows }) => Math.max(...[...rows].map(row => scores[row]!)));
    expect(highest).toEqual([...highest].sort((a, b) => a - b));
    const files = groupsOf(5, { owners: Uint32Array.of(0, 1, 0, 7, 1), scores, hits: [] }, 6);
    expect(files.groups.map(({ rows }) => [...rows])).toEqual([[0, 2], [1, 3, 4], [], [], [], []]);
    // The painter has the groups, and neither asks for scores nor makes lists of its own.
    const rects: number[] = [];
    const context = new Proxy({} as Record<string, unknown>, {
      get: (own, name) => own[name as string] ?? ((x: number) => void (name === 'rect' && rects.push(x))),
      set: (own, name, value) => {
        own[name as string] = value;
        return true;
      },
    });
    const positions = Float32Array.from({ length: 2 * count }, () => random());
    const size = { width: 300, height: 300 };
    const colours = { quiet: 'q', accent: 'a', ink: 'i', paper: 'p', files: [] };
    const draw = context as unknown as CanvasRenderingContext2D;
    paintPoints(draw, size, wholeView(positions, size), positions, { ...made, hits: [] }, colours);
    expect(rects.length).toBe(count);
  });
});
