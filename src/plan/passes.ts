import type { Caps } from '../../shaders/kernel.ts';
import { slotBytes } from './arena.ts';
import type { Sequence } from './batch.ts';
import type { Rows } from './op.ts';
import type { Plan } from './plan.ts';

/** Tokens of one pass. Large enough to fill a GPU; on a CPU a pass of a second or so, so that it can be aborted. */
const TOKENS = { gpu: 8192, software: 1024 };
/** Outputs read back by one pass, unless a single sequence has more. */
const READBACK_BYTES = 64 << 20;

/** The outputs of one sequence by name, each a view of [rows, columns] floats (attentions: [H, L, L]). */
export type SequenceOutputs = ReadonlyMap<string, Float32Array>;

/** How many rows of a kind one sequence has. */
function rowsOf({ ids: { length }, masked }: Sequence, rows: Rows): number {
  switch (rows) {
    case 'tokens':
      return length;
    case 'sequences':
      return 1;
    case 'pairs':
      return length * length;
    case 'masked':
      return masked?.length ?? 0;
    default:
      return rows satisfies never;
  }
}

/**
 * A pass that is being filled: says of one sequence after another whether it still fits. The first always does, however long
 * it is; then the budget counts tokens and the bytes to be read back.
 */
export function passRoom({ slots, outputs }: Plan, caps: Caps): (sequence: Sequence) => boolean {
  const widest = Math.max(...slots.map(slot => slot.get('tokens') ?? 1));
  // Rooms are made for powers of two tokens, so the largest that a binding holds is one.
  const bindable = 2 ** Math.floor(Math.log2(caps.maxBindingBytes / (4 * widest)));
  const budget = Math.min(caps.adapter === 'gpu' ? TOKENS.gpu : TOKENS.software, bindable);
  const filled: Record<Rows, number> = { tokens: 0, sequences: 0, pairs: 0, masked: 0 };
  let bytes = 0;
  return sequence => {
    const first = filled.sequences === 0;
    for (const rows of Object.keys(filled) as Rows[]) filled[rows] += rowsOf(sequence, rows);
    for (const { rows, stride } of outputs.values()) bytes += 4 * stride * rowsOf(sequence, rows);
    const binds = slots.every(slot => slotBytes(slot, { ...filled, tiles: 0 }) <= caps.maxBindingBytes);
    return first || (filled.tokens <= budget && binds && bytes <= READBACK_BYTES);
  };
}

/** The outputs of a pass, cut up by sequence: views, not copies. */
export function splitOutputs(
  { outputs }: Plan,
  pass: readonly Sequence[],
  all: ReadonlyMap<string, Float32Array>,
): SequenceOutputs[] {
  const done: Record<Rows, number> = { tokens: 0, sequences: 0, pairs: 0, masked: 0 };
  return pass.map(sequence => {
    const mine = new Map<string, Float32Array>();
    for (const [name, { rows, columns }] of outputs) {
      const from = done[rows];
      mine.set(name, all.get(name)!.subarray(from * columns, (from + rowsOf(sequence, rows)) * columns));
    }
    for (const rows of Object.keys(done) as Rows[]) done[rows] += rowsOf(sequence, rows);
    return mine;
  });
}
