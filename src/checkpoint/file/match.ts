import { CheckpointError } from '../../errors.ts';
import { checkUpdate } from './low-rank.ts';
import type { HostDtype, TensorDtype, TensorInfo } from './types.ts';
import type { TensorView } from './view.ts';

/** A tensor that a model needs: its canonical name, and the shape that config.json implies. */
export interface WantedTensor {
  readonly tensor: string;
  readonly shape: readonly number[];
}

export interface MatchOptions {
  /** Whether the CPU is to read the tensors, which reads whole numbers, too. Default: false. */
  readonly isOnCpu?: boolean;
  /** What to do where this tensor is missing, if there is more to say than that files and config.json do not belong together. */
  readonly advice?: ((tensor: string) => string | undefined) | undefined;
  /** How errors name a tensor that is missing, and the file that says of which shape it is. Default: canonically, and config.json. */
  readonly naming?: ((tensor: string) => TensorNaming) | undefined;
}

/** How a tensor is named in errors. */
export interface TensorNaming {
  readonly name: string;
  /** The file that says its shape. */
  readonly config: string;
  /** The file that it belongs into. Default: the weights of the model. */
  readonly file?: string | undefined;
}

const READABLE: readonly string[] = ['F32', 'F16', 'BF16'] satisfies TensorDtype[];
const READABLE_ON_CPU: readonly string[] = [...READABLE, ...(['I32', 'I64', 'U32', 'U64'] satisfies HostDtype[])];
/** How a tensor of an encoder is named. */
export const usualNaming = (name: string): TensorNaming => ({ name, config: 'config.json' });

const nextOf = ({ config, file = 'the weights' }: TensorNaming) => `Check that ${config} and ${file} belong together.`;

/**
 * Finds the tensors that a model is made of in a checkpoint: a map from the name of a tensor in the file to the canonical names that it
 * serves, each with the rows of it that the name stands for. Throws CheckpointError where a tensor is missing, has another shape, or a dtype that cannot be read. No data are read.
 */
export function matchTensors(
  wanted: Iterable<WantedTensor>,
  find: (canonical: string) => TensorView | undefined,
  { isOnCpu = false, advice, naming = usualNaming }: MatchOptions = {},
): ReadonlyMap<string, ReadonlyMap<string, TensorView>> {
  const matched = new Map<string, Map<string, TensorView>>();
  for (const { tensor, shape } of wanted) {
    const info = find(tensor);
    const expected = `[${shape.join(', ')}]`;
    const named = naming(tensor);
    if (!info) {
      const what = `${named.file ?? 'the checkpoint'} lacks the tensor "${named.name}"`;
      throw new CheckpointError({
        what,
        expected: `one of shape ${expected}`,
        next: advice?.(tensor) ?? nextOf(named),
        ...(named.file !== undefined && { file: named.file }),
        tensor: named.name,
      });
    }
    const { name, file } = info;
    const actual = `[${info.shape.join(', ')}]`;
    if (actual !== expected) {
      const what = `the tensor "${name}" has the wrong shape`;
      throw new CheckpointError({
        what,
        actual,
        expected: `${expected}, as ${named.config} says`,
        next: nextOf(named),
        file,
        tensor: name,
      });
    }
    checkReadable(info, isOnCpu ? READABLE_ON_CPU : READABLE);
    const { update } = info;
    if (update) {
      checkUpdate(update);
      checkReadable(update.left, READABLE);
      checkReadable(update.right, READABLE);
    }
    matched.set(name, (matched.get(name) ?? new Map<string, TensorView>()).set(tensor, info));
  }
  return matched;
}

function checkReadable({ name, dtype, file }: TensorInfo, readable: readonly string[]): void {
  if (readable.includes(dtype)) return;
  throw new CheckpointError({
    what: `the tensor "${name}" has a type that cannot be read`,
    actual: dtype,
    expected: readable.join(', '),
    next: 'Save the model in one of them.',
    file,
    tensor: name,
  });
}
