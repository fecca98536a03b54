import { describe, expect, it } from 'vitest';
import type { Dropout } from '../src/gradients/dropout.ts';
import {
  type Adaptation,
  adapterOf,
  backward,
  type LabelledSequence,
  NO_DROPOUT,
  recordForm,
  renamed,
  type TrainingGraph,
  trainableForm,
} from '../src/gradients/index.ts';
import { TRAINED_FAMILIES } from '../src/gradients/refusal.ts';
import { MODEL_TYPES, readConfig } from '../src/model/config.ts';
import {
  checkSequence,
  type EncoderConfig,
  type EncoderRequest,
  encoderGraph,
  preparationsOf,
} from '../src/model/index.ts';
import type { Weight } from '../src/plan/index.ts';
import { DEBERTA_KINDS, debertaConfig, drawnConfig, picker } from './drawn-configs.ts';
import { type DropoutPlace, interpretTraining, TrainingRun } from './gradient-interpreter.ts';
import type { TensorLookup } from './interpreter.ts';
import { tensorGradients, tensorsOf } from './training-tensors.ts';

/**
 * `backward` against differences: the loss is computed again with a tensor moved a little to and fro. It needs no reference, so it goes for
 * every family, also in shapes that nobody trains.
 */

/** Of |by differences - by the chain rule| / the root mean square of the tensor's gradient, but LEAST at least. */
const TOLERANCE = 1e-6;
/** Smaller ones are 0 in theory (key biases), and differences of a loss of some 10 round to 1e-9. */
const LEAST = 1e-2;
/** Of differences of fourth order: a smaller one where the loss is steep, as behind norms of short rows, and the larger ones are too far. */
const STEPS = [1e-3, 1e-4, 1e-5];

/** The same numbers for a tensor whenever it is asked for. */
function drawnTensors(): TensorLookup & { set: (tensor: string, i: number, value: number) => void } {
  const made = new Map<string, { shape: readonly number[]; data: Float64Array }>();
  const lookup = (tensor: string, shape: readonly number[] = []) => {
    const pick = picker(tensor);
    const isScale = /norm.*weight$/i.test(tensor);
    const tensorData = made.get(tensor) ?? {
      shape,
      data: Float64Array.from(
        { length: shape.reduce((a, b) => a * b, 1) },
        () => Number(isScale) + (pick(0, 2000) / 1000 - 1) * 0.3,
      ),
    };
    made.set(tensor, tensorData);
    return tensorData;
  };
  return Object.assign(lookup as TensorLookup, {
    set: (tensor: string, i: number, value: number) => {
      made.get(tensor)!.data[i] = value;
    },
  });
}

/** Makes every tensor of these weights. */
function fill(lookup: TensorLookup, graph: { readonly ops: readonly object[] }): void {
  const seen = new Set<unknown>();
  const visit = (field: unknown): void => {
    if (typeof field !== 'object' || field === null || seen.has(field) || ArrayBuffer.isView(field)) return;
    seen.add(field);
    if ('parts' in field) {
      for (const { tensor, shape } of (field as Weight).parts) {
        (lookup as (tensor: string, shape: readonly number[]) => unknown)(tensor, shape);
      }
    } else Object.values(field).forEach(visit);
  };
  graph.ops.forEach(visit);
}

const REQUESTS: readonly EncoderRequest[] = [
  { pool: { pooling: 'mean', normalize: true } },
  { pool: { pooling: ['mean_sqrt', 'cls', 'weighted', 'last'], normalize: false } },
];

function drawnBatch(config: EncoderConfig, columns: number): LabelledSequence[] {
  const pick = picker('tokens');
  return [1, 7, 4].map(length => {
    const ids = Array.from({ length }, () => pick(3, config.vocabSize - 1));
    const types = ids.map(() => pick(0, Math.max(0, config.typeVocabSize - 1)));
    const labels = Array.from({ length: columns }, () => pick(-10, 10) / 10);
    return { ...checkSequence(config, { ids, types }), labels };
  });
}

/** A factor of dropout by the place, the same whenever it is asked for. */
const factor = ({ site, probability }: Dropout, place: DropoutPlace): number =>
  picker(JSON.stringify([site, place]))(0, 999) < 1000 * probability ? 0 : 1 / (1 - probability);

