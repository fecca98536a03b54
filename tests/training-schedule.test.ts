import { describe, expect, test } from 'vitest';
import {
  batchCount,
  learningRateSchedule,
  runLength,
  type SchedulerOptions,
  type SchedulerType,
  stepsOf,
} from '../src/training/index.ts';
import python from './fixtures/training-host.json' with { type: 'json' };

const { rate: learningRate } = python;

describe('schedules', () => {
  test.each(python.schedules.map(entry => [`${entry.type} ${JSON.stringify(entry.options)}`, entry] as const))(
    '%s is that of transformers',
    (_, { type, warmup, total, options, factors }) => {
      const schedule = learningRateSchedule({
        type: type as SchedulerType,
        warmupSteps: warmup,
        totalSteps: total,
        learningRate,
        options: options as SchedulerOptions,
      });
      for (const [step, factor] of factors.entries()) expect(schedule(step)).toBeCloseTo(factor, 14);
    },
  );

  test("google-research/bert's goes down from step 0 on", () => {
    for (const { warmup: warmupSteps, total: totalSteps, factors } of python.google) {
      const schedule = learningRateSchedule({
        type: 'linear',
        warmupSteps,
        totalSteps,
        learningRate,
        decaysFromStart: true,
      });
      for (const [step, factor] of factors.entries()) expect(schedule(step)).toBeCloseTo(factor, 14);
    }
  });

  test('refuse options that contradict one another', () => {
    const make = (type: SchedulerType, options: SchedulerOptions) =>
      learningRateSchedule({ type, warmupSteps: 0, totalSteps: 9, learningRate, options });
    expect(() => make('cosine_with_min_lr', {})).toThrow(/needs one of two options: got neither/);
    expect(() => make('cosine_with_min_lr', { min_lr: 1e-5, min_lr_rate: 0.1 })).toThrow(/got both/);
    expect(() => make('polynomial', { lr_end: 1 })).toThrow(/lr_end is not below learning_rate/);
  });
});

describe('the length of a run', () => {
  const length = (of: Partial<Parameters<typeof runLength>[0]>) =>
    runLength({ batches: 10, gradient_accumulation_steps: 1, num_train_epochs: 3, max_steps: -1, ...of });

  test('is that of transformers', () => {
    expect(length({})).toEqual({ stepsPerEpoch: 10, totalSteps: 30, epochs: 3 });
    expect(length({ gradient_accumulation_steps: 4 })).toEqual({ stepsPerEpoch: 3, totalSteps: 9, epochs: 3 });
    expect(length({ num_train_epochs: 0.25 })).toEqual({ stepsPerEpoch: 10, totalSteps: 3, epochs: 1 });
    expect(length({ max_steps: 25 })).toEqual({ stepsPerEpoch: 10, totalSteps: 25, epochs: 3 });
    expect(length({ batches: 1, gradient_accumulation_steps: 8 })).toEqual({
      stepsPerEpoch: 1,
      totalSteps: 3,
      epochs: 3,
    });
  });

  test('counts the last batch, unless it is dropped', () => {
    expect([batchCount(17, 8), batchCount(16, 8), batchCount(17, 8, true), batchCount(7, 8, true)]).toEqual([
      3, 2, 2, 0,
    ]);
  });

  test('takes steps, or shares of all steps', () => {
    expect([stepsOf(0, 30), stepsOf(0.1, 30), stepsOf(0.34, 30), stepsOf(1, 30), stepsOf(500, 30)]).toEqual([
      0, 3, 11, 1, 500,
    ]);
  });
});
