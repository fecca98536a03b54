import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AutoTokenizer } from '../src/api/auto-classes.ts';
import { env } from '../src/api/env.ts';
import { SourceError, UnsupportedError } from '../src/errors.ts';
import { TASKS, type TaskInfo } from '../src/tasks/task-table.ts';
import { type Hub, startHub } from './hub.mjs';

const fixture = (name: string) => JSON.parse(readFileSync(new URL(`./fixtures/${name}`, import.meta.url), 'utf8'));
const bert = fixture('text/bert.json').tokenizer;
const vocabulary = Object.entries(bert.model.vocab as Record<string, number>).sort(([, a], [, b]) => a - b);
const VOCAB = vocabulary.map(([token]) => `${token}\n`).join('');
const cased = { ...bert, normalizer: { ...bert.normalizer, lowercase: false } };
const text = 'Paris is NAÏVE [MASK]';

const DEFAULT_MODELS = Object.entries<TaskInfo<unknown>>(TASKS).flatMap(([task, { defaultModel }]) =>
  defaultModel === undefined ? [] : [[task, defaultModel] as const],
);

type Layout = Record<string, unknown>;
const BERT_CONFIG = { model_type: 'bert', vocab_size: vocabulary.length };
const DISTILBERT_CONFIG = { model_type: 'distilbert', vocab_size: vocabulary.length };
const MINILM: Layout = {
  'config.json': BERT_CONFIG,
  'tokenizer.json': bert,
  'tokenizer_config.json': { do_lower_case: true, tokenizer_class: 'BertTokenizer', model_max_length: 512 },
  'special_tokens_map.json': { mask_token: '[MASK]' },
  'vocab.txt': VOCAB,
};
const ROLES = { mask_token: '[MASK]', pad_token: '[PAD]', unk_token: '[UNK]', cls_token: '[CLS]', sep_token: '[SEP]' };

/** Which files stand in the repositories of the default models, as far as tokenizers go; the vocabulary is small. */
const REPOSITORIES: Record<string, { files: Layout; lowercase: boolean; maxLength: number; types: boolean }> = {
  'sentence-transformers/all-MiniLM-L6-v2': { files: MINILM, lowercase: true, maxLength: 512, types: true },
  'cross-encoder/ms-marco-MiniLM-L6-v2': { files: MINILM, lowercase: true, maxLength: 512, types: true },
  'google-bert/bert-base-uncased': {
    files: {
      'config.json': BERT_CONFIG,
      'tokenizer.json': bert,
      'tokenizer_config.json': { do_lower_case: true, model_max_length: 512 },
      'vocab.txt': VOCAB,
    },
    lowercase: true,
    maxLength: 512,
    types: true,
  },
  'distilbert/distilbert-base-uncased-finetuned-sst-2-english': {
    files: {
      'config.json': DISTILBERT_CONFIG,
      'tokenizer_config.json': { do_lower_case: true, model_max_length: 512 },
      'vocab.txt': VOCAB,
    },
    lowercase: true,
    maxLength: 512,
    types: false,
  },
  'dslim/bert-base-NER': {
    files: {
      'config.json': BERT_CONFIG,
      'tokenizer_config.json': { do_lower_case: false, max_len: 512, init_inputs: [] },
      'special_tokens_map.json': ROLES,
      'added_tokens.json': {},
      'vocab.txt': VOCAB,
    },
    lowercase: false,
    maxLength: 512,
    types: true,
  },
  'distilbert/distilbert-base-cased-distilled-squad': {
    files: {
      'config.json': DISTILBERT_CONFIG,
      'tokenizer.json': cased,
      'tokenizer_config.json': { do_lower_case: false, model_max_length: 512 },
      'vocab.txt': VOCAB,
    },
    lowercase: false,
    maxLength: 512,
    types: false,
  },
};

let hub: Hub;
const kept = { ...env };
const asked = () => hub.requests.map(({ path }) => path.split('/').at(-1)!).sort();
const serve = (id: string, files: Layout) => {
  for (const [file, content] of Object.entries(files)) {
    hub.files[`${id}/${file}`] = typeof content === 'string' ? content : JSON.stringify(content);
  }
};

