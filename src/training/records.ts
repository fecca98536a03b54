import type { PreTrainedTokenizer } from '../api/index.ts';
import { describe, InputError, UnsupportedError } from '../errors.ts';
import type { EncoderConfig, HeadKind } from '../model/index.ts';
import { inTurns } from '../runtime/index.ts';
import type { EncodeOptions, Encoding, TextInput } from '../text/index.ts';
import { answerSpan } from './answer-span.ts';
import { IGNORED_LABEL, type TrainingExample } from './example.ts';
import { type ProblemType, problemTypeOf, readLabel, readTags } from './labels.ts';

/** A record of a data set, as people have them: the fields depend on the head (docs of `RecordReader`). */
export type DataRecord = Readonly<Record<string, unknown>>;

/** The heads that are trained on records. */
export const TRAINED_HEADS = [
  'SequenceClassification',
  'TokenClassification',
  'QuestionAnswering',
  'MaskedLM',
  'PreTraining',
  'NextSentencePrediction',
] as const satisfies readonly HeadKind[];
export type TrainedHead = (typeof TRAINED_HEADS)[number];

/** What records are read for. */
export interface RecordSettings {
  readonly head: HeadKind;
  readonly config: Pick<EncoderConfig, 'vocabSize' | 'typeVocabSize' | 'maxPositions' | 'labels' | 'problemType'>;
  /** Records of texts need it; those with input_ids do not. */
  readonly tokenizer?: PreTrainedTokenizer | undefined;
  /** The most tokens of a sequence. Default: what tokenizer and model take. */
  readonly maxLength?: number | undefined;
  /** Whether labels are read, which records then must have. Default: true. */
  readonly isLabelled?: boolean;
}

/** A record in tokens. */
export interface TokenizedRecord {
  readonly example: TrainingExample;
  /** Whether tokens of its texts were cut off. */
  readonly truncated: boolean;
  /** Question answering: whether the answer is in what was cut off. The example then says that there is none. */
  readonly answerCutOff: boolean;
  /** For masks: 1 for a special token. */
  readonly specialTokens: readonly number[];
  /** For masks: whether a word begins at each token; undefined where the record has no texts. */
  readonly wordStarts: readonly boolean[] | undefined;
}

/** What is wrong with a record; the message begins with its place in the data set. */
export const recordError = (
  index: number,
  what: string,
  rest: { actual?: string; expected?: string; next?: string } = {},
) => new InputError({ what: `record ${index}: ${what}`, ...rest });

const RECORDS: Readonly<Record<TrainedHead, string>> = {
  SequenceClassification: '{ text, text_pair?, label }',
  TokenClassification: '{ tokens, ner_tags }',
  QuestionAnswering: '{ question, context, answers }',
  MaskedLM: '{ text }',
  PreTraining: '{ text, text_pair, next_sentence_label }',
  NextSentencePrediction: '{ text, text_pair, next_sentence_label }',
};

/** The fields that labels of a head may have; none where texts alone are trained on. */
const LABEL_FIELDS: Readonly<Record<TrainedHead, readonly string[]>> = {
  SequenceClassification: ['label', 'labels'],
  TokenClassification: ['ner_tags', 'tags', 'labels', 'label'],
  QuestionAnswering: ['answers', 'start_positions', 'end_positions'],
  MaskedLM: [],
  PreTraining: [],
  NextSentencePrediction: ['next_sentence_label', 'label', 'labels'],
};

/** Whether a record has labels, or its head needs none in records. */
export function hasLabels(record: unknown, head: HeadKind): boolean {
  const fields: readonly string[] = Object.hasOwn(LABEL_FIELDS, head) ? LABEL_FIELDS[head as TrainedHead] : [];
  return fields.length === 0 || fields.some(field => (Object(record)[field] ?? null) !== null);
}

/**
 * Reads records into examples. What a record holds depends on the head:
 *
 *   SequenceClassification   { text, text_pair?, label }: a class by number or name; a list of several that hold; a number (regression)
 *   TokenClassification      { tokens, ner_tags }: words, and the class of each; the first token of a word has it, the others none
 *   QuestionAnswering        { question, context, answers: { text: [...], answer_start: [...] } }, as SQuAD has them
 *   MaskedLM                 { text, text_pair? }
 *   PreTraining, NextSentencePrediction   { text, text_pair, next_sentence_label }
 *
 * or what a tokenizer has made of it, which is taken as it is: { input_ids, token_type_ids?, attention_mask?, labels, start_positions,
 * end_positions, next_sentence_label }. Longer texts are cut.
 */
