import { describe, expect, test } from 'vitest';
import { InputError, UnsupportedError } from '../src/errors.ts';
import { type Crf, marginals, viterbi } from '../src/tasks/crf.ts';
import { type Entity, mergeEntities } from '../src/tasks/entities.ts';
import { classifyTokens, tokenClassificationOptions } from '../src/tasks/token-classification.ts';
import { random } from './checkpoint-bytes.ts';

describe('token-classification', () => {
  const labels = ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC'];
  const text = 'Anna Bo saw Rome';
  const encoding = {
    ids: [1, 10, 11, 12, 3, 13, 2],
    tokens: ['[CLS]', 'An', '##na', 'Bo', '[UNK]', 'Rome', '[SEP]'],
    offsets: [
      [0, 0],
      [0, 2],
      [2, 4],
      [5, 7],
      [8, 11],
      [12, 16],
      [0, 0],
    ] as [number, number][],
    specialTokensMask: [1, 0, 0, 0, 0, 0, 1],
  };
  const join = (tokens: readonly string[]) => tokens.join(' ').replaceAll(' ##', '');
  const model = { labels, unkId: 3, marksSubwords: true, join };
  // The probability of each token's first and second label.
  const rows = [
    [0, 0.9, 1],
    [1, 0.5, 3],
    [4, 0.8, 2],
    [2, 0.7, 0],
    [0, 0.9, 1],
    [3, 0.6, 1],
    [0, 0.9, 1],
  ];
  const logits = Float64Array.from(
    rows.flatMap(([label, p, other]) =>
      labels.map((_, i) => Math.log(i === label ? p! : i === other ? (1 - p!) * 0.9 : ((1 - p!) * 0.1) / 3)),
    ),
  );
  const run = (options: Parameters<typeof tokenClassificationOptions>[0]) =>
    classifyTokens({ text, encoding, logits }, model, tokenClassificationOptions(options));
  const groups = (entities: readonly Entity[]) =>
    entities.map(({ entity_group, word, start, end }) => [entity_group, word, start, end]);

  test('none: tokens as they are, special and ignored ones left out', () => {
    const entities = run({});
    expect(entities.map(({ entity, index, word }) => [entity, index, word])).toEqual([
      ['B-PER', 1, 'An'],
      ['I-LOC', 2, '##na'],
      ['I-PER', 3, 'Bo'],
      ['B-LOC', 5, 'Rome'],
    ]);
    expect(entities[0]!.score).toBeCloseTo(0.5, 12);
  });

  test('nothing ignored: an unknown token shows its text', () => {
    expect(run({ ignore_labels: [] }).map(({ word }) => word)).toEqual(['An', '##na', 'Bo', 'saw', 'Rome']);
  });

  test('simple: neighbours of one tag', () => {
    expect(groups(run({ aggregation_strategy: 'simple' }))).toEqual([
      ['PER', 'An', 0, 2],
      ['LOC', '##na', 2, 4],
      ['PER', 'Bo', 5, 7],
      ['LOC', 'Rome', 12, 16],
    ]);
  });

  test.each([
    ['first', 'PER', (0.5 + 0.7) / 2],
    ['max', 'LOC', 0.8],
    ['average', 'LOC', (0.8 + (0.1 * 0.5) / 3) / 2],
  ] as const)('%s: a word has one label', (strategy, tag, score) => {
    const [entity] = run({ aggregation_strategy: strategy });
    expect(entity!.entity_group).toBe(tag);
    expect(entity!.score).toBeCloseTo(score, 12);
    expect(entity!.word).toBe(tag === 'PER' ? 'Anna Bo' : 'Anna');
    expect(text.slice(entity!.start, entity!.end)).toBe(entity!.word);
  });

  test('an ignored label parts groups', () => {
    const apart = { ...encoding, offsets: encoding.offsets, tokens: ['[CLS]', 'a', 'b', 'c', 'd', 'e', '[SEP]'] };
    const of = (list: number[]) =>
      Float64Array.from(list.flatMap(label => labels.map((_, i) => (i === label ? 9 : 0))));
    const options = tokenClassificationOptions({ aggregation_strategy: 'simple' });
    const found = classifyTokens(
      { text, encoding: apart, logits: of([0, 1, 2, 0, 2, 2, 0]) },
      { ...model, unkId: undefined },
      options,
    );
    expect(groups(found)).toEqual([
      ['PER', 'a b', 0, 4],
      ['PER', 'd e', 8, 16],
    ]);
  });

  test('characters beyond 16 bits are one character of a token', () => {
    const smile = {
      ids: [5, 6],
      tokens: ['x', '😀'],
      offsets: [
        [0, 1],
        [1, 3],
      ] as [number, number][],
      specialTokensMask: [0, 0],
    };
    const both = Float64Array.from([0, 9, 0, 0, 0, 0, 9, 0, 0, 0]);
    const found = classifyTokens(
      { text: 'x😀', encoding: smile, logits: both },
      model,
      tokenClassificationOptions({ aggregation_strategy: 'first' }),
    );
    expect(groups(found)).toEqual([
      ['PER', 'x', 0, 1],
      ['PER', '😀', 1, 3],
    ]);
  });

  test('windows: of entities that overlap the longest stays, then the surest', () => {
    const entity = (start: number, end: number, score: number): Entity => ({
      entity_group: 'X',
      word: '',
      score,
      start,
      end,
    });
    const [long, short, sure, unsure] = [entity(0, 8, 0.1), entity(4, 8, 0.9), entity(9, 12, 0.8), entity(10, 13, 0.7)];
    expect(
      mergeEntities([
        [short, unsure],
        [long, sure],
      ]),
    ).toEqual([long, sure]);
    expect(mergeEntities([[], []])).toEqual([]);
  });

  test('with a CRF labels are those of the best path, scores its marginals', () => {
    const next = random(7);
    const numbers = (length: number) => Array.from({ length }, () => next() * 6 - 3);
    const crf = { start_transitions: numbers(5), end_transitions: numbers(5), transitions: numbers(25) };
    const found = classifyTokens(
      { text, encoding, logits },
      { ...model, crf },
      tokenClassificationOptions({ ignore_labels: [] }),
    );
    const [path, chances] = [viterbi(logits, crf), marginals(logits, crf)];
    expect(found.map(({ entity }) => entity)).toEqual(path.slice(1, 6).map(label => labels[label]));
    expect(found.map(({ score }) => score)).toEqual(path.slice(1, 6).map((label, i) => chances[(i + 1) * 5 + label]));
  });

  test('options that are wrong', () => {
    expect(() => tokenClassificationOptions({ aggregation_strategy: 'last' as 'first' })).toThrow(UnsupportedError);
    expect(() => tokenClassificationOptions({ ignore_labels: 'O' as unknown as string[] })).toThrow(InputError);
  });
});