/**
 * Every tensor by differences, against the gradient: the slope of the loss where all numbers of the tensor move at once, each a little up or
 * down as it is drawn. A number whose gradient is wrong shows in the slope, for one evaluation where each number by itself would take one.
 */
function expectGradients(graph: TrainingGraph, batch: readonly LabelledSequence[]): void {
  const lookup = drawnTensors();
  fill(lookup, graph);
  const options = { tensors: lookup, batch, scales: { labels: 0.25, next_sentence_label: 0 }, factor };
  const { gradients } = interpretTraining(graph, options);
  const tensors = tensorsOf(graph.gradients, lookup);
  const forward = graph.ops.slice(0, 1 + graph.ops.findLastIndex(op => 'dlogits' in op));
  const pick = picker('directions');
  for (const [tensor, gradient] of tensorGradients(gradients, tensors)) {
    const { data } = tensors.get(tensor)!;
    const direction = Float64Array.from(data, () => (pick(0, 1) ? 1 : -1) / Math.sqrt(data.length));
    const move = (step: number) => {
      for (const [i, value] of data.entries()) lookup.set(tensor, i, value + step * direction[i]!);
    };
    const lossAt = (step: number) => {
      move(step);
      const run = new TrainingRun(options);
      for (const op of forward) run.compute(op);
      return graph.losses.reduce((sum, loss) => sum + run.get(loss).data.reduce((a, b) => a + b, 0), 0);
    };
    const expected = gradient.reduce((sum, v, i) => sum + v * direction[i]!, 0);
    // The size of a slope in a direction of length 1 that is drawn.
    const scale = Math.max(LEAST, Math.sqrt(gradient.reduce((sum, v) => sum + v * v, 0) / gradient.length));
    const slopes: number[] = [];
    const error = () => Math.abs(expected - slopes.at(-1)!) / scale;
    for (const step of STEPS) {
      slopes.push((8 * (lossAt(step) - lossAt(-step)) - (lossAt(2 * step) - lossAt(-2 * step))) / (12 * step));
      if (error() < TOLERANCE) break;
    }
    move(0);
    expect(error(), `${tensor}: ${expected}, not ${slopes}`).toBeLessThan(TOLERANCE);
  }
}

