import { describe, expect, test } from 'vitest';
import type { Workgroups } from '../shaders/kernel.ts';
import { MeasuredPace } from '../src/gpu/measured-pace.ts';
import { NO_DROPOUT, paramValues, planTraining, planUpdate } from '../src/gradients/index.ts';
import { readConfig } from '../src/model/config.ts';
import { encoderGraph } from '../src/model/encoder.ts';
import type { EncoderRequest } from '../src/model/request.ts';
import { sizesOf } from '../src/plan/batch.ts';
import { type Pace, paced, startPace } from '../src/plan/pace.ts';
import { passRoom } from '../src/plan/passes.ts';
import { plan } from '../src/plan/plan.ts';
import type { Sizes } from '../src/plan/sizes.ts';
import { type Dispatch, type Submit, submitsOf, workOf } from '../src/plan/submits.ts';
import { costOf } from '../src/plan/work.ts';
import { taskGraph } from '../src/training/task.ts';
import { GPU, LLVMPIPE, SWIFTSHADER } from './caps.ts';
import { random } from './checkpoint-bytes.ts';
import { UPDATE } from './update-options.ts';

const gpu = { ...GPU, maxBindingBytes: 2 ** 31 - 4 };
const shaped = (layers: number, C: number, longest = 512) =>
  readConfig({
    model_type: 'bert',
    num_hidden_layers: layers,
    hidden_size: C,
    intermediate_size: 4 * C,
    num_attention_heads: C / 64,
    max_position_embeddings: longest,
    type_vocab_size: 2,
    vocab_size: 30_522,
  });
const MEAN: EncoderRequest = { pool: { pooling: 'mean', normalize: true } };
const planOf = (layers: number, C: number, request = MEAN, longest = 512) =>
  plan(encoderGraph(shaped(layers, C, longest), request), { caps: gpu });
const gridsOf = (made: ReturnType<typeof planOf>, sizes: Sizes): Workgroups[] =>
  made.steps.map(({ kernel, params }) =>
    kernel.workgroups(
      Object.fromEntries(Object.entries(params).map(([key, v]) => [key, typeof v === 'number' ? v : sizes[v]])),
    ),
  );

/** Multiply-adds a second of a GPU of so many GFLOP/s. */
const speedOf = (gflops: number) => (gflops / 2) * 1e9;

/** Submits one after the other of as much as the pace allows, or less where there is no more; gives each one's milliseconds. */
function simulate(
  {
    speed,
    floor,
    noise = 0,
    most = Number.POSITIVE_INFINITY,
  }: { speed: (i: number) => number; floor: number; noise?: number; most?: number },
  submits: number,
  from: Pace = startPace(gpu),
) {
  const next = random(submits);
  let pace = from;
  const ran: { work: number; ms: number; busy: number }[] = [];
  for (let i = 0; i < submits; i++) {
    const work = Math.min(most, pace.budget);
    const busy = (1000 * work) / speed(i);
    const ms = (busy + floor) * (1 + noise * (2 * next() - 1));
    ran.push({ work, ms, busy });
    pace = paced(pace, { work, ms });
  }
  return { ran, pace };
}

