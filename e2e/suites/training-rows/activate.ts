import { activate, activateBackward } from '../../../shaders/activate.ts';
import type { Activation } from '../../../shaders/activation.ts';
import { padded } from '../../../shaders/kernel.ts';
import * as gradient from '../../../tests/gradient-reference-rows.ts';
import { activations } from '../../../tests/reference.ts';
import { dispatch, padRows, random, unpadRows } from '../../dispatch.ts';
import { check, expect, expectClose } from '../../harness.ts';
import { ofRow } from './tolerance.ts';

// Without an activation there is always a gate.
for (const kind of [...(Object.keys(activations) as Activation[]), undefined]) {
  check(`activate ${kind ?? 'nothing'}, and back`, async log => {
    let worst = 0;
    for (const [T, C] of [
      [1, 36],
      [9, 5],
      [65, 17],
    ] as const) {
      for (const gated of kind ? [false, true] : [true]) {
        const variant = { columns: C, activation: kind, gate: gated };
        const make = random(C);
        // Up to 10, and some numbers beyond the range of exp. Corners, where a rounding decides, are not among them.
        const u = make(T * C, 3).map((v, i) => (i % 11 === 3 ? v * 40 : v));
        const gate = make(T * C);
        const dy = make(T * C);
        const count = (T * padded(C)) / 4;
        const operands = { u: padRows(u, C), ...(gated && { gate: padRows(gate, C) }) };
        const floats = 4 * count;
        const forward = await dispatch(activate(variant), { ...operands, y: { floats } }, { count });
        const label = `T = ${T}, C = ${C}${gated ? ', gate' : ''}`;
        const y = gradient.activate(u, kind, gated ? gate : undefined);
        worst = Math.max(worst, expectClose(unpadRows(forward.y!, C), y, ofRow(`y, ${label}`)));
        const back = await dispatch(
          activateBackward(variant),
          { ...operands, dy: padRows(dy, C), du: { floats }, ...(gated && { dgate: { floats } }) },
          { count },
        );
        const { du, dgate } = gradient.activateBackward(u, dy, kind, gated ? gate : undefined);
        worst = Math.max(worst, expectClose(unpadRows(back.du!, C), du, ofRow(`du, ${label}`)));
        if (gated) worst = Math.max(worst, expectClose(unpadRows(back.dgate!, C), dgate, ofRow(`dgate, ${label}`)));
      }
    }
    log(`largest difference ${worst.toExponential(1)}`);
  });
}

check('what is not finite is seen in the gradient of every activation', async () => {
  const wrong = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
  const u = Float32Array.from({ length: 4 }, (_, i) => wrong[i]!);
  for (const kind of Object.keys(activations) as Activation[]) {
    const kernel = activateBackward({ columns: 4, activation: kind, gate: false });
    const { du } = await dispatch(kernel, { u, dy: new Float32Array(4).fill(1), du: { floats: 4 } }, { count: 1 });
    expect(!du!.subarray(0, 3).some(Number.isFinite) && Number.isFinite(du![3]), `${kind}: ${du}`);
  }
});

check('at its corners every activation has the slope of the twin', async () => {
  const u = Float32Array.of(0, 0.5, -0.5, 1, -1, 3, -3, 6);
  for (const kind of Object.keys(activations) as Activation[]) {
    const kernel = activateBackward({ columns: 8, activation: kind, gate: false });
    const dy = new Float32Array(8).fill(1);
    const { du } = await dispatch(kernel, { u, dy, du: { floats: 8 } }, { count: 2 });
    expectClose(du!, gradient.activateBackward(u, dy, kind).du, ofRow(kind));
  }
});
