import { factsOf, type WithTruncated, withFacts } from './answers.ts';
import { string } from './arguments.ts';
import { softmax } from './scores.ts';
import { logitsOf, type RunOptions, Session } from './session.ts';

export interface NextSentence {
  label: 'IsNext' | 'NotNext';
  score: number;
}

/** Whether the second text follows the first, from the logits [2] of BertForNextSentencePrediction, of which the first says yes. */
export function nextSentence(logits: ArrayLike<number>): NextSentence {
  const [isNext = 0, notNext = 0] = softmax(logits);
  return isNext >= notNext ? { label: 'IsNext', score: isNext } : { label: 'NotNext', score: notNext };
}

/** Whether the second text follows the first, by BERT's pre-training head (arXiv:1810.04805). */
export class NextSentencePrediction extends Session<'logits'> {
  /**
   * { label: 'IsNext' | 'NotNext', score }. Throws InputError, DeviceError, NotFiniteError, or the signal's reason.
   *
   *   await predictor('He opened the door.', 'Then he went in.');
   */
  async _call(text: string, next: string, options?: RunOptions | null): Promise<WithTruncated<NextSentence, boolean>> {
    const callOptions = this.checkedOptions(options, []);
    string('text', text);
    string('next', next);
    const { results, facts } = await this.forward(
      {
        texts: [next],
        encode: pair => this.encode(text, { pair }),
        read: logitsOf,
        // Not that of the model, which may have the other head of BERT's pre-training, too.
        request: { head: { kind: 'NextSentencePrediction' } },
      },
      callOptions,
    );
    return withFacts(nextSentence(results[0]![0]!), factsOf(facts, 0));
  }
}
