import type { Caps } from '../../shaders/kernel.ts';
import type { Sequence } from './batch.ts';
import type { Plan } from './plan.ts';

/** Tokens of one pass. Large enough to fill a GPU; on a CPU a pass of a second or so, so that it can be aborted. */
const TOKENS = { gpu: 8192, software: 1024 };
/** Outputs read back by one pass, unless a single sequence has more. */
const READBACK_BYTES = 64 << 20;

/** The outputs of one sequence by name, each a view of [rows, columns] floats (attentions: [H, L, L]). */
export type SequenceOutputs = ReadonlyMap<string, Float32Array>;

/**
 * A pass that is being filled: says of one sequence after another whether it still fits. The first always does, however long
 * it is; then the budget counts tokens and the bytes to be read back.
 */
export function passRoom({ slots, outputs }: Plan, caps: Caps): (sequence: Sequence) => boolean {
  const widest = Math.max(...slots.map(slot => slot.get('tokens') ?? 1));
  // Rooms are made for powers of two tokens, so the largest that a binding holds is one.
  const bindable = 2 ** Math.floor(Math.log2(caps.maxBindingBytes / (4 * widest)));
  const budget = Math.min(caps.adapter === 'gpu' ? TOKENS.gpu : TOKENS.software, bindable);
  let tokens = 0;
  let bytes = 0;
  return ({ ids: { length } }) => {
    const first = tokens === 0;
    tokens += length;
    for (const { rows, stride } of outputs.values()) {
      bytes += 4 * stride * (rows === 'tokens' ? length : rows === 'pairs' ? length * length : 1);
    }
    return first || (tokens <= budget && bytes <= READBACK_BYTES);
  };
}

/** The outputs of a pass, cut up by sequence: views, not copies. */
export function splitOutputs(
  { outputs }: Plan,
  pass: readonly Sequence[],
  all: ReadonlyMap<string, Float32Array>,
): SequenceOutputs[] {
  let tokens = 0;
  let pairs = 0;
  return pass.map(({ ids: { length } }, i) => {
    const mine = new Map<string, Float32Array>();
    for (const [name, { rows, columns }] of outputs) {
      const [from, count] = rows === 'tokens' ? [tokens, length] : rows === 'pairs' ? [pairs, length * length] : [i, 1];
      mine.set(name, all.get(name)!.subarray(from * columns, (from + count) * columns));
    }
    tokens += length;
    pairs += length * length;
    return mine;
  });
}
