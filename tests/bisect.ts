import type { Graph, OutputSlice, Sequence } from '../src/plan/index.ts';
import type { Op } from '../src/plan/op.ts';
import { Run, type TensorLookup, valueNames, writes } from './interpreter.ts';

/** Where a backend's numbers leave those of the interpreter. */
export interface Difference {
  readonly op: Op;
  /** The value's name in `valueNames`. */
  readonly name: string;
  readonly row: number;
  readonly column: number;
  readonly expected: number;
  readonly actual: number;
  /** |actual - expected| / (1 + |expected|) */
  readonly difference: number;
}

/** The same graph, which gives every value that it computes, by its name in `valueNames`: for a backend that is to be bisected. */
export const withEveryValue = (graph: Graph): Graph => ({
  ops: graph.ops,
  outputs: [...valueNames(graph)].map(([value, name]) => ({ name, layer: undefined, value })),
});

/**
 * What a backend read back, by name. `results` has the numbers of each of a plan's outputs; the slices of one value, which a device
 * computes in several pieces of its columns, are put side by side.
 */
export function namedValues(
  outputs: readonly OutputSlice[],
  results: readonly ArrayLike<number>[],
): Map<string, Float64Array> {
  const values = new Map<string, Float64Array>();
  for (const name of new Set(outputs.map(output => output.name))) {
    const slices = outputs.flatMap((output, i) => {
      const { columns } = output.value;
      return output.name === name ? [{ columns, first: output.first, numbers: results[i]! }] : [];
    });
    const width = slices.reduce((sum, { columns }) => sum + columns, 0);
    const whole = new Float64Array(slices.reduce((sum, { numbers }) => sum + numbers.length, 0));
    for (const { columns, first, numbers } of slices) {
      for (let i = 0; i < numbers.length; i++) {
        whole[Math.floor(i / columns) * width + first + (i % columns)] = numbers[i]!;
      }
    }
    values.set(name, whole);
  }
  return values;
}

/**
 * The first op of a graph whose result differs from the interpreter's by more than `tolerance` (1 + |x|); undefined where none does.
 *
 * `actual` holds the values of another backend by name, rows packed and without padding: all of `withEveryValue`, or some. Every op is
 * computed from the backend's own operands where `actual` has them, so an error that an earlier op made is not blamed on a later one,
 * and the tolerance is that of a single op.
 */
export function firstDifference(
  graph: Graph,
  tensors: TensorLookup,
  batch: readonly Sequence[],
  { actual, tolerance }: { actual: ReadonlyMap<string, ArrayLike<number>>; tolerance: number },
): Difference | undefined {
  const names = valueNames(graph);
  const run = new Run(tensors, batch);
  for (const op of graph.ops) {
    run.compute(op);
    for (const value of writes(op)) {
      const name = names.get(value)!;
      const numbers = actual.get(name);
      if (!numbers) continue;
      const { rows, columns, data } = run.get(value);
      if (numbers.length !== data.length) throw new Error(`${name} has ${numbers.length} numbers, not ${data.length}`);
      for (const [i, expected] of data.entries()) {
        const difference = Math.abs(numbers[i]! - expected) / (1 + Math.abs(expected));
        // Written so that NaN differs from everything.
        if (difference <= tolerance) continue;
        const [row, column] = [Math.floor(i / columns), i % columns];
        return { op, name, row, column, expected, actual: numbers[i]!, difference };
      }
      run.set(value, { rows, columns, data: Float64Array.from(numbers) });
    }
  }
  return undefined;
}

/** One line for a person: `linear encoder.layer.0.output.dense: 0.5, not 0.25, at row 3, column 7`. */
export const describeDifference = ({ op, name, row, column, expected, actual }: Difference): string =>
  `${op.op} ${name}: ${actual}, not ${expected}, at row ${row}, column ${column}`;
