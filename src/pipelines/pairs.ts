import { stack } from '../model-outputs.ts';
import { checkNames, listOf, text as string } from '../tasks/arguments.ts';
import { type Choice, chosen } from '../tasks/multiple-choice.ts';
import { type NextSentence, nextSentence } from '../tasks/next-sentence-prediction.ts';
import { cosineScores } from '../tasks/sentence-similarity.ts';
import { type RunOptions, Session, tokensOf } from './session.ts';

/** Whether the second text follows the first, by BERT's pre-training head. */
export class NextSentencePrediction extends Session<'logits'> {
  /** { label: 'IsNext' | 'NotNext', score } */
  async _call(text: string, next: string, options: RunOptions = {}): Promise<NextSentence> {
    checkNames(this.task, options, ['signal']);
    const encoding = this.encode(string('text', text), { pair: string('next', next) });
    const request = { head: { kind: 'NextSentencePrediction' } } as const;
    const [out] = await this.forward([tokensOf(encoding)], request, options.signal);
    return nextSentence(out!.get('logits')!);
  }
}

/** Which of several continuations fits a text, by a multiple-choice head. */
export class MultipleChoice extends Session<'logits'> {
  /** [{ index, label, score }], likeliest first. */
  async _call(text: string, choices: readonly string[], options: RunOptions = {}): Promise<Choice[]> {
    checkNames(this.task, options, ['signal']);
    const list = listOf('choices', choices, string);
    const own = string('text', text);
    const encodings = list.map(pair => this.encode(own, { pair }));
    const outputs = await this.forward(
      encodings.map(encoding => tokensOf(encoding)),
      { head: { kind: 'MultipleChoice' } },
      options.signal,
    );
    return chosen(
      outputs.map(out => out.get('logits')![0]!),
      list,
    );
  }
}

/** A sentence and others -> the cosines of their embeddings (as the checkpoint's modules.json pools, else by the mean), as the hub's sentence-similarity task. */
export class SentenceSimilarity extends Session<'last_hidden_state' | 'pooler_output'> {
  /** One score for each of `sentences`. */
  async _call(
    inputs: { source_sentence: string; sentences: readonly string[] },
    options: RunOptions = {},
  ): Promise<number[]> {
    checkNames(this.task, options, ['signal']);
    const source = string('source_sentence', inputs?.source_sentence);
    const list = listOf('sentences', inputs.sentences, string);
    const { pooling = 'mean', dense = [], maxLength = this.longest } = this.sentence ?? {};
    const encode = (text: string) => tokensOf(this.encode(text, { maxLength: Math.min(maxLength, this.longest) }));
    function* sequences() {
      for (const text of [source, ...list]) yield encode(text);
    }
    const columns = dense.at(-1)?.outputs ?? this.engine.config.hiddenSize;
    const request = { pool: { pooling, normalize: false, ...(dense.length > 0 && { dense }) } };
    const outputs = await this.forward(sequences(), request, options.signal);
    const data = stack('embedding', outputs, columns).data as Float32Array;
    return cosineScores(data.subarray(0, columns), data.subarray(columns));
  }
}
