import { describe, expect, test } from 'vitest';
import { InputError } from '../src/errors.ts';
import { type AnswerWindow, answerOptions, answerQuestion } from '../src/tasks/question-answering.ts';
import { Ranking } from '../src/tasks/scores.ts';
import { random } from './checkpoint-bytes.ts';

describe('question-answering', () => {
  const context = 'abcdefghijklmnopqrstuvwxyz'.repeat(3);

  /** [CLS] q q [SEP] context [SEP], two letters a token, `perWord` tokens a word. */
  function windowOf(seed: number, from: number, length: number, perWord: number): AnswerWindow {
    const next = random(seed);
    const total = length + 5;
    const of = <T>(special: T, question: T, own: (i: number) => T): T[] =>
      Array.from({ length: total }, (_, i) =>
        i === 0 || i === 3 || i === total - 1 ? special : i < 3 ? question : own(i - 4),
      );
    return {
      encoding: {
        ids: of(1, 7, i => 10 + i),
        sequenceIds: of<0 | 1 | null>(null, 0, () => 1),
        offsets: of<[number, number]>([0, 0], [0, 1], i => [from + 2 * i, from + 2 * i + 2]),
        wordIds: of<number | null>(null, 0, i => Math.floor((i + from / 2) / perWord)),
      },
      startLogits: Array.from({ length: total }, () => next() * 12 - 6),
      endLogits: Array.from({ length: total }, () => next() * 12 - 6),
    };
  }

  /** The L x L table that the pipeline never makes. */
  function naive(windows: readonly AnswerWindow[], options: ReturnType<typeof answerOptions>) {
    const answers: { score: number; start: number; end: number; answer: string }[] = [];
    let none = 1;
    for (const { encoding, startLogits, endLogits } of windows) {
      const exps = (logits: ArrayLike<number>) => {
        const list = encoding.sequenceIds.map((id, i) => (id === 1 || i === 0 ? Math.exp(logits[i]!) : 0));
        const sum = list.reduce((a, b) => a + b, 0);
        return list.map(value => value / sum);
      };
      const [start, end] = [exps(startLogits), exps(endLogits)];
      none = Math.min(none, start[0]! * end[0]!);
      const cells = start.flatMap((p, i) => end.map((q, j) => ({ i, j, score: p * q })));
      const best = cells
        .filter(({ i, j }) => i > 0 && j >= i && j - i < options.maxAnswerLength && start[i]! > 0 && end[j]! > 0)
        .sort((a, b) => b.score - a.score)
        .slice(0, options.alignToWords ? 2 * options.topK + 10 : options.topK);
      for (const { i, j, score } of best) {
        const wordOf = (k: number) =>
          encoding.offsets.filter(
            (_, m) => encoding.sequenceIds[m] === 1 && encoding.wordIds![m] === encoding.wordIds![k],
          );
        const from = options.alignToWords ? wordOf(i)[0]![0] : encoding.offsets[i]![0];
        const to = options.alignToWords ? wordOf(j).at(-1)![1] : encoding.offsets[j]![1];
        const same = answers.find(({ answer }) => answer === context.slice(from, to));
        if (same) same.score += score;
        else answers.push({ score, start: from, end: to, answer: context.slice(from, to) });
      }
    }
    if (options.mayBeImpossible) answers.push({ score: none, start: 0, end: 0, answer: '' });
    return answers.sort((a, b) => b.score - a.score).slice(0, options.topK);
  }

  const options = [
    {},
    { top_k: 7 },
    { top_k: 3, max_answer_len: 1 },
    { top_k: 5, max_answer_len: 40, align_to_words: false },
    { top_k: 400, handle_impossible_answer: true },
  ];
  test.each(options.flatMap(given => [1, 2, 3].map(perWord => ({ given, perWord }))))(
    '$given, $perWord tokens a word: as by the table of all spans',
    ({ given, perWord }) => {
      const windows = [windowOf(1, 0, 20, perWord), windowOf(2, 24, 27, perWord), windowOf(3, 60, 2, perWord)];
      const resolved = answerOptions(given, 512);
      const [actual, expected] = [answerQuestion({ context, windows, clsId: 1 }, resolved), naive(windows, resolved)];
      expect(actual.map(({ answer, start, end }) => [answer, start, end])).toEqual(
        expected.map(({ answer, start, end }) => [answer, start, end]),
      );
      actual.forEach(({ score }, i) => {
        expect(score).toBeCloseTo(expected[i]!.score, 12);
      });
    },
  );

  test('4096 tokens: looks at as many spans as may answer, and holds few of them', () => {
    const long = Array.from({ length: 2048 }, (_, i) => String(i).padStart(4, '0')).join('');
    const { takes } = Ranking.prototype;
    const { sort } = Array.prototype;
    const count = (tokens: number, longest: number) => {
      const wide = windowOf(4, 0, tokens, 2);
      let looked = 0;
      let held = 0;
      Ranking.prototype.takes = function (this: Ranking<unknown>, score: number) {
        looked++;
        return takes.call(this, score);
      };
      // What is held is sorted whenever it is twice what is wanted.
      Array.prototype.sort = function (this: unknown[], compare?: (a: unknown, b: unknown) => number) {
        held = Math.max(held, this.length);
        return sort.call(this, compare);
      };
      try {
        const options = answerOptions({ max_answer_len: longest, top_k: 5 }, 8192);
        expect(answerQuestion({ context: long, windows: [wide], clsId: 1 }, options)).toHaveLength(5);
      } finally {
        Ranking.prototype.takes = takes;
        Array.prototype.sort = sort;
      }
      return { looked, held };
    };
    const short = count(1024, 15);
    const wide = count(4096, 15);
    // Every token with the 15 that may end an answer, and again what is kept.
    expect(short.looked).toBeGreaterThanOrEqual(15 * 1000);
    expect(wide.looked).toBeLessThan(4.4 * short.looked);
    expect(wide.looked).toBeLessThan(2 * 15 * 4096);
    // Four million spans: of them never more than twice the 2 top_k + 10 best.
    const all = count(4096, 1000);
    expect(all.looked).toBeGreaterThan(3_000_000);
    expect([short.held, wide.held, all.held].every(held => held > 0 && held <= 2 * (2 * 5 + 10))).toBe(true);
  });

  test('"no answer" wins where [CLS] does', () => {
    const window = windowOf(5, 0, 6, 1);
    const sure = { ...window, startLogits: [30, ...Array(10).fill(0)], endLogits: [30, ...Array(10).fill(0)] };
    const [answer] = answerQuestion(
      { context, windows: [sure], clsId: 1 },
      answerOptions({ handle_impossible_answer: true }, 64),
    );
    expect(answer).toMatchObject({ start: 0, end: 0, answer: '' });
    expect(answer!.score).toBeCloseTo(1, 9);
    // Without a [CLS] there is nothing that says so.
    const [other] = answerQuestion(
      { context, windows: [sure], clsId: undefined },
      answerOptions({ handle_impossible_answer: true }, 64),
    );
    expect(other!.answer).not.toBe('');
  });

  test('a context without a token: an empty answer', () => {
    const answers = answerQuestion({ context: ' ', windows: [windowOf(6, 0, 0, 1)], clsId: 1 }, answerOptions({}, 64));
    expect(answers).toEqual([{ score: 0, start: 0, end: 0, answer: '' }]);
  });

  test('answers that differ in case alone are one, and where words are not known nothing is widened', () => {
    const { encoding, ...logits } = windowOf(8, 0, 2, 1);
    const { wordIds: _, ...plain } = encoding;
    const both = answerQuestion(
      { context: 'xyXY', windows: [{ encoding: plain, ...logits }], clsId: 1 },
      answerOptions({ top_k: 9 }, 64),
    );
    expect(both.map(({ answer }) => answer.toLowerCase()).sort()).toEqual(['xy', 'xyxy']);
  });

  test('the usual stride gives way to a long question, a stride that was asked for does not', () => {
    expect(answerOptions({}, 64, 31)).toMatchObject({ maxLength: 64, stride: 32 });
    expect(answerOptions({}, 64, 32)).toMatchObject({ stride: 16 });
    expect(answerOptions({}, 512, 300)).toMatchObject({ maxLength: 384, stride: 42 });
    expect(answerOptions({}, 64, 63)).toMatchObject({ stride: 0 });
    expect(answerOptions({}, 64, 90)).toMatchObject({ stride: 0 });
    expect(answerOptions({ doc_stride: 32 }, 64, 50)).toMatchObject({ stride: 32 });
  });

  test('defaults and limits of the options', () => {
    expect(answerOptions({}, 512)).toMatchObject({ maxLength: 384, stride: 128, topK: 1, maxAnswerLength: 15 });
    expect(answerOptions({}, 65)).toMatchObject({ maxLength: 65, stride: 32, alignToWords: true });
    expect(() => answerOptions({ max_seq_len: 513 }, 512)).toThrow(
      'max_seq_len is wrong: got number 513, expected a whole number of at least 1 and at most 512',
    );
    expect(() => answerOptions({ max_seq_len: 9, doc_stride: 10 }, 512)).toThrow('doc_stride is wrong');
    expect(() => answerOptions({ top_k: 0 }, 512)).toThrow(InputError);
    expect(() => answerOptions({ align_to_words: 1 as unknown as boolean }, 512)).toThrow('align_to_words is wrong');
  });
});
