import { describe, expect, test } from 'vitest';
import { checkNames, InputError, UnsupportedError } from '../src/errors.ts';
import { choice, count } from '../src/tasks/arguments.ts';
import { normalizationOf } from '../src/tasks/feature-extraction.ts';
import {
  candidates,
  type FilledMask,
  fillMask,
  fillMaskOptions,
  likeliest,
  maskPlaces,
} from '../src/tasks/fill-mask.ts';
import { rankChoices } from '../src/tasks/multiple-choice.ts';
import { nextSentence } from '../src/tasks/next-sentence-prediction.ts';
import { precisionOf, quantizeEmbeddings } from '../src/tasks/precision.ts';
import { truncateRows } from '../src/tasks/rows.ts';
import { Ranking, ranked, sigmoid, softmax } from '../src/tasks/scores.ts';
import { similarityScores } from '../src/tasks/sentence-similarity.ts';
import { classificationOptions, classify, shaped, textInputs } from '../src/tasks/text-classification.ts';
import { configuredActivation, rank, rankingOptions } from '../src/tasks/text-ranking.ts';
import { candidateLabels, entailmentIds, zeroShot, zeroShotOptions } from '../src/tasks/zero-shot-classification.ts';
import { random } from './checkpoint-bytes.ts';

describe('scores', () => {
  test('a softmax sums to 1, of great logits too', () => {
    const scores = softmax([1000, 1001, -1000]);
    expect(scores[1]).toBeCloseTo(1 / (1 + Math.exp(-1)), 14);
    expect(scores.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 14);
    expect([...softmax([])]).toEqual([]);
  });

  test('a sigmoid has no overflow', () => {
    expect([sigmoid(0), sigmoid(-800), sigmoid(800)]).toEqual([0.5, 0, 1]);
  });

  test.each([1, 2, 5, 99, 300])('the best %i of 200 are those of a whole sort', size => {
    const next = random(size);
    const scores = Array.from({ length: 200 }, () => Math.floor(next() * 40));
    const sorted = scores.map((score, i) => ({ score, i })).sort((a, b) => b.score - a.score || a.i - b.i);
    expect(ranked(scores, size)).toEqual(sorted.slice(0, size).map(({ i }) => i));
  });

  test('a full ranking takes nothing that is no better', () => {
    const ranking = new Ranking<string>(1);
    ranking.offer(1, 'first');
    ranking.offer(1, 'second');
    expect(ranking.takes(1)).toBe(false);
    expect(ranking.takes(2)).toBe(true);
    expect(ranking.best()).toEqual([{ score: 1, item: 'first' }]);
  });
});

describe('arguments', () => {
  test('what is wrong is named', () => {
    expect(() => checkNames('fill-mask', { topk: 3 }, ['top_k'])).toThrow('fill-mask has no option "topk"');
    expect(() => count('top_k', 0, { fallback: 5 })).toThrow(
      'top_k is wrong: got number 0, expected a whole number of at least 1.',
    );
    expect(() => count('top_k', 1.5, { fallback: 5 })).toThrow(InputError);
    expect(() => choice('precision', 'int4', { names: ['int8'], fallback: 'int8' })).toThrow(UnsupportedError);
    expect(count('top_k', undefined, { fallback: 5 })).toBe(5);
  });

  test('options that are null are none, and what is no object is refused', () => {
    expect(checkNames('fill-mask', null, ['top_k'])).toEqual({});
    expect(checkNames('fill-mask', undefined, ['top_k'])).toEqual({});
    expect(checkNames('fill-mask', { top_k: 3 }, ['top_k'])).toEqual({ top_k: 3 });
    expect(() => checkNames('fill-mask', 5 as unknown as object, ['top_k'])).toThrow('the options of fill-mask');
  });
});