describe('backward against differences', () => {
  const stepOf = (config: EncoderConfig, request: EncoderRequest, rates = NO_DROPOUT) =>
    backward(trainableForm(encoderGraph(config, request), rates, undefined, preparationsOf(config)), {
      losses: [{ kind: 'squaredError', output: 'embedding' }],
      trainable: () => true,
    });

  for (const modelType of MODEL_TYPES) {
    it.each([0, 1])(`${modelType}, drawn shape %i`, i => {
      // An activation with a corner has no derivative there, and differences see it from both sides.
      const drawn = readConfig(drawnConfig(modelType, i + 1));
      const config: EncoderConfig = drawn.activation === 'relu' ? { ...drawn, activation: 'gelu' } : drawn;
      const graph = stepOf(config, REQUESTS[i]!);
      const { columns } = graph.ops.find(op => op.op === 'squaredError')!.logits;
      expectGradients(graph, drawnBatch(config, columns));
    });
  }

  it.each(Object.keys(DEBERTA_KINDS))('%s', kind => {
    const config: EncoderConfig = { ...readConfig(debertaConfig(kind, 3)), activation: 'gelu' };
    const graph = stepOf(config, REQUESTS[0]!, {
      ...NO_DROPOUT,
      attention: 0.2,
      distances: 0.3,
      convolution: 0.3,
      embeddings: 0.1,
    });
    const { columns } = graph.ops.find(op => op.op === 'squaredError')!.logits;
    expectGradients(graph, drawnBatch(config, columns));
  });

  it('with dropout at every site', () => {
    const config = readConfig(drawnConfig('bert', 1));
    const graph = stepOf(config, REQUESTS[0]!, {
      embeddings: 0.3,
      attention: 0.3,
      attentionOutput: 0.3,
      output: 0.3,
      classifier: 0.3,
    });
    const sites = graph.ops.flatMap(op =>
      'dropout' in op && op.dropout && 'site' in op.dropout ? [op.dropout.site] : [],
    );
    expect(new Set(sites).size).toBe(1 + 3 * config.layers);
    const { columns } = graph.ops.find(op => op.op === 'squaredError')!.logits;
    expectGradients(graph, drawnBatch(config, columns));
  });

  it.each([0, 0.3])('with adapters on the keys and values of joined weights, and dropout %f before them', dropout => {
    // Heads of a size that is padded: the rows of B are, too.
    const config = readConfig(drawnConfig('bert', 2));
    const made = new Map<string, Adaptation>();
    const adapt = (weight: Weight): Adaptation | undefined => {
      const earlier = made.get(weight.name);
      if (earlier || !/encoder/.test(weight.name)) return earlier;
      const adapters = ['key', 'value', 'output.dense'].flatMap(end => {
        const own = weight.parts.find(({ tensor }) => tensor.endsWith(`${end}.weight`));
        if (!own) return [];
        const b = ({ tensor }: { tensor: string }) => (tensor === own.tensor ? `${tensor}.b` : undefined);
        return [adapterOf(weight, { rank: 3, a: `${own.tensor}.a`, b })];
      });
      const adaptation = { base: renamed(weight, tensor => `${tensor}.base`), adapters, factor: 1.5, dropout };
      made.set(weight.name, adaptation);
      return adaptation;
    };
    const form = trainableForm(encoderGraph(config, REQUESTS[0]!), NO_DROPOUT, adapt);
    const graph = backward(form, {
      losses: [{ kind: 'squaredError', output: 'embedding' }],
      trainable: tensor => /[.][ab]$/.test(tensor),
    });
    // A and B of keys and values, and of both outputs, in each layer.
    expect(graph.gradients).toHaveLength(2 * 4 * config.layers);
    const { columns } = graph.ops.find(op => op.op === 'squaredError')!.logits;
    expectGradients(graph, drawnBatch(config, columns));
  });

  it('of the greatest numbers, where the tokens are far apart', () => {
    const config = readConfig(drawnConfig('bert', 2));
    const graph = stepOf(config, { pool: { pooling: ['max'], normalize: false } });
    const { columns } = graph.ops.find(op => op.op === 'squaredError')!.logits;
    // One token is the greatest of its own, however the weights change.
    expectGradients(graph, drawnBatch(config, columns).slice(0, 1));
  });

  it.each([
    { kind: 'ranking', texts: 3, factor: 5 },
    { kind: 'cosineError', texts: 2 },
    { kind: 'cosent', texts: 2, factor: 5 },
  ] as const)('of $texts texts a record: $kind, at three lengths of the embeddings', spec => {
    const config = readConfig(drawnConfig('bert', 1));
    const form = recordForm(trainableForm(encoderGraph(config, REQUESTS[0]!)), {
      output: 'embedding',
      columns: [undefined, 4, 7],
      normalize: true,
    });
    const losses = form.names.map((output, i) => ({ ...spec, output, weight: [1, 0.5, 2][i]! }));
    const graph = backward(form.graph, { losses, trainable: () => true });
    const records = 3;
    const batch = Array.from({ length: spec.texts }, () => drawnBatch(config, 1)).flat();
    const labelled = batch.map((sequence, i) => ({
      ...sequence,
      labels: i < records ? [spec.kind === 'ranking' ? i : [0.2, 0.9, 0.2][i]!] : undefined,
    }));
    expectGradients(graph, labelled);
  });

  it('a refusal lists the families that are trained', () => {
    expect(TRAINED_FAMILIES).toEqual(MODEL_TYPES);
  });

  it('computes nothing for what is below the trained weights', () => {
    const config = readConfig({ ...drawnConfig('bert', 1), num_hidden_layers: 3 });
    const form = trainableForm(encoderGraph(config, { head: { kind: 'SequenceClassification' } }));
    const opsOf = (trainable: (tensor: string) => boolean) =>
      backward(form, { losses: [{ kind: 'crossEntropy', output: 'logits' }], trainable })
        .ops.slice(form.ops.length)
        .map(({ op }) => op);
    expect(opsOf(tensor => tensor.startsWith('classifier'))).toEqual(['crossEntropy', 'linearWeight']);
    const last = opsOf(tensor => /^encoder\.layer\.2\.|^pooler|^classifier/.test(tensor));
    expect(last.filter(op => op === 'attentionBackward')).toHaveLength(2);
    expect(last).not.toContain('embedBackward');
  });
});
