import { type AdamWKind, adamw } from '../../shaders/adamw.ts';
import { clip } from '../../shaders/clip.ts';
import { WHOLE_GRID } from '../../shaders/kernel.ts';
import { LOSS_SUMS, SCALARS, SCALARS_FLOATS } from '../../shaders/scalars.ts';
import { MARKED_VECTORS } from '../../shaders/snippets.ts';
import { squareSum, squareSums } from '../../shaders/square-sum.ts';
import type { Pacer } from '../../src/gpu/measured-pace.ts';
import { NO_DROPOUT, packTraining } from '../../src/gradients/index.ts';
import { readConfig } from '../../src/model/config.ts';
import { taskGraph } from '../../src/training/task.ts';
import * as reference from '../../tests/update-reference.ts';
import { dispatch, random, testGpu } from '../dispatch.ts';
import { check, expect, expectClose, expectEqual } from '../harness.ts';
import { madeUpTraining } from '../training-gradients.ts';

/** What updates weights, against its float64 twins (tests/update-reference.ts). */

/** The params of clip.ts that tell the step. */
const STEP = { step: 1, beta1: 0.5, beta2: 0.5, correction1: 0.5, correction2: 0.5 };

const { norm, factor, finite, consecutiveSkips, skips, longestSkips, droppedLosses, loss, sums } = SCALARS;
const { correction1, correction2 } = SCALARS;

check('the length of gradients and the factor that clips them', async log => {
  let worst = 0;
  for (const counts of [[1], [63, 4096], [4097, 5, 20_000]]) {
    const gradients = counts.map(count => random(count)(4 * count, 0.1));
    const sizes = counts.map(squareSums);
    const whole = sizes.reduce((a, b) => a + b);
    let partials: Float32Array<ArrayBuffer> = new Float32Array(whole).fill(Number.NaN);
    let first = 0;
    for (const [i, count] of counts.entries()) {
      const found = await dispatch(squareSum(), { gradient: gradients[i]!, partials }, { count, first, ...WHOLE_GRID });
      partials = found.partials!;
      first += sizes[i]!;
    }
    const all = gradients.flatMap(gradient => [...gradient]);
    for (const max of [0, 1, 1e6]) {
      const before = new Float32Array(SCALARS_FLOATS).fill(3);
      const { scalars } = await dispatch(
        clip(),
        { partials, scalars: before },
        { ...STEP, count: whole, max_norm: max },
      );
      const expected = reference.clip(all, max);
      const wanted = [expected.norm, expected.factor];
      // Positive terms: the sum of 100,000 of them is off by some 1e-6 of it.
      const tolerance = { label: `${counts}, at most ${max}`, relative: 1e-5 };
      worst = Math.max(worst, expectClose([scalars![norm]!, scalars![factor]!], wanted, tolerance) / expected.norm);
      expectEqual([scalars![finite], scalars![consecutiveSkips], scalars![skips]], [1, 0, 3], 'finite, none skipped');
      expectEqual(
        [scalars![loss], scalars![droppedLosses]],
        [3 + 3 * LOSS_SUMS, 3],
        'the losses of the step are added',
      );
      expect(
        scalars!.subarray(sums, sums + LOSS_SUMS).every(v => v === 0),
        'the next step begins with no loss',
      );
    }
  }
  log(`largest difference ${worst.toExponential(1)} of the norm`);
});

