import { joined } from '../model-outputs.ts';
import { checkNames, listOf, text as string } from '../tasks/arguments.ts';
import { type Choice, chosen } from '../tasks/multiple-choice.ts';
import { type NextSentence, nextSentence } from '../tasks/next-sentence-prediction.ts';
import { cosineScores } from '../tasks/sentence-similarity.ts';
import { RUN_NAMES, type RunOptions, type Said, Session, saying } from './session.ts';

/** Whether the second text follows the first, by BERT's pre-training head. */
export class NextSentencePrediction extends Session<'logits'> {
  /** { label: 'IsNext' | 'NotNext', score } */
  async _call(text: string, next: string, given?: RunOptions | null): Promise<Said<NextSentence, boolean>> {
    const options = checkNames(this.task, given, RUN_NAMES);
    const encoding = this.encode(string('text', text), { pair: string('next', next) });
    const [answers] = await this.forward(
      [encoding],
      only => [only],
      out => nextSentence(out.get('logits')!),
      { head: { kind: 'NextSentencePrediction' } },
      options,
    );
    return saying(answers![0]!, encoding.truncated);
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
    const options = checkNames(this.task, given, RUN_NAMES);
    const list = listOf('choices', choices, string);
    const own = string('text', text);
    const choicesRun = await this.forward(
      list,
      pair => [this.encode(own, { pair })],
      (out, { truncated }) => ({ logit: out.get('logits')![0]!, truncated }),
      { head: { kind: 'MultipleChoice' } },
      options,
    );
    const all = choicesRun.flat();
    return saying(
      chosen(
        all.map(({ logit }) => logit),
        list,
      ),
      all.map(({ truncated }) => truncated),
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
    const options = checkNames(this.task, given, RUN_NAMES);
    const source = string('source_sentence', inputs?.source_sentence);
    const list = listOf('sentences', inputs.sentences, string);
    const { pooling = 'mean', dense = [], maxLength = this.longest } = this.sentence ?? {};
    const texts = await this.forward(
      [source, ...list],
      text => [this.encode(text, { maxLength: Math.min(maxLength, this.longest) })],
      (out, { truncated }) => ({ row: out.get('embedding')!, truncated }),
      { pool: { pooling, normalize: false, ...(dense.length > 0 && { dense }) } },
      options,
    );
    const [own, ...others] = texts.flat();
    return saying(
      cosineScores(own!.row, joined(others.map(({ row }) => row))),
      others.map(({ truncated }) => truncated || own!.truncated),
    );
  }
}
