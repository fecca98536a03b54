import { describe, expect, it } from 'vitest';
import { random } from '../e2e/dispatch.ts';
import type { DeviceTrainingOp } from '../src/gradients/device-op.ts';
import {
  countItems,
  IGNORED,
  NO_DROPOUT,
  planTraining,
  planUpdate,
  scalesOf,
  type TrainingGraph,
  trainingMemory,
} from '../src/gradients/index.ts';
import { VOCABULARY_COLUMNS, type VocabularyOptions, vocabularyTiles } from '../src/gradients/vocabulary.ts';
import { readConfig } from '../src/model/config.ts';
import { type Caps, rowSlices, weightBytes } from '../src/plan/index.ts';
import { labelledSequence, taskGraph } from '../src/training/task.ts';
import { GPU } from './caps.ts';
import { expectGradient } from './central-differences.ts';
import { interpretTraining } from './gradient-interpreter.ts';
import { crossEntropy } from './gradient-reference-losses.ts';
import {
  type SoftmaxTile,
  type Statistics,
  softmaxGradient,
  softmaxStatistics,
} from './gradient-reference-vocabulary.ts';
import { interpretLowered } from './lowered-vocabulary.ts';
import { fixtureModel, fixtureTask, readFixture } from './training-run.ts';
import { tensorGradients, tensorsOf } from './training-tensors.ts';
import { UPDATE } from './update-options.ts';

/** Sums of some hundred terms in float64 in two orders. */
const FLOAT64 = 1e-12;

const far = (actual: ArrayLike<number>, expected: ArrayLike<number>): number =>
  Math.max(...Array.from(expected, (v, i) => Math.abs(v - actual[i]!)));
const sum = (numbers: Iterable<number>): number => [...numbers].reduce((a, b) => a + b, 0);

describe('the twins of the kernels that read logits in tiles', () => {
  const [N, R, COLUMNS] = [23, 5, 8];
  const labels = [0, 22, -1, 8, 7];

  /** The tiles of logits, each with what the twins take. */
  function tilesOf(logits: Float64Array, smoothing: number): { part: Float64Array; tile: SoftmaxTile }[] {
    return Array.from({ length: Math.ceil(N / COLUMNS) }, (_, t) => {
      const first = t * COLUMNS;
      const columns = Math.min(COLUMNS, N - first);
      const part = new Float64Array(R * columns);
      for (let r = 0; r < R; r++) part.set(logits.subarray(r * N + first, r * N + first + columns), r * columns);
      return { part, tile: { first, columns, classes: N, smoothing, scale: 0.25 } };
    });
  }

  function readTiles(logits: Float64Array, smoothing: number) {
    let [statistics, loss]: [Statistics[] | undefined, number[]] = [undefined, []];
    for (const { part, tile } of tilesOf(logits, smoothing)) {
      ({ statistics, loss } = softmaxStatistics(part, labels, statistics, tile));
    }
    return { statistics: statistics!, loss };
  }

  it.each([0, 0.1])('give the loss of the whole, and its derivatives, smoothing %f', smoothing => {
    // A row far from 0, whose exponentials overflow.
    const logits = Float64Array.from(random(3)(N * R, 4), (v, i) => v + (i < N ? 1000 : 0));
    const { statistics, loss } = readTiles(logits, smoothing);
    const whole = crossEntropy(logits, labels, { N, smoothing, scale: 0.25 });
    expect(far(loss, whole.loss)).toBeLessThan(FLOAT64 * 1000);
    const gradient = new Float64Array(logits.length);
    for (const { part, tile } of tilesOf(logits, smoothing)) {
      softmaxGradient(part, labels, statistics, tile).forEach((v, i) => {
        gradient[Math.floor(i / tile.columns) * N + tile.first + (i % tile.columns)] = v;
      });
    }
    expect(far(gradient, whole.dlogits)).toBeLessThan(FLOAT64);
    const near = Float64Array.from(random(3)(N * R, 4));
    const at = readTiles(near, smoothing).statistics;
    const dnear = tilesOf(near, smoothing).map(({ part, tile }) => softmaxGradient(part, labels, at, tile));
    const joined = Float64Array.from({ length: N * R }, (_, i) => {
      const [r, c] = [Math.floor(i / N), i % N];
      const t = Math.floor(c / COLUMNS);
      const columns = Math.min(COLUMNS, N - t * COLUMNS);
      return dnear[t]![r * columns + (c % COLUMNS)]!;
    });
    expectGradient(() => sum(readTiles(near, smoothing).loss), near, joined, 'dlogits');
  });
});

