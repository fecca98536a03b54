import { describe, InputError, UnsupportedError } from '../errors.ts';
import { GivenFields } from './given-fields.ts';

/** How two embeddings are compared: by the cosine of their angle, or by their dot product. */
export type SimilarityFunction = 'cos_sim' | 'dot_score';

const SIMILARITIES: readonly SimilarityFunction[] = ['cos_sim', 'dot_score'];

export interface MultipleNegativesRankingLossInit {
  /** What similarities are multiplied by; greater than 0. Default: 20. */
  scale?: number;
  /** Default: 'cos_sim'. With 'dot_score' take a scale of 1. */
  similarity_fct?: SimilarityFunction;
}

/**
 * Each anchor is to be nearer to its own positive than to all positives and negatives of its batch: the cross-entropy of `scale` times their
 * similarities. Records have two texts or more, in this order: anchor, positive, negatives; and no label. Source: sentence-transformers.
 */
export class MultipleNegativesRankingLoss {
  readonly scale: number;
  readonly similarity_fct: SimilarityFunction;

  /** Throws InputError for an option that there is not, or with a value that it cannot have. */
  constructor(options?: MultipleNegativesRankingLossInit) {
    const given = new GivenFields('MultipleNegativesRankingLoss', options);
    given.checkNames(['scale', 'similarity_fct']);
    this.scale = scaleOf(given);
    this.similarity_fct = given.choice('similarity_fct', 'cos_sim', SIMILARITIES);
  }
}

/** The mean squared error of the cosine of two texts and the label of their record, a number. Source: sentence-transformers. */
export class CosineSimilarityLoss {
  /** Throws InputError for an option: it has none. */
  constructor(options?: Readonly<Record<string, never>>) {
    new GivenFields('CosineSimilarityLoss', options).checkNames([]);
  }
}

export interface CoSENTLossInit {
  /** What cosines are multiplied by; greater than 0. Default: 20. */
  scale?: number;
}

/**
 * Of any two records of a batch the one with the greater label is to have the greater cosine of its two texts. Labels are numbers of which
 * only the order counts. Source: sentence-transformers.
 */
export class CoSENTLoss {
  readonly scale: number;

  /** Throws InputError for an option that there is not, or with a value that it cannot have. */
  constructor(options?: CoSENTLossInit) {
    const given = new GivenFields('CoSENTLoss', options);
    given.checkNames(['scale']);
    this.scale = scaleOf(given);
  }
}

/** A loss of whole embeddings. */
export type EmbeddingLoss = MultipleNegativesRankingLoss | CosineSimilarityLoss | CoSENTLoss;

export interface MatryoshkaLossInit {
  /** The loss that each length has. */
  loss: EmbeddingLoss;
  /** How many of the first columns of the embeddings are kept: one number or more, all different, none larger than the embedding. */
  matryoshka_dims: readonly number[];
  /** What the loss at each length is multiplied by, in the order of `matryoshka_dims`. Default: 1 each. */
  matryoshka_weights?: readonly number[] | null;
}

/**
 * The sum of a loss over several lengths of the embeddings: their first columns alone, so that embeddings may be cut. Source:
 * sentence-transformers.
 */
export class MatryoshkaLoss {
  readonly loss: EmbeddingLoss;
  /** The longest first. */
  readonly matryoshka_dims: readonly number[];
  readonly matryoshka_weights: readonly number[];

  /** Throws InputError for an option that there is not, or with a value that it cannot have; UnsupportedError for another loss. */
  constructor(options: MatryoshkaLossInit) {
    const given = new GivenFields('MatryoshkaLoss', options);
    given.checkNames(['loss', 'matryoshka_dims', 'matryoshka_weights']);
    const loss = given.value('loss');
    if (!isEmbeddingLoss(loss)) throw noEmbeddingLoss(loss);
    const dims = listOf(given, 'matryoshka_dims', 'whole numbers of at least 1, all different', isLength);
    const isDistinct = new Set(dims).size === dims.length;
    if (dims.length === 0 || !isDistinct) {
      throw wrongList('matryoshka_dims', dims, 'one whole number or more of at least 1, all different');
    }
    const weights = given.value('matryoshka_weights')
      ? listOf(given, 'matryoshka_weights', 'finite numbers', Number.isFinite)
      : dims.map(() => 1);
    if (weights.length !== dims.length) {
      throw wrongList('matryoshka_weights', weights, `${dims.length} numbers, one for each of matryoshka_dims`);
    }
    const pairs = dims.map((dim, i) => ({ dim, weight: weights[i]! })).sort((a, b) => b.dim - a.dim);
    this.loss = loss;
    this.matryoshka_dims = pairs.map(({ dim }) => dim);
    this.matryoshka_weights = pairs.map(({ weight }) => weight);
  }
}

/** What an embedder is trained with. */
export type EmbedderLoss = EmbeddingLoss | MatryoshkaLoss;

const EMBEDDING_LOSSES = [MultipleNegativesRankingLoss, CosineSimilarityLoss, CoSENTLoss] as const;

const isEmbeddingLoss = (loss: unknown): loss is EmbeddingLoss => EMBEDDING_LOSSES.some(kind => loss instanceof kind);

/** Whether something is a loss of embedders. */
export const isEmbedderLoss = (loss: unknown): loss is EmbedderLoss =>
  loss instanceof MatryoshkaLoss || isEmbeddingLoss(loss);

/** The error for what is no loss of embedders. */
export const noEmbeddingLoss = (loss: unknown): UnsupportedError =>
  new UnsupportedError({
    what: 'this is no loss of embeddings',
    actual: describe(loss),
    supported: EMBEDDING_LOSSES.map(({ name }) => name),
    next: 'Make one with `new`, such as new MultipleNegativesRankingLoss().',
  });

function scaleOf(given: GivenFields): number {
  const scale = given.number('scale', 20, { min: 0 });
  if (scale > 0) return scale;
  throw new InputError({ what: 'scale is wrong', actual: describe(scale), expected: 'a number greater than 0' });
}

const isLength = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 1;

function listOf(given: GivenFields, name: string, expected: string, isFine: (value: unknown) => boolean): number[] {
  const value = given.value(name);
  if (Array.isArray(value) && value.every(isFine)) return [...value] as number[];
  throw wrongList(name, value, `a list of ${expected}`);
}

const wrongList = (name: string, value: unknown, expected: string): InputError =>
  new InputError({ what: `${name} is wrong`, actual: describe(value), expected });
