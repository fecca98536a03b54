import { describe, InputError } from '../errors.ts';
import type { Encoding } from '../text/index.ts';

interface AnswerContext {
  readonly context: string;
  readonly answers: unknown;
  /** Of question and context. */
  readonly encoding: Pick<Encoding, 'offsets' | 'sequenceIds'>;
  /** The place of the record, for errors. */
  readonly index: number;
}

/** The tokens of an answer. */
export interface AnswerSpan {
  readonly start: number;
  /** Inclusive. */
  readonly end: number;
  /** Whether the answer is not within the tokens. `start` and `end` are 0 then, [CLS], as where there is none. */
  readonly isCutOff: boolean;
}

/**
 * The first and the last token of the first answer, as transformers' run_qa.py finds them: the last token that begins at or before the
 * answer, and the first that ends at or behind it. A record without answers (SQuAD 2) has the first token for both. Throws InputError.
 *
 * `answer_start` counts UTF-16 units, or code points as Python does: whichever is where the text of the answer stands.
 */
export function answerSpan({ context, answers, encoding, index }: AnswerContext): AnswerSpan {
  const answer = firstAnswer(answers, index);
  if (answer === undefined) return { start: 0, end: 0, isCutOff: false };
  const from = placeOf(context, answer, index);
  const to = from + answer.text.length;
  const { offsets, sequenceIds } = encoding;
  const first = sequenceIds.indexOf(1);
  const last = sequenceIds.lastIndexOf(1);
  if (first < 0 || offsets[first]![0] > from || offsets[last]![1] < to) return { start: 0, end: 0, isCutOff: true };
  let start = first;
  while (start < last && offsets[start + 1]![0] <= from) start++;
  let end = last;
  while (end > start && offsets[end - 1]![1] >= to) end--;
  return { start, end, isCutOff: false };
}

interface Answer {
  readonly text: string;
  readonly start: number;
}

/** Of { text: [...], answer_start: [...] }, or of [{ text, answer_start }, ...]. */
function firstAnswer(answers: unknown, index: number): Answer | undefined {
  const { text: texts, answer_start: starts } = Object(answers);
  const list = Array.isArray(answers)
    ? answers.map(answer => [Object(answer).text, Object(answer).answer_start])
    : Array.isArray(texts) && Array.isArray(starts) && texts.length === starts.length
      ? texts.map((text, i) => [text, starts[i]])
      : [[texts, starts]];
  if (list.length === 0) return undefined;
  const [text, start] = list[0]!;
  if (typeof text === 'string' && text !== '' && Number.isSafeInteger(start) && start >= 0) return { text, start };
  throw new InputError({
    what: `record ${index}: answers is wrong`,
    actual: describe(answers),
    expected: '{ text: [...], answer_start: [...] }, both empty where there is no answer',
  });
}

/** Where the answer begins in the context, in UTF-16 units. */
function placeOf(context: string, { text, start }: Answer, index: number): number {
  if (context.startsWith(text, start)) return start;
  const units = Array.from(context).slice(0, start).join('').length;
  if (context.startsWith(text, units)) return units;
  throw new InputError({
    what: `record ${index}: the answer does not stand where it is said to`,
    actual: `${describe(context.slice(start, start + text.length))} at ${start} of the context`,
    expected: describe(text),
  });
}