beforeAll(async () => {
  hub = await startHub({ files: {} });
  Object.assign(env, { remoteHost: hub.url, allowLocalModels: false });
  for (const [id, { files }] of Object.entries(REPOSITORIES)) serve(id, files);
});
beforeEach(() => {
  hub.requests.length = 0;
});
afterAll(async () => {
  Object.assign(env, kept);
  await hub.stop();
});

describe('every default model has a tokenizer', () => {
  it('and the layout of each is known', () => {
    expect(new Set(DEFAULT_MODELS.map(([, id]) => id))).toEqual(new Set(Object.keys(REPOSITORIES)));
  });

  it.each(DEFAULT_MODELS)('%s: %s', async (_, id) => {
    const { files, lowercase, maxLength, types } = REPOSITORIES[id]!;
    const tokenizer = await AutoTokenizer.from_pretrained(id);
    const found = tokenizer(text, { return_tensor: false });
    const tokens = tokenizer.convert_ids_to_tokens(found.input_ids);
    expect([tokens[0], tokens.at(-2), tokens.at(-1)]).toEqual(['[CLS]', '[MASK]', '[SEP]']);
    expect(tokens.includes('[UNK]') || /[A-Z]/.test(tokens.slice(1, -2).join(''))).toBe(!lowercase);
    expect(tokenizer.model_max_length).toBe(maxLength);
    expect(found.token_type_ids !== undefined).toBe(types);
    // Vocabulary files are asked for only where there is no tokenizer.json.
    expect(asked().includes('vocab.txt')).toBe(!('tokenizer.json' in files));
    expect(asked()).not.toContain('vocab.json');
  });
});

describe('requests', () => {
  const needed = async (files: Layout) => {
    serve('some/model', files);
    hub.requests.length = 0;
    await AutoTokenizer.from_pretrained('some/model');
    for (const file of Object.keys(files)) delete hub.files[`some/model/${file}`];
    return asked();
  };
  const both = ['tokenizer.json', 'tokenizer_config.json'];

  it('are two where tokenizer_config.json says what was added', async () => {
    const decoder = { tokenizer_class: 'BertTokenizer', added_tokens_decoder: { 4: { content: '[MASK]' } } };
    expect(await needed({ ...MINILM, 'tokenizer_config.json': decoder })).toEqual(both);
    const general = { tokenizer_class: 'PreTrainedTokenizerFast', mask_token: '[MASK]' };
    expect(await needed({ ...MINILM, 'tokenizer_config.json': general })).toEqual(both);
  });

  it('are for what older versions wrote, and for the class, only where they are needed', async () => {
    const older = ['added_tokens.json', 'special_tokens_map.json', ...both];
    expect(await needed(MINILM)).toEqual(older);
    const { 'tokenizer_config.json': _, ...unnamed } = MINILM;
    expect(await needed(unnamed)).toEqual([...older, 'config.json'].sort());
  });
});