describe('a masked-LM step whose vocabulary is in tiles', () => {
  const loweredOps = (graph: TrainingGraph, options: VocabularyOptions): DeviceTrainingOp[] => {
    const tiles = vocabularyTiles(graph.ops, options);
    return graph.ops.flatMap(op => tiles.get(op) ?? (op as DeviceTrainingOp));
  };

  it.each([
    { name: 'bert-masked-lm', smoothing: 0 },
    { name: 'bert-masked-lm', smoothing: 0.1 },
    { name: 'xlm-roberta-masked-lm', smoothing: 0 },
    { name: 'bert-pretraining', smoothing: 0 },
  ])('has the loss and the gradients of the step without tiles: $name, smoothing $smoothing', async run => {
    const fixture = readFixture(run.name);
    const { config, tensors } = await fixtureModel(fixture.model);
    const { task } = fixtureTask(config, fixture);
    const graph = taskGraph(task, { trainable: () => true, dropout: NO_DROPOUT, smoothing: run.smoothing });
    const batch = fixture.data.slice(0, 3).map(example => labelledSequence(task, example));
    // A row without a label among those that have one.
    batch[0] = { ...batch[0]!, labels: batch[0]!.labels!.map((label, i) => (i === 0 ? IGNORED : label)) };
    const options = { tensors, batch, scales: scalesOf(countItems(graph.ops, batch)) };
    const expected = interpretTraining(graph, options);
    for (const { columns, rows = config.vocabSize } of [
      { columns: 64 },
      { columns: 192 },
      { columns: 600 },
      // Slices of the matrix, each one tile or several.
      { columns: 1000, rows: 252 },
      { columns: 128, rows: 252 },
    ]) {
      const ops = loweredOps(graph, { slicesOf: weight => rowSlices(weight, rows), columns });
      const slices = Array.from({ length: Math.ceil(config.vocabSize / rows) }, (_, i) =>
        Math.min(rows, config.vocabSize - i * rows),
      );
      const tiles = slices.reduce((sum, count) => sum + Math.ceil(count / columns), 0);
      expect(ops.filter(({ op }) => op === 'softmaxStatistics').length).toBe(tiles);
      const actual = interpretLowered(ops, graph.losses, options);
      expect(Math.abs(actual.loss - expected.loss)).toBeLessThan(FLOAT64 * 10);
      const weights = tensorsOf(graph.gradients, tensors);
      const found = tensorGradients(actual.gradients, weights);
      const wanted = tensorGradients(expected.gradients, weights);
      expect([...found.keys()].sort()).toEqual([...wanted.keys()].sort());
      for (const [tensor, gradient] of wanted) {
        expect(far(found.get(tensor)!, gradient), tensor).toBeLessThan(FLOAT64);
      }
    }
  });
});

describe('the plan of a masked-LM step', () => {
  function planOf(vocab_size: number, caps: Caps, fields: object = {}) {
    const config = readConfig({
      model_type: 'bert',
      architectures: ['BertForMaskedLM'],
      vocab_size,
      hidden_size: 768,
      num_hidden_layers: 12,
      num_attention_heads: 12,
      intermediate_size: 3072,
      hidden_act: 'gelu',
      max_position_embeddings: 512,
      type_vocab_size: 2,
      ...fields,
    });
    const task = { config, head: 'MaskedLM', problem: 'masked_lm' } as const;
    const graph = taskGraph(task, { trainable: () => true, dropout: NO_DROPOUT });
    const plan = planTraining(graph, caps);
    // 8 texts of 128 tokens, of which 15 % are masked.
    const sizes = { tokens: 1024, sequences: 8, tiles: 16, pairs: 0, masked: 154, distances: 0 };
    return {
      graph,
      plan,
      memory: trainingMemory(plan, { update: planUpdate(plan, UPDATE, caps), merges: [], held: [] }, sizes),
    };
  }
  const ROOMY = { ...GPU, maxBindingBytes: 2 ** 31 };

  it('holds as many logits of a large vocabulary as of another', () => {
    const [english, many] = [planOf(30_522, ROOMY), planOf(250_002, ROOMY)];
    for (const { plan } of [english, many]) {
      const widest = Math.max(...plan.slots.map(slot => slot.get('masked') ?? 0));
      expect(widest).toBeLessThanOrEqual(VOCABULARY_COLUMNS);
      expect(widest).toBeGreaterThan(VOCABULARY_COLUMNS / 2);
    }
    // Of 256 rows, the logits and their gradient were 512 MB.
    expect(many.memory.activations - english.memory.activations).toBeLessThan(2e6);
  });

  it('leaves a small vocabulary whole: the kernels are those without tiles', () => {
    const { plan } = planOf(VOCABULARY_COLUMNS, ROOMY);
    const names = plan.steps.map(({ kernel }) => kernel.name);
    expect(names.filter(name => name.startsWith('softmax') || name.includes('sliced'))).toEqual([]);
    expect(names.filter(name => name.startsWith('cross-entropy'))).toHaveLength(1);
  });

  it('keeps a table that no binding holds in slices, with its gradient, moments and bias', () => {
    const { graph, plan, memory } = planOf(250_002, GPU);
    const table = graph.gradients.find(({ columns, count }) => columns === 768 && count === 250_002)!;
    const slices = plan.gradients.filter(({ name }) => name.startsWith(table.name));
    // Of 128 MiB.
    expect(slices.length).toBe(Math.ceil((250_002 * 768 * 4) / 2 ** 27));
    expect(slices.reduce((sum, { count }) => sum + count, 0)).toBe(250_002);
    for (const weight of [...plan.gradients, ...plan.weights]) expect(weightBytes(weight)).toBeLessThanOrEqual(2 ** 27);
    const biases = plan.gradients.filter(({ name }) => name.startsWith('cls.predictions.bias'));
    expect(biases.map(({ count }) => count)).toEqual(slices.map(({ count }) => count));
    const whole = planOf(250_002, ROOMY).memory;
    // The same numbers, and the padding of slices.
    for (const part of ['weights', 'gradients', 'moments'] as const) {
      expect(Math.abs(memory[part] / whole[part] - 1)).toBeLessThan(1e-6);
    }
  });

  it('refuses a weight that is read whole and that no binding holds', () => {
    const small = { ...GPU, maxBindingBytes: 2 ** 20 };
    expect(() => planOf(1000, small)).toThrow('is larger than this device binds');
  });
});
