import { slotBytes } from './arena.ts';
import type { Sequence } from './batch.ts';
import type { Caps } from './caps.ts';
import type { Rows } from './op.ts';
import type { Plan } from './plan.ts';
import { profileOf } from './profiles.ts';
import { costOf } from './work.ts';

/** Outputs read back by one pass, unless a single sequence has more. */
const READBACK_BYTES = 64 << 20;

/** The outputs of one sequence by name, each a view of [rows, columns] floats (attentions: [H, L, L]). */
export type SequenceOutputs = ReadonlyMap<string, Float32Array>;

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
    for (const { rows, stride } of outputs.values()) bytes += 256 * Math.ceil((stride * filled[rows]) / 64);
    const binds = slots.every(slot => slotBytes(slot, { ...filled, tiles: 0 }) <= caps.maxBindingBytes);
    const isWithin = filled.tokens <= budget && bytes <= readback && costOf(work, filled) <= most;
    return filled.sequences === 1 || (isWithin && binds);
  };
}

/** The outputs of a pass, cut up by sequence: views, not copies. */
export function splitOutputs(
  { outputs }: Plan,
  pass: readonly Sequence[],
  all: ReadonlyMap<string, Float32Array>,
): SequenceOutputs[] {
  const done = none();
  return pass.map(sequence => {
    const more = rowsOf(sequence);
    const mine = new Map<string, Float32Array>();
    for (const [name, { rows, columns }] of outputs) {
      const from = done[rows];
      mine.set(name, all.get(name)!.subarray(from * columns, (from + more[rows]) * columns));
    }
    for (const rows of Object.keys(done) as Rows[]) done[rows] += more[rows];
    return mine;
  });
}
