import { type Op, operands, type Rows, type Value } from './op.ts';
import type { Sizes } from './sizes.ts';

/**
 * Where the activations live: a few buffers ("slots"), each reused by values whose lives do not overlap.
 *
 * Not offsets into one buffer: WebGPU forbids a dispatch to bind one buffer both read-only and writable, so a single arena
 * would have to be bound writable everywhere, and drivers could no longer read operands through their read-only caches. For an
 * encoder the slots cost no more bytes than offsets would: the values that are alive together are the same.
 */
export interface Arena {
  /** Per slot, the largest number of floats a row has, for every kind of row that is ever put there. */
  readonly slots: readonly ReadonlyMap<Rows, number>[];
  /** The slot of every value, by the value's id. */
  readonly slotOf: ReadonlyMap<number, number>;
}

export function arena(ops: readonly Op[], kept: Iterable<Value>): Arena {
  const lastUse = new Map<number, number>();
  ops.forEach((op, i) => {
    for (const { id } of Object.values(operands(op)).flat()) lastUse.set(id, i);
  });
  for (const value of kept) lastUse.set(value.id, Number.POSITIVE_INFINITY);

  const slots: { rows: Map<Rows, number>; freeAfter: number }[] = [];
  const slotOf = new Map<number, number>();
  ops.forEach((op, i) => {
    for (const { id, rows, stride } of operands(op).writes) {
      // Of the slots that need not grow the narrowest is the best, of the others the one that grows least.
      const misfit = (slot: (typeof slots)[number]) => {
        const growth = stride - slot.rows.get(rows)!;
        return growth > 0 ? growth * 2 ** 32 : -growth;
      };
      // A slot is free for a value written at i when its last reader came before i.
      const free = slots.filter(slot => slot.freeAfter < i && slot.rows.has(rows));
      let [slot] = free.sort((a, b) => misfit(a) - misfit(b));
      if (!slot) {
        slot = { rows: new Map(), freeAfter: 0 };
        slots.push(slot);
      }
      slot.rows.set(rows, Math.max(stride, slot.rows.get(rows) ?? 0));
      slot.freeAfter = lastUse.get(id)!;
      slotOf.set(id, slots.indexOf(slot));
    }
  });
  return { slots: slots.map(slot => slot.rows), slotOf };
}

/** The bytes of one slot in a pass of at most these sizes. */
export function slotBytes(slot: ReadonlyMap<Rows, number>, sizes: Sizes): number {
  return Math.max(16, ...[...slot].map(([rows, stride]) => Math.ceil((sizes[rows] * stride) / 4) * 16));
}
