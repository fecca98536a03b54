import type { Sequence } from '../src/plan/batch.ts';
import type { Graph } from '../src/plan/builder.ts';
import { type Op, operands } from '../src/plan/op.ts';
import { Run, type TensorLookup, valueNames } from './interpreter.ts';

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
  outputs: new Map([...valueNames(graph)].map(([value, name]) => [name, value])),
});

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
    for (const value of operands(op).writes) {
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
