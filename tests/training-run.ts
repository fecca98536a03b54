import { existsSync, readFileSync } from 'node:fs';
import {
  backward,
  countItems,
  IGNORED,
  type LabelledSequence,
  type LossSpec,
  scalesOf,
  type TrainingGraph,
  trainableForm,
} from '../src/gradients/index.ts';
import { checkSequence, type EncoderConfig, encoderGraph, type HeadKind, paddingRows } from '../src/model/index.ts';
import type { Weight } from '../src/plan/index.ts';
import { folderSource, loadCheckpoint } from './checkpoint-folder.ts';
import { interpretTraining } from './gradient-interpreter.ts';
import { denseWeight, interpret, type Matrix, type TensorData } from './interpreter.ts';

/** Whole training runs in float64, by the interpreter: what torch's are held against, and what a device's are. */

/** A run of torch (tests/fixtures/training). */
export interface TrainingFixture {
  readonly model: string;
  readonly head: string;
  readonly args: Readonly<Record<string, number | string>>;
  readonly data: readonly Example[];
  readonly losses: readonly number[];
  readonly grad_norms: readonly number[];
  readonly first_gradients: Readonly<Record<string, readonly number[]>>;
  readonly probe: Example;
  readonly after: Readonly<Record<string, readonly number[]>>;
}

/** As transformers names its fields. */
export interface Example {
  readonly input_ids: readonly number[];
  readonly token_type_ids?: readonly number[];
  readonly labels?: number | readonly number[];
  readonly next_sentence_label?: number;
  readonly start_positions?: number;
  readonly end_positions?: number;
}

const fixtures = new URL('./fixtures/', import.meta.url);

export const readFixture = (name: string): TrainingFixture =>
  JSON.parse(readFileSync(new URL(`training/${name}.json`, fixtures), 'utf8'));

/** The checkpoint that a run began with. */
export async function fixtureModel(model: string) {
  const folders = [new URL(`random/${model}/`, fixtures), new URL(`training/models/${model}/`, fixtures)];
  return loadCheckpoint(folderSource(folders.find(existsSync)!));
}

const HEADS = [
  'SequenceClassification',
  'TokenClassification',
  'QuestionAnswering',
  'MaskedLM',
  'PreTraining',
] as const satisfies HeadKind[];

export const headKindOf = (head: string): (typeof HEADS)[number] => HEADS.find(kind => head.endsWith(kind))!;

/** The losses of a head, by what its labels are. */
export function lossesOf(kind: HeadKind, example: Example): LossSpec[] {
  const output = 'logits';
  switch (kind) {
    case 'SequenceClassification': {
      const { labels } = example;
      if (Array.isArray(labels)) return [{ kind: 'binaryCrossEntropy', output }];
      return [{ kind: Number.isInteger(labels) ? 'crossEntropy' : 'squaredError', output }];
    }
    case 'QuestionAnswering':
      return [{ kind: 'spanCrossEntropy', output }];
    case 'PreTraining':
      return [
        { kind: 'crossEntropy', output },
        { kind: 'crossEntropy', output: 'seq_relationship_logits', labels: 'next_sentence_label' },
      ];
    default:
      return [{ kind: 'crossEntropy', output }];
  }
}

/** The graph of a step of a head. */
export function stepGraph(config: EncoderConfig, kind: HeadKind, example: Example): TrainingGraph {
  const picked = kind === 'MaskedLM' || kind === 'PreTraining';
  const graph = encoderGraph(config, { head: { kind, ...(picked && { picked }) } });
  return backward(trainableForm(graph), {
    losses: lossesOf(kind, example),
    trainable: () => true,
    padding: paddingRows(config),
  });
}

/** An example as the model reads it. */
export function labelled(config: EncoderConfig, kind: HeadKind, example: Example): LabelledSequence {
  const { input_ids, token_type_ids, labels, next_sentence_label, start_positions, end_positions } = example;
  const ids = [...input_ids];
  const classes = (labels === undefined ? [] : [labels].flat()).map(label => (label === -100 ? IGNORED : label));
  const isPicked = kind === 'MaskedLM' || kind === 'PreTraining';
  const masked = isPicked ? classes.flatMap((label, i) => (label === IGNORED ? [] : [i])) : undefined;
  const sequence = checkSequence(config, {
    ids,
    ...(token_type_ids && { types: [...token_type_ids] }),
    ...(masked && { masked }),
  });
  return {
    ...sequence,
    labels: masked ? masked.map(i => classes[i]!) : classes,
    next_sentence_label,
    span: start_positions === undefined ? undefined : [start_positions, end_positions!],
  };
}

/** Tensors that a run trains, by canonical name, in float64. */
export type Tensors = Map<string, { readonly shape: readonly number[]; readonly data: Float64Array }>;

/** The tensors of weights, copied, so that training does not change the checkpoint. */
export function tensorsOf(weights: readonly Weight[], lookup: (tensor: string) => TensorData): Tensors {
  const names = new Set(weights.flatMap(({ parts }) => parts.map(({ tensor }) => tensor)));
  return new Map(
    [...names].map(name => {
      const { shape, data } = lookup(name);
      return [name, { shape, data: Float64Array.from(data) }];
    }),
  );
}