describe('the pace of a GPU', () => {
  const SPEEDS = [10, 30, 100, 400, 1500, 10_000, 50_000];
  const FLOORS = [0, 0.3, 3, 9];
  const all = SPEEDS.flatMap(gflops => FLOORS.map(floor => [gflops, floor] as const));

  test.each(all)('%i GFLOP/s, a floor of %f ms: no submit is long, and soon none is short', (gflops, floor) => {
    for (const noise of [0, 0.3]) {
      const { ran } = simulate({ speed: () => speedOf(gflops), floor, noise }, 60);
      expect(ran[0]!.work).toBeLessThanOrEqual(2 ** 30);
      for (const { busy } of ran.slice(1)) expect(busy).toBeLessThan(200);
      // The first is a fifth of a second on the slowest; from 2^30 to 100 ms of the fastest it is four steps of sixteen.
      for (const { busy } of ran.slice(5)) expect(busy).toBeGreaterThan(noise ? 25 : 50);
    }
  });

  test.each([3000, 10_000, 50_000])('%i GFLOP/s: full passes of 8,192 tokens of MiniLM after at most three', gflops => {
    const full = 8192 * 6 * 12 * 384 ** 2;
    const { ran } = simulate({ speed: () => speedOf(gflops), floor: 2, most: full }, 10);
    expect(ran.slice(3).every(({ work }) => work === full)).toBe(true);
  });

  test('a GPU that becomes slow: three submits later none is long; and when it is fast again, so is the pace', () => {
    for (const slower of [3, 10, 100]) {
      const speed = (i: number) => speedOf(i < 20 || i >= 60 ? 4000 : 4000 / slower);
      const { ran } = simulate({ speed, floor: 2 }, 80);
      expect(ran[19]!.busy).toBeGreaterThan(50);
      for (const { busy } of ran.slice(23, 60)) expect(busy).toBeLessThan(200);
      expect(ran[79]!.work).toBeGreaterThan(ran[19]!.work / 2);
    }
  });

  test('short calls between: they say nothing about long ones, but where they are slow', () => {
    const before = simulate({ speed: () => speedOf(1000), floor: 2 }, 20).pace;
    const short = { work: 2 ** 20, ms: 3 };
    expect(paced(before, short).budget).toBe(before.budget);
    let pace = startPace(gpu);
    for (let i = 0; i < 100; i++) pace = paced(pace, short);
    expect(pace.budget).toBe(2 ** 30);
    // Also where the clock is too coarse to see them.
    for (let i = 0; i < 100; i++) pace = paced(pace, { work: 2 ** 20, ms: 0 });
    expect(pace.budget).toBe(2 ** 30);
    pace = before;
    for (let i = 0; i < 10; i++) pace = paced(pace, { work: 2 ** 26, ms: 400 });
    expect(pace.budget).toBe(2 ** 28);
  });

  test('one that was held up by something else costs little', () => {
    const { pace } = simulate({ speed: () => speedOf(4000), floor: 2 }, 20);
    const after = paced(pace, { work: pace.budget, ms: 5000 });
    expect(after.budget).toBeGreaterThan(pace.budget / 9);
    const { ran } = simulate({ speed: () => speedOf(4000), floor: 2 }, 5, after);
    for (const { busy } of ran) expect(busy).toBeLessThan(200);
    expect(ran[4]!.work).toBeGreaterThan(pace.budget / 2);
  });

  test('a page that hears of every submit 300 ms late does not sink to small ones', () => {
    const { ran } = simulate({ speed: () => speedOf(4000), floor: 300 }, 60);
    expect(ran.at(-1)!.busy).toBeGreaterThan(30);
    for (const { busy } of ran) expect(busy).toBeLessThan(250);
  });

  test('on a CPU it never changes', () => {
    expect(startPace(SWIFTSHADER).budget).toBe(2 ** 32);
    expect(startPace(LLVMPIPE).budget).toBe(2 ** 32);
    const keeper = new MeasuredPace(LLVMPIPE, () => 0);
    keeper.begin(1)();
    expect(keeper.budget()).toBe(2 ** 32);
  });
});

