import { type WithTruncated, withFacts } from './answers.ts';
import { listOf, string } from './arguments.ts';
import { ranked, softmax } from './scores.ts';
import { logitsOf, type RunOptions, Session } from './session.ts';

export interface Choice {
  /** The choice's index in the list that was passed. */
  index: number;
  label: string;
  score: number;
}

/** Choices by probability, likeliest first, from the one logit of each (BertForMultipleChoice). */
export function rankChoices(logits: ArrayLike<number>, choices: readonly string[]): Choice[] {
  const scores = softmax(logits);
  return ranked(scores).map(index => ({ index, label: choices[index]!, score: scores[index]! }));
}

/** Which of several continuations fits a text, by a multiple-choice head. */
export class MultipleChoice extends Session<'logits'> {
  /**
   * [{ index, label, score }], likeliest first. `truncated` is in the order of `choices`: whether each, with the text, was cut.
   * Throws InputError, DeviceError, NotFiniteError, or the signal's reason.
   *
   *   await chooser('The sky is', ['blue.', 'a bicycle.']);
   */
  async _call(
    text: string,
    choices: readonly string[],
    options?: RunOptions | null,
  ): Promise<WithTruncated<Choice[], readonly boolean[]>> {
    const callOptions = this.checkedOptions(options, []);
    const texts = listOf('choices', choices, string);
    string('text', text);
    const { results, facts } = await this.forward(
      { texts, encode: pair => this.encode(text, { pair }), read: logitsOf },
      callOptions,
    );
    const logits = results.map(([window]) => window![0]!);
    return withFacts(rankChoices(logits, texts), facts);
  }
}
