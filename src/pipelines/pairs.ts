import { stack } from '../model-outputs.ts';
import { checkNames, listOf, text as string } from '../tasks/arguments.ts';
import { type Choice, chosen } from '../tasks/multiple-choice.ts';
import { type NextSentence, nextSentence } from '../tasks/next-sentence-prediction.ts';
import { cosineScores } from '../tasks/sentence-similarity.ts';
import { type RunOptions, type Said, Session, saying, tokensOf } from './session.ts';

/** Whether the second text follows the first, by BERT's pre-training head. */
export class NextSentencePrediction extends Session<'logits'> {
  /** { label: 'IsNext' | 'NotNext', score } */
  async _call(text: string, next: string, given?: RunOptions | null): Promise<Said<NextSentence, boolean>> {
    const options = checkNames(this.task, given, ['signal']);
    const encoding = this.encode(string('text', text), { pair: string('next', next) });
    const request = { head: { kind: 'NextSentencePrediction' } } as const;
    const [out] = await this.forward([tokensOf(encoding)], request, options.signal);
    return saying(nextSentence(out!.get('logits')!), encoding.truncated);
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
    const options = checkNames(this.task, given, ['signal']);
    const list = listOf('choices', choices, string);
    const own = string('text', text);
    const encodings = list.map(pair => this.encode(own, { pair }));
    const outputs = await this.forward(
      encodings.map(encoding => tokensOf(encoding)),
      { head: { kind: 'MultipleChoice' } },
      options.signal,
    );
    const logits = outputs.map(out => out.get('logits')![0]!);
    const cut = encodings.map(({ truncated }) => truncated);
    return saying(chosen(logits, list), cut);
  }
}

/** A sentence and others -> the cosines of their embeddings (as the checkpoint's modules.json pools, else by the mean), as the hub's sentence-similarity task. */
export class SentenceSimilarity extends Session<'last_hidden_state' | 'pooler_output'> {
  /** One score for each of `sentences`, and in `truncated` whether it or the source was cut. */
  async _call(
    inputs: { source_sentence: string; sentences: readonly string[] },
    given?: RunOptions | null,
  ): Promise<Said<number[], readonly boolean[]>> {
    const options = checkNames(this.task, given, ['signal']);
    const source = string('source_sentence', inputs?.source_sentence);
    const list = listOf('sentences', inputs.sentences, string);
    const { pooling = 'mean', dense = [], maxLength = this.longest } = this.sentence ?? {};
    const encode = (text: string) => this.encode(text, { maxLength: Math.min(maxLength, this.longest) });
    const cut: boolean[] = [];
    function* sequences() {
      for (const text of [source, ...list]) {
        const encoding = encode(text);
        cut.push(encoding.truncated);
        yield tokensOf(encoding);
      }
    }
    const columns = dense.at(-1)?.outputs ?? this.engine.config.hiddenSize;
    const request = { pool: { pooling, normalize: false, ...(dense.length > 0 && { dense }) } };
    const outputs = await this.forward(sequences(), request, options.signal);
    const data = stack('embedding', outputs, columns).data as Float32Array;
    const [sourceCut, ...others] = cut;
    return saying(
      cosineScores(data.subarray(0, columns), data.subarray(columns)),
      others.map(own => own || sourceCut!),
    );
  }
}