describe('measuring', () => {
  /** A queue that works at one speed; two submits under way, as the scheduler has them. */
  function run(
    gflops: number,
    { delay = () => 0, passes = 40 }: { delay?: (i: number) => number; passes?: number } = {},
  ) {
    let clock = 0;
    const keeper = new MeasuredPace(gpu, () => clock);
    const underWay: { told: number; ended: () => void }[] = [];
    const took: number[] = [];
    let free = 0;
    for (let i = 0; i < passes; i++) {
      const work = keeper.budget();
      const ended = keeper.begin(work);
      const busy = (1000 * work) / speedOf(gflops);
      free = Math.max(free, clock) + busy;
      took.push(busy);
      underWay.push({ told: free + 1 + delay(i), ended });
      if (underWay.length < 2) continue;
      const first = underWay.shift()!;
      clock = Math.max(clock, first.told);
      first.ended();
    }
    return took;
  }

  test.each([10, 100, 1000, 10_000, 50_000])('two passes under way, %i GFLOP/s: each counts its own time', gflops => {
    const took = run(gflops);
    for (const ms of took.slice(2)) expect(ms).toBeLessThan(200);
    for (const ms of took.slice(12)) expect(ms).toBeGreaterThan(45);
  });

  test('a page that hears of two at once does not take the second for nothing', () => {
    const took = run(500, { delay: i => (i % 2 ? 0 : 60), passes: 80 });
    for (const ms of took.slice(2)) expect(ms).toBeLessThan(250);
    for (const ms of took.slice(12)) expect(ms).toBeGreaterThan(20);
  });

  test('a submit that failed is not waited for', () => {
    let clock = 0;
    const keeper = new MeasuredPace(gpu, () => clock);
    keeper.begin(2 ** 30);
    clock = 10_000;
    const ended = keeper.begin(2 ** 30);
    clock += 50;
    ended();
    expect(keeper.budget()).toBe(2 ** 31);
  });

  test.each([3, 6, 20])('nor is the last of %i taken for nothing that it hears of at once', count => {
    let clock = 0;
    const keeper = new MeasuredPace(gpu, () => clock);
    for (let round = 0; round < 5; round++) {
      const work = keeper.budget() / count;
      const ends = Array.from({ length: count }, () => keeper.begin(work));
      clock += (count * 1000 * work) / speedOf(200);
      for (const ended of ends) ended();
    }
    const ms = (1000 * keeper.budget()) / speedOf(200);
    expect(ms).toBeGreaterThan(50);
    expect(ms).toBeLessThan(200);
  });

  test('what follows a submit of unknown work is not charged with its time, nor is it taken for nothing', () => {
    let clock = 0;
    const keeper = new MeasuredPace(gpu, () => clock);
    const before = keeper.budget();
    for (const late of [false, true]) {
      const [unknown, next] = [keeper.begin(undefined), keeper.begin(2 ** 28)];
      clock += 4000;
      unknown();
      if (!late) clock += 10;
      next();
      expect(keeper.budget()).toBe(before);
    }
    // Alone it counts.
    const alone = keeper.begin(before);
    clock += 10;
    alone();
    expect(keeper.budget()).toBeGreaterThan(before);
  });

  test('submits of no work, with which passes end whose last step was cut, say nothing', () => {
    let clock = 0;
    const keeper = new MeasuredPace(gpu, () => clock);
    const before = keeper.budget();
    // Two at once, as two models on one device have them.
    const [first, second] = [keeper.begin(0), keeper.begin(0)];
    clock = 400;
    first();
    second();
    expect(keeper.budget()).toBe(before);
    // A large answer takes long to be read back.
    const alone = keeper.begin(0);
    clock += 400;
    alone();
    expect(keeper.budget()).toBe(before);
  });
});

