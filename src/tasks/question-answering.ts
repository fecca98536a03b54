import type { Encoding } from '../text/index.ts';
import { type ByTopK, type WithTruncated, withFacts } from './answers.ts';
import { count, flag, string } from './arguments.ts';
import { Ranking, softmax } from './scores.ts';
import { logitsOf, type RunOptions, Session } from './session.ts';

export interface QuestionAnsweringOptions {
  /** How many answers to report. Default: 1. */
  top_k?: number;
  /**
   * By how many tokens the windows of a long context overlap. Default: half of max_seq_len, at most 128; if a long question leaves
   * no more room than that, half of the room.
   */
  doc_stride?: number;
  /** Tokens of a window, question and special tokens included. Default: what the model takes, at most 384. */
  max_seq_len?: number;
  /** The greatest number of tokens of an answer. Default: 15. */
  max_answer_len?: number;
  /** Whether "no answer" (an empty one) may be the answer. Default: false. */
  handle_impossible_answer?: boolean;
  /** Whether answers are widened to whole words. Default: true. */
  align_to_words?: boolean;
}

const OPTION_NAMES = [
  'top_k',
  'doc_stride',
  'max_seq_len',
  'max_answer_len',
  'handle_impossible_answer',
  'align_to_words',
];

export interface Answer {
  /** A probability; of several spans with the same words, the sum of theirs. */
  score: number;
  /** [start, end) in UTF-16 units of the context. */
  start: number;
  end: number;
  answer: string;
}

type WordIds = readonly (number | null)[];

/** A window of (question, context), and the logits of its tokens. */
export interface AnswerWindow {
  encoding: Pick<Encoding, 'ids' | 'offsets' | 'sequenceIds'> & {
    /** The word of its text that each token belongs to, null for special tokens. Without it, answers are not widened. */
    readonly wordIds?: WordIds;
  };
  /** [L] */
  startLogits: ArrayLike<number>;
  /** [L] */
  endLogits: ArrayLike<number>;
}

/**
 * The options with Python's defaults. Throws InputError.
 * @param maxTokens how many tokens the model takes
 * @param questionTokens how many tokens of a window are the question and special tokens
 */
export function answerOptions(options: QuestionAnsweringOptions, maxTokens: number, questionTokens = 0) {
  const maxLength = count('max_seq_len', options.max_seq_len, { fallback: Math.min(maxTokens, 384), max: maxTokens });
  const room = Math.max(maxLength - questionTokens, 0);
  const usualStride = Math.min(maxLength >> 1, 128);
  const fallback = usualStride < room ? usualStride : room >> 1;
  return {
    maxLength,
    stride: count('doc_stride', options.doc_stride, { fallback, min: 0, max: maxLength }),
    topK: count('top_k', options.top_k, { fallback: 1 }),
    maxAnswerLength: count('max_answer_len', options.max_answer_len, { fallback: 15 }),
    mayBeImpossible: flag('handle_impossible_answer', options.handle_impossible_answer, false),
    alignToWords: flag('align_to_words', options.align_to_words, true),
  };
}

type AnswerOptions = Omit<ReturnType<typeof answerOptions>, 'maxLength' | 'stride'>;

/**
 * The likeliest answers, likeliest first, as Python's QuestionAnsweringPipeline: the best 2 `topK` + 10 spans of every window, of
 * which spans with the same words (in any case) become one with the sum of their scores. If no token can answer, the only answer
 * is an empty one with a score of 0.
 * @param clsId the token whose probability, at the start of a window, is that of "no answer"
 */
export function answerQuestion(
  { context, windows, clsId }: { context: string; windows: readonly AnswerWindow[]; clsId: number | undefined },
  options: AnswerOptions,
): Answer[] {
  const answers = new Map<string, Answer>();
  let impossibleScore = Number.POSITIVE_INFINITY;
  for (const window of windows) {
    const { encoding } = window;
    const isContext = encoding.sequenceIds.map(sequence => sequence === 1);
    const isAllowed = isContext.map((isOfContext, i) => isOfContext || (i === 0 && encoding.ids[0] === clsId));
    const start = probabilities(window.startLogits, isAllowed);
    const end = probabilities(window.endLogits, isAllowed);
    impossibleScore = Math.min(impossibleScore, start[0]! * end[0]!);
    for (const { score, item } of bestSpans(start, end, { isContext, ...options })) {
      const [first, last] = options.alignToWords ? widened(item, isContext, encoding.wordIds) : item;
      const [from, to] = [encoding.offsets[first]![0], encoding.offsets[last]![1]];
      const answer = context.slice(from, to);
      const sameWords = answers.get(answer.toLowerCase());
      if (sameWords) sameWords.score += score;
      else answers.set(answer.toLowerCase(), { score, start: from, end: to, answer });
    }
  }
  const list = [...answers.values()];
  if (options.mayBeImpossible || list.length === 0) {
    list.push({ score: options.mayBeImpossible ? impossibleScore : 0, start: 0, end: 0, answer: '' });
  }
  return list.sort((a, b) => b.score - a.score).slice(0, options.topK);
}

