import { existsSync, readFileSync } from 'node:fs';
import { countItems, type LabelledSequence, NO_DROPOUT, scalesOf, type TrainingGraph } from '../src/gradients/index.ts';
import { type EncoderConfig, encoderGraph, type HeadKind } from '../src/model/index.ts';
import type { Weight } from '../src/plan/index.ts';
import type { TrainingExample } from '../src/training/example.ts';
import { labelledSequence, taskGraph, taskOf } from '../src/training/task.ts';
import { folderSource, type LoadedCheckpoint, loadCheckpoint } from './checkpoint-folder.ts';
import { preparedTensors } from './checkpoint-tensors.ts';
import { interpretTraining } from './gradient-interpreter.ts';
import { interpret, type Matrix } from './interpreter.ts';
import { AdamW, tensorGradients, tensorsOf } from './training-tensors.ts';

/** Whole training runs in float64, by the interpreter: what torch's are held against, and what a device's are. */

/** A run of torch (tests/fixtures/training). */
export interface TrainingFixture {
  readonly model: string;
  readonly head: string;
  readonly args: Readonly<Record<string, number | string>>;
  readonly data: readonly TrainingExample[];
  readonly losses: readonly number[];
  readonly grad_norms: readonly number[];
  readonly first_gradients: Readonly<Record<string, readonly number[]>>;
  readonly probe: TrainingExample;
  readonly after: Readonly<Record<string, readonly number[]>>;
}

const fixtures = new URL('./fixtures/', import.meta.url);

export const readFixture = (name: string): TrainingFixture =>
  JSON.parse(readFileSync(new URL(`training/${name}.json`, fixtures), 'utf8'));

/** The checkpoint that a run began with. */
export async function fixtureModel(model: string) {
  const folders = [new URL(`training/models/${model}/`, fixtures), new URL(`random/${model}/`, fixtures)];
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

/** The task of a fixture, and its step as a graph. */
export function fixtureTask(config: EncoderConfig, { head, probe }: Pick<TrainingFixture, 'head' | 'probe'>) {
  const task = taskOf(config, headKindOf(head), probe);
  return { task, graph: taskGraph(task, { trainable: () => true, dropout: NO_DROPOUT }) };
}

export interface FixtureRun {
  readonly losses: readonly number[];
  readonly norms: readonly number[];
  /** The gradients of the first step, by the names that the file has. */
  readonly first: ReadonlyMap<string, readonly number[]>;
  /** The outputs for the probe after the last step. */
  readonly after: ReadonlyMap<string, Matrix>;
}

/** A fixture's run, step by step as torch took it. */
export async function runFixture(fixture: TrainingFixture): Promise<FixtureRun> {
  const { args, data, model, probe } = fixture;
  const { config, tensors: lookup } = await fixtureModel(model);
  const kind = headKindOf(fixture.head);
  const { task, graph } = fixtureTask(config, fixture);
  const micro = Number(args.per_device_train_batch_size);
  const parts = Number(args.gradient_accumulation_steps);
  const sequences = data.map(example => labelledSequence(task, example));
  const { find, first, losses, norms } = runSteps(graph, lookup, args, step =>
    Array.from({ length: parts }, (_, part) =>
      Array.from({ length: micro }, (_, i) => sequences[((step * parts + part) * micro + i) % sequences.length]!),
    ),
  );
  // What a model computes once of its weights is computed again.
  const prepared = preparedTensors(config, find);
  const now = (name: string) => prepared.get(name) ?? find(name);
  const { outputs } = interpret(encoderGraph(config, { head: { kind } }), now, [labelledSequence(task, probe)]);
  const byFile = new Map<string, number[]>();
  for (const [canonical, gradient] of first) {
    const { name, shape, fileRow } = lookup(canonical);
    const whole = byFile.get(name) ?? [];
    byFile.set(name, whole);
    const columns = gradient.length / shape[0]!;
    gradient.forEach((v, i) => {
      whole[fileRow(Math.floor(i / columns)) * columns + (i % columns)] = v;
    });
  }
  return { losses, norms, first: byFile, after: outputs };
}

/**
 * The steps of a run, each of the micro-batches that `batchesOf` gives. `first` are the gradients of the first step by canonical name, `find`
 * has the tensors as they are after the last one.
 */
export function runSteps(
  graph: TrainingGraph,
  lookup: LoadedCheckpoint['tensors'],
  args: TrainingFixture['args'],
  batchesOf: (step: number) => readonly (readonly LabelledSequence[])[],
) {
  const tensors = tensorsOf(graph.gradients, lookup);
  const find = (name: string) => tensors.get(name) ?? lookup(name);
  const [steps, warmup] = [Number(args.max_steps), Number(args.warmup_steps)];
  const losses: number[] = [];
  const norms: number[] = [];
  let first: Map<string, Float64Array> | undefined;
  const optimizer = new AdamW();
  for (let step = 0; step < steps; step++) {
    const batches = batchesOf(step);
    const scales = scalesOf(countItems(graph.ops, batches.flat()));
    const gradients = new Map<Weight, Matrix>();
    let loss = 0;
    for (const batch of batches) loss += interpretTraining(graph, { tensors: find, batch, scales, gradients }).loss;
    const byTensor = tensorGradients(gradients, tensors);
    first ??= new Map([...byTensor].map(([name, gradient]) => [name, gradient.slice()]));
    const norm = Math.sqrt([...byTensor.values()].reduce((sum, g) => sum + g.reduce((s, v) => s + v * v, 0), 0));
    const clip = Math.min(1, Number(args.max_grad_norm) / (norm + 1e-6));
    for (const gradient of byTensor.values()) for (let i = 0; i < gradient.length; i++) gradient[i]! *= clip;
    losses.push(loss);
    norms.push(norm);
    const rate = Number(args.learning_rate) * (step < warmup ? step / warmup : (steps - step) / (steps - warmup));
    const decay = (name: string) => (/bias|norm/i.test(name) ? 0 : Number(args.weight_decay));
    optimizer.step(tensors, byTensor, rate, decay);
  }
  return { losses, norms, first: first!, find };
}
