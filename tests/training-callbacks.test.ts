import { describe, expect, test } from 'vitest';
import { InputError } from '../src/errors.ts';
import {
  type CallbackContext,
  CallbackHandler,
  DefaultFlowCallback,
  EarlyStoppingCallback,
  noteBestMetric,
  type TrainerCallback,
  TrainerControl,
  TrainerState,
  TrainingArguments,
  type TrainingArgumentsInit,
} from '../src/training/index.ts';
import python from './fixtures/training-host.json' with { type: 'json' };

const args = new TrainingArguments();

describe('callbacks', () => {
  test('are called in their order, each when the one before is done, with what there is', async () => {
    const calls: string[] = [];
    const told: CallbackContext[] = [];
    const handler = new CallbackHandler(
      [
        {
          async on_log(_args, state, _control, context) {
            await Promise.resolve();
            calls.push(`first ${state.global_step}`);
            told.push(context);
          },
        },
        { on_step_end: () => calls.push('not this') },
      ],
      { model: 'a model' },
    );
    handler.add_callback({ on_log: () => calls.push('second') });
    const [state, control] = [new TrainerState(), new TrainerControl()];
    state.global_step = 5;
    expect(await handler.call('on_log', args, state, control, { logs: { loss: 1 } })).toBe(control);
    expect(calls).toEqual(['first 5', 'second']);
    expect(told).toEqual([{ model: 'a model', logs: { loss: 1 } }]);
  });

  test('change the control, or return another', async () => {
    const other = new TrainerControl();
    const seen: TrainerControl[] = [];
    const handler = new CallbackHandler([
      {
        on_step_end(_args, _state, control) {
          control.should_save = true;
        },
      },
      { on_step_end: () => other },
      { on_step_end: (_args, _state, control) => void seen.push(control) },
    ]);
    const control = new TrainerControl();
    expect(await handler.call('on_step_end', args, new TrainerState(), control)).toBe(other);
    expect(control.should_save).toBe(true);
    expect(seen).toEqual([other]);
    control.new_step();
    expect(control.should_save).toBe(false);
  });

  test('reject as they throw', async () => {
    const handler = new CallbackHandler([{ on_save: () => Promise.reject(new Error('full')) }]);
    await expect(handler.call('on_save', args, new TrainerState(), new TrainerControl())).rejects.toThrow('full');
  });

  test('are taken out by themselves or by their class', () => {
    const flow = new DefaultFlowCallback();
    const mine: TrainerCallback = { on_log: () => undefined };
    const handler = new CallbackHandler([flow, mine]);
    expect(handler.pop_callback(DefaultFlowCallback)).toBe(flow);
    expect(handler.pop_callback(mine)).toBe(mine);
    expect(handler.pop_callback(mine)).toBeUndefined();
    expect(handler.callbacks).toEqual([]);
  });

  test.each([null, 'on_log', {}, { on_log: true }, () => undefined])(
    'are objects with functions, unlike %s',
    callback => {
      expect(() => new CallbackHandler([callback as TrainerCallback])).toThrow(InputError);
    },
  );

  test('have no event that there is not', () => {
    const misspelt = { on_log: () => undefined, on_steps_end: () => undefined };
    expect(() => new CallbackHandler([misspelt])).toThrow(/no event "on_steps_end" for a callback/);
  });
});

describe('the default flow', () => {
  test.each(python.flows.map(flow => [JSON.stringify(flow.args), flow] as const))(
    '%s asks for what transformers asks for',
    (_, { args: fields, max_steps, per_epoch, events }) => {
      const args = new TrainingArguments({ ...(fields as TrainingArgumentsInit), output_dir: 'opfs:x' });
      const [state, control, flow] = [new TrainerState(), new TrainerControl(), new DefaultFlowCallback()];
      state.max_steps = max_steps;
      state.compute_steps(args, max_steps);
      const asked = () => {
        const { should_log, should_evaluate, should_save, should_training_stop } = control;
        const flags = [should_log, should_evaluate, should_save, should_training_stop].map(Number);
        control.new_step();
        return flags;
      };
      const seen: number[][] = [];
      for (let step = 1; step <= max_steps; step++) {
        state.global_step = step;
        state.epoch = step / per_epoch;
        flow.on_step_end(args, state, control);
        seen.push(asked());
        if (step % per_epoch !== 0) continue;
        flow.on_epoch_end(args, state, control);
        seen.push(asked());
      }
      expect(seen).toEqual(events);
    },
  );
});

