import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Tensor } from '../src/api/tensor.ts';
import { PreTrainedTokenizer } from '../src/api/tokenizer.ts';
import { InputError } from '../src/errors.ts';

function load(name: string, config: Record<string, unknown> = {}): PreTrainedTokenizer {
  const file = JSON.parse(readFileSync(new URL(`./fixtures/text/${name}.json`, import.meta.url), 'utf8'));
  return new PreTrainedTokenizer(file.tokenizer, { ...file.config, ...config });
}
const tokenizer = load('bert', { tokenizer_class: 'BertTokenizer' });
const numbers = (tensor: Tensor | undefined) => (tensor!.tolist() as bigint[][]).map(row => row.map(Number));

describe('a call', () => {
  it('gives int64 tensors of one row for one text', () => {
    const { input_ids, attention_mask, token_type_ids } = tokenizer('Paris is the capital');
    expect(input_ids).toBeInstanceOf(Tensor);
    expect([input_ids.type, input_ids.dims[0]]).toEqual(['int64', 1]);
    expect(numbers(input_ids)).toEqual([tokenizer.encode('Paris is the capital')]);
    expect(numbers(attention_mask)[0]!.every(value => value === 1)).toBe(true);
    expect(numbers(token_type_ids)[0]!.every(value => value === 0)).toBe(true);
  });

  it('pads to the longest of a batch', () => {
    const lists = tokenizer(['a', 'a longer text'], { return_tensor: false });
    const { input_ids, attention_mask } = tokenizer(['a', 'a longer text'], { padding: true });
    const length = lists.input_ids[1]!.length;
    const missing = length - lists.input_ids[0]!.length;
    expect(missing).toBeGreaterThan(0);
    expect(input_ids.dims).toEqual([2, length]);
    expect(numbers(input_ids)[0]).toEqual([...lists.input_ids[0]!, ...new Array(missing).fill(0)]);
    expect(numbers(attention_mask)[0]!.filter(value => value === 0)).toHaveLength(missing);
    const left = load('bert', { padding_side: 'left' })(['a', 'a longer text'], { padding: true });
    expect(numbers(left.input_ids)[0]!.slice(missing)).toEqual(lists.input_ids[0]);
  });

  it('pads to max_length, truncates to it, and keeps the special tokens', () => {
    expect(tokenizer('a', { padding: 'max_length', max_length: 12 }).input_ids.dims).toEqual([1, 12]);
    expect(tokenizer('a', { padding: 'max_length' }).input_ids.dims).toEqual([1, 64]);
    const short = tokenizer('the license of the work '.repeat(20), { truncation: true, max_length: 8 });
    expect(numbers(short.input_ids)[0]).toHaveLength(8);
    expect(numbers(short.input_ids)[0]!.at(-1)).toBe(tokenizer.sep_token_id);
    expect(tokenizer('word '.repeat(99), { truncation: true }).input_ids.dims).toEqual([1, 64]);
    expect(tokenizer('word '.repeat(99), { max_length: 9 }).input_ids.dims).toEqual([1, 9]);
    expect(tokenizer('word '.repeat(99)).input_ids.dims[1]).toBeGreaterThan(99);
  });

  it('takes pairs', () => {
    const { input_ids, token_type_ids } = tokenizer('a', { text_pair: 'b c' });
    expect(numbers(input_ids)[0]).toEqual(tokenizer.encode('a', { text_pair: 'b c' }));
    expect(new Set(numbers(token_type_ids)[0])).toEqual(new Set([0, 1]));
    const batch = tokenizer(['a', 'b'], { text_pair: ['c', 'd'], return_tensor: false });
    expect(batch.input_ids[1]).toEqual(tokenizer.encode('b', { text_pair: 'd' }));
    expect(() => tokenizer(['a', 'b'], { text_pair: ['c'] })).toThrow(InputError);
    expect(() => tokenizer('a', { text_pair: ['c'] })).toThrow(InputError);
  });

  it('gives offsets, masks and windows under Python’s names', () => {
    const text = 'the license of the work '.repeat(5);
    const options = { return_offsets_mapping: true, return_special_tokens_mask: true, return_overflowing_tokens: true };
    const batch = tokenizer(['short', text], {
      ...options,
      truncation: true,
      padding: true,
      max_length: 10,
      stride: 2,
    });
    const rows = batch.input_ids.dims[0]!;
    expect(rows).toBeGreaterThan(3);
    expect(batch.offset_mapping!.dims).toEqual([rows, batch.input_ids.dims[1], 2]);
    expect(Number(batch.overflow_to_sample_mapping!.data[0])).toBe(0);
    expect(Number(batch.overflow_to_sample_mapping!.data[rows - 1])).toBe(1);
    expect(numbers(batch.special_tokens_mask)[0]!.at(-1)).toBe(1);
    const one = tokenizer('a b', { ...options, return_overflowing_tokens: false, return_tensor: false });
    expect(one.offset_mapping).toEqual([
      [0, 0],
      [0, 1],
      [2, 3],
      [0, 0],
    ]);
  });

  it('has token type ids where the model has', () => {
    expect(tokenizer.return_token_type_ids).toBe(true);
    expect(load('roberta', { tokenizer_class: 'RobertaTokenizerFast' })('a').token_type_ids).toBeUndefined();
    expect(load('bert', { tokenizer_class: 'DistilBertTokenizer' })('a').token_type_ids).toBeUndefined();
    expect(load('bert', { model_input_names: ['input_ids'] })('a').token_type_ids).toBeUndefined();
    // The name that transformers 5 gives a tokenizer without a class of its own says nothing of token types; its file does.
    const general = { tokenizer_class: 'TokenizersBackend' };
    expect(load('bert', general)('a').token_type_ids).toBeDefined();
    expect(load('bert', { ...general, model_input_names: ['input_ids'] })('a').token_type_ids).toBeUndefined();
    for (const tokenizer_class of ['XLMRobertaTokenizer', 'CamembertTokenizerFast', 'MPNetTokenizer']) {
      expect(load('bert', { tokenizer_class })('a').token_type_ids, tokenizer_class).toBeUndefined();
    }
    // A class that is not known is taken as PreTrainedTokenizerFast.
    for (const tokenizer_class of ['BertTokenizerFast', 'BertJapaneseTokenizer', 'OwnTokenizer', undefined, null]) {
      expect(load('bert', { tokenizer_class })('a').token_type_ids, `${tokenizer_class}`).toBeDefined();
    }
    expect(tokenizer('a', { return_token_type_ids: false }).token_type_ids).toBeUndefined();
  });

  it('refuses what it cannot do', () => {
    expect(() => tokenizer([])).toThrow(/the list of texts is wrong/);
    expect(() => tokenizer(['a', 5 as unknown as string])).toThrow(
      /the text is wrong: got number 5, expected a string/,
    );
    expect(() => tokenizer(undefined as unknown as string)).toThrow(/the text is wrong: got undefined/);
    expect(() => tokenizer(['a', 'a longer text'])).toThrow(/padding: true/);
    const endless = load('bert', { model_max_length: 1e30 });
    expect(() => endless('a', { padding: 'max_length' })).toThrow(/needs a length/);
  });
});

