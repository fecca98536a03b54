import type { Caps } from '../../shaders/kernel.ts';
import { slotBytes } from './arena.ts';
import type { Sequence } from './batch.ts';
import type { Op, Rows } from './op.ts';
import type { Plan } from './plan.ts';

/** Tokens of one pass: enough to fill a GPU. */
const TOKENS = { gpu: 8192, software: 1024 };
/**
 * Multiply-adds of one pass, which bound the time that a call waits for those under way: on a CPU (1 to 8 GFLOP/s) a few
 * seconds, on a GPU from 10 ms to, on the slowest, as many. Of BERT-base it is 3,000 tokens, of MiniLM on a CPU 400.
 */
const WORK = { gpu: 2 ** 38, software: 2 ** 32 };
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

/** Multiply-adds for one row of a kind. */
function workOf(ops: readonly Op[]): Record<Rows, number> {
  const work = none();
  for (const op of ops) {
    if (op.op === 'linear') work[op.y.rows] += op.x.columns * op.y.columns;
    else if (op.op === 'attention') work.pairs += 2 * op.context.columns;
  }
  return work;
}

/**
 * A pass that is being filled: says of one sequence after another whether it still fits. The first always does, however long
 * it is; then the budgets count tokens, multiply-adds, and the bytes to be read back.
 */
export function passRoom({ ops, slots, outputs }: Plan, caps: Caps): (sequence: Sequence) => boolean {
  const kind = caps.adapter === 'gpu' ? 'gpu' : 'software';
  const work = workOf(ops);
  const widest = Math.max(...slots.map(slot => slot.get('tokens') ?? 1));
  // Rooms are made for powers of two tokens, so the largest that a binding holds is one.
  const bindable = 2 ** Math.floor(Math.log2(caps.maxBindingBytes / (4 * widest)));
  const budget = Math.min(TOKENS[kind], bindable);
  // A buffer may be no smaller than a binding.
  const readback = Math.min(READBACK_BYTES, caps.maxBindingBytes);
  const filled = none();
  let macs = 0;
  return sequence => {
    const more = rowsOf(sequence);
    for (const rows of Object.keys(filled) as Rows[]) {
      filled[rows] += more[rows];
      macs += more[rows] * work[rows];
    }
    // Outputs stand in the readback one behind the other, each from a multiple of 256 bytes on.
    let bytes = 0;
    for (const { rows, stride } of outputs.values()) bytes += 256 * Math.ceil((stride * filled[rows]) / 64);
    const binds = slots.every(slot => slotBytes(slot, { ...filled, tiles: 0 }) <= caps.maxBindingBytes);
    return filled.sequences === 1 || (filled.tokens <= budget && macs <= WORK[kind] && binds && bytes <= readback);
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
