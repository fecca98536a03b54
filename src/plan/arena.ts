import type { Rows, Value } from './op.ts';
import type { Sizes } from './sizes.ts';
import { accessOf, type Bound } from './step.ts';

/**
 * Where the activations are stored: a few buffers ("slots"), each reused by values that are not needed at the same time.
 *
 * They are buffers, not offsets into one buffer: WebGPU forbids a dispatch to bind one buffer both read-only and writable. A single
 * buffer would have to be bound writable everywhere, and drivers could no longer read operands through their read-only caches. For an
 * encoder slots take no more bytes than offsets would: the same values are needed at the same time.
 */
export interface Arena {
  /** For each slot: the largest stride of the values put there, for each kind of rows. */
  readonly slots: readonly ReadonlyMap<Rows, number>[];
  /** The slot of every value, by the value's id. */
  readonly slotOf: ReadonlyMap<number, number>;
}

interface Slot {
  readonly rows: Map<Rows, number>;
  /** The last step that needs the value put here. */
  freeAfter: number;
}

/**
 * Gives every value a slot. A value is needed from the first step that writes it to the last that binds it, by what the bindings of
 * the kernels declare; the values of `outputs` are needed to the end.
 */
export function arena(steps: readonly Bound[], outputs: Iterable<Value>): Arena {
  const accesses = steps.map(accessOf);
  const lastUse = new Map<number, number>();
  for (const [i, { reads, writes }] of accesses.entries()) {
    for (const { id } of [...reads, ...writes]) lastUse.set(id, i);
  }
  for (const { id } of outputs) lastUse.set(id, Number.POSITIVE_INFINITY);

  const slots: Slot[] = [];
  const slotOf = new Map<number, number>();
  for (const [i, { writes }] of accesses.entries()) {
    for (const value of writes) {
      // Several steps may write a value: one for each slice of a word table.
      if (slotOf.has(value.id)) continue;
      const slot = narrowest(slots, i, value) ?? { rows: new Map<Rows, number>(), freeAfter: 0 };
      if (!slots.includes(slot)) slots.push(slot);
      slot.rows.set(value.rows, Math.max(value.stride, slot.rows.get(value.rows) ?? 0));
      slot.freeAfter = lastUse.get(value.id)!;
      slotOf.set(value.id, slots.indexOf(slot));
    }
  }
  return { slots: slots.map(({ rows }) => rows), slotOf };
}

/**
 * The best of the slots that are free for a value written by step `i`, which means that the last step that needs them comes before: the
 * narrowest of those that are wide enough, else the one that grows least. Undefined where none holds rows of this kind.
 */
function narrowest(slots: readonly Slot[], i: number, { rows, stride }: Value): Slot | undefined {
  const excess = (slot: Slot) => {
    const growth = stride - slot.rows.get(rows)!;
    return growth > 0 ? growth * 2 ** 32 : -growth;
  };
  const free = slots.filter(slot => slot.freeAfter < i && slot.rows.has(rows));
  return free.sort((a, b) => excess(a) - excess(b))[0];
}

/** The bytes of one slot in a pass of at most these sizes. */
export function slotBytes(slot: ReadonlyMap<Rows, number>, sizes: Sizes): number {
  return Math.max(16, ...[...slot].map(([rows, stride]) => Math.ceil((sizes[rows] * stride) / 4) * 16));
}
