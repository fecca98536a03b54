import type { Engine } from '../engine/index.ts';
import { InputError } from '../errors.ts';
import type { TrainingGraph } from '../gradients/index.ts';
import type { EncoderConfig } from '../model/index.ts';
import type { Trainable } from './argument-values.ts';

/** What is known of a model before it is trained: its config, and the tensors of its files. */
export type TrainedModel = Pick<Engine, 'config' | 'tensors'>;

/** The names that a tensor of the model has in the files, by its canonical name; two where it is a part of each. */
export function fileNames({ tensors }: Pick<TrainedModel, 'tensors'>): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const { info, views, isOnHost } of tensors) {
    if (isOnHost) continue;
    for (const canonical of views.keys()) names.set(canonical, [...(names.get(canonical) ?? []), info.name]);
  }
  return names;
}

/** Everything that is not in the encoder itself: the pooler belongs to what is trained on top of it. */
const isHead = (tensor: string): boolean => !/^(embeddings|encoder)\./.test(tensor);

/**
 * Whether a tensor is trained, by its canonical name: what TrainingArguments.trainable says of a model. Throws InputError where that is no
 * tensor at all, or where layers that are trained share their weights with layers that are not.
 */
export function trainedTensors(model: TrainedModel, trainable: Trainable): (tensor: string) => boolean {
  const names = fileNames(model);
  const trains = ruleOf(model.config, trainable, names);
  if ([...names.keys()].some(trains)) return trains;
  const some = [...names.values()].flat();
  throw new InputError({
    what: 'nothing of this model would be trained',
    actual: asText(trainable),
    expected: `a choice that holds for some of its tensors: ${some.slice(0, 3).join(', ')}, …, ${some.at(-1)}`,
  });
}

const asText = (trainable: Trainable): string =>
  `trainable: ${trainable instanceof RegExp ? trainable : JSON.stringify(trainable)}`;

/**
 * A step that trains something. Throws InputError for one without a gradient: files may have tensors that a loss does not read, such as the
 * pooler of an embedder that takes the mean.
 */
export function checkedStep<Graph extends Pick<TrainingGraph, 'gradients'>>(graph: Graph, trainable: Trainable): Graph {
  if (graph.gradients.length > 0) return graph;
  throw new InputError({
    what: 'nothing of this model would be trained',
    actual: `${asText(trainable)}, whose tensors the loss does not read`,
    expected: "'all', { last_layers: n }, or a pattern of tensors that it reads",
    next: 'Choose other tensors. An embedder has no head: its pooler is read only where its pooling does.',
  });
}

function ruleOf(
  config: EncoderConfig,
  trainable: Trainable,
  names: ReadonlyMap<string, readonly string[]>,
): (tensor: string) => boolean {
  if (trainable === 'all') return () => true;
  if (trainable === 'head') return isHead;
  if (trainable instanceof RegExp) {
    // Without the flags that make `test` go on where the last one ended.
    const pattern = new RegExp(trainable.source, trainable.flags.replace(/[gy]/g, ''));
    return tensor => names.get(tensor)?.some(name => pattern.test(name)) ?? false;
  }
  const { layerWeights } = config;
  const first = Math.max(0, layerWeights.length - trainable.last_layers);
  const last = new Set(layerWeights.slice(first));
  const shared = layerWeights.slice(0, first).find(weights => last.has(weights));
  if (shared !== undefined) {
    throw new InputError({
      what: 'the last layers of this model share their weights with the layers before',
      actual: `trainable: { last_layers: ${trainable.last_layers} }`,
      expected: "'all', 'head', or a pattern",
    });
  }
  const prefixes = [...last].map(weights => `encoder.layer.${weights}.`);
  return tensor => isHead(tensor) || prefixes.some(prefix => tensor.startsWith(prefix));
}

/** The learning rates of a run: the group of a tensor is its place in the list. */
export interface LearningRates {
  readonly rates: readonly number[];
  /** By the canonical name of a tensor. */
  group(tensor: string): number;
}

/**
 * The groups of learning rates: `learning_rate`, then those of `learning_rate_mapping`, whose patterns are held against the names in the
 * files, of adapters with those of their files; the first that matches counts. Throws InputError for a pattern that matches nothing.
 */
export function learningRates(
  model: Pick<TrainedModel, 'tensors'>,
  { learning_rate, learning_rate_mapping }: { learning_rate: number; learning_rate_mapping: Record<string, number> },
  adapters: ReadonlyMap<string, string[]> = new Map(),
): LearningRates {
  const names = new Map([...fileNames(model), ...adapters]);
  const groups = Object.entries(learning_rate_mapping).map(([source, rate]) => ({ pattern: new RegExp(source), rate }));
  for (const { pattern } of groups) {
    if ([...names.values()].flat().some(name => pattern.test(name))) continue;
    throw new InputError({
      what: 'a pattern of learning_rate_mapping matches no tensor of this model',
      actual: pattern.source,
      expected: `a part of names such as ${[...names.values()].flat().slice(-3).join(', ')}`,
    });
  }
  return {
    rates: [learning_rate, ...groups.map(({ rate }) => rate)],
    group: tensor =>
      1 + groups.findIndex(({ pattern }) => names.get(tensor)?.some(name => pattern.test(name)) ?? false),
  };
}