/** The best spans [first, last] of a window's tokens, by the product of both probabilities. */
function bestSpans(
  start: Float64Array,
  end: Float64Array,
  { isContext, topK, maxAnswerLength, alignToWords }: { isContext: readonly boolean[] } & AnswerOptions,
) {
  const spans = new Ranking<[number, number]>(alignToWords ? 2 * topK + 10 : topK);
  for (let i = 0; i < start.length; i++) {
    if (!isContext[i]) continue;
    for (let j = i; j < Math.min(i + maxAnswerLength, end.length) && isContext[j]; j++) {
      const score = start[i]! * end[j]!;
      if (spans.takes(score)) spans.offer(score, [i, j]);
    }
  }
  return spans.best();
}

/** The softmax over the allowed tokens; 0 for all others. */
function probabilities(logits: ArrayLike<number>, isAllowed: readonly boolean[]): Float64Array {
  return softmax(isAllowed.map((isToken, i) => (isToken ? logits[i]! : Number.NEGATIVE_INFINITY)));
}

/** A span of tokens, widened to the whole of its first and its last word, as far as the window has them. */
function widened([from, to]: readonly [number, number], isContext: readonly boolean[], words: WordIds | undefined) {
  let [first, last] = [from, to];
  if (words) {
    while (isContext[first - 1] && words[first - 1] === words[from]) first--;
    while (isContext[last + 1] && words[last + 1] === words[to]) last++;
  }
  return [first, last] as const;
}

type Options = QuestionAnsweringOptions & RunOptions;

/** The remedy in the error for a question that leaves no room for the context. */
const SHORTER = 'Shorten the question, or pass a greater max_seq_len where the model takes more.';

/** Question and context -> the span of the context that answers, as transformers.js's QuestionAnsweringPipeline and Python's. */
export class QuestionAnswering extends Session<'start_logits' | 'end_logits'> {
  /**
   * { score, start, end, answer } with a top_k of 1 (the default), else a list of them. `context.slice(start, end) === answer`. A long
   * context runs in windows, so it is never cut. Throws InputError, DeviceError, NotFiniteError, or the signal's reason.
   *
   *   await answerer('Who wrote it?', 'It was written by José.');
   */
  _call<K extends number | undefined = undefined>(
    question: string,
    context: string,
    options?: (Options & { top_k?: K }) | null,
  ): Promise<WithTruncated<ByTopK<K, Answer, Answer[]>, boolean>>;
  async _call(
    question: string,
    context: string,
    options?: Options | null,
  ): Promise<WithTruncated<Answer, boolean> | WithTruncated<Answer[], boolean>> {
    const callOptions = this.checkedOptions(options, OPTION_NAMES);
    string('question', question);
    string('context', context);
    const tokenizer = this.tokenizer.text;
    const questionTokens = tokenizer.encode(question, { pair: '' }).ids.length;
    const { maxLength, stride, ...chosen } = answerOptions(callOptions, this.maxTokens, questionTokens);
    const { results, facts } = await this.forward(
      {
        texts: [context],
        encode: pair =>
          tokenizer.encodeWindows(question, { pair, maxLength, stride, truncation: 'only_second', remedy: SHORTER }),
        read: (outputs, encoding): AnswerWindow => {
          // [L, 2]: start and end.
          const logits = logitsOf(outputs);
          return {
            encoding,
            startLogits: logits.filter((_, j) => j % 2 === 0),
            endLogits: logits.filter((_, j) => j % 2 === 1),
          };
        },
      },
      callOptions,
    );
    const clsId = tokenizer.special.cls?.id;
    const answers = answerQuestion({ context, windows: results.flat(), clsId }, chosen);
    const textFacts = { truncated: false, tokens: facts.tokens[0]! };
    return chosen.topK === 1 ? withFacts(answers[0]!, textFacts) : withFacts(answers, textFacts);
  }
}
