import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PreTrainedTokenizer } from '../src/api/tokenizer.ts';
import { InputError, UnsupportedError } from '../src/errors.ts';
import {
  AGGREGATION_NAMES,
  type AggregationStrategy,
  classifyTokens,
  type Entity,
  inText,
  tokenClassificationOptions,
  wordedTexts,
} from '../src/tasks/token-classification.ts';
import { TextTokenizer } from '../src/text/text-tokenizer.ts';

interface Case {
  tokenizer: string;
  config: Record<string, unknown>;
  words: string[];
  delimiter: string;
  logits: number[];
  entities: Record<AggregationStrategy, Entity[]>;
}
const load = (path: string) => JSON.parse(readFileSync(new URL(`./fixtures/${path}`, import.meta.url), 'utf8'));
const { labels, cases } = load('tasks/given-words.json') as { labels: string[]; cases: Case[] };
const file = (name: string) => load(`text/${name}.json`).tokenizer as Record<string, unknown>;

describe('token-classification of given words is Python’s', () => {
  it.each(cases)('$tokenizer, $words', ({ tokenizer, config, words, delimiter, logits, entities }) => {
    const text = new TextTokenizer(file(tokenizer), config);
    const [worded] = wordedTexts(words, { delimiter });
    const encoding = inText(text.encode(words, { isSplitIntoWords: true }), worded!);
    const model = {
      labels,
      unkId: text.special.unk?.id,
      marksSubwords: text.continuingSubwordPrefix !== undefined,
      join: (tokens: readonly string[]) => text.joinTokens(tokens),
    };
    for (const strategy of AGGREGATION_NAMES) {
      const options = tokenClassificationOptions({ aggregation_strategy: strategy });
      const found = classifyTokens(worded!.text, encoding, Float64Array.from(logits), model, options);
      const expected = entities[strategy].map(entity => ({ ...entity, score: expect.closeTo(entity.score, 6) }));
      expect(found, strategy).toEqual(expected);
    }
  });

  it('takes one list of words, or several, and refuses what is none', () => {
    expect(wordedTexts(['a', 'bc'], {})).toEqual([{ words: ['a', 'bc'], text: 'a bc', starts: [0, 2] }]);
    expect(wordedTexts([['a'], ['b', '😀', 'c']], { delimiter: '' }).map(({ starts }) => starts)).toEqual([
      [0],
      [0, 1, 3],
    ]);
    for (const wrong of ['a b', [], [['a'], 'b'], [['a'], []], ['a', 5], undefined]) {
      expect(() => wordedTexts(wrong, {}), JSON.stringify(wrong)).toThrow(InputError);
    }
    expect(() => wordedTexts(['a'], { delimiter: 5 as unknown as string })).toThrow(/delimiter is wrong/);
  });
});