check('a gradient that is not finite is told by its bits, counted, and changes nothing', async () => {
  for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e38]) {
    const gradient = random(1)(400);
    gradient[237] = wrong;
    const { partials } = await dispatch(
      squareSum(),
      { gradient, partials: { floats: 1 } },
      { count: 100, first: 0, ...WHOLE_GRID },
    );
    const before = new Float32Array(SCALARS_FLOATS);
    before.set([2, 7, 2, 1, 0.5, wrong, 0.25], consecutiveSkips);
    for (const max_norm of [0, 1]) {
      const { scalars } = await dispatch(
        clip(),
        { partials: partials!, scalars: before },
        { ...STEP, count: 1, max_norm },
      );
      expectEqual([scalars![finite], scalars![factor]], [0, 0], `${wrong}: not finite`);
      const counts = [consecutiveSkips, skips, longestSkips, droppedLosses].map(index => scalars![index]);
      expectEqual(counts, [3, 8, 3, 2], 'skipped');
      expectEqual([scalars![loss], scalars![sums], scalars![sums + 1]], [0.5, 0, 0], 'its losses are dropped');
      const next = await dispatch(
        clip(),
        { partials: Float32Array.of(4), scalars: scalars! },
        { ...STEP, count: 1, max_norm },
      );
      expectEqual([next.scalars![consecutiveSkips], next.scalars![longestSkips]], [0, 3], 'the longest row is kept');
      expect(!Number.isFinite(scalars![norm]), `the norm is ${scalars![norm]}`);
      for (const kind of ['torch', 'bert'] as const) {
        const operands = { weight: random(2)(400), m: random(3)(400), v: random(4)(400).map(Math.abs) };
        const after = await dispatch(
          adamw({ kind }),
          { ...operands, gradient, scalars: scalars! },
          { ...params(kind), count: 100, first: 0 },
        );
        for (const name of ['weight', 'm', 'v'] as const) expectEqual(after[name], operands[name], `${kind} ${name}`);
      }
    }
  }
});

check('a loss that is not finite is dropped, though the gradient is finite', async () => {
  for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const before = new Float32Array(SCALARS_FLOATS);
    [before[loss], before[sums], before[sums + 3]] = [0.5, 0.25, wrong];
    const { scalars } = await dispatch(
      clip(),
      { partials: Float32Array.of(4), scalars: before },
      { ...STEP, count: 1, max_norm: 0 },
    );
    expectEqual([scalars![finite], scalars![skips], scalars![droppedLosses]], [1, 0, 1], 'dropped, not skipped');
    expectEqual([scalars![loss], scalars![sums + 3]], [0.5, 0], 'the sum');
  }
});

check('the corrections of AdamW are of the steps that changed something', async log => {
  const { beta1, beta2 } = OPTIONS;
  let worst = 0;
  for (const [step, skipped] of [
    [1, 0],
    [700, 0],
    [2, 1],
    [5, 1],
    [9, 4],
    [100, 99],
    [1000, 3],
    [30_000, 17],
    [4_000_000, 1],
  ] as const) {
    const before = new Float32Array(SCALARS_FLOATS);
    before[skips] = skipped;
    const [first, second] = corrected(step);
    const given = { step, beta1, beta2, correction1: first, correction2: second, count: 1, max_norm: 0 };
    const { scalars } = await dispatch(clip(), { partials: Float32Array.of(4), scalars: before }, given);
    const found = [scalars![correction1]!, scalars![correction2]!];
    if (skipped === 0) expectEqual(found, [first, second].map(Math.fround), `step ${step}: those of the host`);
    const label = `step ${step}, ${skipped} skipped`;
    worst = Math.max(worst, expectClose(found, corrected(step - skipped), { label, relative: 1e-6 }));
  }
  log(`largest difference ${worst.toExponential(1)}`);
});

check('what has no mark is passed over, and all else is as it is without marks', async () => {
  const count = 7 * MARKED_VECTORS + 5;
  const floats = 4 * count;
  const seen = new Uint32Array(8).map((_, block) => Number(block % 3 !== 1));
  const isSeen = (_: number, i: number) => seen[Math.floor(i / (4 * MARKED_VECTORS))] === 1;
  const gradient = random(5)(floats, 0.1);
  const masked = gradient.map((g, i) => (isSeen(g, i) ? g : 0));
  const sizes = { count, first: 0, ...WHOLE_GRID };
  const partials = { floats: squareSums(count) };
  const { partials: found } = await dispatch(squareSum({ marked: true }), { gradient, seen, partials }, sizes);
  const { partials: wanted } = await dispatch(squareSum(), { gradient: masked, partials }, sizes);
  expectEqual(found, wanted, 'the sums of squares');
  const scalars = new Float32Array(SCALARS_FLOATS);
  [scalars[factor], scalars[finite]] = [0.5, 1];
  scalars.set(corrected(3), correction1);
  const ofSeen = (values: Float32Array<ArrayBuffer>) => values.map((v, i) => (isSeen(v, i) ? v : 0));
  const operands = {
    weight: random(6)(floats),
    m: ofSeen(random(7)(floats)),
    v: ofSeen(random(8)(floats).map(Math.abs)),
  };
  for (const kind of ['torch', 'bert'] as const) {
    for (const decay of [0, 0.1]) {
      const numbers = { ...params(kind), ...sizes, decay };
      // A gradient that what has no mark cannot have, to show that it is not read.
      const marked = await dispatch(adamw({ kind, marked: true }), { ...operands, gradient, scalars, seen }, numbers);
      const plain = await dispatch(adamw({ kind }), { ...operands, gradient: masked, scalars }, numbers);
      for (const name of ['weight', 'm', 'v'] as const) {
        expectEqual(marked[name], plain[name], `${kind}, decay ${decay}: ${name}`);
      }
    }
  }
});

