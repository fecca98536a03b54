import { TrainingDevice } from '../../src/gpu/index.ts';
import { MeasuredPace } from '../../src/gpu/measured-pace.ts';
import { WeightStore } from '../../src/gpu/weights.ts';
import {
  backward,
  gradientName,
  type LabelledSequence,
  NO_DROPOUT,
  packTraining,
  planTraining,
  planUpdate,
  trainableForm,
} from '../../src/gradients/index.ts';
import { MODEL_TYPES, readConfig } from '../../src/model/config.ts';
import { checkSequence, encoderGraph } from '../../src/model/index.ts';
import { drawnConfig, picker } from '../../tests/drawn-configs.ts';
import { interpretTraining } from '../../tests/gradient-interpreter.ts';
import type { TensorData } from '../../tests/interpreter.ts';
import { tensorGradients, tensorsOf } from '../../tests/training-tensors.ts';
import { random, testGpu } from '../dispatch.ts';
import { check, expect } from '../harness.ts';

/**
 * The gradients of every family in shapes that nobody trains, with random weights: what this device computes against the float64
 * interpreter, whose gradients are differences of its losses (tests/gradients.test.ts).
 */

/** Families that are not trained: some op of theirs has no gradient. */
const REFUSED = ['deberta', 'deberta-v2'];

/**
 * Of the largest number of a tensor, of a whole model in float32. What is far smaller than the largest of all is measured by a share of that,
 * and what is 0 in theory, as of key biases, which shift all scores of a query, by that itself: it is as far off as sums of other gradients
 * round.
 */
const TOLERANCE = 5e-5;
const LEAST_SHARE = 1e-3;
/** A gradient that float64 does not tell from 0, of the largest of all. */
const ZERO = 1e-12;

const LENGTHS = [1, 40, 7, 65];

/** Random numbers that keep values of the order of 1: the rows of a matrix have about length 1, and scales are about 1. */
function randomTensor(tensor: string, shape: readonly number[], seed: number): TensorData {
  const count = shape.reduce((a, b) => a * b);
  const data = random(seed)(count, shape.length > 1 ? 1 / Math.sqrt(shape[1]!) : 0.3);
  return { shape, data: /norm.*weight$/i.test(tensor) ? data.map(v => v + 1) : data };
}

const largest = (numbers: Float64Array): number => numbers.reduce((most, v) => Math.max(most, Math.abs(v)), 0);

/** Of the family whose kernels no other has, more shapes: windows of 1, 3 and 9 neighbours, one head and several. */
const DRAWS: Readonly<Record<string, readonly number[]>> = { convbert: [1, 2, 3, 4] };

const shapes = MODEL_TYPES.filter(type => !REFUSED.includes(type)).flatMap(modelType =>
  (DRAWS[modelType] ?? [1]).map(draw => ({ modelType, draw })),
);

for (const { modelType, draw } of shapes) {
  check(`${modelType}, drawn shape ${draw}: every gradient`, async log => {
    const raw = drawnConfig(modelType, draw);
    log(JSON.stringify(raw));
    const config = readConfig(raw);
    const pick = picker('tokens');
    const request = { pool: { pooling: 'mean', normalize: true } } as const;
    const graph = backward(trainableForm(encoderGraph(config, request), NO_DROPOUT), {
      losses: [{ kind: 'squaredError', output: 'embedding' }],
      trainable: () => true,
    });
    const { columns } = graph.ops.find(op => op.op === 'squaredError')!.logits;
    const batch = LENGTHS.map((length): LabelledSequence => {
      const ids = Array.from({ length }, () => pick(3, config.vocabSize - 1));
      const types = ids.map(() => pick(0, Math.max(0, config.typeVocabSize - 1)));
      const labels = Array.from({ length: columns }, () => pick(-10, 10) / 10);
      return { ...checkSequence(config, { ids, types }), labels };
    });
    const scales = { labels: 1, next_sentence_label: 0 };
    const { gpu, pipelines } = await testGpu();
    const { device, caps } = gpu;
    const plan = planTraining(graph, caps);
    const weights = new WeightStore(device, pipelines);
    await weights.allocate(plan.weights);
    const tensors = new Map<string, TensorData>();
    for (const { tensor, shape } of plan.weights.flatMap(({ parts }) => parts)) {
      if (tensors.has(tensor)) continue;
      const made = randomTensor(tensor, shape, tensors.size + 1);
      tensors.set(tensor, made);
      const bytes = new Uint8Array(Float32Array.from(made.data).buffer);
      await weights.write({ tensor, stored: 'F32', begin: 0, bytes });
    }
    await weights.finish();
    const update = planUpdate(plan.gradients, {
      kind: 'torch',
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      maxNorm: 1,
      tensor: () => ({ group: 0, decay: 0 }),
    });
    const { signal } = new AbortController();
    const pacer = new MeasuredPace(caps);
    const training = await TrainingDevice.create({ device, plan, update, weights, pipelines, signal, pacer });
    await training.begin();
    await training.accumulate(packTraining(plan, batch, { scales, step: 0, seed: 0 }));
    const lookup = (tensor: string) => tensors.get(tensor)!;
    const before = tensorsOf(graph.gradients, lookup);
    const expected = tensorGradients(interpretTraining(graph, { tensors: lookup, batch, scales }).gradients, before);
    const read = await Promise.all(
      graph.gradients.map(async weight => {
        const data = Float64Array.from(await training.readState(gradientName(weight)));
        return [weight, { rows: weight.height, columns: weight.stride, data }] as const;
      }),
    );
    const actual = tensorGradients(new Map(read), before);
    training.destroy();
    weights.destroy();
    const ofAll = Math.max(...[...expected.values()].map(largest));
    let worst = 0;
    for (const [tensor, gradient] of expected) {
      const own = largest(gradient);
      const most = own < ZERO * ofAll ? ofAll : Math.max(own, LEAST_SHARE * ofAll);
      const found = actual.get(tensor)!;
      const difference = gradient.reduce((far, v, i) => Math.max(far, Math.abs(v - found[i]!)), 0) / most;
      expect(difference <= TOLERANCE, `the gradient of ${tensor} is off by ${difference} of ${most}`);
      worst = Math.max(worst, difference);
    }
    log(`${expected.size} tensors, largest difference ${worst.toExponential(1)}`);
  });
}
