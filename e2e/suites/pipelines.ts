import type { Task } from '../../src/index.ts';
import { fixtures, sharedDevice } from '../fixtures.ts';
import { check, expect, expectEqual } from '../harness.ts';
import { addressOf, fetchJson, library } from '../library.ts';

/** The answers of the Python pipelines, for every fixture that has some: the same strings and places, scores within 1e-4. */

interface Golden {
  task: Task;
  model: string;
  args: unknown[];
  options: Record<string, unknown>;
  answer: unknown;
}
type AnyPipeline = ((...values: unknown[]) => Promise<unknown>) & { dispose(): Promise<void> };

/** Everything equal but for scores, of which the largest difference is given back. */
function compare(actual: unknown, expected: unknown, path: string): number {
  if (typeof expected !== 'object' || expected === null) {
    if (!path.endsWith('.score')) expectEqual(actual, expected, path);
    else if (typeof actual === 'number' && typeof expected === 'number') {
      const difference = Math.abs(actual - expected);
      expect(difference <= 1e-4, `${path}: got ${actual}, expected ${expected}`);
      return difference;
    } else expectEqual(actual, expected, path);
    return 0;
  }
  expect(typeof actual === 'object' && actual !== null, `${path}: got ${JSON.stringify(actual)}`);
  expectEqual(Object.keys(actual).sort(), Object.keys(expected).sort(), `the names of ${path}`);
  const own = actual as Record<string, unknown>;
  return Math.max(0, ...Object.entries(expected).map(([name, value]) => compare(own[name], value, `${path}.${name}`)));
}

const mounts = [...new Set(fixtures.map(url => url.replace(/[^/]+\/$/, '')))];
for (const mount of mounts) {
  const { cases } = await fetchJson<{ cases: Golden[] }>(`${mount}pipelines.json`).catch(() => ({ cases: [] }));
  for (const url of fixtures.filter(each => each.startsWith(mount))) {
    const mine = cases.filter(({ model }) => model === url.slice(mount.length, -1));
    if (mine.length === 0) continue;
    const { task } = mine[0]!;
    check(`${url}: ${task}`, async log => {
      const device = await sharedDevice();
      const pipe = await library.pipeline(task, addressOf(url), { device }).catch((error: Error) => error);
      if (pipe instanceof Error) {
        const { model_type } = await fetchJson<{ model_type: string }>(`${url}config.json`);
        const isRefused = pipe instanceof library.UnsupportedError && pipe.message.includes(model_type);
        expect(isRefused, `${pipe.stack}`);
        log(`refused: ${pipe.message.split('\n')[0]}`);
        return;
      }
      const differences = [];
      for (const { args, options, answer } of mine) {
        const got = await (pipe as unknown as AnyPipeline)(...args, options);
        // One answer is no list with question-answering's top_k of 1.
        const listed = task === 'question-answering' && !Array.isArray(got) ? [got] : got;
        const label = `${JSON.stringify(args).slice(0, 60)} ${JSON.stringify(options)}: answer`;
        differences.push(compare(listed, answer, label));
      }
      await pipe.dispose();
      log(`${mine.length} answers, largest difference ${Math.max(...differences).toExponential(1)}`);
    });
  }
}
