import { InputError, UnsupportedError } from '../errors.ts';
import {
  type Adapt,
  backward,
  type DropoutRates,
  IGNORED,
  type LabelledSequence,
  type LossSpec,
  type TrainingGraph,
  trainableForm,
} from '../gradients/index.ts';
import {
  checkSequence,
  type EncoderConfig,
  encoderGraph,
  type HeadKind,
  headOf,
  labelCount,
  paddingRows,
  preparationsOf,
} from '../model/index.ts';
import { IGNORED_LABEL, type TrainingExample } from './example.ts';
import { type ProblemType, problemTypeOf } from './labels.ts';

/** What a head is trained for: transformers' `problem_type` for classifiers of sequences, and one for each of the other heads. */
export type Problem = ProblemType | 'tokens' | 'answers' | 'masked_lm' | 'pre_training' | 'next_sentence';

/** A head and its problem: everything that says how an example is labelled, and what the loss is. */
export interface TrainingTask {
  readonly config: EncoderConfig;
  readonly head: HeadKind;
  readonly problem: Problem;
}

/**
 * The task of a model with a head. That of a classifier of sequences is what `problemTypeOf` concludes. Throws UnsupportedError for a head that
 * has no loss here, and InputError for a problem_type that there is not.
 */
export function taskOf(config: EncoderConfig, head: HeadKind | undefined, example: TrainingExample): TrainingTask {
  if (!head) throw noLoss('a model without a head');
  const kind = headOf(config, head);
  switch (kind) {
    case 'SequenceClassification':
      return { config, head: kind, problem: problemTypeOf(config, example.labels, 0) };
    case 'TokenClassification':
      return { config, head: kind, problem: 'tokens' };
    case 'QuestionAnswering':
      return { config, head: kind, problem: 'answers' };
    case 'MaskedLM':
      return { config, head: kind, problem: 'masked_lm' };
    case 'NextSentencePrediction':
      return { config, head: kind, problem: 'next_sentence' };
    case 'PreTraining':
      if (config.modelType === 'electra') throw noLoss('the discriminator of ELECTRA');
      return { config, head: kind, problem: 'pre_training' };
    case 'MultipleChoice':
      throw noLoss('a head for multiple choice');
    default:
      return kind satisfies never;
  }
}

const noLoss = (actual: string): UnsupportedError =>
  new UnsupportedError({
    what: 'this model has no loss to be trained with',
    actual,
    next: 'Load it with one of these classes.',
    supported: ['SequenceClassification', 'TokenClassification', 'QuestionAnswering', 'MaskedLM', 'PreTraining'].map(
      kind => `AutoModelFor${kind}`,
    ),
  });

/** Heads that are computed for the labelled tokens alone. */
export const isPicked = (problem: Problem): boolean => problem === 'masked_lm' || problem === 'pre_training';

/** The losses of a problem. */
function lossesOf(problem: Problem, { smoothing = 0, classWeights }: LossSettings): LossSpec[] {
  const output = 'logits';
  switch (problem) {
    case 'single_label_classification':
    case 'tokens':
      return [{ kind: 'crossEntropy', output, smoothing, classWeights }];
    case 'masked_lm':
    case 'next_sentence':
      return [{ kind: 'crossEntropy', output, smoothing }];
    case 'multi_label_classification':
      return [{ kind: 'binaryCrossEntropy', output }];
    case 'regression':
      return [{ kind: 'squaredError', output }];
    case 'answers':
      return [{ kind: 'spanCrossEntropy', output }];
    case 'pre_training':
      return [
        { kind: 'crossEntropy', output, smoothing },
        { kind: 'crossEntropy', output: 'seq_relationship_logits', labels: 'next_sentence_label' },
      ];
    default:
      return problem satisfies never;
  }
}

/** How losses count classes. */
export interface LossSettings {
  /** The share of the target that goes to all classes alike. Default: 0. */
  readonly smoothing?: number;
  /** See classWeightsOf. Default: 1. */
  readonly classWeights?: readonly number[] | undefined;
}

/**
 * The weights of the classes of a task, checked: one for each label of the model. Throws InputError for a task whose loss has no classes of
 * its own, and for another number of weights.
 */
export function classWeightsOf(
  { config, problem }: TrainingTask,
  weights: readonly number[] | undefined,
): readonly number[] | undefined {
  if (weights === undefined) return undefined;
  if (problem !== 'single_label_classification' && problem !== 'tokens') {
    throw new InputError({
      what: 'class_weights are for classifiers of sequences and of tokens, with one label each',
      actual: `a model that is trained for ${problem}`,
      next: 'Leave class_weights out.',
    });
  }
  const count = labelCount(config);
  if (weights.length === count) return weights;
  throw new InputError({
    what: 'class_weights are not one for each label of the model',
    actual: `${weights.length} numbers`,
    expected: `${count}, in the order of id2label`,
  });
}

