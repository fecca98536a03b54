import { wrong } from '../errors.ts';
import { labelNames } from '../model/index.ts';
import { type ByTopK, type WithTruncated, withFacts } from './answers.ts';
import { choice, count, string, textList } from './arguments.ts';
import { FUNCTION_NAMES, ranked, type ScoreFunction, toScores } from './scores.ts';
import { logitsOf, OVERFLOW_OPTION_NAMES, type OverflowOptions, type RunOptions, Session } from './session.ts';
import { configuredActivation } from './text-ranking.ts';

export interface TextClassificationOptions {
  /** How many labels to report, the likeliest first; null for all. Default: 1. */
  top_k?: number | null;
  /** How logits become scores. Default: what the checkpoint's problem type and number of labels ask for. */
  function_to_apply?: ScoreFunction | null;
}

export interface Classification {
  label: string;
  score: number;
}

/** A text, or a text and its pair. */
export type ClassificationInput = string | { text: string; text_pair?: string | null };

/** A text, with its pair if it has one. */
interface TextWithPair {
  text: string;
  pair?: string | undefined;
}

/** Strings and `{ text, text_pair }`, one or a list, as a list. Throws InputError. */
export function textInputs(inputs: unknown): TextWithPair[] {
  return textList(inputs, (name, input) => {
    const fields: { text?: unknown; text_pair?: unknown } = typeof input === 'string' ? { text: input } : Object(input);
    if (fields.text === undefined) throw wrong(name, input, 'a string or { text, text_pair }');
    const text = string(`"text" of ${name}`, fields.text);
    const pair = fields.text_pair ?? undefined;
    // Python's tokenizers treat an empty pair of a single text as none.
    return { text, pair: (pair !== undefined && string(`"text_pair" of ${name}`, pair)) || undefined };
  });
}

/**
 * The options with the defaults of Python's pipeline: no function for a regression, sigmoid for several labels at once and for a
 * single logit, else softmax. `topK` is Infinity for all labels: their number would not do, since a model with one label would
 * then give the flat list of top_k 1. Throws InputError, UnsupportedError.
 */
export function classificationOptions(
  { top_k = 1, function_to_apply }: TextClassificationOptions,
  problemType: string | null | undefined,
  labels: number,
): { topK: number; scoreFunction: ScoreFunction } {
  const isIndependent = problemType === 'multi_label_classification' || labels === 1;
  const usual = problemType === 'regression' ? 'none' : isIndependent ? 'sigmoid' : 'softmax';
  return {
    topK: top_k === null ? Number.POSITIVE_INFINITY : count('top_k', top_k, { fallback: 1 }),
    scoreFunction: choice('function_to_apply', function_to_apply, { names: FUNCTION_NAMES, fallback: usual }),
  };
}

/** The `topK` likeliest labels of a text, likeliest first, from its logits [labels]. */
export function classify(
  logits: ArrayLike<number>,
  labels: readonly string[],
  { topK, scoreFunction }: { topK: number; scoreFunction: ScoreFunction },
): Classification[] {
  const scores = toScores(logits, scoreFunction);
  return ranked(scores, topK).map(i => ({ label: labels[i]!, score: scores[i]! }));
}

/** The lists of all texts in the shape of transformers.js: flat with a top_k of 1, else one list a text, or the list of the only text. */
export function shaped(
  lists: readonly Classification[][],
  isBatched: boolean,
  topK: number,
): Classification[] | Classification[][] {
  if (topK === 1) return lists.flat();
  return isBatched ? [...lists] : lists[0]!;
}

type Options = TextClassificationOptions & RunOptions & OverflowOptions;

/** Texts or pairs -> labels, as transformers.js's TextClassificationPipeline; pairs as Python's. */
export class TextClassification extends Session<'logits'> {
  /**
   * [{ label, score }] for one text, likeliest first. For a list of texts: with a top_k of 1 (the default) one label for each, else
   * a list of lists. With overflow 'window' the logits of a long text are the means of its windows' logits.
   * Throws InputError, UnsupportedError, CheckpointError, DeviceError, NotFiniteError, or the signal's reason.
   *
   *   await classifier('I like this!'); // [{ label: 'POSITIVE', score: 0.9998 }]
   *   await classifier({ text: 'a premise', text_pair: 'a hypothesis' }, { top_k: null });
   */
  _call(
    input: ClassificationInput,
    options?: Options | null,
  ): Promise<WithTruncated<Classification[], readonly boolean[]>>;
  _call<K extends number | null | undefined = undefined>(
    inputs: readonly ClassificationInput[],
    options?: (Options & { top_k?: K }) | null,
  ): Promise<WithTruncated<ByTopK<K, Classification[], Classification[][]>, readonly boolean[]>>;
  _call(
    inputs: ClassificationInput | readonly ClassificationInput[],
    options?: Options | null,
  ): Promise<WithTruncated<Classification[] | Classification[][], readonly boolean[]>>;
  async _call(
    inputs: ClassificationInput | readonly ClassificationInput[],
    options?: Options | null,
  ): Promise<WithTruncated<Classification[] | Classification[][], readonly boolean[]>> {
    const callOptions = this.checkedOptions(options, ['top_k', 'function_to_apply', ...OVERFLOW_OPTION_NAMES]);
    const { config } = this.engine;
    const labels = labelNames(config);
    // The config of a reranker may name the activation of its one logit.
    const configured = labels.length === 1 ? configuredActivation(config.raw) : undefined;
    const chosen = classificationOptions(
      { ...callOptions, function_to_apply: callOptions.function_to_apply ?? configured },
      config.problemType,
      labels.length,
    );
    const { results, facts } = await this.forward(
      {
        texts: textInputs(inputs),
        encode: ({ text, pair }) => this.encode(text, { ...callOptions, pair }),
        read: logitsOf,
      },
      callOptions,
    );
    const lists = results.map(windows => {
      const means = labels.map((_, i) => windows.reduce((sum, logits) => sum + logits[i]!, 0) / windows.length);
      return classify(means, labels, chosen);
    });
    return withFacts(shaped(lists, Array.isArray(inputs), chosen.topK), facts);
  }
}
