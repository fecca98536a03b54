import { UnsupportedError } from '../errors.ts';
import { type Fields, isText } from '../json.ts';
import type { EncoderConfig, Lora } from './encoder-config.ts';
import { isPositive } from './rotary.ts';

/** `lora_adaptations`, `lora_rank` and `lora_alpha` of config.json; undefined where there are no such tasks. */
export function loraOf(fields: Fields): Lora | undefined {
  const tasks = fields.list('lora_adaptations', []);
  if (tasks.length === 0) return undefined;
  if (!tasks.every(isText)) throw fields.malformed(tasks, 'a list of strings', 'lora_adaptations');
  const rank = fields.integer('lora_rank', 4, { min: 1, max: 1024 });
  const alpha = fields.get('lora_alpha', isPositive, 'a positive number', 1);
  return { tasks, rank, scale: alpha / rank, task: undefined };
}

/** The configuration with the weights of a task. Throws UnsupportedError, with the list of tasks, where the model does not have it. */
export function withTask(config: EncoderConfig, name: string | undefined): EncoderConfig {
  if (name === undefined) return config;
  const { lora } = config;
  const tasks = lora?.tasks ?? [];
  const task = tasks.indexOf(name);
  if (lora && task >= 0) return { ...config, lora: { ...lora, task } };
  throw new UnsupportedError({
    what: 'this default_task is not one of the model',
    actual: name,
    supported: tasks,
    expected: lora ? `one of ${tasks.join(', ')}` : 'none: the model has no weights of its own for tasks',
    next: 'Leave default_task out for the weights that all tasks share.',
  });
}