describe('a pass', () => {
  test('costs what its linears and its attention multiply, and on a GPU somewhat more', () => {
    const sizes = sizesOf([512, 512], 64);
    const multiplied = 12 * (12 * 768 ** 2 * 1024 + 2 * 768 * 2 * 512 ** 2);
    const cost = costOf(planOf(12, 768).rowCosts, sizes);
    expect(cost).toBeGreaterThan(multiplied);
    expect(cost).toBeLessThan(1.2 * multiplied);
    expect(costOf(plan(encoderGraph(shaped(12, 768), MEAN), { caps: SWIFTSHADER }).rowCosts, sizes)).toBe(multiplied);
  });

  test('of every op costs something: none is forgotten', () => {
    const request: EncoderRequest = {
      lastHiddenState: true,
      pooler: true,
      attentions: [0],
      head: { kind: 'MaskedLM', picked: true, topK: 8 },
    };
    for (const format of ['f32', 'i8'] as const) {
      const made = plan(encoderGraph(shaped(2, 128), request), { caps: gpu, format });
      const sizes = sizesOf([9, 9], 64, 2);
      for (const { label, rowCosts } of made.steps) expect(costOf(rowCosts, sizes), label).toBeGreaterThan(0);
      const sum = made.steps.reduce((all, { rowCosts }) => all + costOf(rowCosts, sizes), 0);
      expect(costOf(made.rowCosts, sizes)).toBeCloseTo(sum, 0);
    }
  });

  test('counts whole tiles: one mask is as dear as 64', () => {
    const made = planOf(1, 384, { head: { kind: 'MaskedLM', picked: true, topK: 8 } });
    const decoder = made.steps.find(({ label }) => label === 'vocabulary')!;
    const cost = (masks: number) => costOf(decoder.rowCosts, sizesOf([128], 64, masks));
    expect(cost(64)).toBeLessThan(1.1 * cost(1));
    expect(cost(65)).toBeGreaterThan(1.8 * cost(64));
  });

  test('is filled as far as the budget goes', () => {
    const made = planOf(6, 384);
    const fill = (budget: number) => {
      const room = passRoom(made, gpu, budget);
      const each = { ids: Array(16).fill(1), positions: [], types: [] };
      return Array.from({ length: 600 }, () => room(each)).indexOf(false);
    };
    expect(fill(2 ** 30) * 16 * 6 * 12 * 384 ** 2).toBeLessThanOrEqual(2 ** 30);
    expect(fill(2 ** 30)).toBeGreaterThanOrEqual(4);
    expect(fill(2 ** 34)).toBeGreaterThan(60);
    expect(fill(2 ** 50)).toBe(512);
  });
});

describe('a pass that is too much for one submit', () => {
  const submits = (made: ReturnType<typeof planOf>, sizes: Sizes, budget: () => number): Submit[] => [
    ...submitsOf(workOf(made.steps, sizes), gridsOf(made, sizes), budget),
  ];

  /** Every workgroup of every step once, steps in order, and all of a step before the next one. */
  function expectWhole(made: ReturnType<typeof planOf>, sizes: Sizes, parts: readonly Submit[]) {
    const grids = gridsOf(made, sizes);
    const dispatches = parts.flatMap(part => part.dispatches);
    expect(dispatches.map(({ step }) => step)).toEqual(dispatches.map(({ step }) => step).sort((a, b) => a - b));
    grids.forEach(([x, y, z], step) => {
      const mine = dispatches.filter((each: Dispatch) => each.step === step);
      const seen = new Uint8Array(x * y);
      for (const { groups, first = { first_x: 0, first_y: 0 } } of mine) {
        expect(groups[2]).toBe(z);
        for (let j = 0; j < groups[1]; j++) {
          for (let i = 0; i < groups[0]; i++) seen[(first.first_y + j) * x + first.first_x + i]!++;
        }
      }
      expect(
        seen.every(times => times === 1),
        made.steps[step]!.label,
      ).toBe(true);
    });
    for (const { dispatches: own } of parts) {
      // The params of a step hold for a whole submit.
      if (own.some(({ first }) => first)) expect(own).toHaveLength(1);
    }
    expect(parts.map(({ isLast }) => isLast)).toEqual(parts.map((_, i) => i === parts.length - 1));
    const work = parts.reduce((sum, part) => sum + part.work, 0);
    expect(work / costOf(made.rowCosts, sizes)).toBeCloseTo(1, 6);
  }

  const long = planOf(12, 768, MEAN, 8192);
  const LENGTHS = [[8192], [512, 9, 300], [1]];

  test.each(LENGTHS.map(lengths => [lengths]))(
    '%j tokens: nothing is left out, done twice, or out of order',
    lengths => {
      const sizes = sizesOf(lengths, long.queryTile);
      for (const budget of [2 ** 27, 2 ** 28, 2 ** 30, 2 ** 33, 2 ** 36, 2 ** 60]) {
        const parts = submits(long, sizes, () => budget);
        expectWhole(long, sizes, parts);
        if (costOf(long.rowCosts, sizes) <= budget) expect(parts).toHaveLength(1);
        // None is over it but what cannot be cut: at 2^27 a workgroup's tile, and rows that are only moved.
        if (budget >= 2 ** 30) for (const { work } of parts) expect(work).toBeLessThanOrEqual(budget);
      }
    },
  );

  test('a vocabulary and its best are cut too', () => {
    const made = planOf(2, 1024, { head: { kind: 'MaskedLM', picked: true, topK: 64 } });
    const sizes = sizesOf([512], made.queryTile, 512);
    const parts = submits(made, sizes, () => 2 ** 28);
    expectWhole(made, sizes, parts);
    for (const { work } of parts) expect(work).toBeLessThanOrEqual(2 ** 28);
    // Its last step was cut: the outputs are read back by a submit of their own.
    expect(parts.at(-1)).toEqual({ dispatches: [], work: 0, isLast: true });
  });

  test.each([10, 50, 200, 1000, 10_000, 50_000])(
    'one sequence of 8,192 tokens of BERT-base at %i GFLOP/s: every submit is short, few on a fast one',
    gflops => {
      let clock = 0;
      const keeper = new MeasuredPace(gpu, () => clock);
      const sizes = sizesOf([8192], long.queryTile);
      const took: number[] = [];
      const grids = gridsOf(long, sizes);
      const run = () => {
        const parts: Submit[] = [];
        for (const part of submitsOf(workOf(long.steps, sizes), grids, keeper.budget)) {
          const ended = keeper.begin(part.work);
          const busy = (1000 * part.work) / speedOf(gflops);
          clock += busy + 1;
          took.push(busy);
          parts.push(part);
          ended();
        }
        expectWhole(long, sizes, parts);
        return parts;
      };
      const [first] = run();
      expect(first!.work).toBeLessThanOrEqual(2 ** 30);
      const again = run();
      expect(Math.max(...took.slice(1))).toBeLessThan(200);
      if (gflops === 50_000) expect(again).toHaveLength(1);
      // A submit is not so short that the floor of it counts.
      const total = again.reduce((sum, { work }) => sum + (1000 * work) / speedOf(gflops), 0);
      expect(again.length).toBeLessThan(Math.max(2, total / 20));
    },
  );
});

