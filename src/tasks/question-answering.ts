import type { Encoding } from '../text/index.ts';
import { count, flag } from './arguments.ts';
import { Ranking, softmax } from './scores.ts';

export interface QuestionAnsweringOptions {
  /** How many answers to report. Default: 1. */
  top_k?: number;
  /** By how many tokens the windows of a long context overlap. Default: half of max_seq_len, at most 128; half of what a long question leaves. */
  doc_stride?: number;
  /** Tokens of a window, question and special tokens included. Default: what the model takes, at most 384. */
  max_seq_len?: number;
  /** The most tokens of an answer. Default: 15. */
  max_answer_len?: number;
  /** Whether "no answer" (an empty one) may be the answer. Default: false. */
  handle_impossible_answer?: boolean;
  /** Whether answers are widened to whole words. Default: true. */
  align_to_words?: boolean;
}

export interface Answer {
  score: number;
  /** [start, end) in UTF-16 units of the context. */
  start: number;
  end: number;
  answer: string;
}

type WordIds = readonly (number | null)[];

/** A window of (question, context) and what the model says of its tokens. */
export interface AnswerWindow {
  encoding: Pick<Encoding, 'ids' | 'offsets' | 'sequenceIds'> & {
    /** Which word of its own text a token is of, null for special tokens; without it answers are not widened. */
    readonly wordIds?: WordIds;
  };
  /** [L] */
  startLogits: ArrayLike<number>;
  /** [L] */
  endLogits: ArrayLike<number>;
}

/**
 * Options checked, with Python's defaults; `longest` is how many tokens the model takes, `taken` how many of a window the
 * question and the special tokens are: where they leave no room for the usual stride it is half of the room. Throws InputError.
 */
export function answerOptions(options: QuestionAnsweringOptions, longest: number, taken = 0) {
  const maxLength = count('max_seq_len', options.max_seq_len, Math.min(longest, 384), 1, longest);
  const room = Math.max(maxLength - taken, 0);
  const usual = Math.min(maxLength >> 1, 128);
  return {
    maxLength,
    stride: count('doc_stride', options.doc_stride, usual < room ? usual : room >> 1, 0, maxLength),
    topK: count('top_k', options.top_k, 1),
    maxAnswerLength: count('max_answer_len', options.max_answer_len, 15),
    mayBeImpossible: flag('handle_impossible_answer', options.handle_impossible_answer, false),
    alignToWords: flag('align_to_words', options.align_to_words, true),
  };
}

/**
 * The likeliest answers, likeliest first, as Python's QuestionAnsweringPipeline finds them: of every window the
 * best 2 `topK` + 10 spans, of which those that say the same (but for case) become one with the sum of their scores.
 * Where no token can answer, the one answer is empty with a score of 0.
 */
export function answerQuestion(
  context: string,
  windows: readonly AnswerWindow[],
  clsId: number | undefined,
  options: Omit<ReturnType<typeof answerOptions>, 'maxLength' | 'stride'>,
): Answer[] {
  const answers = new Map<string, Answer>();
  let impossible = Number.POSITIVE_INFINITY;
  for (const window of windows) {
    const { encoding } = window;
    const isContext = encoding.sequenceIds.map(sequence => sequence === 1);
    const isAllowed = isContext.map((own, i) => own || (i === 0 && encoding.ids[0] === clsId));
    const start = probabilities(window.startLogits, isAllowed);
    const end = probabilities(window.endLogits, isAllowed);
    impossible = Math.min(impossible, start[0]! * end[0]!);
    const spans = new Ranking<[number, number]>(options.alignToWords ? 2 * options.topK + 10 : options.topK);
    for (let i = 0; i < start.length; i++) {
      if (!isContext[i]) continue;
      for (let j = i; j < Math.min(i + options.maxAnswerLength, end.length) && isContext[j]; j++) {
        const score = start[i]! * end[j]!;
        if (spans.takes(score)) spans.offer(score, [i, j]);
      }
    }
    for (const { score, item } of spans.best()) {
      const [from, to] = options.alignToWords ? widened(item, isContext, encoding.wordIds) : item;
      const [at, until] = [encoding.offsets[from]![0], encoding.offsets[to]![1]];
      const answer = context.slice(at, until);
      const same = answers.get(answer.toLowerCase());
      if (same) same.score += score;
      else answers.set(answer.toLowerCase(), { score, start: at, end: until, answer });
    }
  }
  const found = [...answers.values()];
  if (options.mayBeImpossible || found.length === 0) {
    found.push({ score: options.mayBeImpossible ? impossible : 0, start: 0, end: 0, answer: '' });
  }
  return found.sort((a, b) => b.score - a.score).slice(0, options.topK);
}

/** Softmax over the allowed tokens alone. */
function probabilities(logits: ArrayLike<number>, isAllowed: readonly boolean[]): Float64Array {
  return softmax(isAllowed.map((own, i) => (own ? logits[i]! : Number.NEGATIVE_INFINITY)));
}

/** The first token of the first token's word, and the last of the last's, as far as the window goes. */
function widened([from, to]: readonly [number, number], isContext: readonly boolean[], words: WordIds | undefined) {
  let [first, last] = [from, to];
  if (words) {
    while (isContext[first - 1] && words[first - 1] === words[from]) first--;
    while (isContext[last + 1] && words[last + 1] === words[to]) last++;
  }
  return [first, last] as const;
}
