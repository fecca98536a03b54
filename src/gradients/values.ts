import { padded } from '../../shaders/kernel.ts';
import type { Value } from '../plan/index.ts';

/** All values that stand in the fields of an op, or in the ops that its fields are. */
export const valuesIn = (op: object): Value[] =>
  Object.values(op).flatMap(field => (isValue(field) ? [field] : isOp(field) ? valuesIn(field) : []));

const isObject = (field: unknown): field is object => typeof field === 'object' && field !== null;
const isValue = (field: unknown): field is Value =>
  isObject(field) && 'id' in field && 'stride' in field && 'rows' in field;
const isOp = (field: unknown): field is object => isObject(field) && 'op' in field;

/** Makes values with ids that no op has. */
export function values(ops: readonly object[]) {
  let next = 1 + Math.max(-1, ...ops.flatMap(valuesIn).map(({ id }) => id));
  return {
    /** A value with the rows and columns of another. */
    like: ({ rows, columns }: Pick<Value, 'rows' | 'columns'>, name: string): Value => ({
      id: next++,
      name,
      rows,
      columns,
      stride: padded(columns),
    }),
  };
}
