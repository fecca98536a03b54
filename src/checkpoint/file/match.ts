import { CheckpointError } from '../../errors.ts';
import type { TensorDtype, TensorInfo } from './types.ts';

/** A tensor as a model asks for it: by its canonical name, with the shape that config.json implies. */
export interface WantedTensor {
  readonly tensor: string;
  readonly shape: readonly number[];
}

const READABLE: readonly string[] = ['F32', 'F16', 'BF16'] satisfies TensorDtype[];
const NEXT = 'Check that config.json and the weights belong together.';

/**
 * The tensors of a checkpoint that a model is made of, by their names in the file, each with the canonical names it serves.
 * Throws CheckpointError where one is missing, or is of another shape or of a type that cannot be read: before any of its bytes
 * is asked for.
 */
export function matchTensors(
  wanted: Iterable<WantedTensor>,
  find: (canonical: string) => TensorInfo | undefined,
): ReadonlyMap<string, ReadonlySet<string>> {
  const matched = new Map<string, Set<string>>();
  for (const { tensor, shape } of wanted) {
    const found = find(tensor);
    const expected = `[${shape.join(', ')}]`;
    if (!found) {
      const what = `the checkpoint lacks the tensor "${tensor}"`;
      throw new CheckpointError({ what, expected: `one of shape ${expected}`, next: NEXT, tensor });
    }
    const { name, dtype, file } = found;
    const actual = `[${found.shape.join(', ')}]`;
    if (actual !== expected) {
      const what = `the tensor "${name}" has the wrong shape`;
      throw new CheckpointError({
        what,
        actual,
        expected: `${expected}, as config.json says`,
        next: NEXT,
        file,
        tensor: name,
      });
    }
    if (!READABLE.includes(dtype)) {
      throw new CheckpointError({
        what: `the tensor "${name}" has a type that cannot be read`,
        actual: dtype,
        expected: READABLE.join(', '),
        next: 'Save the model in one of them.',
        file,
        tensor: name,
      });
    }
    matched.set(name, (matched.get(name) ?? new Set()).add(tensor));
  }
  return matched;
}
