import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { PreTrainedTokenizer } from '../src/api/index.ts';
import { InputError, UnsupportedError } from '../src/errors.ts';
import {
  DataCollatorForLanguageModeling,
  type DataRecord,
  IGNORED_LABEL,
  RecordReader,
  type RecordSettings,
  readRecords,
} from '../src/training/index.ts';
import python from './fixtures/training-host.json' with { type: 'json' };
import { thrown } from './source-environment.ts';

const tokenizerOf = (name: string) => {
  const file = JSON.parse(readFileSync(new URL(`./fixtures/text/${name}.json`, import.meta.url), 'utf8'));
  return new PreTrainedTokenizer(file.tokenizer, file.config);
};
const bert = tokenizerOf('bert');
const LABELS = ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC'];
const config = {
  vocabSize: bert.text.vocabSize,
  typeVocabSize: 2,
  maxPositions: 64,
  labels: LABELS as readonly string[],
  problemType: undefined as string | undefined,
};
const settings = (
  head: RecordSettings['head'],
  of: Partial<typeof config> = {},
  rest: Partial<RecordSettings> = {},
): RecordSettings => ({ head, config: { ...config, ...of }, tokenizer: bert, ...rest });
/** The only example of one record. */
const read = (record: DataRecord, of: RecordSettings) => new RecordReader(of).read(record, 0).example;

describe('records of texts', () => {
  test.each(python.records)('are those of the recipes of transformers ($tokenizer)', ({ tokenizer: name, cases }) => {
    const tokenizer = tokenizerOf(name);
    const heads = { token: 'TokenClassification', answer: 'QuestionAnswering' } as const;
    for (const { kind, record, ...expected } of cases) {
      const maxLength = kind === 'token' ? 20 : 40;
      const of = settings(heads[kind as 'token' | 'answer'], {}, { tokenizer, maxLength });
      expect(read(record, of)).toMatchObject(expected);
    }
  });

  test('of one text or a pair have a class, by its number or its name', () => {
    const of = settings('SequenceClassification');
    const { input_ids, token_type_ids, attention_mask } = bert('the license', { return_tensor: false });
    expect(read({ text: 'the license', label: 3 }, of)).toEqual({ input_ids, token_type_ids, labels: 3 });
    expect(attention_mask).toHaveLength(input_ids.length);
    const pair = bert('the', { text_pair: 'license', return_tensor: false });
    expect(read({ text: 'the', text_pair: 'license', label: 'I-PER' }, of)).toEqual({
      input_ids: pair.input_ids,
      token_type_ids: pair.token_type_ids,
      labels: 2,
    });
  });

  test('have no token types where the model has none', () => {
    const of = settings('SequenceClassification', { typeVocabSize: 0 });
    expect(read({ text: 'the', label: 0 }, of)).not.toHaveProperty('token_type_ids');
  });

  test('may have several labels, or a number', async () => {
    const of = settings('SequenceClassification');
    const data = [
      { text: 'the', label: ['O', 'B-LOC'] },
      { text: 'a', labels: [] },
      { text: 'of', labels: [0, 1, 0.5, 0, 1] },
    ];
    const many = await readRecords(data, of);
    expect(many.problemType).toBe('multi_label_classification');
    expect(many.records.map(({ example }) => example.labels)).toEqual([
      [1, 0, 0, 1, 0],
      [0, 0, 0, 0, 0],
      [0, 1, 0.5, 0, 1],
    ]);
    const one = await readRecords(
      [{ text: 'the', label: -2.5 }],
      settings('SequenceClassification', { labels: ['score'] }),
    );
    expect([one.problemType, one.records[0]!.example.labels]).toEqual(['regression', -2.5]);
    const two = settings('SequenceClassification', { labels: ['x', 'y'], problemType: 'regression' });
    expect(read({ text: 'the', label: [1.5, 2] }, two).labels).toEqual([1.5, 2]);
  });

  test('are cut, and counted', async () => {
    const long = 'the license of '.repeat(40);
    const data = [
      { text: long, label: 0 },
      { text: 'the', label: 0 },
    ];
    const { records, truncated } = await readRecords(data, settings('SequenceClassification'));
    expect(truncated).toBe(1);
    expect(records.map(({ example }) => example.input_ids.length)).toEqual([64, 3]);
    const answers = { text: ['permission'], answer_start: [long.length] };
    const cut = await readRecords(
      [{ question: 'what', context: `${long}permission`, answers }],
      settings('QuestionAnswering'),
    );
    expect(cut).toMatchObject({ truncated: 1, answersCutOff: 1 });
    expect(cut.records[0]!.example).toMatchObject({ start_positions: 0, end_positions: 0 });
  });

  test('have answers in either form, and none', () => {
    const of = settings('QuestionAnswering');
    const base = { question: 'the', context: 'a license of the work' };
    const spans = [
      { text: ['license'], answer_start: [2] },
      [{ text: 'license', answer_start: 2 }],
      { text: 'license', answer_start: 2 },
      [],
    ].map(answers => {
      const { start_positions, end_positions } = read({ ...base, answers }, of);
      return [start_positions, end_positions];
    });
    expect(spans[1]).toEqual(spans[0]);
    expect(spans[2]).toEqual(spans[0]);
    expect(spans[3]).toEqual([0, 0]);
    expect(spans[0]![0]).toBeGreaterThan(0);
  });

  test('say which of two sentences follows', () => {
    const of = settings('NextSentencePrediction');
    expect(read({ text: 'the', text_pair: 'a', next_sentence_label: 1 }, of).next_sentence_label).toBe(1);
    expect(read({ text: 'the', text_pair: 'a', label: 0 }, of).next_sentence_label).toBe(0);
  });
});