describe('text-classification', () => {
  const labels = ['NEG', 'NEU', 'POS'];
  const logits = [Math.log(1), Math.log(2), Math.log(5)];

  test('softmax, the likeliest first', () => {
    const [best, second, ...more] = classify(logits, labels, classificationOptions({ top_k: 2 }, undefined, 3));
    expect(best!.label).toBe('POS');
    expect(best!.score).toBeCloseTo(5 / 8, 12);
    expect(second!.score).toBeCloseTo(2 / 8, 12);
    expect(more).toEqual([]);
  });

  test.each([
    ['regression', 1, 'none'],
    ['regression', 3, 'none'],
    ['multi_label_classification', 3, 'sigmoid'],
    ['single_label_classification', 3, 'softmax'],
    ['single_label_classification', 1, 'sigmoid'],
    [null, 1, 'sigmoid'],
    [undefined, 2, 'softmax'],
  ] as const)('problem type %s with %i labels: %s', (problem, count, apply) => {
    expect(classificationOptions({}, problem, count)).toEqual({ topK: 1, scoreFunction: apply });
  });

  test('the result has the shape that transformers.js gives it', () => {
    const [a, b] = [[{ label: 'A', score: 1 }], [{ label: 'B', score: 1 }]];
    expect(shaped([a!], false, 1)).toEqual(a);
    expect(shaped([a!, b!], true, 1)).toEqual([...a!, ...b!]);
    expect(shaped([a!], false, 2)).toEqual(a);
    expect(shaped([a!, b!], true, 2)).toEqual([a, b]);
  });

  test.each([
    [undefined, false],
    [1, false],
    [null, true],
    [3, true],
  ])('one label, a list of texts, top_k %j: lists %j', (top_k, lists) => {
    const chosen = classificationOptions({ top_k }, undefined, 1);
    const [a, b] = [0, 1].map(logit => classify([logit], ['A'], chosen));
    expect(shaped([a!, b!], true, chosen.topK)).toEqual(lists ? [a, b] : [...a!, ...b!]);
  });

  test('texts and pairs', () => {
    expect(textInputs('a')).toEqual([{ text: 'a' }]);
    expect(textInputs([{ text: 'a', text_pair: 'b' }, { text: 'c' }])).toEqual([
      { text: 'a', pair: 'b' },
      { text: 'c' },
    ]);
    expect(() => textInputs([])).toThrow('the list of texts is wrong: got an empty list');
    expect(() => textInputs(['a', 3])).toThrow('text 1 of 2 is wrong: got number 3');
    expect(() => textInputs({ text: 'a', text_pair: 3 })).toThrow('"text_pair" of the text is wrong');
    expect(() => classificationOptions({ function_to_apply: 'tanh' as 'none' }, null, 2)).toThrow(UnsupportedError);
  });
});

describe('fill-mask', () => {
  const words = ['[PAD]', '[MASK]', 'a', 'b', 'c'];
  const decode = (ids: readonly number[], options: { skip_special_tokens: boolean }) =>
    ids
      .filter(id => !(options.skip_special_tokens && id < 2))
      .map(id => words[id])
      .join(' ');
  const resolve = (options: Parameters<typeof fillMaskOptions>[0]) =>
    fillMaskOptions(
      options,
      token => (words.includes(token) ? words.indexOf(token) : undefined),
      text => (text.trim() === '' ? [] : [4, 3]),
    );
  const logits = [0, 0, 1, 3, 2];

  test('one mask: a list, padding left out', () => {
    const best = candidates(logits, resolve({ top_k: 2 }));
    expect(fillMask([2, 1, 0], [{ place: 1, candidates: best }], { decode, padId: 0 })).toEqual([
      { score: softmax(logits)[3], token: 3, token_str: 'b', sequence: 'a b' },
      { score: softmax(logits)[4], token: 4, token_str: 'c', sequence: 'a c' },
    ]);
  });

  test('several masks: a list of lists, the other masks stay', () => {
    const masks = [logits, [0, 0, 9, 0, 0]].map((row, i) => ({
      place: 2 * i,
      candidates: candidates(row, resolve({ top_k: 1 })),
    }));
    const lists = fillMask([1, 2, 1], masks, { decode }) as { sequence: string }[][];
    expect(lists.map(list => list.map(({ sequence }) => sequence))).toEqual([['b a [MASK]'], ['[MASK] a a']]);
  });

  test('padding is left out of a text of several masks too, and a special token has a name', () => {
    const best = candidates([0, 9, 0, 0, 0], resolve({ top_k: 1 }));
    const masks = [0, 2].map(place => ({ place, candidates: best }));
    const lists = fillMask([1, 2, 1, 0], masks, { decode, padId: 0 }) as FilledMask[][];
    expect(lists[0]).toEqual([{ score: best.scores[0], token: 1, token_str: '[MASK]', sequence: '[MASK] a [MASK]' }]);
    expect(fillMask([2, 1], [{ place: 1, candidates: best }], { decode })).toMatchObject([
      { token_str: '[MASK]', sequence: 'a' },
    ]);
  });

  test('targets: scores over the whole vocabulary; what is no token is tokenised', () => {
    expect(resolve({ targets: ['b', 'zebra', 'c', 'b', ' '] })).toEqual({ topK: 2, targets: [3, 4] });
    const { ids, scores } = candidates(logits, resolve({ targets: ['a', 'b'] }));
    expect(ids).toEqual([3, 2]);
    expect(scores).toEqual([softmax(logits)[3], softmax(logits)[2]]);
  });

  test('equal logits in the order of the tokens, and by logits where the scores are equal: both vanish beside 2,000', () => {
    const flat = [5, 2000, 5, 0, 5, 1];
    const { ids, scores } = candidates(flat, resolve({ top_k: 6 }));
    expect(ids).toEqual([1, 0, 2, 4, 5, 3]);
    expect(scores).toEqual([1, 0, 0, 0, 0, 0]);
    expect(
      likeliest([0, 5, 1, 5], { topK: 3, scoreOf: logit => Math.exp(logit - 2000), ids: [7, 3, 1, 9] }).ids,
    ).toEqual([3, 9, 1]);
  });

  test('the whole of a large vocabulary, sorted in a moment', () => {
    // Quarters: many are equal.
    const next = random(5);
    const large = Float32Array.from({ length: 250_002 }, () => Math.round(40 * next()) / 4);
    const began = performance.now();
    const { ids, scores } = candidates(large, { topK: large.length });
    expect(performance.now() - began).toBeLessThan(5000);
    expect(new Set(ids).size).toBe(large.length);
    for (let i = 1; i < ids.length; i++) {
      const [a, b] = [large[ids[i - 1]!]!, large[ids[i]!]!];
      if (!(a > b || (a === b && ids[i - 1]! < ids[i]!))) throw new Error(`place ${i}`);
    }
    expect(scores.reduce((sum, score) => sum + score, 0)).toBeCloseTo(1, 9);
  });

  test('more asked for than there are', () => {
    expect(candidates(logits, resolve({ top_k: 50 })).ids).toEqual([3, 4, 2, 0, 1]);
  });

  test('errors', () => {
    expect(() => maskPlaces([2, 3], { id: 1, token: '[MASK]' })).toThrow('the text has no mask token ([MASK])');
    expect(maskPlaces([1, 3, 1], { id: 1, token: '[MASK]' })).toEqual([0, 2]);
    expect(() => resolve({ targets: [' '] })).toThrow('targets is wrong');
    expect(() => resolve({ targets: [] })).toThrow(InputError);
    expect(() => resolve({ targets: [3 as unknown as string] })).toThrow('targets[0] is wrong');
    expect(() => resolve({ top_k: 0 })).toThrow(InputError);
  });
});