describe('the other names of transformers.js', () => {
  it('decodes ids, tensors and batches', () => {
    const { input_ids } = tokenizer("don't stop, please");
    expect(tokenizer.decode(input_ids, { skip_special_tokens: true })).toBe("don't stop, please");
    expect(tokenizer.batch_decode(input_ids, { skip_special_tokens: true })).toEqual(["don't stop, please"]);
    expect(tokenizer.decode(tokenizer.encode('a b'))).toBe('[CLS] a b [SEP]');
    expect(() => tokenizer.decode(new Tensor('int64', [1, 2], [2, 1]))).toThrow(/batch_decode/);
  });

  it('converts tokens and knows the special ones', () => {
    expect(tokenizer.tokenize('[MASK] a')).toEqual(['[MASK]', 'a']);
    expect(tokenizer.convert_tokens_to_ids('[MASK]')).toBe(4);
    expect(tokenizer.convert_tokens_to_ids(['[SEP]', 'no such'])).toEqual([3, undefined]);
    expect(tokenizer.convert_ids_to_tokens([2n, 3])).toEqual(['[CLS]', '[SEP]']);
    expect([tokenizer.mask_token, tokenizer.mask_token_id, tokenizer.pad_token_id]).toEqual(['[MASK]', 4, 0]);
    expect([tokenizer.model_max_length, tokenizer.padding_side, tokenizer.bos_token]).toEqual([64, 'right', undefined]);
    expect(tokenizer.all_special_tokens).toEqual(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']);
    expect(tokenizer).toBeInstanceOf(PreTrainedTokenizer);
  });
});