describe('what cannot be read', () => {
  const failing = (files: Layout) => {
    const bytes = Object.entries(files).map(([file, content]) => [
      file,
      new TextEncoder().encode(typeof content === 'string' ? content : JSON.stringify(content)),
    ]);
    return AutoTokenizer.from_pretrained(Object.fromEntries(bytes)).then(
      () => expect.unreachable('the tokenizer was built'),
      error => error,
    );
  };

  it.each<[string, Layout, RegExp]>([
    [
      'MeCab',
      { 'config.json': { model_type: 'bert', tokenizer_class: 'BertJapaneseTokenizer' } },
      /BertJapanese.*MeCab/,
    ],
    ['NLTK', { 'tokenizer_config.json': { tokenizer_class: 'BertweetTokenizer' } }, /BertweetTokenizer.*NLTK/],
    ['jieba', { 'config.json': { model_type: 'roformer' } }, /RoFormerTokenizer.*jieba/],
    [
      'other files',
      { 'tokenizer_config.json': { tokenizer_class: 'CanineTokenizer' } },
      /CanineTokenizer, and no tokenizer.json/,
    ],
    [
      'an unknown class',
      { 'tokenizer_config.json': { tokenizer_class: 'MyTokenizer' } },
      /MyTokenizer.*save_pretrained/,
    ],
  ])('a tokenizer that needs %s is refused by name, vocab.txt or not', async (_, files, message) => {
    const error = await failing({ ...files, 'vocab.txt': VOCAB });
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.message).toMatch(message);
    expect(error.supported).toContain('BertTokenizer');
  });

  it('a RoFormer is refused with its tokenizer.json too, for there jieba is left out', async () => {
    const files = { 'tokenizer.json': bert, 'tokenizer_config.json': { tokenizer_class: 'RoFormerTokenizer' } };
    expect((await failing(files)).message).toMatch(/RoFormerTokenizer.*jieba/);
    const japanese = { 'tokenizer.json': bert, 'tokenizer_config.json': { tokenizer_class: 'BertJapaneseTokenizer' } };
    const bytes = Object.entries(japanese).map(([file, content]) => [
      file,
      new TextEncoder().encode(JSON.stringify(content)),
    ]);
    expect((await AutoTokenizer.from_pretrained(Object.fromEntries(bytes))).encode('a').length).toBe(3);
  });

  it.each<[string, Layout, RegExp]>([
    ['nothing', { 'config.json': { model_type: 'bert' } }, /looked for tokenizer.json, vocab.txt.*save_pretrained/],
    ['half', { 'config.json': { model_type: 'roberta' }, 'vocab.json': {} }, /tokenizer.json, vocab.json, merges.txt/],
    [
      'a class that has a tokenizer.json alone',
      { 'config.json': { model_type: 'xlm-roberta' } },
      /alone.*save_pretrained/,
    ],
    ['the general class', { 'tokenizer_config.json': { tokenizer_class: 'PreTrainedTokenizerFast' } }, /alone/],
    ['no class', { 'vocab.txt': VOCAB }, /Neither tokenizer_config.json nor config.json names its class/],
  ])('%s: says what was looked for, and what can be done', async (_, files, message) => {
    const error = await failing(files);
    expect(error).toBeInstanceOf(SourceError);
    expect(error.file).toBe('tokenizer.json');
    expect(error.message).toMatch(message);
  });

  const noTokenizerJson =
    /got (\S+), a SentencePiece model, and no tokenizer.json, expected a tokenizer.json.*save_pretrained/;

  it.each<[string, Layout]>([
    ['sentencepiece.bpe.model', { 'config.json': { model_type: 'xlm-roberta' } }],
    ['spiece.model', { 'tokenizer_config.json': { tokenizer_class: 'T5Tokenizer' } }],
    ['tokenizer.model', { 'config.json': { model_type: 'gemma3_text' } }],
    ['spm.model', { 'config.json': { model_type: 'deberta-v2' } }],
    ['sentencepiece.model', { 'tokenizer_config.json': { tokenizer_class: 'RemBertTokenizer' } }],
    ['spm_char.model', { 'tokenizer_config.json': { tokenizer_class: 'PreTrainedTokenizerFast' } }],
    ['source.spm', {}],
  ])('%s without a tokenizer.json is refused by name, from a server, a folder and memory', async (model, files) => {
    const layout = { ...files, [model]: 'the model' };
    const folder = mkdtempSync(join(tmpdir(), 'sentencepiece-'));
    for (const [file, content] of Object.entries(layout)) {
      writeFileSync(join(folder, file), typeof content === 'string' ? content : JSON.stringify(content));
    }
    serve(`some/${model}`, layout);
    try {
      for (const load of [
        failing(layout),
        AutoTokenizer.from_pretrained(`${folder}/`).catch((error: unknown) => error),
        AutoTokenizer.from_pretrained(`some/${model}`).catch((error: unknown) => error),
      ]) {
        const error = await load;
        expect(error).toBeInstanceOf(UnsupportedError);
        expect(noTokenizerJson.exec((error as UnsupportedError).message)?.[1]).toBe(model);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('reads a tokenizer.json also where a SentencePiece model stands beside it', async () => {
    serve('some/both', { ...MINILM, 'spm.model': 'the model' });
    expect((await AutoTokenizer.from_pretrained('some/both')).encode('a').length).toBe(3);
  });

  it('says where it looked, and tells a web page from a missing file', async () => {
    serve('some/other', { 'config.json': { model_type: 'bert' } });
    const error = await AutoTokenizer.from_pretrained('some/other').catch(error => error);
    expect(error).toMatchObject({ file: 'tokenizer.json', status: 404 });
    expect(error.url).toContain('some/other/resolve/main/tokenizer.json');
    hub.files['some/other/tokenizer.json'] = '<!doctype html><title>App</title>';
    const page = await AutoTokenizer.from_pretrained('some/other').catch(error => error);
    expect(page.message).toMatch(/gives a web page/);
  });

  // transformers 4.57 adds [UNK] behind the vocabulary, and its model of words, which does not know it, fails at an unknown word.
  it.each([
    ['bert', ['[PAD]', '[CLS]', '[SEP]', '[MASK]', 'hello'], [1, 4, 2], 5],
    ['mpnet', ['<s>', '</s>', '<pad>', '<unk>', '<mask>', 'hello'], [0, 5, 1], 6],
  ] as const)('a vocab.txt of %s without [UNK] serves texts of known words', async (type, tokens, ids, unknown) => {
    serve('some/other', { 'config.json': { model_type: type }, 'vocab.txt': `${tokens.join('\n')}\n` });
    const tokenizer = await AutoTokenizer.from_pretrained('some/other');
    expect(tokenizer.encode('hello')).toEqual(ids);
    expect(tokenizer.unk_token_id).toBe(unknown);
    expect(tokenizer.encode('[UNK]')).toEqual([ids[0], unknown, ids[2]]);
    expect(() => tokenizer.encode('hello qq')).toThrow(/unk_token: got "\[UNK\]", expected .*, for the word "qq"/);
  });

  const TEXT = { 'config.json': { model_type: 'bert' } };
  const BPE = { 'config.json': { model_type: 'roberta' } };
  const SPECIALS = { '<s>': 0, '<pad>': 1, '</s>': 2, '<unk>': 3, a: 4, b: 5, ab: 6 };
  it.each<[string, Layout, RegExp]>([
    ['an id that is none', { ...BPE, 'vocab.json': { a: -1 }, 'merges.txt': 'v\n' }, /vocab.json is malformed: a/],
    ['a list', { ...BPE, 'vocab.json': [], 'merges.txt': 'v\n' }, /vocab.json is malformed/],
    ['three tokens', { ...BPE, 'vocab.json': SPECIALS, 'merges.txt': 'v\na b c\n' }, /merges.txt is malformed: line 2/],
    [
      'a strange side',
      { ...TEXT, 'vocab.txt': VOCAB, 'tokenizer_config.json': { padding_side: 'top' } },
      /padding_side/,
    ],
    ['a number for a token', { 'tokenizer.json': bert, 'tokenizer_config.json': { mask_token: 5 } }, /mask_token/],
  ])('%s is an error that names the place', async (_, files, message) => {
    const error = await failing(files);
    expect(error).toBeInstanceOf(SourceError);
    expect(error.message).toMatch(message);
  });

  it('bytes that are no UTF-8, but not a vocabulary that begins with a bracket', async () => {
    const config = new TextEncoder().encode(JSON.stringify({ model_type: 'mpnet' }));
    const broken = { 'config.json': config, 'vocab.txt': new Uint8Array([60, 115, 62, 10, 255, 10]) };
    const error = await AutoTokenizer.from_pretrained(broken).catch(error => error);
    expect(error.message).toMatch(/vocab.txt is not a text in UTF-8/);
    const vocab = '<s>\n<pad>\n</s>\n[UNK]\n<mask>\na\n';
    const fine = { 'config.json': config, 'vocab.txt': new TextEncoder().encode(vocab) };
    expect((await AutoTokenizer.from_pretrained(fine)).encode('a')).toEqual([0, 5, 2]);
  });
});
