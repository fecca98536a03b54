import { argmax } from './scores.ts';

/** How tokens become entities; the names of Python's TokenClassificationPipeline. */
export const AGGREGATION_NAMES = ['none', 'simple', 'first', 'average', 'max'] as const;
export type AggregationStrategy = (typeof AGGREGATION_NAMES)[number];

/** With the strategy 'none' a token and its `entity`; with any other a group of tokens and its `entity_group`. */
export interface Entity {
  entity?: string;
  entity_group?: string;
  score: number;
  /** The token's place among all tokens of its text; only with 'none'. */
  index?: number;
  word: string;
  /** [start, end) in UTF-16 units, so that `text.slice(start, end)` is what the entity stands for. */
  start: number;
  end: number;
}

/** A token or a word, with its likeliest label. */
interface LabelledPart {
  entity: string;
  score: number;
  word: string;
  start: number;
  end: number;
}

/** A token with its label and the scores of all labels. */
export interface LabelledToken extends LabelledPart {
  /** Its place among all tokens of its text. */
  index: number;
  /** [labels] */
  scores: Float64Array;
  /** Whether it continues the word of the token before it. */
  isSubword: boolean;
}

/** What aggregation needs to know. */
export interface AggregationContext {
  strategy: AggregationStrategy;
  /** [n]: the label of each score. */
  labels: readonly string[];
  /** Tokens -> text, by the tokenizer's decoder. */
  join: (tokens: readonly string[]) => string;
}

/** The tokens of a text -> its entities, in order. Entities whose label is in `ignored` are dropped last, so they separate groups. */
export function aggregate(
  tokens: readonly LabelledToken[],
  ignored: readonly string[],
  { strategy, labels, join }: AggregationContext,
): Entity[] {
  if (strategy === 'none') {
    return tokens
      .map(({ scores: _, isSubword: __, ...entity }) => entity)
      .filter(({ entity }) => !ignored.includes(entity));
  }
  const parts: readonly LabelledPart[] =
    strategy === 'simple'
      ? tokens
      : runs(tokens, ({ isSubword }) => isSubword).map(word => ({
          ...wordLabel(word, strategy, labels),
          ...extent(word, join),
        }));
  return runs(parts, continuesGroup)
    .map(group => toGroup(group, join))
    .filter(({ entity_group }) => !ignored.includes(entity_group));
}

/** Splits items into runs: an item that continues the one before it belongs to the same run. */
function runs<T>(items: readonly T[], continues: (item: T, previous: T) => boolean): T[][] {
  const list: T[][] = [];
  for (const item of items) {
    const run = list.at(-1);
    if (run && continues(item, run.at(-1)!)) run.push(item);
    else list.push([item]);
  }
  return list;
}

/** One label for a word: that of its first token, of its token with the greatest score, or the label that is best on average. */
function wordLabel(word: readonly LabelledToken[], strategy: AggregationStrategy, labels: readonly string[]) {
  if (strategy === 'average') {
    const means = word[0]!.scores.map((_, i) => word.reduce((sum, { scores }) => sum + scores[i]!, 0) / word.length);
    const label = argmax(means);
    return { entity: labels[label]!, score: means[label]! };
  }
  return word.reduce((best, token) => (strategy === 'max' && token.score > best.score ? token : best));
}

/** The text of neighbouring tokens or words, and where it stands. Words that were joined from tokens are joined again, as in Python. */
const extent = (parts: readonly LabelledPart[], join: AggregationContext['join']) => ({
  word: join(parts.map(({ word }) => word)),
  start: parts[0]!.start,
  end: parts.at(-1)!.end,
});

/** "B-LOC" and "I-LOC" -> "LOC"; another label is its own tag. */
const tagOf = (label: string) => label.replace(/^[BI]-/, '');

/** A label "B-" begins a group; any other continues the group of its tag. */
const continuesGroup = ({ entity }: LabelledPart, previous: LabelledPart) =>
  !entity.startsWith('B-') && tagOf(entity) === tagOf(previous.entity);

function toGroup(parts: readonly LabelledPart[], join: AggregationContext['join']) {
  const { entity } = parts[0]!;
  return {
    // Python cuts a group's label after the first dash, whatever stands before it.
    entity_group: entity.slice(entity.indexOf('-') + 1),
    score: parts.reduce((sum, { score }) => sum + score, 0) / parts.length,
    ...extent(parts, join),
  };
}

/** The entities of several windows of one text as one list. Of entities that overlap the longest is kept; of equally long, the best score. */
export function mergeEntities(windows: readonly (readonly Entity[])[]): Entity[] {
  const merged: Entity[] = [];
  for (const entity of windows.flat().sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (!last || entity.start >= last.end) {
      merged.push(entity);
      continue;
    }
    const lengthDifference = entity.end - entity.start - (last.end - last.start);
    const isBetter = lengthDifference === 0 ? entity.score > last.score : lengthDifference > 0;
    if (isBetter) merged[merged.length - 1] = entity;
  }
  return merged;
}
