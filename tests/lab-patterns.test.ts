import { describe, expect, it } from 'vitest';
import {
  areTwins,
  PATTERNS,
  type PatternId,
  patternIndex,
  patternScores,
  patternText,
  strongestPattern,
} from '../examples/lab/attention/patterns.ts';
import type { AttentionToken } from '../examples/lab/attention/types.ts';

/** Tokens of a text and its pair, as "[CLS] the cat . [SEP] a cat [SEP]": one word each. */
function tokensOf(sequence: string): AttentionToken[] {
  let segment: 0 | 1 = 0;
  let word = 0;
  return sequence.split(' ').map(text => {
    if (text === '[CLS]') return { text, segment: null, special: 'start', word: null, wordText: '' };
    if (text === '[SEP]') {
      segment = 1;
      return { text, segment: null, special: 'end', word: null, wordText: '' };
    }
    return { text, segment, word: word++, wordText: text };
  });
}

/** A head's attention by a rule: the column that each row looks at. */
function looking(length: number, at: (row: number) => number): Float32Array {
  const map = new Float32Array(length * length);
  for (let i = 0; i < length; i++) map[i * length + Math.min(length - 1, Math.max(0, at(i)))] = 1;
  return map;
}

const even = (length: number) => new Float32Array(length * length).fill(1 / length);
const scoresOf = (map: Float32Array, tokens: AttentionToken[]) => {
  const scores = patternScores(map, patternText(tokens));
  return (id: PatternId) => scores[patternIndex(id)]!;
};

const tokens = tokensOf('[CLS] the cat saw , the cat . [SEP] the dog ran [SEP]');
const L = tokens.length;

describe('patterns of heads', () => {
  it.each([
    ['next', looking(L, i => i + 1)],
    ['previous', looking(L, i => i - 1)],
    ['start', looking(L, () => 0)],
    ['end', looking(L, () => 8)],
    ['punctuation', looking(L, () => 7)],
    ['other', looking(L, i => (i < 8 ? 10 : 2))],
    ['broad', even(L)],
  ] as const)('a head that does nothing but "%s" has a score of 1', (id, map) => {
    expect(scoresOf(map, tokens)(id)).toBeCloseTo(1, 5);
    expect(strongestPattern(Float32Array.from(patternScores(map, patternText(tokens))), 0)).toBe(id);
  });

  it('neighbours count within a text only: the first token of the pair has none before it', () => {
    const score = scoresOf(
      looking(L, i => (i === 9 ? 0 : i - 1)),
      tokens,
    );
    expect(score('previous')).toBe(1);
  });

  it('same word: what even attention would give is taken off', () => {
    expect(scoresOf(even(L), tokens)('same')).toBeCloseTo(0, 6);
    // "the" (1, 5, 9) and "cat" (2, 6) have twins; all of their attention on one of them.
    const twin = new Map([
      [1, 5],
      [5, 1],
      [9, 1],
      [2, 6],
      [6, 2],
    ]);
    const expected = (3 * (1 - 2 / L) + 2 * (1 - 1 / L)) / 5;
    expect(
      scoresOf(
        looking(L, i => twin.get(i) ?? 0),
        tokens,
      )('same'),
    ).toBeCloseTo(expected, 6);
  });

  it('pieces of one word are no twins, and marks are none', () => {
    const pieces: AttentionToken[] = [
      { text: 'play', segment: 0, word: 0, wordText: 'playing' },
      { text: 'ing', segment: 0, word: 0, wordText: 'playing' },
      { text: ',', segment: 0, word: 1, wordText: ',' },
      { text: ',', segment: 0, word: 2, wordText: ',' },
    ];
    expect(patternText(pieces).twins).toEqual([[], [], [], []]);
  });

  it.each([
    ['cat', 'cat', true],
    ['sleep', 'sleeps', true],
    ['walking', 'walked', true],
    ['cat', 'cats', false],
    ['inter', 'international', false],
    ['', '', false],
  ] as const)('twins: %s, %s: %s', (a, b, are) => {
    expect(areTwins(a, b)).toBe(are);
    expect(areTwins(b, a)).toBe(are);
  });

  it('no text, no scores: nothing is divided by nothing', () => {
    for (const few of [[], tokensOf('[CLS]'), tokensOf('[CLS] [SEP]')]) {
      expect(patternScores(even(few.length), patternText(few))).toEqual(PATTERNS.map(() => 0));
    }
  });

  it('every score lies in 0..1, and a head below all thresholds has no pattern', () => {
    const map = Float32Array.from({ length: L * L }, (_, k) => ((k * 7919) % 97) + 1);
    for (let i = 0; i < L; i++) {
      const row = map.subarray(i * L, (i + 1) * L);
      const sum = row.reduce((a, b) => a + b, 0);
      row.forEach((value, j) => {
        row[j] = value / sum;
      });
    }
    for (const score of patternScores(map, patternText(tokens))) {
      expect(score).toBeGreaterThanOrEqual(0);
      expect(score).toBeLessThanOrEqual(1);
    }
    expect(strongestPattern(new Float32Array(PATTERNS.length), 0)).toBeUndefined();
  });
});
