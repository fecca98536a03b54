import type {
  LabelledSequence,
  PackOptions,
  TrainingGraph,
  UpdateOptions,
  WeightMerge,
} from '../src/gradients/index.ts';
import type { Weight } from '../src/plan/index.ts';
import { pcg4d } from '../src/random.ts';
import type { TrainingSession } from '../src/training/session.ts';
import { type DropoutPlace, interpretTraining } from './gradient-interpreter.ts';
import type { Matrix, TensorData } from './interpreter.ts';
import { tensorGradients, tensorsOf } from './training-tensors.ts';
import { type AdamWState, adamw, clip } from './update-reference.ts';

/** The tensors of a model, which a training changes in place. */
export type FloatTensors = (tensor: string) => { readonly shape: readonly number[]; readonly data: Float32Array };

/** The state of what was counted, in float64. */
const COUNTS = 'scalars';

/**
 * A training by the interpreter: float64, with weights and moments kept in float32 as a device keeps them. A Trainer on it does in Node what
 * it does in a page.
 */
export function cpuTraining(
  weights: FloatTensors,
  graph: TrainingGraph,
  update: UpdateOptions,
  merges: readonly WeightMerge[],
): TrainingSession {
  const lookup = (tensor: string): TensorData => weights(tensor);
  const names = [...tensorsOf(graph.gradients, lookup).keys()].filter(name => update.tensor(name));
  const moments = new Map<string, Float32Array<ArrayBuffer>>(
    names.flatMap(name =>
      ['m', 'v'].map(kind => [`${kind} of ${name}`, new Float32Array(weights(name).data.length)] as const),
    ),
  );
  let gradients = new Map<Weight, Matrix>();
  const counted = { loss: 0, droppedLosses: 0, norm: 0, consecutiveSkips: 0, longestSkips: 0, skips: 0 };
  let stepLoss = 0;
  return {
    microBatchRoom: () => () => true,
    reserve: async () => undefined,
    async begin() {
      gradients = new Map();
      stepLoss = 0;
    },
    async accumulate(batch: readonly LabelledSequence[], { scales, step, seed, numbers }: PackOptions) {
      const factor = ({ site, probability }: { site: number; probability: number }, place: DropoutPlace) => {
        const { sequence, ...rest } = place;
        const [a = 0, b = 0, c = 0] = Object.values(rest);
        const inner = pcg4d([a, b, c, site])[0];
        const [word] = pcg4d([inner, numbers?.[sequence] ?? sequence, step, seed]);
        return word < probability * 2 ** 32 ? 0 : 1 / (1 - probability);
      };
      stepLoss += interpretTraining(graph, { tensors: lookup, batch, scales, gradients, factor }).loss;
    },
    async update(values) {
      const tensors = tensorsOf(graph.gradients, lookup);
      const byTensor = tensorGradients(gradients, tensors);
      for (const name of byTensor.keys()) if (!update.tensor(name)) byTensor.delete(name);
      const { norm, factor } = clip(
        [...byTensor.values()].flatMap(gradient => [...gradient]),
        update.maxNorm,
      );
      counted.norm = norm;
      if (!Number.isFinite(norm)) {
        counted.skips++;
        counted.consecutiveSkips++;
        counted.longestSkips = Math.max(counted.longestSkips, counted.consecutiveSkips);
        counted.droppedLosses++;
        return;
      }
      if (Number.isFinite(stepLoss)) counted.loss += stepLoss;
      else counted.droppedLosses++;
      counted.consecutiveSkips = 0;
      const t = values.step! - counted.skips;
      for (const [name, gradient] of byTensor) {
        const { group, decay } = update.tensor(name)!;
        const [m, v] = [moments.get(`m of ${name}`)!, moments.get(`v of ${name}`)!];
        const { data } = weights(name);
        const state: AdamWState = { weight: Float64Array.from(data), m: Float64Array.from(m), v: Float64Array.from(v) };
        adamw(
          state,
          gradient.map(g => g * factor),
          t,
          { ...update, decay, learningRate: values[`rate ${group}`]! },
        );
        data.set(state.weight);
        m.set(state.m);
        v.set(state.v);
      }
      mergeOnCpu(weights, merges);
    },
    async scalars() {
      const now = { ...counted };
      Object.assign(counted, { loss: 0, droppedLosses: 0, longestSkips: 0 });
      return now;
    },
    kept: [
      ...[...moments].map(([name, { byteLength }]) => ({ name, bytes: byteLength })),
      { name: COUNTS, bytes: 8 * Object.keys(counted).length },
    ],
    readState: async name =>
      name === COUNTS ? new Float32Array(Float64Array.from(Object.values(counted)).buffer) : moments.get(name)!.slice(),
    writeState(name, numbers) {
      if (name !== COUNTS) return moments.get(name)!.set(numbers);
      const values = new Float64Array(numbers.buffer);
      for (const [i, key] of Object.keys(counted).entries()) counted[key as keyof typeof counted] = values[i]!;
    },
    finish: async () => undefined,
    bytes: () => 0,
    destroy: () => undefined,
  };
}

/** target = base + factor (the sum of b a), tensor by tensor, computed in float64. */
export function mergeOnCpu(weights: FloatTensors, merges: readonly WeightMerge[]): void {
  for (const { target, base, adapters, factor } of merges) {
    target.parts.forEach(({ tensor, rowOffset }, i) => {
      const { shape, data } = weights(tensor);
      const merged = Float64Array.from(weights(base.parts[i]!.tensor).data);
      const columns = shape[1]!;
      for (const { a, b } of adapters) {
        const part = b.parts.find(other => other.rowOffset === rowOffset);
        if (!part) continue;
        const [left, right] = [weights(part.tensor), weights(a.parts[0]!.tensor)];
        const rank = left.shape[1]!;
        for (let at = 0; at < merged.length; at++) {
          const [row, column] = [Math.floor(at / columns), at % columns];
          for (let k = 0; k < rank; k++) {
            merged[at]! += factor * left.data[row * rank + k]! * right.data[k * columns + column]!;
          }
        }
      }
      data.set(merged);
    });
  }
}