/** Gradients of weights as gradients of tensors. The place of each number is found by numbering those of the tensors. */
export function tensorGradients(gradients: ReadonlyMap<Weight, Matrix>, tensors: Tensors): Map<string, Float64Array> {
  const found = new Map<string, Float64Array>();
  for (const [weight, matrix] of gradients) {
    for (const part of weight.parts) {
      const { shape, data } = tensors.get(part.tensor)!;
      const numbers = { shape, data: data.map((_, i) => i + 1) };
      const places = denseWeight({ ...weight, parts: [part] }, () => numbers);
      const gradient = found.get(part.tensor) ?? new Float64Array(data.length);
      places.data.forEach((place, i) => {
        if (place > 0) gradient[place - 1]! += matrix.data[i]!;
      });
      found.set(part.tensor, gradient);
    }
  }
  return found;
}

/** The state of torch.optim.AdamW (Loshchilov and Hutter, arXiv 1711.05101). */
export class AdamW {
  readonly #moments = new Map<string, { m: Float64Array; v: Float64Array }>();
  #step = 0;

  step(tensors: Tensors, gradients: ReadonlyMap<string, Float64Array>, rate: number, decay: (name: string) => number) {
    this.#step++;
    const [c1, c2] = [1 - 0.9 ** this.#step, 1 - 0.999 ** this.#step];
    for (const [name, gradient] of gradients) {
      const { data } = tensors.get(name)!;
      const { m, v } = this.#moments.get(name) ?? {
        m: new Float64Array(data.length),
        v: new Float64Array(data.length),
      };
      this.#moments.set(name, { m, v });
      for (let i = 0; i < data.length; i++) {
        data[i]! *= 1 - rate * decay(name);
        m[i] = 0.9 * m[i]! + 0.1 * gradient[i]!;
        v[i] = 0.999 * v[i]! + 0.001 * gradient[i]! ** 2;
        data[i]! -= (rate / c1) * (m[i]! / (Math.sqrt(v[i]!) / Math.sqrt(c2) + 1e-8));
      }
    }
  }
}

export interface FixtureRun {
  readonly losses: readonly number[];
  readonly norms: readonly number[];
  /** The gradients of the first step, by the names that the file has. */
  readonly first: ReadonlyMap<string, Float64Array>;
  /** The outputs for the probe after the last step. */
  readonly after: ReadonlyMap<string, Matrix>;
}

/** A fixture's run, step by step as torch took it. */
export async function runFixture(fixture: TrainingFixture): Promise<FixtureRun> {
  const { args, data, model, probe } = fixture;
  const { config, tensors: lookup } = await fixtureModel(model);
  const kind = headKindOf(fixture.head);
  const graph = stepGraph(config, kind, probe);
  const tensors = tensorsOf(graph.gradients, lookup);
  const find = (name: string) => tensors.get(name) ?? lookup(name);
  const micro = Number(args.per_device_train_batch_size);
  const perStep = micro * Number(args.gradient_accumulation_steps);
  const [steps, warmup] = [Number(args.max_steps), Number(args.warmup_steps)];
  const sequences = data.map(example => labelled(config, kind, example));
  const losses: number[] = [];
  const norms: number[] = [];
  let first: Map<string, Float64Array> | undefined;
  const optimizer = new AdamW();
  for (let step = 0; step < steps; step++) {
    const batch = Array.from({ length: perStep }, (_, i) => sequences[(step * perStep + i) % sequences.length]!);
    const scales = scalesOf(countItems(graph.ops, batch));
    const gradients = new Map<Weight, Matrix>();
    let loss = 0;
    for (let at = 0; at < perStep; at += micro) {
      loss += interpretTraining(graph, { tensors: find, batch: batch.slice(at, at + micro), scales, gradients }).loss;
    }
    const byTensor = tensorGradients(gradients, tensors);
    first ??= new Map([...byTensor].map(([name, gradient]) => [lookup(name).name, gradient.slice()]));
    const norm = Math.sqrt([...byTensor.values()].reduce((sum, g) => sum + g.reduce((s, v) => s + v * v, 0), 0));
    const clip = Math.min(1, Number(args.max_grad_norm) / (norm + 1e-6));
    for (const gradient of byTensor.values()) for (let i = 0; i < gradient.length; i++) gradient[i]! *= clip;
    losses.push(loss);
    norms.push(norm);
    const rate = Number(args.learning_rate) * (step < warmup ? step / warmup : (steps - step) / (steps - warmup));
    const decay = (name: string) => (/bias|norm/i.test(name) ? 0 : Number(args.weight_decay));
    optimizer.step(tensors, byTensor, rate, decay);
  }
  const { outputs } = interpret(encoderGraph(config, { head: { kind } }), find, [labelled(config, kind, probe)]);
  return { losses, norms, first: first!, after: outputs };
}