export class RecordReader {
  readonly #settings: RecordSettings;
  readonly #head: TrainedHead;
  readonly #maxLength: number;
  readonly #isLabelled: boolean;
  /** Of sequence classification, decided by the first record where config.json does not say it. */
  #problemType: ProblemType | undefined;

  /** Throws UnsupportedError for a head that is not trained on records. */
  constructor(settings: RecordSettings) {
    const { head, config, tokenizer, maxLength, isLabelled = true } = settings;
    const trained = TRAINED_HEADS.find(each => each === head);
    if (trained === undefined) {
      throw new UnsupportedError({ what: 'this head cannot be trained', actual: head, supported: TRAINED_HEADS });
    }
    this.#head = trained;
    this.#settings = settings;
    this.#isLabelled = isLabelled;
    const limit = maxLength ?? tokenizer?.text.modelMaxLength ?? config.maxPositions;
    this.#maxLength = Math.min(limit, config.maxPositions);
  }

  /** Which loss a sequence classification has: as config.json says, else as transformers concludes from the labels; undefined before. */
  get problemType(): ProblemType | undefined {
    return this.#problemType;
  }

  /** The example of a record, which stands at `index` in its data set. Throws InputError, which names the record. */
  read(record: DataRecord, index: number): TokenizedRecord {
    if (typeof record !== 'object' || record === null || Array.isArray(record)) {
      throw recordError(index, 'it is no object', { actual: describe(record), expected: RECORDS[this.#head] });
    }
    const read = record.input_ids === undefined ? this.#tokenized(record, index) : this.#prepared(record, index);
    this.#check(read.example, index);
    return read;
  }

  #encode(index: number, text: unknown, pair: unknown, options: EncodeOptions = {}): Encoding {
    const { tokenizer } = this.#settings;
    if (tokenizer === undefined) {
      const next = 'Pass processing_class, the tokenizer of the model.';
      throw recordError(index, 'texts need a tokenizer', { next });
    }
    try {
      return tokenizer.text.encode(text as TextInput, {
        pair: (pair ?? null) as TextInput | null,
        maxLength: this.#maxLength,
        ...options,
      });
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      const { what, actual, expected, next } = error;
      throw new InputError({ what: `record ${index}: ${what}`, actual, expected, next, cause: error });
    }
  }

  /** A record of texts. */
  #tokenized(record: DataRecord, index: number): TokenizedRecord {
    const head = this.#head;
    const { labels } = this.#settings.config;
    const missing = (name: string) =>
      recordError(index, `it has no ${name}`, { actual: describe(record), expected: RECORDS[head] });
    const need = (...names: string[]): unknown => {
      const name = names.find(each => record[each] !== undefined && record[each] !== null);
      if (name === undefined) throw missing(names[0]!);
      return record[name];
    };
    switch (head) {
      case 'SequenceClassification': {
        const encoding = this.#encode(index, need('text'), record.text_pair);
        return this.#withExample(encoding, this.#isLabelled && { labels: this.#label(need('label', 'labels'), index) });
      }
      case 'TokenClassification': {
        const words = need('tokens', 'words');
        const tags = this.#isLabelled && readTags(need('ner_tags', 'tags', 'labels'), words, { labels, index });
        const encoding = this.#encode(index, words, null, { isSplitIntoWords: true });
        return this.#withExample(encoding, tags && { labels: firstPieces(encoding, tags) });
      }
      case 'QuestionAnswering': {
        const [question, context] = [need('question'), need('context')];
        const remedy = 'Shorten the question: it leaves no room for the context.';
        const encoding = this.#encode(index, question, context, { truncation: 'only_second', remedy });
        if (!this.#isLabelled) return this.#withExample(encoding, false);
        const { start, end, isCutOff } = answerSpan({
          context: String(context),
          answers: need('answers'),
          encoding,
          index,
        });
        const read = this.#withExample(encoding, { start_positions: start, end_positions: end });
        return { ...read, answerCutOff: isCutOff };
      }
      case 'MaskedLM':
        return this.#withExample(this.#encode(index, need('text'), record.text_pair), {});
      case 'PreTraining':
      case 'NextSentencePrediction': {
        const encoding = this.#encode(index, need('text'), need('text_pair'));
        const label = this.#isLabelled && binaryLabel(need('next_sentence_label', 'label'), index);
        return this.#withExample(encoding, label !== false && { next_sentence_label: label });
      }
      default:
        return head satisfies never;
    }
  }

  #withExample(encoding: Encoding, targets: Omit<TrainingExample, 'input_ids'> | false): TokenizedRecord {
    const { ids, typeIds, specialTokensMask, offsets, truncated } = encoding;
    const hasTypes = this.#settings.tokenizer!.return_token_type_ids && this.#settings.config.typeVocabSize > 0;
    // A word begins behind a special token, and where there is a gap between two tokens: as in transformers' collator.
    const wordStarts = ids.map((_, i) => {
      if (specialTokensMask[i]) return false;
      return i === 0 || specialTokensMask[i - 1] === 1 || offsets[i]![0] !== offsets[i - 1]![1];
    });
    const example = { input_ids: [...ids], ...(hasTypes && { token_type_ids: [...typeIds] }), ...targets };
    return { example, truncated, answerCutOff: false, specialTokens: specialTokensMask, wordStarts };
  }

  /** A record of tokens. */
  #prepared(record: DataRecord, index: number): TokenizedRecord {
    const head = this.#head;
    const { tokenizer } = this.#settings;
    const all = numberList(record.input_ids, 'input_ids', index);
    const length = unpaddedLength(record.attention_mask, all.length, index);
    const list = (name: string): number[] => {
      const values = numberList(record[name], name, index);
      if (values.length === all.length) return values.slice(0, length);
      throw recordError(index, `${name} and input_ids differ in number`, {
        actual: `${values.length} and ${all.length}`,
      });
    };
    const example: TrainingExample = { input_ids: all.slice(0, length) };
    if ((record.token_type_ids ?? null) !== null) example.token_type_ids = list('token_type_ids');
    const { labels = record.label } = record;
    const hasTokenLabels = (labels ?? null) !== null;
    const labelled = this.#isLabelled ? head : undefined;
    switch (labelled) {
      case undefined:
        break;
      case 'SequenceClassification':
        example.labels = this.#label(labels, index);
        break;
      case 'TokenClassification':
        example.labels = list('labels');
        break;
      case 'QuestionAnswering':
        example.start_positions = placeOf(record.start_positions, length, 'start_positions', index);
        example.end_positions = placeOf(record.end_positions, length, 'end_positions', index);
        break;
      case 'MaskedLM':
        if (hasTokenLabels) example.labels = list('labels');
        break;
      case 'PreTraining':
        if (hasTokenLabels) example.labels = list('labels');
        example.next_sentence_label = binaryLabel(record.next_sentence_label, index);
        break;
      case 'NextSentencePrediction':
        example.next_sentence_label = binaryLabel(record.next_sentence_label ?? labels, index);
        break;
      default:
        labelled satisfies never;
    }
    const specials = new Set(tokenizer?.all_special_ids);
    const specialTokens = example.input_ids.map(id => Number(specials.has(id)));
    const wordStarts = tokenizer && markedWordStarts(example.input_ids, specialTokens, tokenizer);
    return { example, truncated: false, answerCutOff: false, specialTokens, wordStarts };
  }

