import { oneOf, UnsupportedError } from '../errors.ts';
import { isText } from '../json.ts';
import { labelCount } from '../model/index.ts';
import { type WithTruncated, withFacts } from './answers.ts';
import { choice, count, flag, listOf, string } from './arguments.ts';
import { lowerCased, PROMPT_OPTION_NAMES, type PromptOptions, promptOf } from './prompts.ts';
import { ranked, toScores } from './scores.ts';
import { logitsOf, type RunOptions, Session } from './session.ts';

export interface TextRankingOptions {
  /** How many documents to report. Default: all. */
  top_k?: number | null;
  /** Whether `text` is reported. Default: false. */
  return_documents?: boolean;
  /** How the model's one logit becomes a score. Default: what the checkpoint names, else a sigmoid. */
  activation?: 'sigmoid' | 'none' | null;
}

export interface RankedDocument {
  /** The document's index in the list that was passed. */
  corpus_id: number;
  score: number;
  text?: string;
}

const ACTIVATION_NAMES = ['sigmoid', 'none'] as const;
type Activation = (typeof ACTIVATION_NAMES)[number];
/** The classes of torch that are built. */
const TORCH_ACTIVATIONS: Readonly<Record<string, Activation>> = { Sigmoid: 'sigmoid', Identity: 'none' };
const SENTENCE_FILE = 'config_sentence_transformers.json';

/**
 * The activation that sentence-transformers wrote into a checkpoint; undefined if it wrote none. Versions 6 and later write it to
 * config_sentence_transformers.json, 4 and 5 to config.json as sentence_transformers.activation_fn (null means none), earlier ones
 * to config.json as sbert_ce_default_activation_function. A name that is not a class of torch is ignored, as there.
 * Throws UnsupportedError for a class of torch that is not built.
 * @param config config.json
 * @param sentenceActivation the activation in config_sentence_transformers.json
 */
export function configuredActivation(
  config: Readonly<Record<string, unknown>>,
  sentenceActivation?: string,
): Activation | undefined {
  const isTorch = (path: unknown): path is string => isText(path) && path.startsWith('torch.');
  const field = config.sentence_transformers;
  const hasField = typeof field === 'object' && field !== null && 'activation_fn' in field;
  const configActivation = hasField ? field.activation_fn : config.sbert_ce_default_activation_function;
  const [path, file] = isTorch(sentenceActivation)
    ? [sentenceActivation, SENTENCE_FILE]
    : [configActivation, 'config.json'];
  if (!isTorch(path)) return undefined;
  const className = path.replace(/^torch\.nn\.(\w+\.)*/, '');
  const next = 'Pass `activation: "none"` for the raw scores.';
  return TORCH_ACTIVATIONS[oneOf(`the activation that ${file} names`, className, Object.keys(TORCH_ACTIVATIONS), next)];
}

/** What is known of a model and of the documents, for the defaults of the options. */
interface RankingFacts {
  /** config.json */
  config: Readonly<Record<string, unknown>>;
  labels: number;
  documents: number;
  /** The activation in config_sentence_transformers.json. */
  sentenceActivation?: string | undefined;
}

/** The options with their defaults. Throws InputError, and UnsupportedError if the model has more or less than one logit. */
export function rankingOptions(
  options: TextRankingOptions,
  { config, labels, documents, sentenceActivation }: RankingFacts,
): { topK: number; withText: boolean; activation: Activation } {
  if (labels !== 1) {
    throw new UnsupportedError({
      what: 'only a model with one label ranks documents',
      actual: `${labels} labels`,
      supported: ['cross-encoders with one label'],
      next: 'Use text-classification with { text, text_pair }.',
    });
  }
  return {
    topK: count('top_k', options.top_k, { fallback: documents }),
    withText: flag('return_documents', options.return_documents, false),
    activation: options.activation
      ? choice('activation', options.activation, { names: ACTIVATION_NAMES, fallback: 'none' })
      : (configuredActivation(config, sentenceActivation) ?? 'sigmoid'),
  };
}

/** Documents by score, best first, from the one logit of each; as sentence-transformers' CrossEncoder.rank. */
export function rank(
  logits: ArrayLike<number>,
  documents: readonly string[],
  { topK, withText, activation }: { topK: number; withText: boolean; activation: Activation },
): RankedDocument[] {
  const scores = toScores(logits, activation);
  return ranked(scores, topK).map(i => {
    const document = { corpus_id: i, score: scores[i]! };
    return withText ? { ...document, text: documents[i]! } : document;
  });
}

/** A query and documents -> the documents by score, as sentence-transformers' CrossEncoder.rank. */
export class TextRanking extends Session<'logits'> {
  /**
   * [{ corpus_id, score, text? }], best first. `truncated` is in the order of `documents`: whether each, with the query, was cut. A
   * prompt (of the call, else the checkpoint's default) is put before the query.
   * Throws InputError, UnsupportedError, CheckpointError, DeviceError, NotFiniteError, or the signal's reason.
   *
   *   await ranker('Who wrote it?', ['It was written by José.', 'It rains.'], { return_documents: true });
   */
  async _call(
    query: string,
    documents: readonly string[],
    options?: (TextRankingOptions & PromptOptions & RunOptions) | null,
  ): Promise<WithTruncated<RankedDocument[], readonly boolean[]>> {
    const callOptions = this.checkedOptions(options, [
      'top_k',
      'return_documents',
      'activation',
      ...PROMPT_OPTION_NAMES,
    ]);
    const texts = listOf('documents', documents, string);
    string('query', query);
    const { config } = this.engine;
    const settings = await this.sentence.settings;
    const chosen = rankingOptions(callOptions, {
      config: config.raw,
      labels: labelCount(config),
      documents: texts.length,
      sentenceActivation: settings.activation,
    });
    const prompt = await promptOf(callOptions, () => this.sentence.settings, true);
    const { maxLength, lowerCase } = settings;
    const cased = (text: string) => (lowerCase ? lowerCased(text, this.tokenizer.all_special_tokens) : text);
    const promptedQuery = cased(prompt + query);
    const { results, facts } = await this.forward(
      {
        texts,
        encode: document => this.encode(promptedQuery, { pair: cased(document), maxLength }),
        read: logitsOf,
      },
      callOptions,
    );
    const logits = results.map(([window]) => window![0]!);
    return withFacts(rank(logits, texts, chosen), facts);
  }
}