describe('EarlyStoppingCallback', () => {
  test.each(python.stops.map(stop => [JSON.stringify(stop.options), stop] as const))(
    '%s stops when that of transformers does',
    (_, { options, values, greater, counters, stops }) => {
      const args = new TrainingArguments({
        eval_strategy: 'epoch',
        metric_for_best_model: 'f1',
        greater_is_better: greater,
      });
      const [state, control, callback] = [new TrainerState(), new TrainerControl(), new EarlyStoppingCallback(options)];
      callback.on_train_begin(args);
      const seen = values.map(value => {
        const metrics = { eval_f1: value };
        callback.on_evaluate(args, state, control, { metrics });
        noteBestMetric(state, args, metrics);
        return [callback.early_stopping_patience_counter, control.should_training_stop];
      });
      expect(seen).toEqual(counters.map((counter, i) => [counter, stops[i]]));
    },
  );

  test('says what it lacks', () => {
    const callback = new EarlyStoppingCallback();
    expect(() => callback.on_train_begin(args)).toThrow(/nothing to go by.*metric_for_best_model: 'loss'/);
    const f1 = new TrainingArguments({ metric_for_best_model: 'f1', eval_strategy: 'epoch' });
    const [state, control, metrics] = [new TrainerState(), new TrainerControl(), { eval_loss: 1 }];
    // In a training the loop says so; an evaluation of other data need not have it.
    expect(() => noteBestMetric(state, f1, metrics)).toThrow(/gives no "eval_f1": got eval_loss/);
    expect(callback.on_evaluate(f1, state, control, { metrics })).toBe(control);
    expect([callback.early_stopping_patience_counter, control.should_training_stop]).toEqual([0, false]);
    expect(() => new EarlyStoppingCallback({ early_stopping_patience: 0 })).toThrow(InputError);
    expect(() => new EarlyStoppingCallback({ patience: 2 } as object)).toThrow(/no field "patience"/);
  });

  test('ends what gives NaN from the beginning', () => {
    const loss = new TrainingArguments({ metric_for_best_model: 'loss', eval_strategy: 'epoch' });
    const [state, control] = [new TrainerState(), new TrainerControl()];
    const callback = new EarlyStoppingCallback({ early_stopping_patience: 2 });
    const stops = [1, 2].map(() => {
      callback.on_evaluate(loss, state, control, { metrics: { eval_loss: Number.NaN } });
      noteBestMetric(state, loss, { eval_loss: Number.NaN });
      return control.should_training_stop;
    });
    expect(stops).toEqual([false, true]);
  });

  test('is saved, and goes on where it stood', () => {
    const callback = new EarlyStoppingCallback({ early_stopping_patience: 3 });
    callback.early_stopping_patience_counter = 2;
    const states = JSON.parse(JSON.stringify(new CallbackHandler([callback, { on_log: () => undefined }]).states()));
    expect(Object.keys(states)).toEqual(['EarlyStoppingCallback']);
    const restored = new EarlyStoppingCallback({ early_stopping_patience: 3 });
    new CallbackHandler([restored]).restore(states);
    expect(restored.early_stopping_patience_counter).toBe(2);
  });
});

describe('noteBestMetric', () => {
  test('keeps the best and its step, and no NaN', () => {
    const args = new TrainingArguments({ metric_for_best_model: 'loss' });
    const state = new TrainerState();
    const noted = [3, 2, 2.5, Number.NaN, 1].map(value => noteBestMetric(state, args, { eval_loss: value }));
    expect(noted).toEqual([true, true, false, false, true]);
    expect(state.best_metric).toBe(1);
    expect(state.best_global_step).toBeNull();
    const saving = new TrainingArguments({ metric_for_best_model: 'loss', output_dir: 'opfs:x' });
    state.global_step = 40;
    expect(noteBestMetric(state, saving, { eval_loss: 0.5 })).toBe(true);
    expect(state.best_global_step).toBe(40);
    expect(noteBestMetric(state, new TrainingArguments(), {})).toBe(false);
  });
});

describe('TrainerState', () => {
  test('is written, and read again', () => {
    const state = new TrainerState();
    state.global_step = 12;
    state.log_history.push({ loss: 1.5, step: 12, epoch: 0.5 });
    const text = state.to_json_string();
    expect(TrainerState.from_json(text)).toEqual(state);
    expect(Object.keys(JSON.parse(text))).toEqual(Object.keys(JSON.parse(text)).sort());
  });

  test('reads what Python writes', () => {
    const state = TrainerState.from_json(python.state);
    expect(state).toMatchObject({ global_step: 20, best_metric: 0.75, log_history: [{ loss: 0.5, step: 10 }] });
    // Whatever we write has the keys that Python reads.
    expect(Object.keys(JSON.parse(python.state))).toEqual(expect.arrayContaining(Object.keys(state)));
  });

  test('is refused where it is none', () => {
    expect(() => TrainerState.from_json('{')).toThrow(/is not JSON/);
    expect(() => TrainerState.from_json('[]')).toThrow(InputError);
    expect(() => TrainerState.from_json('{"global_step": "3"}')).toThrow(/global_step in trainer_state.json is wrong/);
    expect(() => TrainerState.from_json('{"log_history": {}}')).toThrow(/expected a list/);
  });
});
