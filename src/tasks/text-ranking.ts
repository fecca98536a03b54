import { oneOf, UnsupportedError } from '../errors.ts';
import { choice, count, flag } from './arguments.ts';
import { ranked, toScores } from './scores.ts';

export interface TextRankingOptions {
  /** How many documents to report. Default: all. */
  top_k?: number | null;
  /** Whether `text` is reported. Default: false. */
  return_documents?: boolean;
  /** What makes a score of the model's one logit. Default: what the checkpoint's config names, else a sigmoid. */
  activation?: 'sigmoid' | 'none' | null;
}

export interface RankedDocument {
  /** The document's place in the list that was given. */
  corpus_id: number;
  score: number;
  text?: string;
}

const ACTIVATIONS = ['sigmoid', 'none'] as const;
const TORCH_NAMES = { Sigmoid: 'sigmoid', Identity: 'none' } as const;

/** The activation that sentence-transformers wrote into a config.json, undefined where it wrote none. */
export function configuredActivation(config: Readonly<Record<string, unknown>>): 'sigmoid' | 'none' | undefined {
  const own = config.sentence_transformers as { activation_fn?: unknown } | undefined;
  const path = own?.activation_fn ?? config.sbert_ce_default_activation_function;
  if (path === undefined || path === null) return undefined;
  const name = typeof path === 'string' ? path.replace(/^torch\.nn\.(\w+\.)*/, '') : path;
  const next = 'Pass `activation: "none"` for the raw scores.';
  const known = Object.keys(TORCH_NAMES) as (keyof typeof TORCH_NAMES)[];
  return TORCH_NAMES[
    oneOf<unknown>('the activation that config.json names', name, known, next) as (typeof known)[number]
  ];
}

/** Options checked. Throws InputError, and UnsupportedError where the model has not one logit. */
export function rankingOptions(
  options: TextRankingOptions,
  config: Readonly<Record<string, unknown>>,
  labels: number,
  documents: number,
) {
  if (labels !== 1) {
    throw new UnsupportedError({
      what: 'only a model with one label ranks documents',
      actual: `${labels} labels`,
      supported: ['cross-encoders with one label'],
      next: 'Use text-classification with { text, text_pair }.',
    });
  }
  return {
    topK: count('top_k', options.top_k, documents),
    withText: flag('return_documents', options.return_documents, false),
    activation: options.activation
      ? choice('activation', options.activation, ACTIVATIONS, 'none')
      : (configuredActivation(config) ?? 'sigmoid'),
  };
}

/** Documents by score, best first, from the one logit of each; as sentence-transformers' CrossEncoder.rank. */
export function rank(
  logits: ArrayLike<number>,
  documents: readonly string[],
  { topK, withText, activation }: { topK: number; withText: boolean; activation: 'sigmoid' | 'none' },
): RankedDocument[] {
  const scores = toScores(logits, activation);
  return ranked(scores, topK).map(i => {
    const found = { corpus_id: i, score: scores[i]! };
    return withText ? { ...found, text: documents[i]! } : found;
  });
}
