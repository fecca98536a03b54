import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { encoderGraph } from '../src/model/index.ts';
import { folderSource, loadCheckpoint } from './checkpoint-folder.ts';
import { type EmbedderFixture, fixtureEmbedder, fixtureName, kept, modulesOf } from './embedder-fixture.ts';
import { interpret } from './interpreter.ts';
import { runSteps } from './training-run.ts';

const fixtures = new URL('./fixtures/', import.meta.url);
const folder = new URL('embedder-training/', fixtures);
const names = readdirSync(folder)
  .filter(file => file.endsWith('.json'))
  .map(file => file.slice(0, -5));

/** What float64 may round in a few steps; losses and norms have all their digits, the other numbers ten. */
const FLOAT64 = 1e-8;

/** The largest of |actual - expected|, of the largest expected number or `least`. */
function error(actual: readonly number[], expected: readonly number[], least = 1): number {
  expect(actual.length).toBe(expected.length);
  const scale = expected.reduce((most, v) => Math.max(most, Math.abs(v)), least);
  return Math.max(...expected.map((v, i) => Math.abs(actual[i]! - v))) / scale;
}

describe('embedders are trained by the interpreter as by sentence-transformers in float64', () => {
  it.each(names)('%s', async name => {
    const fixture: EmbedderFixture = JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'));
    const own = new URL(`sentence/${fixture.model}/`, fixtures);
    const source = folderSource(own, ...(fixture.weights ? [new URL(`random/${fixture.weights}/`, fixtures)] : []));
    const modules = await modulesOf(source);
    const { config, tensors } = await loadCheckpoint(source, modules.files);
    const { graph, batchesOf } = fixtureEmbedder(config, modules, fixture);
    const { losses, norms, first, find } = runSteps(graph, tensors, fixture.args, batchesOf);
    expect(error(losses, fixture.losses)).toBeLessThan(FLOAT64);
    expect(error(norms, fixture.grad_norms)).toBeLessThan(FLOAT64);
    const byName = new Map([...first].map(([tensor, g]) => [fixtureName(tensor, tensors(tensor).name), g]));
    expect([...byName.keys()].sort()).toEqual(Object.keys(fixture.first_gradients).sort());
    for (const [tensor, gradient] of byName) {
      expect(error(kept(gradient), fixture.first_gradients[tensor]!, 1e-3), tensor).toBeLessThan(FLOAT64);
    }
    const { outputs } = interpret(encoderGraph(config, { pool: modules }), find, [batchesOf(0)[0]![0]!]);
    expect(error(kept(outputs.get('embedding')!.data), fixture.after)).toBeLessThan(FLOAT64);
  });
});