describe('zero-shot-classification', () => {
  test('labels', () => {
    expect(candidateLabels('a, b,,c ')).toEqual(['a', 'b', 'c']);
    expect(candidateLabels([' a', 'b, c'])).toEqual([' a', 'b, c']);
    expect(() => candidateLabels(' , ')).toThrow('candidate_labels is wrong: got an empty list');
    expect(() => candidateLabels(undefined)).toThrow(InputError);
  });

  test('hypotheses', () => {
    expect(zeroShotOptions(['$& x'], {}).hypotheses).toEqual(['This example is $& x.']);
    expect(() => zeroShotOptions(['a'], { hypothesis_template: 'It is.' })).toThrow('hypothesis_template is wrong');
  });

  test.each([
    [
      { contradiction: 0, neutral: 1, entailment: 2 },
      { entailment: 2, contradiction: 0 },
    ],
    [
      { ENTAILMENT: 0, NEUTRAL: 1, CONTRADICTION: 2 },
      { entailment: 0, contradiction: 2 },
    ],
    [
      { neutral: 0, entailment: 1, contradiction: 2 },
      { entailment: 1, contradiction: 2 },
    ],
    [
      { entailment: 0, not_entailment: 1 },
      { entailment: 0, contradiction: 1 },
    ],
    [
      { entails: 0, other: 1 },
      { entailment: 0, contradiction: 1 },
    ],
    [
      { other: 0, entails: 1 },
      { entailment: 1, contradiction: 0 },
    ],
  ])('%j', (label2id, ids) => {
    expect(entailmentIds(label2id, Object.keys(label2id))).toEqual(ids);
  });

  test('a model that does not judge hypotheses', () => {
    expect(() => entailmentIds({ NEG: 0, POS: 1 }, ['NEG', 'POS'])).toThrow('no label "entailment"');
    expect(() => entailmentIds(undefined, ['LABEL_0', 'LABEL_1'])).toThrow(UnsupportedError);
    expect(() => entailmentIds(undefined, ['LABEL_0', 'LABEL_1'])).toThrow('LABEL_0, LABEL_1');
  });

  test.each([undefined, null, {}])('without label2id (%j) the names are those of id2label', label2id => {
    const labels = ['neutral', 'Entailment', 'contradiction'];
    expect(entailmentIds(label2id, labels)).toEqual({ entailment: 1, contradiction: 2 });
    expect(entailmentIds(label2id, ['entailment', 'not'])).toEqual({ entailment: 0, contradiction: 1 });
  });

  test('labels together, and each alone', () => {
    const rows = [
      [0, 5, 1],
      [2, 5, 3],
    ];
    const ids = { entailment: 2, contradiction: 0 };
    const together = zeroShot({ sequence: 't', labels: ['a', 'b'], logits: rows }, { ...ids, multiLabel: false });
    expect(together.labels).toEqual(['b', 'a']);
    expect(together.scores[0]).toBeCloseTo(1 / (1 + Math.exp(-2)), 12);
    const alone = zeroShot({ sequence: 't', labels: ['a', 'b'], logits: rows }, { ...ids, multiLabel: true });
    expect(alone.scores.map(score => score.toFixed(9))).toEqual(Array(2).fill((1 / (1 + Math.exp(-1))).toFixed(9)));
    expect(alone.labels).toEqual(['a', 'b']);
    const one = zeroShot({ sequence: 't', labels: ['a'], logits: rows.slice(0, 1) }, { ...ids, multiLabel: false });
    expect(one.scores[0]).toBeCloseTo(1 / (1 + Math.exp(-1)), 12);
  });
});

