import type { Op, RotaryOp } from './op.ts';
import type { Sequence } from './sequence.ts';

/** The rotary frequencies of a plan whose angles depend on the lengths of the sequences: see RotaryOp. */
export type StretchedRotary = Pick<RotaryOp, 'frequencies'> & { readonly stretch: NonNullable<RotaryOp['stretch']> };

/** The stretched frequencies of a plan's ops, which have one kind of them at most; undefined where there are none. */
export function stretchedRotary(ops: readonly { readonly op: string }[]): StretchedRotary | undefined {
  const kinds = (ops as readonly Op[]).flatMap(op =>
    op.op === 'rotary' && op.stretch ? [{ frequencies: op.frequencies, stretch: op.stretch }] : [],
  );
  if (new Set(kinds.map(kind => JSON.stringify(kind))).size > 1) throw new Error('plan: two kinds of stretched angles');
  return kinds[0];
}

/**
 * The angle of every token and pair, as a fraction of a turn times 2^32: [T, d / 2], filled up to whole vec4u. They depend on the positions
 * of a token's own sequence alone, so the bits are the same in every batch.
 */
export function phasesOf(
  list: readonly Pick<Sequence, 'positions'>[],
  { frequencies, stretch }: StretchedRotary,
): Uint32Array<ArrayBuffer> {
  const pairs = frequencies.length;
  const tokens = list.reduce((sum, { positions }) => sum + positions.length, 0);
  const phases = new Uint32Array(4 * phaseRows(tokens, { frequencies }));
  let at = 0;
  for (const { positions } of list) {
    let longest = 0;
    for (let i = 0; i < positions.length; i++) longest = Math.max(longest, positions[i]! + 1);
    const excess =
      longest > stretch.positions ? (stretch.factor * longest) / stretch.positions - (stretch.factor - 1) : 1;
    /** In turns for each position. Pair 0 turns as fast at every length. */
    const turns = frequencies.map(
      (frequency, i) => (i ? frequency * excess ** (-i / (pairs - 1)) : frequency) / (2 * Math.PI),
    );
    for (let i = 0; i < positions.length; i++) {
      // Assigning to a u32 wraps around at whole turns.
      for (const turn of turns) phases[at++] = Math.round(((positions[i]! * turn) % 1) * 2 ** 32);
    }
  }
  return phases;
}

/** The vec4u that the phases of so many tokens take. */
export const phaseRows = (tokens: number, { frequencies }: Pick<StretchedRotary, 'frequencies'>): number =>
  Math.ceil((tokens * frequencies.length) / 4);
