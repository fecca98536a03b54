import type { WantedTensor } from '../checkpoint/file/index.ts';
import { type EncoderConfig, labelCount, labelNames } from '../model/index.ts';
import {
  type Crf,
  classifyTokens,
  type Entity,
  flag,
  inText,
  mergeEntities,
  text as string,
  type TokenClassificationOptions,
  type TokenLabels,
  textList,
  tokenClassificationOptions,
  wordedTexts,
} from '../tasks/index.ts';
import {
  logitsOf,
  OVERFLOW_NAMES,
  type OverflowOptions,
  type RunOptions,
  type Said,
  Session,
  saying,
} from './session.ts';

const CRF_TENSORS = ['crf.transitions', 'crf.start_transitions', 'crf.end_transitions'] as const;

/** Read to the CPU at load, see Engine.host: transitions [n, n] between the n labels, [n] at the start and [n] at the end. */
export function crfTensors(config: EncoderConfig): WantedTensor[] {
  const n = labelCount(config);
  return CRF_TENSORS.map(tensor => ({ tensor, shape: tensor === 'crf.transitions' ? [n, n] : [n] }));
}

type Options = TokenClassificationOptions & RunOptions & OverflowOptions;
/** Lists of words, one or several. */
type Words = readonly string[] | readonly (readonly string[])[];

/** Texts -> entities, as transformers.js's TokenClassificationPipeline, with Python's strategies and character offsets. */
export class TokenClassification extends Session<'logits'> {
  /**
   * [{ entity, score, index, word, start, end }], or groups with an aggregation_strategy; a list of lists for several texts.
   * `text.slice(start, end)` is what an entity stands for.
   *
   *   await ner('Anna lives in Rome.', { aggregation_strategy: 'simple' });
   *   // [{ entity_group: 'PER', score: 0.99, word: 'Anna', start: 0, end: 4 }, ...]
   *
   * With is_split_into_words the words are given, of one text or of several, and the answer is a list of lists, of one text too, as
   * in Python. `start` and `end` are then places in the words with `delimiter` between them.
   *
   *   await ner(['Anna', 'lives', 'in', 'Rome', '.'], { is_split_into_words: true });
   */
  _call(words: Words, options: Options & { is_split_into_words: true }): Promise<Said<Entity[], boolean>[]>;
  _call(text: string, options?: Options | null): Promise<Said<Entity[], boolean>>;
  _call(texts: readonly string[], options?: Options | null): Promise<Said<Entity[], boolean>[]>;
  _call(
    texts: string | readonly string[],
    options?: Options | null,
  ): Promise<Said<Entity[], boolean> | Said<Entity[], boolean>[]>;
  async _call(
    texts: string | Words,
    given?: Options | null,
  ): Promise<Said<Entity[], boolean> | Said<Entity[], boolean>[]> {
    const options = this.options(
      given,
      'aggregation_strategy',
      'ignore_labels',
      'is_split_into_words',
      'delimiter',
      ...OVERFLOW_NAMES,
    );
    const chosen = tokenClassificationOptions(options);
    const { text: tokenizer } = this.tokenizer;
    const model: TokenLabels = {
      labels: labelNames(this.engine.config),
      unkId: tokenizer.special.unk?.id,
      marksSubwords: tokenizer.continuingSubwordPrefix !== undefined,
      join: tokens => tokenizer.joinTokens(tokens),
      crf: this.#crf(),
    };
    const isSplitIntoWords = flag('is_split_into_words', options.is_split_into_words, false);
    const { found, truncated } = isSplitIntoWords
      ? await this.forward(
          wordedTexts(texts, options),
          ({ words }) => this.encode(words, { ...options, isSplitIntoWords }),
          (out, encoding, worded) =>
            classifyTokens(worded.text, inText(encoding, worded), logitsOf(out), model, chosen),
          options,
        )
      : await this.forward(
          textList(texts, string),
          text => this.encode(text, options),
          (out, encoding, text) => classifyTokens(text, encoding, logitsOf(out), model, chosen),
          options,
        );
    const results = found.map((windows, i) =>
      saying(windows.length === 1 ? windows[0]! : mergeEntities(windows), truncated[i]!),
    );
    return Array.isArray(texts) ? results : results[0]!;
  }

  /** The transition weights of pytorch-crf, where the checkpoint has them. */
  #crf(): Crf | undefined {
    const [transitions, start_transitions, end_transitions] = CRF_TENSORS.map(name => this.engine.host.get(name));
    if (!transitions || !start_transitions || !end_transitions) return undefined;
    return { transitions, start_transitions, end_transitions };
  }
}