describe('records of tokens', () => {
  test('are taken as they are, without their padding', () => {
    const padded = {
      input_ids: [2, 9, 8, 3, 0, 0],
      token_type_ids: [0, 0, 1, 1, 0, 0],
      attention_mask: [1, 1, 1, 1, 0, 0],
      labels: [-100, 1, 4, -100, -100, -100],
    };
    expect(read(padded, settings('TokenClassification'))).toEqual({
      input_ids: [2, 9, 8, 3],
      token_type_ids: [0, 0, 1, 1],
      labels: [-100, 1, 4, -100],
    });
    const typed = { input_ids: BigInt64Array.of(2n, 9n, 3n), labels: [-100, 500, -100], next_sentence_label: 1 };
    expect(read(typed as unknown as DataRecord, settings('PreTraining', {}, { tokenizer: undefined }))).toEqual({
      input_ids: [2, 9, 3],
      labels: [-100, 500, -100],
      next_sentence_label: 1,
    });
    expect(read({ input_ids: [2, 9, 3], start_positions: 1, end_positions: 1 }, settings('QuestionAnswering'))).toEqual(
      {
        input_ids: [2, 9, 3],
        start_positions: 1,
        end_positions: 1,
      },
    );
  });

  test('have answers outside of their tokens as the loss of transformers takes them', () => {
    // clamp(0, length), of which length is ignored.
    const placesOf = (start_positions: number, end_positions: number, attention_mask = [1, 1, 1]) => {
      const record = { input_ids: [2, 9, 3], attention_mask, start_positions, end_positions };
      const example = read(record, settings('QuestionAnswering'));
      return [example.start_positions, example.end_positions];
    };
    expect(placesOf(-100, -100)).toEqual([0, 0]);
    expect(placesOf(-1, 2)).toEqual([0, 2]);
    expect(placesOf(3, 512)).toEqual([IGNORED_LABEL, IGNORED_LABEL]);
    expect(placesOf(1, 3)).toEqual([1, IGNORED_LABEL]);
    expect(placesOf(1, 2, [1, 1, 0])).toEqual([1, IGNORED_LABEL]);
  });
});