const OPTIONS = { learningRate: 0.01, beta1: Math.fround(0.9), beta2: Math.fround(0.999), decay: 0.1 };
const EPSILON = { torch: 1e-8, bert: 1e-6 };

/** The params of a step. */
const params = (kind: AdamWKind) => ({
  ...WHOLE_GRID,
  learning_rate: OPTIONS.learningRate,
  beta1: OPTIONS.beta1,
  beta2: OPTIONS.beta2,
  epsilon: EPSILON[kind],
  decay: OPTIONS.decay,
});

/** The corrections of step `t`. */
const corrected = (t: number) => [1 - OPTIONS.beta1 ** t, 1 - OPTIONS.beta2 ** t] as const;

for (const kind of ['torch', 'bert'] as const) {
  check(`steps of AdamW, ${kind}`, async log => {
    let worst = 0;
    for (const [floats, first, count, decay] of [
      [4, 0, 1, 0.1],
      [1000, 3, 200, 0.1],
      [1000, 3, 200, 0],
      [40_000, 0, 10_000, 0.1],
    ] as const) {
      const make = random(floats);
      const start = make(floats);
      // Padding: zeros without a gradient.
      const isPadding = (i: number) => i % 8 === 7;
      // The row of a word that no text has: it changes by the decay alone.
      const isUnseen = (i: number) => Math.floor(i / 4) % 5 === 4;
      start.forEach((_, i) => {
        if (isPadding(i)) start[i] = 0;
      });
      let state: Record<string, Float32Array<ArrayBuffer>> = {
        weight: start,
        m: new Float32Array(floats),
        v: new Float32Array(floats),
      };
      const twin = { weight: Float64Array.from(start), m: new Float64Array(floats), v: new Float64Array(floats) };
      const scalars = new Float32Array(SCALARS_FLOATS);
      [scalars[factor], scalars[finite]] = [0.5, 1];
      for (let t = 1; t <= 4; t++) {
        scalars.set(corrected(t), correction1);
        // From 1e-6 to 10.
        const gradient = make(floats).map((g, i) => (isPadding(i) || isUnseen(i) ? 0 : g * 10 ** -(i % 7)));
        state = await dispatch(
          adamw({ kind }),
          { ...(state as { weight: Float32Array<ArrayBuffer> }), gradient, scalars },
          { ...params(kind), decay, count, first },
        );
        const inside = (i: number) => i >= 4 * first && i < 4 * (first + count);
        const expected = { weight: twin.weight.slice(), m: twin.m.slice(), v: twin.v.slice() };
        reference.adamw(
          expected,
          gradient.map(g => g * 0.5),
          t,
          { ...OPTIONS, decay, kind, epsilon: EPSILON[kind] },
        );
        for (const name of ['weight', 'm', 'v'] as const) {
          expected[name].forEach((value, i) => {
            if (inside(i)) twin[name][i] = value;
          });
          // Moments in units of the gradient: a few roundings of its terms.
          const unit = (i: number) => ({ weight: 1, m: 10 ** (i % 7), v: 100 ** (i % 7) })[name];
          const difference = expectClose(
            Float64Array.from(state[name]!, (value, i) => value * unit(i)),
            twin[name].map((value, i) => value * unit(i)),
            { label: `${name}, step ${t}`, absolute: 1e-6, relative: 1e-6 },
          );
          worst = Math.max(worst, difference);
        }
        expect(
          state.weight!.every((value, i) => !isPadding(i) || value === 0),
          'zeros without a gradient stay zeros',
        );
      }
    }
    log(`largest difference ${worst.toExponential(1)}`);
  });
}

