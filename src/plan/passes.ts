import { slotBytes } from './arena.ts';
import type { Caps } from './caps.ts';
import type { OutputSlice } from './lower.ts';
import type { Rows } from './op.ts';
import type { Plan } from './plan.ts';
import { profileOf } from './profiles.ts';
import type { Sequence } from './sequence.ts';
import { costOf } from './work.ts';

/** The outputs that one pass reads back take at most so many bytes, unless a single sequence has more. */
const READBACK_BYTES = 64 << 20;

/** An output of one sequence, or a slice of its columns. */
export interface SequenceOutput extends Pick<OutputSlice, 'name' | 'layer' | 'first'> {
  /** Columns of a row of `data`. */
  readonly columns: number;
  /** [rows, columns]; attention probabilities: [H, L, L], where H are the columns. */
  readonly data: Float32Array;
}

/** The outputs of one sequence, in the order of the plan: slices of one output follow each other. */
export type SequenceOutputs = readonly SequenceOutput[];

/** The rows of every kind that one sequence has. */
const rowCountsOf = ({ ids: { length }, masked }: Sequence): Record<Rows, number> => ({
  tokens: length,
  sequences: 1,
  pairs: length * length,
  masked: masked?.length ?? 0,
  distances: 0,
});

const noRows = (): Record<Rows, number> => ({ tokens: 0, sequences: 0, pairs: 0, masked: 0, distances: 0 });

/**
 * Begins an empty pass. The function that is returned adds a sequence and says whether it still fits. The first one always does, however
 * long it is. The others must keep within the limits on tokens, work, and bytes to be read back, and within what a binding holds.
 * @param maxWork The work of the pass. It bounds how long a call waits for the passes before: see pace.ts.
 */
export function passRoom(
  { slots, outputs, rowCosts }: Plan,
  caps: Caps,
  maxWork: number,
): (sequence: Sequence) => boolean {
  const widest = Math.max(...slots.map(slot => slot.get('tokens') ?? 1));
  // Buffers are made for a power of two of tokens: the largest one that fits into a binding is the limit.
  const bindable = 2 ** Math.floor(Math.log2(caps.maxBindingBytes / (4 * widest)));
  const maxTokens = Math.min(profileOf(caps).passTokens, bindable);
  // A device may have no buffer that is larger than a binding.
  const maxReadback = Math.min(READBACK_BYTES, caps.maxBindingBytes);
  const filled = noRows();
  return sequence => {
    const counts = rowCountsOf(sequence);
    for (const rows of Object.keys(filled) as Rows[]) filled[rows] += counts[rows];
    // The outputs stand in the readback one behind the other, each at a multiple of 256 bytes.
    let readback = 0;
    for (const { value } of outputs) readback += 256 * Math.ceil((value.stride * filled[value.rows]) / 64);
    if (filled.sequences === 1) return true;
    if (filled.tokens > maxTokens || readback > maxReadback || costOf(rowCosts, filled) > maxWork) return false;
    return slots.every(slot => slotBytes(slot, { ...filled, tiles: 0 }) <= caps.maxBindingBytes);
  };
}

/**
 * The outputs of a pass by sequence: views, not copies.
 * @param results The numbers of each of the plan's outputs, without padding.
 */
export function splitOutputs(
  { outputs }: Pick<Plan, 'outputs'>,
  pass: readonly Sequence[],
  results: readonly Float32Array[],
): SequenceOutputs[] {
  /** Rows of the sequences before. */
  const before = noRows();
  return pass.map(sequence => {
    const counts = rowCountsOf(sequence);
    const split = outputs.map(({ name, layer, first, value: { rows, columns } }, i): SequenceOutput => {
      const begin = before[rows];
      const data = results[i]!.subarray(begin * columns, (begin + counts[rows]) * columns);
      return { name, layer, first, columns, data };
    });
    for (const rows of Object.keys(before) as Rows[]) before[rows] += counts[rows];
    return split;
  });
}
