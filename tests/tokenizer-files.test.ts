import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { AutoTokenizer } from '../src/api/auto-classes.ts';
import type { TokenizeOptions } from '../src/api/tokenize-call.ts';
import type { PreTrainedTokenizer } from '../src/api/tokenizer.ts';
import { SourceError } from '../src/errors.ts';

interface Case {
  text: string | string[];
  text_pair?: string | string[];
  options?: TokenizeOptions;
  ids: number[];
  /** Missing for a class without a fast one. */
  offsets?: number[];
  types?: string;
  words?: (number | null)[];
}
/** What tests/fixtures/tools/tokenizer_files.py writes. */
interface Golden {
  files: Record<string, string | { file: string }>;
  special: Record<string, [token: string, id: number]>;
  model_max_length: number | null;
  padding_side: string;
  truncation_side: string;
  cases: Case[];
}

/** WEBGPU_BERT_TOKENIZERS names a folder of more goldens, of many random texts. */
const folders = [new URL('./fixtures/tokenizers/', import.meta.url).pathname, process.env.WEBGPU_BERT_TOKENIZERS];
const load = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
const encoder = new TextEncoder();

describe.each(folders.filter(folder => folder !== undefined))('the tokenizers of %s', folder => {
  const shared = load(`${folder}/files.json`) as Record<string, string>;
  const names = readdirSync(folder).filter(name => name !== 'files.json');

  it.each(names)('%s: ids, offsets, type ids, words, special tokens and limits are Python’s', async name => {
    const { files, special, cases, ...golden } = load(`${folder}/${name}`) as Golden;
    const bytes = Object.entries(files).map(([file, content]) => [
      file,
      encoder.encode(typeof content === 'string' ? content : shared[content.file]),
    ]);
    const tokenizer = await AutoTokenizer.from_pretrained(Object.fromEntries(bytes));
    const tokens = tokenizer as PreTrainedTokenizer & Record<string, unknown>;
    for (const [key, [token, id]] of Object.entries(special)) {
      expect([key, tokens[key], tokens[`${key}_id`]]).toEqual([key, token, id]);
    }
    expect(tokenizer.model_max_length).toBe(golden.model_max_length ?? Number.POSITIVE_INFINITY);
    expect([tokenizer.padding_side, tokenizer.truncation_side]).toEqual([golden.padding_side, golden.truncation_side]);
    expect(cases.length).toBeGreaterThan(8);
    for (const { text, text_pair, options, ids, offsets, types, words } of cases) {
      const found = tokenizer(text as string, {
        ...options,
        text_pair,
        return_tensor: false,
        return_offsets_mapping: true,
      });
      const label = JSON.stringify([text, text_pair, options]);
      expect(found.input_ids, label).toEqual(ids);
      if (offsets) expect(found.offset_mapping!.flat(), label).toEqual(offsets);
      expect(found.token_type_ids?.join(''), label).toBe(types);
      if (words) expect(found.word_ids(), label).toEqual(words);
    }
  });
});

describe('vocabulary files with odd values beside them', () => {
  const deep = '['.repeat(20_000) + ']'.repeat(20_000);
  const files = {
    'config.json': '{"model_type":"bert"}',
    'vocab.txt': '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n',
  };

  it.each([
    ['special_tokens_map.json', `{"additional_special_tokens":${deep}}`, /additional_special_tokens\[0\]: got a list/],
    ['tokenizer_config.json', `{"additional_special_tokens":${deep}}`, /additional_special_tokens\[0\]: got a list/],
    ['tokenizer_config.json', `{"mask_token":${deep}}`, /mask_token: got a list/],
    ['added_tokens.json', '[1]', /^added_tokens.json is malformed: got \[1\], expected an object/],
  ])('%s: %.40s', async (file, text, message) => {
    const all = Object.entries({ ...files, [file]: text }).map(([name, content]) => [name, encoder.encode(content)]);
    const error: unknown = await AutoTokenizer.from_pretrained(Object.fromEntries(all)).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(SourceError);
    expect((error as SourceError).message).toMatch(message);
  });
});
