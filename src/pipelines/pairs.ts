import { joined } from '../api/index.ts';
import {
  type Choice,
  chosen,
  listOf,
  type NextSentence,
  nextSentence,
  normalizeRows,
  PROMPT_NAMES,
  type PromptOptions,
  similarityScores,
  text as string,
} from '../tasks/index.ts';
import { Embedder, MEAN } from './embedder.ts';
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

/**
 * A sentence and others -> the similarity of their embeddings, as the hub's sentence-similarity task: they are those of
 * sentence-transformers' encode() (by the checkpoint's modules.json, else the mean), compared by its similarity() (`similarity_fn_name`
 * of config_sentence_transformers.json, else the cosine).
 */
export class SentenceSimilarity extends Embedder {
  /** One score for each of `sentences`, and in `truncated` whether it or the source was cut. A prompt stands before all of them. */
  async _call(
    inputs: { source_sentence: string; sentences: readonly string[] },
    given?: (RunOptions & PromptOptions) | null,
  ): Promise<Said<number[], readonly boolean[]>> {
    const options = this.options(given, ...PROMPT_NAMES);
    const source = string('source_sentence', inputs?.source_sentence);
    const list = listOf('sentences', inputs.sentences, string);
    const modules = (await this.sentence.modules) ?? MEAN;
    const settings = await this.sentence.settings;
    const { similarity, truncateDim } = settings;
    const prompt = await this.prompt(options, true);
    const recipe = { ...modules, normalize: false, prompt, settings };
    const { found, truncated } = await this.pooledWindows([source, ...list], recipe, options);
    const rows = found.map(([window]) => {
      const { row } = window!;
      // A cosine is the same without.
      if (modules.normalize && similarity !== 'cosine') normalizeRows(row, row.length);
      return row.subarray(0, truncateDim);
    });
    const [own, ...others] = rows;
    const [isCut, ...cut] = truncated;
    return saying(
      similarityScores(own!, joined(others), similarity),
      cut.map(other => other || isCut!),
    );
  }
}
