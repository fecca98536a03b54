import { labelNames } from '../model/index.ts';
import type { Encoding } from '../text/index.ts';
import { factsOf, type WithTruncated, withFacts } from './answers.ts';
import { choice, flag, listOf, string, textList } from './arguments.ts';
import { type Crf, crfOf, marginals, viterbi } from './crf.ts';
import {
  AGGREGATION_NAMES,
  type AggregationContext,
  type AggregationStrategy,
  aggregate,
  type Entity,
  type LabelledToken,
  mergeEntities,
} from './entities.ts';
import { argmax, softmax } from './scores.ts';
import { logitsOf, OVERFLOW_OPTION_NAMES, type OverflowOptions, type RunOptions, Session } from './session.ts';
import { inText, wordedTexts } from './worded-texts.ts';

export interface TokenClassificationOptions {
  /** Default: 'none', one entity for each token. */
  aggregation_strategy?: AggregationStrategy;
  /** Entities with these labels are left out. Default: ['O']. */
  ignore_labels?: readonly string[];
  /** Whether texts are lists of words: a list of strings for one text, a list of such lists for several. Default: false. */
  is_split_into_words?: boolean;
  /** The string between two words, in the text that `start` and `end` refer to. Default: a space. */
  delimiter?: string;
}

const OPTION_NAMES = [
  'aggregation_strategy',
  'ignore_labels',
  'is_split_into_words',
  'delimiter',
  ...OVERFLOW_OPTION_NAMES,
];

/** What the post-processing needs of a model and its tokenizer. */
export interface TokenLabels extends Pick<AggregationContext, 'labels' | 'join'> {
  unkId: number | undefined;
  /** Whether the vocabulary marks tokens that continue a word ("##ing"). */
  marksSubwords: boolean;
  /** If the model ends in a CRF: labels are then those of its best path, scores its marginal probabilities. */
  crf?: Crf | undefined;
}

/** The options with their defaults. Throws InputError, UnsupportedError. */
export function tokenClassificationOptions({ aggregation_strategy, ignore_labels }: TokenClassificationOptions): {
  strategy: AggregationStrategy;
  ignored: string[];
} {
  const ignored = ignore_labels ?? ['O'];
  return {
    strategy: choice('aggregation_strategy', aggregation_strategy, { names: AGGREGATION_NAMES, fallback: 'none' }),
    ignored: ignored.length === 0 ? [] : listOf('ignore_labels', ignored, string),
  };
}

/** A text or a window of it: its tokens, and their logits [L, labels]. */
interface ClassifiedText {
  text: string;
  encoding: Pick<Encoding, 'ids' | 'tokens' | 'offsets' | 'specialTokensMask'>;
  logits: Float32Array | Float64Array;
}

/** The entities of a text, or of one window of it, as Python's TokenClassificationPipeline finds them. */
export function classifyTokens(
  classified: ClassifiedText,
  model: TokenLabels,
  { strategy, ignored }: ReturnType<typeof tokenClassificationOptions>,
): Entity[] {
  const { labels, join } = model;
  return aggregate(labelTokens(classified, model), ignored, { strategy, labels, join });
}

/** Every token but the special ones, with its label. */
function labelTokens(
  { text, encoding: { ids, tokens, offsets, specialTokensMask }, logits }: ClassifiedText,
  { labels, unkId, marksSubwords, crf }: TokenLabels,
): LabelledToken[] {
  const n = labels.length;
  const path = crf && viterbi(logits, crf);
  const probabilities = crf && marginals(logits, crf);
  return ids.flatMap((id, index) => {
    if (specialTokensMask[index]) return [];
    const [rowStart, rowEnd] = [index * n, (index + 1) * n];
    const scores = probabilities?.subarray(rowStart, rowEnd) ?? softmax(logits.subarray(rowStart, rowEnd));
    const label = path?.[index] ?? argmax(scores);
    const [start, end] = offsets[index]!;
    const tokenText = text.slice(start, end);
    const isUnknown = id === unkId;
    const word = isUnknown ? tokenText : tokens[index]!;
    // As Python does. With marks: a marked token is longer than its text, in code points ("##ing" and "ing"). Without marks: there is
    // no space before it.
    const isSubword = marksSubwords
      ? [...word].length !== [...tokenText].length
      : start > 0 && !text.slice(start - 1, start + 1).includes(' ');
    const score = scores[label]!;
    return [{ entity: labels[label]!, score, index, word, start, end, scores, isSubword: isSubword && !isUnknown }];
  });
}

