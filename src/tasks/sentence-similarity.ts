import type { Similarity } from '../engine/index.ts';
import { wrong } from '../errors.ts';
import { type WithTruncated, withFacts } from './answers.ts';
import { listOf, string } from './arguments.ts';
import { Embedder } from './embedder.ts';
import { PROMPT_OPTION_NAMES, type PromptOptions } from './prompts.ts';
import { dot, norm, normalizeRows } from './rows.ts';
import type { RunOptions } from './session.ts';

/** How two embeddings are compared, as sentence-transformers' similarity(). A distance is negated, so that more is always nearer. */
export const SIMILARITY_FUNCTIONS: Readonly<Record<Similarity, (a: Float32Array, b: Float32Array) => number>> = {
  // 0 where one of the two is zero.
  cosine: (a, b) => dot(a, b) / (norm(a) * norm(b)),
  dot,
  euclidean: (a, b) => -Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0)),
  manhattan: (a, b) => -a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0),
};

/** The similarity of one embedding [C] with each of others, in their order. */
export function similarityScores(source: Float32Array, others: readonly Float32Array[], name: Similarity): number[] {
  return others.map(other => SIMILARITY_FUNCTIONS[name](source, other));
}

/**
 * One sentence and others -> the similarity of their embeddings, as the hub's sentence-similarity task. The embeddings are those of
 * sentence-transformers' encode() (by the checkpoint's modules.json, else the mean of the tokens). They are compared as by its
 * similarity() (by `similarity_fn_name` of config_sentence_transformers.json, else the cosine).
 */
export class SentenceSimilarity extends Embedder {
  /**
   * One score for each of `sentences`, in their order. `truncated` says of each whether it or the source was cut, `tokens` how many
   * tokens it had itself. A prompt is put before all of them. Throws InputError, UnsupportedError, CheckpointError, DeviceError, NotFiniteError, or the signal's reason.
   *
   *   await similarity({ source_sentence: 'a cat', sentences: ['a kitten', 'a car'] }); // a list of two scores
   */
  async _call(
    inputs: { source_sentence: string; sentences: readonly string[] },
    options?: (RunOptions & PromptOptions) | null,
  ): Promise<WithTruncated<number[], readonly boolean[]>> {
    if (typeof inputs !== 'object') throw wrong('the input', inputs, '{ source_sentence, sentences }');
    const callOptions = this.checkedOptions(options, PROMPT_OPTION_NAMES);
    const source = string('source_sentence', inputs?.source_sentence);
    const sentences = listOf('sentences', inputs.sentences, string);
    const modules = this.modules();
    const settings = this.readSentence.settings();
    const { similarity, truncateDim } = settings;
    const prompt = await this.prompt(callOptions, true);
    const { results, facts } = await this.pooledWindows(
      [source, ...sentences],
      { ...modules, normalize: false, prompt, settings },
      callOptions,
    );
    const rows = results.map(([window]) => {
      const { row } = window!;
      // The cosine does not depend on the lengths.
      if (modules.normalize && similarity !== 'cosine') normalizeRows(row, row.length);
      return row.subarray(0, truncateDim);
    });
    const [sourceRow, ...otherRows] = rows;
    const [isSourceCut, ...areCut] = facts.truncated;
    return withFacts(similarityScores(sourceRow!, otherRows, similarity), {
      truncated: areCut.map(isCut => isCut || isSourceCut!),
      tokens: facts.tokens.slice(1),
    });
  }
}
