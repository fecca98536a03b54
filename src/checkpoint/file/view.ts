import type { LowRankUpdate, TensorChunk, TensorInfo } from './types.ts';

/** Rows of a tensor: runs of `run` neighbouring rows, the first at row `first`, the next `step` rows after the one before. */
export interface RowRuns {
  readonly first: number;
  readonly run: number;
  readonly step: number;
}

/**
 * A tensor as a model reads it: a tensor of the file, or some rows of one. Files keep q, k and v, or both halves of a gated layer, in
 * one tensor. `shape` is that of the view; the place and the length in bytes are those of the tensor of the file.
 */
export interface TensorView extends TensorInfo {
  /** Undefined: all rows. */
  readonly rows?: RowRuns | undefined;
  /** What a task adds to the tensor of the file. */
  readonly update?: LowRankUpdate | undefined;
}

/** The row of the file's tensor that row `row` of the view is. */
export const fileRow = ({ rows }: Pick<TensorView, 'rows'>, row: number): number =>
  rows ? rows.first + Math.floor(row / rows.run) * rows.step + (row % rows.run) : row;

/** Bytes of a view. */
export function viewBytes({ rows, shape, byteLength }: TensorView, tensor: Pick<TensorInfo, 'shape'>): number {
  return rows ? (byteLength / tensor.shape[0]!) * shape[0]! : byteLength;
}

/** Bytes at [begin, begin + bytes.length) of a view. */
interface Piece {
  readonly begin: number;
  readonly bytes: Uint8Array;
}

/**
 * Cuts the chunks of a tensor, which come in their order, into the pieces of a view. Every piece begins at a multiple of four bytes of
 * the view. Where rows of a two-byte type begin elsewhere, the view is one piece, which is handed out when it is whole.
 */
export class ViewCutter {
  readonly #view: TensorView;
  readonly #rowBytes: number;
  readonly #bytes: number;
  /** The whole view, where it is handed out in one piece. */
  readonly #whole: Uint8Array<ArrayBuffer> | undefined;
  #missing: number;

  constructor(view: TensorView, tensor: Pick<TensorInfo, 'shape'>) {
    const { rows } = view;
    this.#view = view;
    this.#rowBytes = view.byteLength / tensor.shape[0]!;
    this.#bytes = viewBytes(view, tensor);
    this.#missing = this.#bytes;
    const isAligned = !rows || [rows.first, rows.run, rows.step].every(count => (count * this.#rowBytes) % 4 === 0);
    this.#whole = isAligned ? undefined : new Uint8Array(this.#bytes);
  }

  /** The pieces of the view that a chunk of its tensor completes. They share memory with the chunk, or are the whole view. */
  *cut({ begin, bytes }: Pick<TensorChunk, 'begin' | 'bytes'>): Generator<Piece> {
    const whole = this.#whole;
    if (!whole) {
      yield* this.#pieces(begin, bytes);
      return;
    }
    for (const piece of this.#pieces(begin, bytes)) {
      whole.set(piece.bytes, piece.begin);
      this.#missing -= piece.bytes.length;
      if (this.#missing === 0) yield { begin: 0, bytes: whole };
    }
  }

  *#pieces(begin: number, bytes: Uint8Array): Generator<Piece> {
    const { rows } = this.#view;
    if (!rows) {
      yield { begin, bytes };
      return;
    }
    const [first, run, step] = [rows.first, rows.run, rows.step].map(count => count * this.#rowBytes) as [
      number,
      number,
      number,
    ];
    const runs = this.#bytes / run;
    const end = begin + bytes.length;
    for (let i = Math.max(0, Math.ceil((begin - first - run + 1) / step)); i < runs; i++) {
      const runBegin = first + i * step;
      if (runBegin >= end) return;
      const from = Math.max(begin, runBegin);
      const to = Math.min(end, runBegin + run);
      if (from < to) yield { begin: i * run + from - runBegin, bytes: bytes.subarray(from - begin, to - begin) };
    }
  }
}