describe('text-ranking', () => {
  const facts = { config: {}, labels: 1, documents: 2 };
  test('best first, by place where equal', () => {
    const documents = ['a', 'b', 'c', 'd'];
    const options = rankingOptions(
      { return_documents: true, top_k: 3, activation: 'none' },
      { ...facts, documents: 4 },
    );
    expect(rank([-1, 4, 4, 0.5], documents, options)).toEqual([
      { corpus_id: 1, score: 4, text: 'b' },
      { corpus_id: 2, score: 4, text: 'c' },
      { corpus_id: 3, score: 0.5, text: 'd' },
    ]);
    expect(rank([0, 1], ['a', 'b'], rankingOptions({}, facts))).toEqual([
      { corpus_id: 1, score: sigmoid(1) },
      { corpus_id: 0, score: 0.5 },
    ]);
  });

  test.each([
    [{}, undefined],
    [{ sbert_ce_default_activation_function: 'torch.nn.modules.linear.Identity' }, 'none'],
    [{ sbert_ce_default_activation_function: null }, undefined],
    [{ sentence_transformers: { activation_fn: 'torch.nn.modules.activation.Sigmoid', version: '4.0' } }, 'sigmoid'],
    [{ sentence_transformers: { version: '4.0' }, sbert_ce_default_activation_function: 'torch.nn.Identity' }, 'none'],
    // Null in the newer place is none, whatever the older one says.
    [
      { sentence_transformers: { activation_fn: null }, sbert_ce_default_activation_function: 'torch.nn.Identity' },
      undefined,
    ],
    // What is not torch's is passed over.
    [{ sbert_ce_default_activation_function: 'own.Identity' }, undefined],
    [{ sentence_transformers: null }, undefined],
  ])('%j', (config, activation) => {
    expect(configuredActivation(config)).toBe(activation);
  });

  test('config_sentence_transformers.json goes before config.json', () => {
    const older = { sentence_transformers: { activation_fn: 'torch.nn.modules.activation.Sigmoid' } };
    expect(configuredActivation(older, 'torch.nn.modules.linear.Identity')).toBe('none');
    expect(configuredActivation(older, 'own.Identity')).toBe('sigmoid');
    expect(configuredActivation({}, 'torch.nn.modules.activation.Sigmoid')).toBe('sigmoid');
    expect(() => configuredActivation({}, 'torch.nn.Tanh')).toThrow(
      'the activation that config_sentence_transformers.json names is not supported',
    );
    expect(
      rankingOptions({ activation: 'sigmoid' }, { ...facts, sentenceActivation: 'torch.nn.Tanh' }).activation,
    ).toBe('sigmoid');
  });

  test('errors', () => {
    const tanh = { sentence_transformers: { activation_fn: 'torch.nn.Tanh' } };
    expect(() => rankingOptions({}, { ...facts, config: tanh })).toThrow(
      'the activation that config.json names is not supported',
    );
    expect(rankingOptions({ activation: 'none' }, { ...facts, config: tanh }).activation).toBe('none');
    expect(() => rankingOptions({}, { ...facts, labels: 3 })).toThrow(
      'only a model with one label ranks documents: got 3 labels',
    );
  });
});

test('next-sentence-prediction', () => {
  expect(nextSentence([2, 0])).toEqual({ label: 'IsNext', score: softmax([2, 0])[0] });
  expect(nextSentence([0, 2])).toEqual({ label: 'NotNext', score: softmax([0, 2])[1] });
});