test('the update of a step of BERT-base is cut into submits within the budget', () => {
  const task = { config: shaped(12, 768), head: 'MaskedLM', problem: 'masked_lm' } as const;
  const training = planTraining(taskGraph(task, { trainable: () => true, dropout: NO_DROPOUT }), gpu);
  const { steps } = planUpdate(training, UPDATE, gpu);
  const numbers = { 'rate 0': 1e-5, step: 1, correction1: 0.1, correction2: 0.001 };
  const grids = steps.map(step => step.kernel.workgroups(paramValues(step, numbers)));
  const whole = steps.reduce((sum, { work }) => sum + work, 0);
  // 110 million weights, eight floats of each.
  expect(whole / (110e6 * 8 * 16)).toBeCloseTo(1, 1);
  for (const budget of [2 ** 28, 2 ** 30]) {
    const parts = [...submitsOf(steps, grids, () => budget)];
    for (const { work } of parts) expect(work).toBeLessThanOrEqual(budget);
    expect(parts.length).toBeLessThan(3 * Math.ceil(whole / budget));
    expect(parts.reduce((sum, { work }) => sum + work, 0) / whole).toBeCloseTo(1, 6);
  }
});

test('the time of an update that passes over what no text has had tells nothing of the device', () => {
  const task = {
    config: shaped(2, 64),
    head: 'SequenceClassification',
    labels: 2,
    problem: 'single_label_classification',
  } as const;
  const training = planTraining(taskGraph(task, { trainable: () => true, dropout: NO_DROPOUT }), gpu);
  const { steps } = planUpdate(training, UPDATE, gpu);
  const unsteady = steps.filter(({ isSteady }) => !isSteady).map(({ label }) => label);
  expect(unsteady.every(label => label.includes('embeddings'))).toBe(true);
  expect(unsteady).toContain('adamw of embeddings.word_embeddings.weight');
});
