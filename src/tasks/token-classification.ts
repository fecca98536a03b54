import type { Encoding } from '../text/index.ts';
import { choice, listOf, text as string } from './arguments.ts';
import { type Crf, marginals, viterbi } from './crf.ts';
import { argmax, softmax } from './scores.ts';

export const AGGREGATION_NAMES = ['none', 'simple', 'first', 'average', 'max'] as const;
export type AggregationStrategy = (typeof AGGREGATION_NAMES)[number];

export interface TokenClassificationOptions {
  /** Default: 'none', one entity for each token. */
  aggregation_strategy?: AggregationStrategy;
  /** Labels that are left out. Default: ['O']. */
  ignore_labels?: readonly string[];
  /** Texts are lists of words: of one text a list of strings, of several a list of such lists. Default: false. */
  is_split_into_words?: boolean;
  /** What stands between the words in the text that `start` and `end` are places of. Default: a space. */
  delimiter?: string;
}

/** A text whose words are given. */
export interface WordedText {
  readonly words: readonly string[];
  /** The words with the delimiter between them. */
  readonly text: string;
  /** Where each word begins in the text. */
  readonly starts: readonly number[];
}

/** The texts of a call with is_split_into_words: one, or several. Throws InputError for what is no list of words. */
export function wordedTexts(texts: unknown, options: TokenClassificationOptions): WordedText[] {
  const delimiter = string('delimiter', options.delimiter ?? ' ');
  const isOne = !Array.isArray(texts) || !texts.every(Array.isArray) || texts.length === 0;
  return (isOne ? [texts] : texts).map((given, i) => {
    const words = listOf(isOne ? 'the words' : `the words of text ${i}`, given, string);
    let end = 0;
    const starts = words.map(word => {
      const start = end;
      end += word.length + delimiter.length;
      return start;
    });
    return { words, text: words.join(delimiter), starts };
  });
}

/** The encoding of given words, whose offsets are those in a word, with offsets in the text. */
export function inText<E extends Pick<Encoding, 'offsets' | 'wordIds'>>(encoding: E, { starts }: WordedText): E {
  const offsets = encoding.offsets.map(([start, end], i): [number, number] => {
    const word = encoding.wordIds[i] ?? null;
    const base = word === null ? 0 : starts[word]!;
    return [base + start, base + end];
  });
  return { ...encoding, offsets };
}

/** With the strategy 'none' a token and its `entity`; else a group and its `entity_group`. */
export interface Entity {
  entity?: string;
  entity_group?: string;
  score: number;
  /** The token's place among all of its text's tokens; only with 'none'. */
  index?: number;
  word: string;
  /** [start, end) in UTF-16 units, so that `text.slice(start, end)` works. */
  start: number;
  end: number;
}

/** What the post-processing must know of a model and its tokenizer. */
export interface TokenLabels {
  /** [n] */
  labels: readonly string[];
  unkId: number | undefined;
  /** Whether the vocabulary marks what goes on inside of a word ("##"). */
  marksSubwords: boolean;
  /** Tokens -> text, by the tokenizer's decoder. */
  join: (tokens: readonly string[]) => string;
  /** Where the model ends in a CRF: labels are those of its best path, scores its marginal probabilities. */
  crf?: Crf;
}

/** A token or a word, with its likeliest label. */
interface Labelled {
  entity: string;
  score: number;
  word: string;
  start: number;
  end: number;
}

interface Piece extends Labelled {
  index: number;
  /** [n] */
  scores: Float64Array;
  isSubword: boolean;
}

/** Options checked. Throws InputError, UnsupportedError. */
export function tokenClassificationOptions({ aggregation_strategy, ignore_labels }: TokenClassificationOptions) {
  const ignored = ignore_labels ?? ['O'];
  return {
    strategy: choice('aggregation_strategy', aggregation_strategy, AGGREGATION_NAMES, 'none'),
    ignored: ignored.length === 0 ? [] : listOf('ignore_labels', ignored, string),
  };
}

/**
 * The entities of a text (or of one window of it) from logits [L, n], as Python's TokenClassificationPipeline finds them.
 * Ignored labels are left out last, so they part groups.
 */
