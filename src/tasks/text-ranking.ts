import { oneOf, UnsupportedError } from '../errors.ts';
import { isText } from '../json.ts';
import { choice, count, flag } from './arguments.ts';
import { ranked, toScores } from './scores.ts';

export interface TextRankingOptions {
  /** How many documents to report. Default: all. */
  top_k?: number | null;
  /** Whether `text` is reported. Default: false. */
  return_documents?: boolean;
  /** What makes a score of the model's one logit. Default: what the checkpoint names, else a sigmoid. */
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

/**
 * The activation that sentence-transformers wrote into a checkpoint, undefined where it wrote none: versions 6 on into
 * config_sentence_transformers.json (`own`), 4 and 5 into config.json as sentence_transformers.activation_fn, where null is none,
 * and those before as sbert_ce_default_activation_function. One that is no class of torch is passed over, as there.
 */
export function configuredActivation(
  config: Readonly<Record<string, unknown>>,
  own?: string,
): 'sigmoid' | 'none' | undefined {
  const isTorch = (path: unknown): path is string => isText(path) && path.startsWith('torch.');
  const inConfig = config.sentence_transformers;
  const isNew = typeof inConfig === 'object' && inConfig !== null && 'activation_fn' in inConfig;
  const older = isNew ? inConfig.activation_fn : config.sbert_ce_default_activation_function;
  const path = isTorch(own) ? own : older;
  if (!isTorch(path)) return undefined;
  const name = path.replace(/^torch\.nn\.(\w+\.)*/, '');
  const next = 'Pass `activation: "none"` for the raw scores.';
  const known = Object.keys(TORCH_NAMES) as (keyof typeof TORCH_NAMES)[];
  return TORCH_NAMES[oneOf(`the activation that ${path === own ? OWN_FILE : 'config.json'} names`, name, known, next)];
}

const OWN_FILE = 'config_sentence_transformers.json';

/** Options checked. Throws InputError, and UnsupportedError where the model has not one logit. */
export function rankingOptions(
  options: TextRankingOptions,
  config: Readonly<Record<string, unknown>>,
  labels: number,
  documents: number,
  own?: string,
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
      : (configuredActivation(config, own) ?? 'sigmoid'),
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