  #label(value: unknown, index: number): number | number[] {
    const { labels, problemType } = this.#settings.config;
    this.#problemType ??= problemTypeOf({ problemType, labels }, value, index);
    return readLabel(value, { labels, problemType: this.#problemType, index });
  }

  /** That every number has a row in its table, and every label a class. */
  #check(example: TrainingExample, index: number): void {
    const { vocabSize, typeVocabSize, maxPositions, labels: classes } = this.#settings.config;
    const { input_ids: ids, token_type_ids: types = [], labels, start_positions, end_positions } = example;
    if (ids.length === 0) throw recordError(index, 'it has no tokens', { expected: 'at least one' });
    if (ids.length > maxPositions) {
      const next = 'Truncate when tokenising.';
      throw recordError(index, 'it is too long', {
        actual: `${ids.length} tokens`,
        expected: `at most ${maxPositions}`,
        next,
      });
    }
    checkRange(ids, vocabSize, 'input_ids', index, 'Use the tokenizer that belongs to this model.');
    if (typeVocabSize > 0) checkRange(types, typeVocabSize, 'token_type_ids', index);
    const perToken = this.#head === 'TokenClassification' ? classes.length : vocabSize;
    if (Array.isArray(labels) && this.#head !== 'SequenceClassification') {
      const classesOfTokens = labels.filter(label => label !== IGNORED_LABEL);
      checkRange(classesOfTokens, perToken, 'labels', index, `${IGNORED_LABEL} stands for a token without a label.`);
    }
    if (start_positions === undefined || end_positions === undefined) return;
    const isKnown = start_positions !== IGNORED_LABEL && end_positions !== IGNORED_LABEL;
    if (!isKnown || start_positions <= end_positions) return;
    throw recordError(index, 'the answer ends before it starts', {
      actual: `tokens ${start_positions} to ${end_positions}`,
    });
  }
}