describe('bad data', () => {
  const sequence = settings('SequenceClassification');
  const token = settings('TokenClassification');
  const answer = settings('QuestionAnswering');
  const regression = settings('SequenceClassification', { labels: ['score'] });
  const many = settings('SequenceClassification', { problemType: 'multi_label_classification' });
  const cases: [name: string, record: unknown, of: RecordSettings, complaint: RegExp][] = [
    ['no object', 'the', sequence, /it is no object: got "the", expected \{ text, text_pair\?, label \}/],
    ['no label', { text: 'the' }, sequence, /record 1: it has no label/],
    [
      'no text',
      { sentence: 'the', label: 1 },
      sequence,
      /record 1: it has no text: got an object \(\{ sentence, label \}\)/,
    ],
    [
      'a label beyond the classes',
      { text: 'the', label: 5 },
      sequence,
      /the label is wrong: got number 5, expected a class from 0 to 4/,
    ],
    ['a label of no class', { text: 'the', label: 'PER' }, sequence, /got "PER", expected .* one of O, B-PER/],
    ['half a label', { text: 'the', label: 0.5 }, sequence, /the label is wrong/],
    ['-100 for a text', { text: 'the', label: -100 }, sequence, /the label is wrong/],
    ['a number for a text', { text: 7, label: 0 }, sequence, /record 1: the text is wrong/],
    [
      'NaN',
      { text: 'the', label: Number.NaN },
      regression,
      /record 1: the label is wrong: got number NaN, expected a number/,
    ],
    ['infinity', { text: 'the', label: Number.POSITIVE_INFINITY }, regression, /the label is wrong/],
    ['a class for a regression', { text: 'the', label: 'score' }, regression, /expected a number/],
    ['too few of several labels', { text: 'the', label: [1, 0] }, many, /expected 5 numbers from 0 to 1/],
    ['one of several labels', { text: 'the', label: 1 }, many, /expected a list: 5 numbers/],
    ['2 of several labels', { text: 'the', label: [0, 0, 0, 0, 2] }, many, /from 0 to 1/],
    ['a tag too few', { tokens: ['the', 'a'], ner_tags: [0] }, token, /a list with a tag for each of the 2 words/],
    [
      'a tag of no class',
      { tokens: ['the', 'a'], ner_tags: [0, 'PER'] },
      token,
      /the tag of word 1 \("a"\) is wrong: got "PER"/,
    ],
    ['a text for words', { tokens: 'the', ner_tags: [0] }, token, /tokens is wrong: got "the"/],
    [
      'an answer elsewhere',
      { question: 'a', context: 'the work', answers: { text: ['of'], answer_start: [4] } },
      answer,
      /does not stand where it is said to: got "wo" at 4 of the context, expected "of"/,
    ],
    [
      'an answer without a start',
      { question: 'a', context: 'the', answers: { text: ['the'] } },
      answer,
      /answers is wrong/,
    ],
    [
      'a long question',
      { question: 'the '.repeat(99), context: 'a', answers: [] },
      answer,
      /record 1: truncation "only_second" cannot.*Shorten the question: it leaves no room for the context\.$/s,
    ],
    [
      'an id beyond the vocabulary',
      { input_ids: [1, 99_999], labels: 0 },
      sequence,
      /a number in input_ids is out of range: got 99999/,
    ],
    ['a negative id', { input_ids: [-1], labels: 0 }, sequence, /input_ids is out of range/],
    ['half an id', { input_ids: [1.5], labels: 0 }, sequence, /input_ids is wrong/],
    ['no ids', { input_ids: [], labels: 0 }, sequence, /it has no tokens/],
    [
      'too many ids',
      { input_ids: Array(65).fill(1), labels: 0 },
      sequence,
      /it is too long: got 65 tokens, expected at most 64/,
    ],
    [
      'a type beyond the table',
      { input_ids: [1], token_type_ids: [2], labels: 0 },
      sequence,
      /token_type_ids is out of range/,
    ],
    [
      'a type too few',
      { input_ids: [1, 2], token_type_ids: [0], labels: 0 },
      sequence,
      /differ in number: got 1 and 2/,
    ],
    ['padding in front', { input_ids: [0, 1], attention_mask: [0, 1], labels: 0 }, sequence, /attention_mask is wrong/],
    ['a label of no token', { input_ids: [1, 2], labels: [1] }, token, /labels and input_ids differ in number/],
    ['a class beyond, of a token', { input_ids: [1], labels: [5] }, token, /labels is out of range.*-100 stands for/],
    [
      'an answer backwards',
      { input_ids: [1, 2], start_positions: 1, end_positions: 0 },
      answer,
      /ends before it starts/,
    ],
    [
      'an answer without an end',
      { input_ids: [1, 2], start_positions: 1 },
      answer,
      /end_positions is wrong: got undefined/,
    ],
    [
      '2 for the next sentence',
      { text: 'a', text_pair: 'the', label: 2 },
      settings('NextSentencePrediction'),
      /next_sentence_label is wrong/,
    ],
    [
      'a text without a tokenizer',
      { text: 'a', label: 0 },
      settings('SequenceClassification', {}, { tokenizer: undefined }),
      /texts need a tokenizer.*processing_class/,
    ],
    [
      'a label without classes',
      { text: 'a', label: 0 },
      settings('SequenceClassification', { labels: [] }),
      /the model no classes.*num_labels/,
    ],
    [
      'a strange problem',
      { text: 'a', label: 0 },
      settings('SequenceClassification', { problemType: 'ranking' }),
      /problem_type of the model is wrong/,
    ],
  ];
  test.each(cases)('%s', async (_, record, of, complaint) => {
    const fine: Partial<Record<RecordSettings['head'], DataRecord>> = {
      SequenceClassification: {
        input_ids: [1],
        label: of.config.problemType?.startsWith('multi') ? [0, 0, 0, 0, 0] : 0,
      },
      TokenClassification: { input_ids: [1], labels: [0] },
      QuestionAnswering: { input_ids: [1], start_positions: 0, end_positions: 0 },
      NextSentencePrediction: { input_ids: [1], next_sentence_label: 0 },
    };
    const data = [fine[of.head]!, record as DataRecord];
    const error = await thrown(readRecords(data, of));
    expect(error.message).toMatch(complaint);
    expect(error).toBeInstanceOf(InputError);
  });

  test('no data, and a head that is not trained', async () => {
    for (const data of [[], null, 'the']) {
      const error = await thrown(readRecords(data as DataRecord[], sequence));
      expect(error.message).toMatch(/train_dataset is wrong.*at least one record/);
    }
    expect(await thrown(readRecords([{ text: 'a' }], settings('MultipleChoice')))).toBeInstanceOf(UnsupportedError);
  });
});

