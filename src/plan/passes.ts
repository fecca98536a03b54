import { slotBytes } from './arena.ts';
import type { Sequence } from './batch.ts';
import type { Caps } from './caps.ts';
import type { OutputSlice } from './lower.ts';
import type { Rows } from './op.ts';
import type { Plan } from './plan.ts';
import { profileOf } from './profiles.ts';
import { costOf } from './work.ts';

/** Outputs read back by one pass, unless a single sequence has more. */
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

/** How many rows of every kind one sequence has. */
const rowsOf = ({ ids: { length }, masked }: Sequence): Record<Rows, number> => ({
  tokens: length,
  sequences: 1,
  pairs: length * length,
  masked: masked?.length ?? 0,
});

/** A number for every kind of rows, nothing yet. */
const none = (): Record<Rows, number> => ({ tokens: 0, sequences: 0, pairs: 0, masked: 0 });

/**
 * A pass that is being filled: says of one sequence after another whether it still fits. The first always does, however long
 * it is; then the budgets count tokens, work, and the bytes to be read back.
 * @param most The work of a pass, which bounds the time that a call waits for those under way: see pace.ts.
 */
export function passRoom({ slots, outputs, work }: Plan, caps: Caps, most: number): (sequence: Sequence) => boolean {
  const widest = Math.max(...slots.map(slot => slot.get('tokens') ?? 1));
  // Rooms are made for powers of two tokens, so the largest that a binding holds is one.
  const bindable = 2 ** Math.floor(Math.log2(caps.maxBindingBytes / (4 * widest)));
  const budget = Math.min(profileOf(caps).passTokens, bindable);
  // A buffer may be no smaller than a binding.
  const readback = Math.min(READBACK_BYTES, caps.maxBindingBytes);
  const filled = none();
  return sequence => {
    const more = rowsOf(sequence);
    for (const rows of Object.keys(filled) as Rows[]) filled[rows] += more[rows];
    // Outputs stand in the readback one behind the other, each from a multiple of 256 bytes on.
    let bytes = 0;
    for (const { value } of outputs) bytes += 256 * Math.ceil((value.stride * filled[value.rows]) / 64);
    const binds = slots.every(slot => slotBytes(slot, { ...filled, tiles: 0 }) <= caps.maxBindingBytes);
    const isWithin = filled.tokens <= budget && bytes <= readback && costOf(work, filled) <= most;
    return filled.sequences === 1 || (isWithin && binds);
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
  const before = none();
  return pass.map(sequence => {
    const counts = rowsOf(sequence);
    const split = outputs.map(({ name, layer, first, value: { rows, columns } }, i): SequenceOutput => {
      const begin = before[rows];
      const data = results[i]!.subarray(begin * columns, (begin + counts[rows]) * columns);
      return { name, layer, first, columns, data };
    });
    for (const rows of Object.keys(before) as Rows[]) before[rows] += counts[rows];
    return split;
  });
}