/**
 * `label_smoothing_factor`, for a loss that has one. Throws InputError for a task whose targets are no classes of one choice, where it would
 * change nothing.
 */
export function smoothingOf({ problem }: TrainingTask, factor: number): number {
  const hasNone = problem === 'multi_label_classification' || problem === 'regression' || problem === 'answers';
  if (factor === 0 || !hasNone) return factor;
  throw new InputError({
    what: 'label_smoothing_factor is for models that choose one of several labels',
    actual: `a model that is trained for ${problem}`,
    next: 'Leave label_smoothing_factor out.',
  });
}

export interface GraphOptions extends LossSettings {
  /** Whether a tensor is trained, by its canonical name. */
  readonly trainable: (tensor: string) => boolean;
  readonly dropout: DropoutRates;
  /** The adapters of linears. Default: none. */
  readonly adapt?: Adapt | undefined;
}

/** A whole training step of a task as a graph. */
export function taskGraph({ config, head: kind, problem }: TrainingTask, options: GraphOptions): TrainingGraph {
  const { trainable, dropout, adapt } = options;
  const graph = encoderGraph(config, { head: { kind, ...(isPicked(problem) && { picked: true }) } });
  return backward(trainableForm(graph, dropout, adapt, preparationsOf(config)), {
    losses: lossesOf(problem, options),
    trainable,
    padding: paddingRows(config),
  });
}

/** An example as the model reads it, without labels. Throws InputError where numbers are out of range. */
export const unlabelledSequence = (
  { config }: TrainingTask,
  { input_ids, token_type_ids }: TrainingExample,
): LabelledSequence =>
  checkSequence(config, { ids: [...input_ids], ...(token_type_ids && { types: [...token_type_ids] }) });

/**
 * An example as the model reads it, with its labels. Throws InputError where numbers are out of range or labels are none; `name` says which
 * example it is.
 */
export function labelledSequence(task: TrainingTask, example: TrainingExample, name = 'an example'): LabelledSequence {
  const { config, problem } = task;
  const { input_ids, token_type_ids, labels, next_sentence_label, start_positions, end_positions } = example;
  const ids = [...input_ids];
  const wrong = (field: string, actual: unknown, expected: string) =>
    new InputError({
      what: `"${field}" of ${name} is no label of this model`,
      actual: actual === undefined ? 'nothing' : JSON.stringify(actual),
      expected,
      next: 'Correct the record, or leave it out.',
    });
  const given = token_type_ids && { types: [...token_type_ids] };
  const plain = () => checkSequence(config, { ids, ...given });
  const classOf = (field: string, value: unknown, count: number): number => {
    if (Number.isInteger(value) && (value as number) >= 0 && (value as number) < count) return value as number;
    throw wrong(field, value, `a whole number from 0 to ${count - 1}`);
  };
  const numbersOf = (field: string, value: unknown, count: number): number[] => {
    const list = [value].flat();
    if (list.length === count && list.every(v => typeof v === 'number' && Number.isFinite(v))) return list as number[];
    throw wrong(field, value, `${count} finite number${count === 1 ? '' : 's'}`);
  };
  /** A class for each token, or IGNORED. */
  const tokenClasses = (count: number): number[] => {
    if (!Array.isArray(labels) || labels.length !== ids.length) {
      throw wrong('labels', labels, `${ids.length} numbers, one for each token`);
    }
    return labels.map(label => (label === IGNORED_LABEL ? IGNORED : classOf('labels', label, count)));
  };
  const nextSentence = () => classOf('next_sentence_label', next_sentence_label, 2);
  switch (problem) {
    case 'single_label_classification':
      return { ...plain(), labels: [classOf('labels', labels, labelCount(config))] };
    case 'multi_label_classification':
    case 'regression':
      return { ...plain(), labels: numbersOf('labels', labels, labelCount(config)) };
    case 'tokens':
      return { ...plain(), labels: tokenClasses(labelCount(config)) };
    case 'next_sentence':
      return { ...plain(), labels: [nextSentence()] };
    case 'answers': {
      const place = (field: string, value: unknown) =>
        value === IGNORED_LABEL ? IGNORED : classOf(field, value, ids.length);
      return { ...plain(), span: [place('start_positions', start_positions), place('end_positions', end_positions)] };
    }
    case 'masked_lm':
    case 'pre_training': {
      const classes = tokenClasses(config.vocabSize);
      const masked = classes.flatMap((label, i) => (label === IGNORED ? [] : [i]));
      return {
        ...checkSequence(config, { ids, ...given, masked }),
        labels: masked.map(i => classes[i]!),
        ...(problem === 'pre_training' && { next_sentence_label: nextSentence() }),
      };
    }
    default:
      return problem satisfies never;
  }
}