/** A small model with masked words. */
const fields = {
  model_type: 'bert',
  architectures: ['BertForMaskedLM'],
  vocab_size: 500,
  hidden_size: 64,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 128,
  hidden_act: 'gelu',
  max_position_embeddings: 32,
  type_vocab_size: 2,
};
const graph = taskGraph(
  { config: readConfig(fields), head: 'MaskedLM', problem: 'masked_lm' },
  { trainable: () => true, dropout: NO_DROPOUT },
);
const batch = [{ ids: [2, 7, 4, 9, 499], positions: [], types: [], masked: [1, 4], labels: [8, 3] }];

check('an update in many submits, none above the budget, gives the bits of one in a single submit', async log => {
  const run = async (budget: number) => {
    const submits: (number | undefined)[] = [];
    const begin = (work: number | undefined) => {
      submits.push(work);
      return () => undefined;
    };
    const pacer: Pacer = { budget: () => budget, begin };
    // A software adapter counts only what is multiplied.
    const { plan, training, destroy } = await madeUpTraining({ graph }, { updateCaps: { adapter: 'gpu' }, pacer });
    const ofUpdates: number[] = [];
    for (const step of [1, 2]) {
      await training.begin();
      await training.accumulate(
        packTraining(plan, batch, { scales: { labels: 0.5, next_sentence_label: 0 }, step, seed: 0 }),
      );
      submits.length = 0;
      const [correction1, correction2] = corrected(step);
      await training.update({ 'rate 0': 1e-3, step, correction1, correction2 });
      ofUpdates.push(submits.length);
    }
    await training.finish();
    const states = new Map<string, Float32Array<ArrayBuffer>>();
    for (const { name } of training.kept) states.set(name, await training.readState(name));
    destroy();
    return { states, submits: ofUpdates[1]!, works: submits.map(work => work ?? 0) };
  };
  const whole = await run(Number.POSITIVE_INFINITY);
  // A workgroup that sums squares costs as much, and is not cut.
  const budget = 2 ** 18;
  const cut = await run(budget);
  log(`${cut.submits} submits in place of ${whole.submits}`);
  expectEqual(whole.submits, 1, 'submits without a budget');
  expect(cut.submits > 20, `${cut.submits} submits`);
  expect(
    cut.works.every(work => work <= budget),
    `a submit of ${Math.max(...cut.works)}`,
  );
  for (const [name, numbers] of whole.states) expectEqual(cut.states.get(name), numbers, name);
});

check('no more than two steps are under way', async () => {
  const { queue } = (await testGpu()).gpu.device;
  const done = queue.onSubmittedWorkDone.bind(queue);
  let letGo = () => {};
  const gate = new Promise<void>(resolve => {
    letGo = resolve;
  });
  const pacer: Pacer = { budget: () => Number.POSITIVE_INFINITY, begin: () => () => undefined };
  const { plan, training, destroy } = await madeUpTraining({ graph }, { pacer });
  const [correction1, correction2] = corrected(1);
  let begun = 0;
  const steps = async () => {
    for (let step = 1; step <= 4; step++) {
      await training.begin();
      begun++;
      await training.accumulate(
        packTraining(plan, batch, { scales: { labels: 0.5, next_sentence_label: 0 }, step, seed: 0 }),
      );
      await training.update({ 'rate 0': 1e-3, step, correction1, correction2 });
    }
  };
  // The buffers for micro-batches, which wait for the GPU, are made before.
  await training.reserve({ tokens: 16, sequences: 16, tiles: 16, pairs: 0, masked: 16, distances: 0 });
  queue.onSubmittedWorkDone = () => gate.then(done);
  try {
    const all = steps();
    const pause = () => new Promise(resolve => setTimeout(resolve, 50));
    while (begun < 2) await pause();
    await pause();
    expectEqual(begun, 2, 'steps begun while none has ended');
    letGo();
    await all;
    expectEqual(begun, 4, 'steps begun');
    await training.finish();
  } finally {
    letGo();
    Reflect.deleteProperty(queue, 'onSubmittedWorkDone');
    destroy();
  }
});