type Options = TokenClassificationOptions & RunOptions & OverflowOptions;
/** Lists of words, one or several. */
type Words = readonly string[] | readonly (readonly string[])[];

/** Texts -> entities, as transformers.js's TokenClassificationPipeline, with Python's strategies and character offsets. */
export class TokenClassification extends Session<'logits'> {
  /**
   * [{ entity, score, index, word, start, end }], one for each token, or groups with an aggregation_strategy; a list of lists for a
   * list of texts. `text.slice(start, end)` is what an entity stands for.
   * Throws InputError, UnsupportedError, CheckpointError, DeviceError, NotFiniteError, or the signal's reason.
   *
   *   await ner('Anna lives in Rome.', { aggregation_strategy: 'simple' });
   *   // [{ entity_group: 'PER', score: 0.99, word: 'Anna', start: 0, end: 4 }, ...]
   *
   * With is_split_into_words a text is a list of words, and the result is a list of lists, for one text too, as in Python. `start` and
   * `end` are then places in the words with `delimiter` between them.
   *
   *   await ner(['Anna', 'lives', 'in', 'Rome', '.'], { is_split_into_words: true });
   */
  _call(words: Words, options: Options & { is_split_into_words: true }): Promise<WithTruncated<Entity[], boolean>[]>;
  _call(text: string, options?: Options | null): Promise<WithTruncated<Entity[], boolean>>;
  _call(texts: readonly string[], options?: Options | null): Promise<WithTruncated<Entity[], boolean>[]>;
  _call(
    texts: string | readonly string[],
    options?: Options | null,
  ): Promise<WithTruncated<Entity[], boolean> | WithTruncated<Entity[], boolean>[]>;
  async _call(
    texts: string | Words,
    options?: Options | null,
  ): Promise<WithTruncated<Entity[], boolean> | WithTruncated<Entity[], boolean>[]> {
    const callOptions = this.checkedOptions(options, OPTION_NAMES);
    const chosen = tokenClassificationOptions(callOptions);
    const { text: tokenizer } = this.tokenizer;
    const model: TokenLabels = {
      labels: labelNames(this.engine.config),
      unkId: tokenizer.special.unk?.id,
      marksSubwords: tokenizer.continuingSubwordPrefix !== undefined,
      join: tokens => tokenizer.joinTokens(tokens),
      crf: crfOf(this.engine.host),
    };
    const isSplitIntoWords = flag('is_split_into_words', callOptions.is_split_into_words, false);
    const { results, facts } = isSplitIntoWords
      ? await this.forward(
          {
            texts: wordedTexts(texts, callOptions),
            encode: ({ words }) => this.encode(words, { ...callOptions, isSplitIntoWords }),
            read: (outputs, encoding, worded) =>
              classifyTokens(
                { text: worded.text, encoding: inText(encoding, worded), logits: logitsOf(outputs) },
                model,
                chosen,
              ),
          },
          callOptions,
        )
      : await this.forward(
          {
            texts: textList(texts, string),
            encode: text => this.encode(text, callOptions),
            read: (outputs, encoding, text) =>
              classifyTokens({ text, encoding, logits: logitsOf(outputs) }, model, chosen),
          },
          callOptions,
        );
    const answers = results.map((windows, i) =>
      withFacts(windows.length === 1 ? windows[0]! : mergeEntities(windows), factsOf(facts, i)),
    );
    return Array.isArray(texts) ? answers : answers[0]!;
  }
}