describe('a tokenizer', () => {
  const bert = new PreTrainedTokenizer(file('bert'), { tokenizer_class: 'BertTokenizer', model_max_length: 48 });
  const lists = { return_tensor: false } as const;

  it('takes given words, and says of every token which word it is of', () => {
    const words = { ...lists, is_split_into_words: true, padding: true } as const;
    const found = bert([['hello', 'the [MASK]'], ['x']], words);
    expect(found.input_ids.map(ids => ids.length)).toEqual([found.input_ids[0]!.length, found.input_ids[0]!.length]);
    expect(found.word_ids(1).slice(0, 4)).toEqual([null, 0, null, null]);
    expect(new Set(found.word_ids())).toEqual(new Set([null, 0, 1]));
    expect(Object.keys(found)).not.toContain('word_ids');
    expect(() => found.word_ids(2)).toThrow(/the row is wrong: got number 2/);
    expect(bert([], { ...lists, is_split_into_words: true }).input_ids).toEqual([2, 3]);
    expect(() => bert('a b', { is_split_into_words: true } as never)).toThrow(/expected a list of strings, its words/);
    expect(() => bert([['a']] as never)).toThrow(/the text is wrong/);
    const text = bert('hello the', { return_offsets_mapping: true });
    expect(text.word_ids()).toEqual([null, 0, 0, 0, 0, 1, null].slice(0, text.input_ids.dims[1]));
  });

  it('refuses given words where no space would stand before them', () => {
    const roberta = new PreTrainedTokenizer(file('roberta'), { tokenizer_class: 'RobertaTokenizer' });
    expect(() => roberta(['a', 'b'], { is_split_into_words: true })).toThrow(InputError);
    expect(() => roberta(['a', 'b'], { is_split_into_words: true })).toThrow(/add_prefix_space: true/);
  });

  it('pads to a multiple, as Python', () => {
    const lengths = (options: object) => bert('a', { ...options, return_tensor: true }).input_ids.dims[1];
    expect(lengths({ padding: true, pad_to_multiple_of: 8 })).toBe(8);
    expect(lengths({ padding: 'max_length', max_length: 10, pad_to_multiple_of: 8 })).toBe(16);
    expect(lengths({ pad_to_multiple_of: 8 })).toBe(3);
    expect(lengths({ padding: true, truncation: true, pad_to_multiple_of: 16 })).toBe(16);
    const both = { padding: true, truncation: true } as const;
    expect(() => bert('a', { ...both, pad_to_multiple_of: 7 })).toThrow(
      /48, expected a multiple of pad_to_multiple_of/,
    );
    expect(() => bert('a', { padding: true, pad_to_multiple_of: 0 })).toThrow(/pad_to_multiple_of is wrong/);
    expect(bert('a', { ...lists, padding: true, pad_to_multiple_of: 4 }).attention_mask).toEqual([1, 1, 1, 0]);
  });

  it('splits special tokens that stand in a text where it is told to', () => {
    const split = bert('a [MASK]', { ...lists, split_special_tokens: true });
    expect(split.input_ids).not.toContain(4);
    expect(bert('a [MASK]', lists).input_ids).toContain(4);
    const config = { tokenizer_class: 'BertTokenizer', split_special_tokens: true };
    const always = new PreTrainedTokenizer(file('bert'), config);
    expect(always('a [MASK]', lists).input_ids).toEqual(split.input_ids);
    expect(always('a [MASK]', { ...lists, split_special_tokens: false }).input_ids).toContain(4);
  });

  it('takes an empty pair of one text for none, and not among those of several', () => {
    expect(bert('a', { ...lists, text_pair: '' }).input_ids).toEqual(bert('a', lists).input_ids);
    expect(bert.encode('a', { text_pair: '' })).toEqual(bert.encode('a'));
    expect(bert(['a'], { ...lists, text_pair: [''] }).input_ids[0]!.at(-2)).toBe(3);
  });

  it('refuses options that there are not, by name', () => {
    const wrong = { max_lenght: 5 } as never;
    expect(() => bert('a', wrong)).toThrow(UnsupportedError);
    expect(() => bert('a', wrong)).toThrow(/a tokenizer has no option "max_lenght".*max_length/);
    expect(() => bert.encode('a', wrong)).toThrow(/encode has no option/);
    expect(() => bert.tokenize('a', wrong)).toThrow(/tokenize has no option/);
    expect(() => bert.decode([1], wrong)).toThrow(/decode has no option/);
    expect(() => bert('a', { truncation: 'only_third' as never })).toThrow(/this truncation is not supported/);
    expect(() => bert('a', { padding: 'left' as never })).toThrow(/this padding is not supported/);
    expect(() => bert('a', 5 as never)).toThrow(InputError);
  });

  it('cuts the left where truncation_side says so, windows too', () => {
    const left = new PreTrainedTokenizer(file('bert'), { tokenizer_class: 'BertTokenizer', truncation_side: 'left' });
    expect(left.truncation_side).toBe('left');
    const all = left('a b c d e f', lists).input_ids.slice(1, -1);
    const cut = left('a b c d e f', { ...lists, truncation: true, max_length: 5 });
    expect(cut.input_ids).toEqual([2, ...all.slice(-3), 3]);
    const windows = left('a b c d e f', {
      ...lists,
      truncation: true,
      max_length: 5,
      stride: 1,
      return_overflowing_tokens: true,
    });
    expect(windows.input_ids).toEqual([
      [2, ...all.slice(3), 3],
      [2, ...all.slice(1, 4), 3],
      [2, ...all.slice(0, 2), 3],
    ]);
  });

  it('says what can be done where a strategy cannot make the tokens fit, in the words of who was asked', () => {
    const long = 'a b c d e f';
    const call = () => bert('a', { text_pair: long, truncation: 'only_first', max_length: 5 });
    expect(call).toThrow(/truncation: true/);
    const encode = () => bert.text.encode('a', { pair: long, truncation: 'only_first', maxLength: 5 });
    expect(encode).toThrow(/Shorten the text that may not be cut/);
    expect(encode).not.toThrow(/longest_first/);
    const remedy = 'Shorten the question.';
    expect(() => bert.text.encode(long, { pair: 'a', truncation: 'only_second', maxLength: 5, remedy })).toThrow(
      remedy,
    );
  });
});