test('multiple choice', () => {
  const best = rankChoices([0, 2, 1], ['a', 'b', 'c']);
  expect(best.map(({ index, label }) => [index, label])).toEqual([
    [1, 'b'],
    [2, 'c'],
    [0, 'a'],
  ]);
  expect(best[0]!.score).toBe(softmax([0, 2, 1])[1]);
});

test('sentence-similarity', () => {
  const others = [Float32Array.of(6, 8), Float32Array.of(-4, 3), Float32Array.of(-3, -4), Float32Array.of(0, 0)];
  const scores = similarityScores(Float32Array.of(3, 4), others, 'cosine');
  [1, 0, -1, 0].forEach((value, i) => {
    expect(scores[i]).toBeCloseTo(value, 12);
  });
});

test('sentence-similarity by another measure', () => {
  const scores = (name: Parameters<typeof similarityScores>[2]) =>
    similarityScores(Float32Array.of(3, 4), [Float32Array.of(6, 8), Float32Array.of(0, 0)], name);
  expect(scores('cosine')).toEqual([1, 0]);
  expect(scores('dot')).toEqual([50, 0]);
  expect(scores('euclidean')).toEqual([-5, -5]);
  expect(scores('manhattan')).toEqual([-7, -7]);
});

describe('feature-extraction', () => {
  test('the first columns', () => {
    expect([...truncateRows(Float32Array.of(1, 2, 3, 4, 5, 6), 3, 2)]).toEqual([1, 2, 4, 5]);
    expect(() => truncateRows(new Float32Array(3), 3, 4)).toThrow('truncate_dim is wrong');
    expect(() => truncateRows(new Float32Array(3), 3, 0)).toThrow(InputError);
  });

  test('where rows are scaled to length 1', () => {
    const whole = {
      normalize: true,
      isPooled: true,
      hasWindows: false,
      isCut: false,
      cutsAfter: false,
    };
    expect(normalizationOf(whole)).toBe('in-pass');
    expect(normalizationOf({ ...whole, normalize: false })).toBe('none');
    // The row that the GPU pools is not the row of the text.
    for (const part of [{ isPooled: false }, { hasWindows: true }]) {
      expect(normalizationOf({ ...whole, ...part })).toBe('cpu-after-cut');
      expect(normalizationOf({ ...whole, ...part, cutsAfter: true })).toBe('cpu-before-cut');
    }
    // A cut that the caller asks for comes before, the checkpoint's own comes after.
    expect(normalizationOf({ ...whole, isCut: true })).toBe('cpu-after-cut');
    expect(normalizationOf({ ...whole, isCut: true, cutsAfter: true })).toBe('in-pass');
  });

  test('which precision', () => {
    expect(precisionOf({})).toBe('float32');
    expect(precisionOf({ quantize: true })).toBe('binary');
    expect(precisionOf({ precision: 'int8' })).toBe('int8');
    expect(precisionOf({ precision: 'ubinary', quantize: true })).toBe('ubinary');
    expect(precisionOf({ precision: 'ubinary', quantize: false })).toBe('float32');
    expect(() => precisionOf({ precision: 'int4' as 'int8' })).toThrow(UnsupportedError);
  });

  test('bits and steps', () => {
    const row = Float32Array.of(1, -1, 0, 2, 1, -1, -1, -1, 0.5, -1);
    expect([...quantizeEmbeddings(row, 10, { precision: 'ubinary' }).data]).toEqual([0b10011000, 0b10000000]);
    expect([...quantizeEmbeddings(row, 10, { precision: 'binary' }).data]).toEqual([0b10011000 - 128, 0]);
    const ranges = { lowest: [0, 0], highest: [1, 0] };
    const levels = quantizeEmbeddings(Float32Array.of(0.5, 0, 2, -3, -1, 300), 2, { precision: 'uint8', ranges });
    expect([...levels.data]).toEqual([127, 0, 255, 0, 0, 255]);
    expect([...quantizeEmbeddings(Float32Array.of(0, 1), 2, { precision: 'int8', ranges }).data]).toEqual([-128, -127]);
  });

  test('ranges that cannot be', () => {
    expect(() => quantizeEmbeddings(Float32Array.of(1, 2), 2, { precision: 'int8' })).toThrow('one embedding has none');
    const short = { lowest: [0], highest: [1] };
    expect(() => quantizeEmbeddings(new Float32Array(4), 2, { precision: 'uint8', ranges: short })).toThrow(
      'ranges is wrong',
    );
  });
});