export function classifyTokens(
  text: string,
  encoding: Pick<Encoding, 'ids' | 'tokens' | 'offsets' | 'specialTokensMask'>,
  logits: Float32Array | Float64Array,
  model: TokenLabels,
  { strategy, ignored }: { strategy: AggregationStrategy; ignored: readonly string[] },
): Entity[] {
  const pieces = toPieces(text, encoding, logits, model);
  if (strategy === 'none') {
    return pieces
      .map(({ scores: _, isSubword: __, ...entity }) => entity)
      .filter(({ entity }) => !ignored.includes(entity));
  }
  const { join } = model;
  const words: readonly Labelled[] =
    strategy === 'simple'
      ? pieces
      : runs(pieces, ({ isSubword }) => isSubword).map(word => ({
          ...labelOf(word, strategy, model.labels),
          ...joined(word, join),
        }));
  const groups = runs(
    words,
    ({ entity }, last) => !entity.startsWith('B-') && tagOf(entity) === tagOf(last.entity),
  ).map(group => {
    const { entity } = group[0]!;
    return {
      // Python cuts a group's label after the first dash, whatever stands before it.
      entity_group: entity.slice(entity.indexOf('-') + 1),
      score: group.reduce((sum, { score }) => sum + score, 0) / group.length,
      ...joined(group, join),
    };
  });
  return groups.filter(({ entity_group }) => !ignored.includes(entity_group));
}

function toPieces(
  text: string,
  { ids, tokens, offsets, specialTokensMask }: Pick<Encoding, 'ids' | 'tokens' | 'offsets' | 'specialTokensMask'>,
  logits: Float32Array | Float64Array,
  { labels, unkId, marksSubwords, crf }: TokenLabels,
): Piece[] {
  const n = labels.length;
  const path = crf && viterbi(logits, crf);
  const probabilities = crf && marginals(logits, crf);
  return ids.flatMap((id, index) => {
    if (specialTokensMask[index]) return [];
    const [at, to] = [index * n, (index + 1) * n];
    const scores = probabilities?.subarray(at, to) ?? softmax(logits.subarray(at, to));
    const label = path?.[index] ?? argmax(scores);
    const [start, end] = offsets[index]!;
    const own = text.slice(start, end);
    const isUnknown = id === unkId;
    const word = isUnknown ? own : tokens[index]!;
    // In code points, as Python counts: "##ing" is longer than "ing". Without marks: nothing but a space parts words.
    const isSubword = marksSubwords
      ? [...word].length !== [...own].length
      : start > 0 && !text.slice(start - 1, start + 1).includes(' ');
    const score = scores[label]!;
    return [{ entity: labels[label]!, score, index, word, start, end, scores, isSubword: isSubword && !isUnknown }];
  });
}

/** Runs of items of which each but the first goes on with the one before. */
function runs<T>(items: readonly T[], goesOn: (item: T, last: T) => boolean): T[][] {
  const found: T[][] = [];
  for (const item of items) {
    const run = found.at(-1);
    if (run && goesOn(item, run.at(-1)!)) run.push(item);
    else found.push([item]);
  }
  return found;
}

/** What a run stands for. Python joins words that were joined before. */
const joined = (run: readonly Labelled[], join: TokenLabels['join']) => ({
  word: join(run.map(({ word }) => word)),
  start: run[0]!.start,
  end: run.at(-1)!.end,
});

/** One label for a word: that of its first piece, of its surest piece, or the best on average. */
function labelOf(word: readonly Piece[], strategy: AggregationStrategy, labels: readonly string[]) {
  if (strategy === 'average') {
    const means = word[0]!.scores.map((_, i) => word.reduce((sum, { scores }) => sum + scores[i]!, 0) / word.length);
    const label = argmax(means);
    return { entity: labels[label]!, score: means[label]! };
  }
  return word.reduce((best, piece) => (strategy === 'max' && piece.score > best.score ? piece : best));
}

/** "B-LOC" -> "LOC"; a label without "B-" goes on with a group of its own name. */
const tagOf = (label: string) => label.replace(/^[BI]-/, '');

/** Entities of several windows of one text: of those that overlap the longest stays, of equals the surest. */
export function mergeEntities(windows: readonly (readonly Entity[])[]): Entity[] {
  const kept: Entity[] = [];
  for (const entity of windows.flat().sort((a, b) => a.start - b.start)) {
    const last = kept.at(-1);
    if (!last || entity.start >= last.end) kept.push(entity);
    else {
      const longer = entity.end - entity.start - (last.end - last.start);
      if ((longer || entity.score - last.score) > 0) kept[kept.length - 1] = entity;
    }
  }
  return kept;
}
