import {
  type Answer,
  answerOptions,
  answerQuestion,
  type QuestionAnsweringOptions,
  text as string,
} from '../tasks/index.ts';
import { type ByTopK, logitsOf, type RunOptions, type Said, Session, saying } from './session.ts';

type Options = QuestionAnsweringOptions & RunOptions;

/** What can be done where the question leaves no room for the context. */
const SHORTER = 'Shorten the question, or pass a greater max_seq_len where the model takes more.';

/** Question and context -> the span of the context that answers, as transformers.js's QuestionAnsweringPipeline and Python's. */
export class QuestionAnswering extends Session<'start_logits' | 'end_logits'> {
  /**
   * { score, start, end, answer } with top_k 1 (the default), else a list of them. A long context runs in windows, so it is never
   * cut; `context.slice(start, end) === answer`.
   *
   *   await answerer('Who wrote it?', 'It was written by José.');
   */
  _call<K extends number | undefined = undefined>(
    question: string,
    context: string,
    options?: (Options & { top_k?: K }) | null,
  ): Promise<Said<ByTopK<K, Answer, Answer[]>, boolean>>;
  async _call(
    question: string,
    context: string,
    given?: Options | null,
  ): Promise<Said<Answer, boolean> | Said<Answer[], boolean>> {
    const options = this.options(
      given,
      'top_k',
      'doc_stride',
      'max_seq_len',
      'max_answer_len',
      'handle_impossible_answer',
      'align_to_words',
    );
    const [own, text] = [string('question', question), string('context', context)];
    const tokenizer = this.tokenizer.text;
    const taken = tokenizer.encode(own, { pair: '' }).ids.length;
    const { maxLength, stride, ...chosen } = answerOptions(options, this.longest, taken);
    const { found } = await this.forward(
      [text],
      pair => tokenizer.encodeWindows(own, { pair, maxLength, stride, truncation: 'only_second', remedy: SHORTER }),
      (out, encoding) => {
        const both = logitsOf(out);
        return {
          encoding,
          startLogits: both.filter((_, j) => j % 2 === 0),
          endLogits: both.filter((_, j) => j % 2 === 1),
        };
      },
      options,
    );
    const answers = answerQuestion(text, found.flat(), tokenizer.special.cls?.id, chosen);
    return chosen.topK === 1 ? saying(answers[0]!, false) : saying(answers, false);
  }
}
