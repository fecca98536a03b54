import type { AttentionToken } from './types.ts';

/**
 * What a head does on the text in view, as numbers: for each pattern the formula that is shown beside it, 0 to 1, over the rows i of
 * tokens of the text (added tokens are no rows). After the patterns of Vig ("Deconstructing BERT", 2019) and Clark et al. (2019,
 * arXiv 1906.04341).
 */

export interface Pattern {
  readonly id: PatternId;
  readonly title: string;
  /** One sentence: what a head that has it looks at. */
  readonly about: string;
  /** The formula of the score. A is the head's attention, from row i to column j, L the number of tokens. */
  readonly formula: string;
  /** From here on a head is said to have the pattern. */
  readonly threshold: number;
}

export const PATTERNS = [
  {
    id: 'next',
    title: 'Next token',
    about: 'Each token looks at the one after it.',
    formula: 'mean of A[i, i+1]',
    threshold: 0.4,
  },
  {
    id: 'previous',
    title: 'Previous token',
    about: 'Each token looks at the one before it.',
    formula: 'mean of A[i, i−1]',
    threshold: 0.4,
  },
  {
    id: 'same',
    title: 'Same or related word',
    about:
      'Words look at their twins: the same word elsewhere, or one that begins with the same four letters or more. What even attention would give is taken off.',
    formula: 'mean of Σ A[i, twins] − twins / L',
    threshold: 0.2,
  },
  {
    id: 'start',
    title: '[CLS]',
    about: 'Tokens look at the token that opens the sequence.',
    formula: 'mean of A[i, [CLS]]',
    threshold: 0.4,
  },
  {
    id: 'end',
    title: '[SEP]',
    about: 'Tokens look at the separators, which is often read as doing nothing.',
    formula: 'mean of Σ A[i, separators]',
    threshold: 0.5,
  },
  {
    id: 'punctuation',
    title: 'Punctuation',
    about: 'Tokens look at full stops, commas and other marks.',
    formula: 'mean of Σ A[i, marks]',
    threshold: 0.3,
  },
  {
    id: 'other',
    title: 'Other sentence',
    about: 'Tokens of one text look at tokens of the other.',
    formula: 'mean of Σ A[i, other text]',
    threshold: 0.45,
  },
  {
    id: 'broad',
    title: 'Broad',
    about: 'Attention is spread over the whole text, like a bag of words.',
    formula: 'mean entropy of row i / ln L',
    threshold: 0.85,
  },
] as const satisfies readonly (Omit<Pattern, 'id'> & { id: string })[];

export type PatternId = (typeof PATTERNS)[number]['id'];

const INDEX: ReadonlyMap<string, number> = new Map(PATTERNS.map(({ id }, i) => [id, i]));
export const patternIndex = (id: PatternId): number => INDEX.get(id)!;

const isPunctuation = (token: AttentionToken): boolean => token.word !== null && /^\p{P}+$/u.test(token.text);

/** Two words are twins if they are equal, or begin with the same four letters or more and differ only in an ending of at most four. */
export function areTwins(a: string, b: string): boolean {
  if (a === '' || b === '') return false;
  if (a === b) return true;
  let shared = 0;
  while (shared < a.length && a[shared] === b[shared]) shared++;
  return shared >= 4 && a.length - shared <= 4 && b.length - shared <= 4;
}

/** What the formulas need to know of a text; worked out once for all heads. */
export interface PatternText {
  readonly length: number;
  /** The tokens of the text. */
  readonly rows: readonly number[];
  /** Of each token, the columns of its twins; empty where it has none. */
  readonly twins: readonly (readonly number[])[];
  readonly start: readonly number[];
  readonly end: readonly number[];
  readonly marks: readonly number[];
  /** Of each token, the tokens of the other text; empty where there is one text only. */
  readonly other: readonly (readonly number[])[];
  readonly segments: readonly (0 | 1 | null)[];
}

export function patternText(tokens: readonly AttentionToken[]): PatternText {
  const all = [...tokens.keys()];
  const inText = (i: number) => tokens[i]!.word !== null;
  const rows = all.filter(inText);
  const isWord = rows.map(i => /\p{L}|\p{N}/u.test(tokens[i]!.wordText));
  const words = rows.filter((_, k) => isWord[k]);
  const twinsOf = (i: number) => {
    const { word, wordText } = tokens[i]!;
    return words.filter(j => tokens[j]!.word !== word && areTwins(tokens[j]!.wordText, wordText));
  };
  const otherOf = (i: number) => rows.filter(j => tokens[j]!.segment !== tokens[i]!.segment);
  const wordSet = new Set(words);
  return {
    length: tokens.length,
    rows,
    twins: all.map(i => (wordSet.has(i) ? twinsOf(i) : [])),
    start: all.filter(i => tokens[i]!.special === 'start'),
    end: all.filter(i => tokens[i]!.special === 'end'),
    marks: rows.filter(i => isPunctuation(tokens[i]!)),
    other: all.map(i => (inText(i) ? otherOf(i) : [])),
    segments: tokens.map(token => token.segment),
  };
}

/** The scores of one head, in the order of PATTERNS, from its attention [L, L]. All are 0 for a text without tokens. */
export function patternScores(map: Float32Array, text: PatternText): number[] {
  const { length: L, rows, twins, start, end, marks, other, segments } = text;
  const at = (i: number, j: number) => map[i * L + j] ?? 0;
  const sumAt = (i: number, columns: readonly number[]) => columns.reduce((sum, j) => sum + at(i, j), 0);
  const mean = (over: readonly number[], value: (i: number) => number) =>
    over.length === 0 ? 0 : over.reduce((sum, i) => sum + value(i), 0) / over.length;
  const neighbours = (step: 1 | -1) => rows.filter(i => segments[i + step] === segments[i]);
  const withTwins = rows.filter(i => twins[i]!.length > 0);
  const withOther = rows.filter(i => other[i]!.length > 0);
  const entropy = (i: number) => {
    let sum = 0;
    for (let j = 0; j < L; j++) {
      const a = at(i, j);
      if (a > 0) sum -= a * Math.log(a);
    }
    return sum / Math.log(L);
  };
  const scores: Record<PatternId, number> = {
    next: mean(neighbours(1), i => at(i, i + 1)),
    previous: mean(neighbours(-1), i => at(i, i - 1)),
    same: mean(withTwins, i => sumAt(i, twins[i]!) - twins[i]!.length / L),
    start: mean(rows, i => sumAt(i, start)),
    end: mean(rows, i => sumAt(i, end)),
    punctuation: mean(rows, i => sumAt(i, marks)),
    other: mean(withOther, i => sumAt(i, other[i]!)),
    broad: L > 1 ? mean(rows, entropy) : 0,
  };
  return PATTERNS.map(({ id }) => Math.min(1, Math.max(0, scores[id])));
}

/**
 * The pattern that a head is said to have: of those at or above their thresholds the one that is furthest on its way from there to 1;
 * undefined where there is none.
 * @param scores of all heads, [heads, PATTERNS.length] @param index of the head
 */
export function strongestPattern(scores: Float32Array, index: number): PatternId | undefined {
  let strongest: PatternId | undefined;
  let best = -1;
  for (const [k, { id, threshold }] of PATTERNS.entries()) {
    const excess = (scores[index * PATTERNS.length + k]! - threshold) / (1 - threshold);
    if (excess < 0 || excess <= best) continue;
    best = excess;
    strongest = id;
  }
  return strongest;
}