/** All records of a data set in tokens, and how much of them was cut off. */
export interface TokenizedRecords {
  readonly records: readonly TokenizedRecord[];
  readonly problemType: ProblemType | undefined;
  /** The texts that were too long. */
  readonly truncated: number;
  /** Question answering: the answers that stand in what was cut off. */
  readonly answersCutOff: number;
}

/**
 * Reads a data set whole, without holding up the page. Rejects with InputError where it is empty, or a record is not what the head needs;
 * with UnsupportedError for a head that is not trained on records; with the signal's reason.
 */
export async function readRecords(
  data: readonly DataRecord[],
  settings: RecordSettings,
  { name = 'train_dataset', signal }: { readonly name?: string; readonly signal?: AbortSignal | undefined } = {},
): Promise<TokenizedRecords> {
  if (!Array.isArray(data) || data.length === 0) {
    const actual = describe(data);
    throw new InputError({ what: `${name} is wrong`, actual, expected: 'a list of at least one record' });
  }
  const reader = new RecordReader(settings);
  const records = await inTurns(data, (record, index) => reader.read(record, index), signal);
  return {
    records,
    problemType: reader.problemType,
    truncated: records.filter(({ truncated }) => truncated).length,
    answersCutOff: records.filter(({ answerCutOff }) => answerCutOff).length,
  };
}

/** The tags of words at the first token of each. */
function firstPieces({ wordIds, specialTokensMask }: Encoding, tags: readonly number[]): number[] {
  let last: number | null = null;
  return wordIds.map((word, i) => {
    const isFirst = word !== null && word !== last && !specialTokensMask[i];
    last = word;
    return isFirst ? tags[word]! : IGNORED_LABEL;
  });
}

/** Where a vocabulary marks what goes on with a word ("##ing"), all other tokens begin one. Undefined where it has no such mark. */
function markedWordStarts(
  ids: readonly number[],
  specialTokens: readonly number[],
  { text }: PreTrainedTokenizer,
): boolean[] | undefined {
  const { continuingSubwordPrefix: prefix } = text;
  if (prefix === undefined) return undefined;
  return ids.map((id, i) => {
    if (specialTokens[i]) return false;
    return i === 0 || specialTokens[i - 1] === 1 || !(text.idToToken(id) ?? '').startsWith(prefix);
  });
}

function numberList(value: unknown, name: string, index: number): number[] {
  const isList = Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
  const numbers = isList ? Array.from(value as ArrayLike<number | bigint>, Number) : [];
  if (isList && numbers.every(Number.isSafeInteger)) return numbers;
  throw recordError(index, `${name} is wrong`, { actual: describe(value), expected: 'a list of whole numbers' });
}

function wholeNumber(value: unknown, name: string, index: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  throw recordError(index, `${name} is wrong`, { actual: describe(value), expected: 'a whole number' });
}

/**
 * The place of a token, as the loss of transformers takes it (ForQuestionAnsweringLoss): one before the first token is the first, and one
 * behind the last does not count.
 */
function placeOf(value: unknown, length: number, name: string, index: number): number {
  const place = wholeNumber(value, name, index);
  return place < length ? Math.max(0, place) : IGNORED_LABEL;
}

function binaryLabel(value: unknown, index: number): number {
  if (value === 0 || value === 1) return value;
  const expected = '0 where the second text follows the first, else 1';
  throw recordError(index, 'next_sentence_label is wrong', { actual: describe(value), expected });
}

/** How many tokens are no padding, which may stand at the end. */
function unpaddedLength(mask: unknown, length: number, index: number): number {
  if ((mask ?? null) === null) return length;
  const values = numberList(mask, 'attention_mask', index);
  const count = values.indexOf(0) < 0 ? length : values.indexOf(0);
  if (values.length === length && values.every((value, i) => value === Number(i < count))) return count;
  const expected = `${length} numbers, 1 for each token and 0 for padding behind them`;
  throw recordError(index, 'attention_mask is wrong', { actual: describe(mask), expected });
}

function checkRange(values: readonly number[], size: number, name: string, index: number, next?: string): void {
  const wrong = values.find(value => !(value >= 0 && value < size));
  if (wrong === undefined) return;
  const rest = { actual: String(wrong), expected: `0 to ${size - 1}`, ...(next !== undefined && { next }) };
  throw recordError(index, `a number in ${name} is out of range`, rest);
}
