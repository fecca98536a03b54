import { CheckpointError } from '../../errors.ts';
import { toFloats } from './floats.ts';
import type { LowRankUpdate, TensorDtype } from './types.ts';
import { fileRow, type TensorView } from './view.ts';

/** Throws CheckpointError where the factors do not have the shapes that config.json and the matrix imply. */
export function checkUpdate({ left, right, matrix, tasks, rank }: LowRankUpdate): void {
  for (const [{ name, file, shape }, wanted] of [
    [left, [tasks, matrix[0], rank]],
    [right, [tasks, rank, matrix[1]]],
  ] as const) {
    if (String(shape) === String(wanted)) continue;
    throw new CheckpointError({
      what: `the tensor "${name}" has the wrong shape`,
      actual: `[${shape.join(', ')}]`,
      expected: `[${wanted.join(', ')}], as lora_adaptations and lora_rank of config.json say`,
      next: 'Check that config.json and the weights belong together.',
      file,
      tensor: name,
    });
  }
}

/** One task's part of a factor, which comes in chunks. */
interface Factor {
  /** Where the part begins in its tensor, in bytes. */
  readonly first: number;
  readonly dtype: TensorDtype;
  readonly bytes: Uint8Array<ArrayBuffer>;
  missing: number;
  values: Float32Array | undefined;
}

/** Bytes of a matrix at [begin, begin + bytes.length), of the type `stored`. */
export interface StoredPiece {
  readonly stored: TensorDtype;
  readonly begin: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * Adds the updates of a task to the pieces of matrices as they arrive. A piece that comes before its factors is held until these are
 * there; safetensors sorts names, and the factors' (`parametrizations.weight.0`) come before the matrix's (`.original`).
 */
export class UpdateMerger {
  readonly #factors = new Map<string, Factor>();
  readonly #held: { readonly view: TensorView; readonly piece: StoredPiece; readonly canonical: string }[] = [];

  constructor(views: Iterable<TensorView>) {
    for (const { update } of views) {
      for (const { name, dtype, byteLength } of update ? [update.left, update.right] : []) {
        const length = byteLength / update!.tasks;
        this.#factors.set(name, {
          first: update!.task * length,
          dtype: dtype as TensorDtype,
          bytes: new Uint8Array(length),
          missing: length,
          values: undefined,
        });
      }
    }
  }

  /** Takes what a chunk has of a factor. */
  add(name: string, begin: number, bytes: Uint8Array): void {
    const factor = this.#factors.get(name);
    if (!factor) return;
    const from = Math.max(begin, factor.first);
    const to = Math.min(begin + bytes.length, factor.first + factor.bytes.length);
    if (from >= to) return;
    factor.bytes.set(bytes.subarray(from - begin, to - begin), from - factor.first);
    factor.missing -= to - from;
    if (factor.missing === 0) factor.values = toFloats(factor.bytes.buffer, factor.dtype);
  }

  /** A piece of a view as it is to be written; undefined where it is held. */
  merged(canonical: string, view: TensorView, piece: StoredPiece): StoredPiece | undefined {
    const { update } = view;
    if (!update) return piece;
    const [left, right] = [update.left, update.right].map(({ name }) => this.#factors.get(name)!.values);
    if (left && right) return mergedPiece(view, piece, left, right);
    this.#held.push({ canonical, view, piece: { ...piece, bytes: piece.bytes.slice() } });
    return undefined;
  }

  /** The pieces that were held and whose factors are there now, in their order. */
  *released(): Generator<{ canonical: string; piece: StoredPiece }> {
    for (const { canonical, view, piece } of this.#held.splice(0)) {
      const merged = this.merged(canonical, view, piece);
      if (merged) yield { canonical, piece: merged };
    }
  }
}

/** W + scale left right, as float32, for the numbers of a piece. */
function mergedPiece(
  view: TensorView,
  { stored, begin, bytes }: StoredPiece,
  left: Float32Array,
  right: Float32Array,
): StoredPiece {
  const { rank, scale } = view.update!;
  const columns = view.shape[1]!;
  const bytesPerNumber = stored === 'F32' ? 4 : 2;
  const values = toFloats(bytes.slice().buffer, stored);
  const first = begin / bytesPerNumber;
  for (let i = 0; i < values.length; ) {
    const row = Math.floor((first + i) / columns);
    const column = (first + i) % columns;
    const count = Math.min(columns - column, values.length - i);
    const ofRow = fileRow(view, row) * rank;
    for (let k = 0; k < rank; k++) {
      const factor = scale * left[ofRow + k]!;
      const from = k * columns + column;
      for (let c = 0; c < count; c++) values[i + c]! += factor * right[from + c]!;
    }
    i += count;
  }
  return { stored: 'F32', begin: 4 * first, bytes: new Uint8Array(values.buffer) };
}
