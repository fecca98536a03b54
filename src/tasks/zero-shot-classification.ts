import { UnsupportedError, wrong } from '../errors.ts';
import { factsOf, type WithTruncated, withFacts } from './answers.ts';
import { flag, listOf, string, textList } from './arguments.ts';
import { ranked, softmax } from './scores.ts';
import { logitsOf, type RunOptions, Session } from './session.ts';

export interface ZeroShotOptions {
  /** The sentence that the model judges; each label in turn replaces "{}". Default: "This example is {}.". */
  hypothesis_template?: string;
  /** Whether several labels may be true at once; each is then judged alone. Default: false. */
  multi_label?: boolean;
  /**
   * The model's label that says that a hypothesis is true, for a checkpoint whose labels have no names (LABEL_0, LABEL_1, ...). Default:
   * the first that begins with "entail". Python and transformers.js have no such option: they take the last label, or the third.
   */
  entailment_label?: string | null;
}

export interface ZeroShotResult {
  sequence: string;
  /** Likeliest first. */
  labels: string[];
  /** In the order of `labels`. They sum to 1, unless `multi_label` is set. */
  scores: number[];
}

/** A list of labels, or one string with commas between them, as a list. Throws InputError. */
export function candidateLabels(labels: unknown): string[] {
  const list = typeof labels === 'string' ? labels.split(',').flatMap(label => label.trim() || []) : labels;
  return listOf('candidate_labels', list, string);
}

/** The options with their defaults, and the hypothesis of every label. Throws InputError. */
export function zeroShotOptions(labels: readonly string[], options: ZeroShotOptions) {
  const template = string('hypothesis_template', options.hypothesis_template ?? 'This example is {}.');
  if (!template.includes('{}')) {
    throw wrong('hypothesis_template', template, 'a sentence with {} where a label goes');
  }
  return {
    hypotheses: labels.map(label => template.replaceAll('{}', () => label)),
    multiLabel: flag('multi_label', options.multi_label, false),
  };
}

/** The indices of two logits of a model of natural language inference: the hypothesis is true, and it is false. */
export interface EntailmentIds {
  entailment: number;
  contradiction: number;
}

/**
 * Finds both labels by name in the config's `label2id`, or, if that is empty, in its `id2label`; the first that matches. If no label
 * is named contradiction, it is as in Python the first logit, or the last if the first is the entailment.
 * Throws UnsupportedError if no label is named entailment, InputError if there is no label `chosen`.
 * @param chosen the name of the entailment
 */
export function entailmentIds(
  label2id: unknown,
  labels: readonly (string | undefined)[],
  chosen?: string | null,
): EntailmentIds {
  const named = Object.entries((label2id ?? {}) as Record<string, number>);
  const entries =
    named.length > 0
      ? named
      : labels.flatMap((label, id): [string, number][] => (label === undefined ? [] : [[label, id]]));
  const find = (name: RegExp) => entries.find(([label, id]) => name.test(label) && id >= 0 && id < labels.length)?.[1];
  const names = entries.map(([label]) => label).join(', ');
  const isChosen = chosen !== undefined && chosen !== null;
  const entailment = isChosen ? labelId(entries, labels, string('entailment_label', chosen)) : find(/^entail/i);
  if (entailment === undefined && isChosen)
    throw wrong('entailment_label', chosen, `one of the model's labels: ${names}`);
  if (entailment === undefined) {
    throw new UnsupportedError({
      what: 'the model has no label "entailment", so it cannot judge hypotheses',
      actual: names,
      supported: ['entailment', 'contradiction', 'neutral'],
      next:
        'Take a checkpoint for natural language inference (MNLI, XNLI). If this is one, pass entailment_label: the label that its ' +
        'model card calls the entailment.',
    });
  }
  return { entailment, contradiction: find(/^(contradict|not_entail)/i) ?? (entailment === 0 ? labels.length - 1 : 0) };
}

/** The id of the label with this name. */
const labelId = (
  entries: readonly [label: string, id: number][],
  labels: readonly (string | undefined)[],
  name: string,
): number | undefined => entries.find(([label, id]) => label === name && id >= 0 && id < labels.length)?.[1];

/**
 * The labels of one text, likeliest first, from the logits of its hypotheses: one row for each label. With several labels at once
 * (or one in all) each score is a softmax of entailment and contradiction, else a softmax of the entailments of all labels.
 */
export function zeroShot(
  { sequence, labels, logits }: { sequence: string; labels: readonly string[]; logits: readonly ArrayLike<number>[] },
  { entailment, contradiction, multiLabel }: EntailmentIds & { multiLabel: boolean },
): ZeroShotResult {
  const scores =
    multiLabel || labels.length === 1
      ? logits.map(row => softmax([row[contradiction]!, row[entailment]!])[1]!)
      : softmax(logits.map(row => row[entailment]!));
  const order = ranked(scores);
  return { sequence, labels: order.map(i => labels[i]!), scores: order.map(i => scores[i]!) };
}

/** The remedy in the error for a hypothesis that alone has more tokens than the model takes. */
const SHORTER = 'Shorten the label or hypothesis_template: of text and hypothesis only the text is cut.';

type Options = ZeroShotOptions & RunOptions;

/** Texts and labels -> which label fits, by a model of natural language inference; transformers.js's ZeroShotClassificationPipeline. */
export class ZeroShotClassification extends Session<'logits'> {
  /**
   * { sequence, labels, scores } for a text, likeliest label first; a list of these for a list of texts. All pairs of texts and
   * labels run together. `candidate_labels` may be one string with commas between the labels.
   * Throws InputError, UnsupportedError (a model without a label "entailment": see `entailment_label`), DeviceError, NotFiniteError, or the signal's reason.
   *
   *   await classifier('I have a problem with my phone', ['urgent', 'not urgent'], { multi_label: true });
   */
  _call(
    text: string,
    candidate_labels: string | readonly string[],
    options?: Options | null,
  ): Promise<WithTruncated<ZeroShotResult, boolean>>;
  _call(
    texts: readonly string[],
    candidate_labels: string | readonly string[],
    options?: Options | null,
  ): Promise<WithTruncated<ZeroShotResult, boolean>[]>;
  _call(
    texts: string | readonly string[],
    candidate_labels: string | readonly string[],
    options?: Options | null,
  ): Promise<WithTruncated<ZeroShotResult, boolean> | WithTruncated<ZeroShotResult, boolean>[]>;
  async _call(
    texts: string | readonly string[],
    candidate_labels: string | readonly string[],
    options?: Options | null,
  ): Promise<WithTruncated<ZeroShotResult, boolean> | WithTruncated<ZeroShotResult, boolean>[]> {
    const callOptions = this.checkedOptions(options, ['hypothesis_template', 'multi_label', 'entailment_label']);
    const labels = candidateLabels(candidate_labels);
    const { hypotheses, multiLabel } = zeroShotOptions(labels, callOptions);
    const { config } = this.engine;
    const ids = entailmentIds(config.raw.label2id, config.labels, callOptions.entailment_label);
    const list = textList(texts, string);
    const { results, facts } = await this.forward(
      {
        texts: list,
        // Only the text is cut, the hypothesis stays whole: Python's only_first.
        encode: text =>
          hypotheses.flatMap(pair => this.encode(text, { pair, truncation: 'only_first', remedy: SHORTER })),
        read: logitsOf,
      },
      callOptions,
    );
    const answers = list.map((sequence, i) =>
      withFacts(zeroShot({ sequence, labels, logits: results[i]! }, { ...ids, multiLabel }), factsOf(facts, i)),
    );
    return Array.isArray(texts) ? answers : answers[0]!;
  }
}