describe('CRF', () => {
  /** Every path and its score, by enumeration. */
  function paths(emissions: readonly number[], { start_transitions, end_transitions, transitions }: Crf) {
    const n = start_transitions.length;
    let all = Array.from({ length: n }, (_, j) => ({ path: [j], score: start_transitions[j]! + emissions[j]! }));
    for (let t = 1; t < emissions.length / n; t++) {
      all = all.flatMap(({ path, score }) =>
        Array.from({ length: n }, (_, j) => ({
          path: [...path, j],
          score: score + transitions[path.at(-1)! * n + j]! + emissions[t * n + j]!,
        })),
      );
    }
    return all.map(({ path, score }) => ({ path, score: score + end_transitions[path.at(-1)!]! }));
  }

  test.each([
    [1, 1],
    [1, 4],
    [2, 3],
    [5, 2],
    [5, 4],
    [6, 3],
  ])('%i tokens of %i labels: as by enumeration', (length, n) => {
    const next = random(length * 10 + n);
    const numbers = (size: number) => Array.from({ length: size }, () => next() * 8 - 4);
    const crf = { start_transitions: numbers(n), end_transitions: numbers(n), transitions: numbers(n * n) };
    const emissions = numbers(length * n);
    const all = paths(emissions, crf);
    expect(viterbi(emissions, crf)).toEqual(all.reduce((a, b) => (b.score > a.score ? b : a)).path);
    const whole = all.reduce((sum, { score }) => sum + Math.exp(score), 0);
    marginals(emissions, crf).forEach((value, i) => {
      const through = all.filter(({ path }) => path[Math.floor(i / n)] === i % n);
      expect(value).toBeCloseTo(through.reduce((sum, { score }) => sum + Math.exp(score), 0) / whole, 10);
    });
  });

  test.each([1, 2, 4, 5])('%i tokens, scores of minus infinity: what they forbid has the probability 0', length => {
    const next = random(length);
    const numbers = (size: number) => Array.from({ length: size }, () => next() * 8 - 4);
    const never = Number.NEGATIVE_INFINITY;
    // O, B, I and a label that no path has: I comes after B and I alone.
    const crf = { start_transitions: numbers(4), end_transitions: numbers(4), transitions: numbers(16) };
    for (const from of [0, 3]) crf.transitions[4 * from + 2] = never;
    for (const from of [0, 1, 2, 3]) crf.transitions[4 * from + 3] = crf.transitions[12 + from] = never;
    for (const label of [2, 3]) crf.start_transitions[label] = never;
    crf.end_transitions[3] = never;
    const emissions = numbers(length * 4);
    const all = paths(emissions, crf);
    expect(viterbi(emissions, crf)).toEqual(all.reduce((a, b) => (b.score > a.score ? b : a)).path);
    const whole = all.reduce((sum, { score }) => sum + Math.exp(score), 0);
    marginals(emissions, crf).forEach((value, i) => {
      const through = all.filter(({ path }) => path[Math.floor(i / 4)] === i % 4);
      expect(value).toBeCloseTo(through.reduce((sum, { score }) => sum + Math.exp(score), 0) / whole, 10);
    });
  });

  test('no token, no label; a forbidden transition is not taken', () => {
    const crf = { start_transitions: [0, 0], end_transitions: [0, 0], transitions: [0, -1e4, 0, 0] };
    expect(viterbi([], crf)).toEqual([]);
    expect(viterbi([0, 0, 0, 0, 0, 0], { ...crf, transitions: [0, 0, 0, 0] })).toEqual([0, 0, 0]);
    expect(viterbi([1, 0, 0, 2, 0, 2], crf)).toEqual([1, 1, 1]);
  });
});