test('reading holds nobody up, and ends within a turn when the signal aborts', async () => {
  const text = 'the license of the work is granted to the copyright holder '.repeat(20);
  const data = Array.from({ length: 20_000 }, () => ({ text, label: 0 }));
  const stop = new AbortController();
  // Nothing but a turn of the event loop calls it.
  setTimeout(() => stop.abort(new Error('enough')));
  const error = await thrown(readRecords(data, settings('SequenceClassification'), { signal: stop.signal }));
  expect(error.message).toBe('enough');
});

describe('DataCollatorForLanguageModeling', () => {
  const text = 'the license of the work is granted to the copyright holder';
  const tokenized = (given: DataRecord) => new RecordReader(settings('MaskedLM')).read(given, 0);
  const record = tokenized({ text });
  const collator = new DataCollatorForLanguageModeling({ tokenizer: bert });

  test('draws by seed, epoch and place alone, and leaves special tokens', () => {
    const key = { epoch: 0, index: 3 };
    const masked = collator.mask(record, key);
    expect(collator.mask(record, key)).toEqual(masked);
    expect(new DataCollatorForLanguageModeling({ tokenizer: bert, seed: 7 }).mask(record, key)).not.toEqual(masked);
    expect(record.example.input_ids).toEqual(bert(text, { return_tensor: false }).input_ids);
    const epochs = Array.from({ length: 30 }, (_, epoch) => collator.mask(record, { epoch, index: 3 }));
    expect(new Set(epochs.map(example => JSON.stringify(example))).size).toBeGreaterThan(15);
    for (const { input_ids, labels } of epochs) {
      const own = labels as number[];
      expect([own[0], own.at(-1)]).toEqual([IGNORED_LABEL, IGNORED_LABEL]);
      // The label is what stood there; what has none stands as it was.
      for (const [i, id] of record.example.input_ids.entries()) {
        if (own[i] === IGNORED_LABEL) expect(input_ids[i]).toBe(id);
        else expect(own[i]).toBe(id);
      }
    }
  });

  test('chooses 15 %, of which 80 % are masked, 10 % drawn and 10 % left', () => {
    const input_ids = [2, ...Array.from({ length: 60 }, (_, i) => 200 + i), 3];
    const long = tokenized({ input_ids });
    const counts = { tokens: 0, chosen: 0, masked: 0, left: 0, drawn: 0 };
    for (let index = 0; index < 1700; index++) {
      const { input_ids: ids, labels } = collator.mask(long, { epoch: 0, index });
      counts.tokens += 60;
      for (const [i, label] of (labels as number[]).entries()) {
        if (label === IGNORED_LABEL) continue;
        counts.chosen++;
        counts[ids[i] === bert.mask_token_id ? 'masked' : ids[i] === label ? 'left' : 'drawn']++;
      }
    }
    const within = (count: number, n: number, p: number) =>
      expect(Math.abs(count - n * p)).toBeLessThan(4 * Math.sqrt(n * p * (1 - p)));
    within(counts.chosen, counts.tokens, 0.15);
    within(counts.masked, counts.chosen, 0.8);
    within(counts.left, counts.chosen, 0.1);
    within(counts.drawn, counts.chosen, 0.1);
  });

  test('masks words whole', () => {
    const whole = new DataCollatorForLanguageModeling({ tokenizer: bert, whole_word_mask: true, mlm_probability: 0.5 });
    const prepared = tokenized({ input_ids: record.example.input_ids });
    expect(record.wordStarts).toEqual(prepared.wordStarts);
    expect(record.wordStarts!.filter(Boolean)).toHaveLength(text.split(' ').length);
    for (let index = 0; index < 40; index++) {
      const labels = whole.mask(record, { epoch: 0, index }).labels as number[];
      for (const [i, isStart] of record.wordStarts!.entries()) {
        if (isStart || record.specialTokens[i]) continue;
        expect(labels[i] === IGNORED_LABEL).toBe(labels[i - 1] === IGNORED_LABEL);
      }
    }
    expect(() => whole.mask({ ...record, wordStarts: undefined }, { epoch: 0, index: 4 })).toThrow(
      /record 4 .* no words/,
    );
  });

  test('leaves what has labels', () => {
    const { example } = tokenized({ input_ids: [2, 9, 3], labels: [-100, 8, -100] });
    expect(collator.mask({ ...record, example }, { epoch: 0, index: 0 })).toBe(example);
  });

  test('refuses what makes no sense', () => {
    const make = (options: object) => () => new DataCollatorForLanguageModeling({ tokenizer: bert, ...options });
    expect(make({ mlm_probability: 1.5 })).toThrow(/mlm_probability is wrong/);
    expect(make({ mask_replace_prob: 0.95, random_replace_prob: 0.1 })).toThrow(/more than all/);
    expect(make({ mlm: true })).toThrow(/no field "mlm"/);
    expect(make({ tokenizer: undefined })).toThrow(InputError);
    expect(make({ seed: -1 })).toThrow(/seed is wrong/);
  });
});
