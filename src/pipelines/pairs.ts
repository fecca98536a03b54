import { joined } from '../model-outputs.ts';
import { listOf, text as string } from '../tasks/arguments.ts';
import { type Choice, chosen } from '../tasks/multiple-choice.ts';
import { type NextSentence, nextSentence } from '../tasks/next-sentence-prediction.ts';
import { cosineScores } from '../tasks/sentence-similarity.ts';
import { MEAN } from './feature-extraction.ts';
import { logitsOf, type RunOptions, type Said, Session, saying } from './session.ts';

/** Whether the second text follows the first, by BERT's pre-training head. */
export class NextSentencePrediction extends Session<'logits'> {
  /** { label: 'IsNext' | 'NotNext', score } */
  async _call(text: string, next: string, given?: RunOptions | null): Promise<Said<NextSentence, boolean>> {
    const options = this.options(given);
    const own = string('text', text);
    const { found, truncated } = await this.forward(
      [string('next', next)],
      pair => this.encode(own, { pair }),
      logitsOf,
      options,
    );
    return saying(nextSentence(found[0]![0]!), truncated[0]!);
  }
}

/** Which of several continuations fits a text, by a multiple-choice head. */
export class MultipleChoice extends Session<'logits'> {
  /** [{ index, label, score }], likeliest first. `truncated` is in the order of `choices`: of each with the text. */
  async _call(
    text: string,
    choices: readonly string[],
    given?: RunOptions | null,
  ): Promise<Said<Choice[], readonly boolean[]>> {
    const options = this.options(given);
    const list = listOf('choices', choices, string);
    const own = string('text', text);
    const { found, truncated } = await this.forward(list, pair => this.encode(own, { pair }), logitsOf, options);
    return saying(
      chosen(
        found.map(([logits]) => logits![0]!),
        list,
      ),
      truncated,
    );
  }
}

/** A sentence and others -> the cosines of their embeddings (as the checkpoint's modules.json pools, else by the mean), as the hub's sentence-similarity task. */
export class SentenceSimilarity extends Session<'last_hidden_state' | 'pooler_output'> {
  /** One score for each of `sentences`, and in `truncated` whether it or the source was cut. */
  async _call(
    inputs: { source_sentence: string; sentences: readonly string[] },
    given?: RunOptions | null,
  ): Promise<Said<number[], readonly boolean[]>> {
    const options = this.options(given);
    const source = string('source_sentence', inputs?.source_sentence);
    const list = listOf('sentences', inputs.sentences, string);
    const { pooling, dense, maxLength } = (await this.sentence) ?? MEAN;
    const { found, truncated } = await this.forward(
      [source, ...list],
      text => this.encode(text, { maxLength }),
      out => out.get('embedding')!,
      options,
      { pool: { pooling, normalize: false, dense } },
    );
    const [own, ...others] = found.flat();
    const [isCut, ...cut] = truncated;
    return saying(
      cosineScores(own!, joined(others)),
      cut.map(other => other || isCut!),
    );
  }
}
