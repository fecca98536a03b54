import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { InputError, SourceError, UnsupportedError } from '../src/errors.ts';
import { TextTokenizer } from '../src/text/text-tokenizer.ts';

interface Case {
  text: string;
  text_pair: string | null;
  input_ids: number[];
  token_type_ids: number[] | null;
  tokens: string[];
  offsets: [number, number][];
  special: number[];
}
interface Family {
  tokenizer: Record<string, unknown>;
  config: Record<string, unknown>;
  modelMaxLength: number;
  cases: Case[];
}
interface Golden {
  text: string;
  pair?: string;
  sp: boolean;
  maxLength?: number;
  stride?: number;
  truncation?: 'longest_first' | 'only_first' | 'only_second';
  /** Only the first window is compared: Python's other windows of pairs carry wrong type ids, or are not kept here. */
  firstOnly?: true;
  windows: { ids: number[]; offsets: number[]; typeIds: string; mask: string; tokens?: string[] }[];
  decoded: [string, string];
}

const folder = new URL('./fixtures/text/', import.meta.url);
const load = (name: string): unknown => JSON.parse(readFileSync(new URL(name, folder), 'utf8'));
const bert = load('bert.json') as Family;
const roberta = load('roberta.json') as Family;
const tokenizer = (family: Family) => new TextTokenizer(family.tokenizer, family.config);
/** bert's tokenizer.json with parts of it replaced. */
const changed = (parts: Record<string, unknown>) => ({ ...structuredClone(bert.tokenizer), ...parts });

describe('the families of the fixtures', () => {
  const files = readdirSync(folder).filter(name => !/^(rust-goldens|all-MiniLM)/.test(name));
  it.each(files)('%s: ids, tokens, offsets, type ids and masks are Python’s', file => {
    const family = load(file) as Family;
    const text = tokenizer(family);
    expect(family.cases.length).toBeGreaterThan(8);
    for (const example of family.cases) {
      const pair = example.text_pair ?? undefined;
      const encoding = text.encode(example.text, { pair, maxLength: family.modelMaxLength });
      expect(encoding.ids).toEqual(example.input_ids);
      expect(encoding.tokens).toEqual(example.tokens);
      expect(encoding.offsets).toEqual(example.offsets);
      expect(encoding.specialTokensMask).toEqual(example.special);
      // The generator writes zeros for models of one token type.
      if (example.token_type_ids?.includes(1)) expect(encoding.typeIds).toEqual(example.token_type_ids);
    }
  });
});

describe('the Rust tokenizers on nasty strings', () => {
  const goldens = load('rust-goldens.json') as {
    charsmap: string;
    tokenizers: Record<string, { json: unknown; cases: Golden[] }>;
  };
  it.each(Object.keys(goldens.tokenizers))('%s', name => {
    const { json, cases } = goldens.tokenizers[name]!;
    const text = new TextTokenizer(JSON.parse(JSON.stringify(json).replace('"CHARSMAP"', `"${goldens.charsmap}"`)), {});
    for (const { text: input, pair, sp, maxLength, stride, truncation, firstOnly, windows, decoded } of cases) {
      const options = { pair, addSpecialTokens: sp, maxLength, truncation };
      const first = text.encode(input, options);
      const found = firstOnly ? [first] : text.encodeWindows(input, { ...options, stride });
      expect(found[0]).toEqual(first);
      const expected = firstOnly ? windows.slice(0, 1) : windows;
      expect(found.map(({ ids }) => ids)).toEqual(expected.map(({ ids }) => ids));
      expect(found.map(({ offsets }) => offsets.flat())).toEqual(expected.map(({ offsets }) => offsets));
      expect(found.map(({ typeIds }) => typeIds.join(''))).toEqual(expected.map(({ typeIds }) => typeIds));
      expect(found.map(({ specialTokensMask }) => specialTokensMask.join(''))).toEqual(
        expected.map(({ mask }) => mask),
      );
      if (expected[0]!.tokens) expect(found.map(({ tokens }) => tokens)).toEqual(expected.map(({ tokens }) => tokens));
      // Rust decodes normalised added tokens in their normalised form; here they keep the one they were added in.
      if (name !== 'bert-added') {
        expect(text.decode(first.ids)).toBe(decoded[0]);
        expect(text.decode(first.ids, { skipSpecialTokens: true })).toBe(decoded[1]);
      }
    }
  });
});

describe('offsets', () => {
  it('are UTF-16 units of the original, whatever the normaliser did', () => {
    const input = '😀 Crème cafe\u0301s 北京';
    const { tokens, offsets, sequenceIds } = tokenizer(bert).encode(input);
    const words = offsets.map(([start, end]) => input.slice(start, end));
    expect(words.join('')).toBe('😀Crèmecafe\u0301s北京');
    expect(tokens[1]).toBe('😀');
    expect(words[1]).toBe('😀');
    expect(sequenceIds.at(0)).toBeNull();
    expect(sequenceIds.at(1)).toBe(0);
  });

  it('give every byte token of a character the whole character', () => {
    const { tokens, offsets } = tokenizer(roberta).encode('a😀', { addSpecialTokens: false });
    expect(tokens.length).toBeGreaterThan(2);
    expect(new Set(offsets.slice(1).map(String))).toEqual(new Set(['1,3']));
  });

  it('make one token of a special token in the text', () => {
    const encoding = tokenizer(bert).encode('Paris is [MASK].');
    const index = encoding.tokens.indexOf('[MASK]');
    expect(encoding.ids[index]).toBe(tokenizer(bert).special.mask?.id);
    expect(encoding.offsets[index]).toEqual([9, 15]);
    expect(encoding.specialTokensMask[index]).toBe(0);
  });

  it('survive lone surrogates, which count as U+FFFD', () => {
    const text = tokenizer(roberta);
    expect(text.encode('a\ud800b').ids).toEqual(text.encode('a\ufffdb').ids);
    expect(text.encode('a\ud800b').offsets).toEqual(text.encode('a\ufffdb').offsets);
  });
});

describe('truncation and windows', () => {
  const text = tokenizer(bert);
  const long = 'the license of the work '.repeat(20);

  it('never lose a token: windows cover the text, overlapping by the stride', () => {
    const whole = text.encode(long, { addSpecialTokens: false });
    const windows = text.encodeWindows(long, { maxLength: 16, stride: 4 });
    expect(windows.length).toBeGreaterThan(5);
    const inner = windows.map(window => window.ids.slice(1, -1));
    expect([...inner[0]!, ...inner.slice(1).flatMap(ids => ids.slice(4))]).toEqual(whole.ids);
    expect(windows.every(window => window.truncated && window.ids.length <= 16)).toBe(true);
  });

  it('of a pair walk the second text under the first', () => {
    const windows = text.encodeWindows('where', { pair: long, maxLength: 20, stride: 5, truncation: 'only_second' });
    const head = windows[0]!.ids.slice(0, windows[0]!.sequenceIds.indexOf(1));
    for (const window of windows) {
      expect(window.ids.slice(0, head.length)).toEqual(head);
      expect(window.typeIds).toEqual(window.ids.map((_, i) => (i < head.length ? 0 : 1)));
      expect(window.ids.length).toBeLessThanOrEqual(20);
    }
    expect(windows.at(-1)!.offsets.at(-2)![1]).toBe(long.trimEnd().length);
  });

  it('say what does not fit', () => {
    expect(() => text.encode('a', { maxLength: 1 })).toThrow(InputError);
    expect(() => text.encode('a b c', { maxLength: 3, truncation: 'only_second' })).toThrow(/needs a pair/);
    expect(() => text.encode('a', { pair: long, maxLength: 9, truncation: 'only_first' })).toThrow(/cannot make/);
    expect(() => text.encodeWindows(long, { maxLength: 6, stride: 4 })).toThrow(
      /stride is wrong: got number 4, expected less than/,
    );
    expect(() => text.encodeWindows(long, { maxLength: 6, stride: -1 })).toThrow(/stride is wrong/);
  });
});

describe('what the tokenizer knows of itself', () => {
  it('special tokens, ids, size and length', () => {
    const text = tokenizer(bert);
    expect(text.special.mask).toEqual({ token: '[MASK]', id: 4 });
    expect(text.special.bos).toBeUndefined();
    expect(text.allSpecialIds).toEqual([0, 1, 2, 3, 4]);
    expect(text.modelMaxLength).toBe(64);
    expect(text.vocabSize).toBe(640);
    expect(text.tokenToId('[SEP]')).toBe(3);
    expect(text.idToToken(3)).toBe('[SEP]');
    expect(text.tokenToId('no such token')).toBeUndefined();
    expect(text.continuingSubwordPrefix).toBe('##');
  });

  it('finds the usual special tokens where the config is silent, none where it says null', () => {
    const silent = new TextTokenizer(roberta.tokenizer, {});
    expect(silent.special.mask?.token).toBe('<mask>');
    expect(silent.special.cls?.id).toBe(0);
    expect(silent.modelMaxLength).toBe(Number.POSITIVE_INFINITY);
    expect(new TextTokenizer(roberta.tokenizer, { mask_token: null }).special.mask).toBeUndefined();
    const object = { mask_token: { __type: 'AddedToken', content: '<pad>' } };
    expect(new TextTokenizer(roberta.tokenizer, object).special.mask?.id).toBe(1);
  });
});

describe('bad input', () => {
  it.each([[undefined], [null], [5], [['a']], [{}]])('%j is not a text', value => {
    const encode = () => tokenizer(bert).encode(value as string);
    expect(encode).toThrow(InputError);
    expect(encode).toThrow(/the text is wrong: got/);
    expect(() => tokenizer(bert).encode('a', { pair: 7 as unknown as string })).toThrow(/the pair is wrong/);
  });

  it.each([
    ['normalizer', { type: 'Fancy' }],
    ['pre_tokenizer', { type: 'Delimiter', delimiter: '-' }],
    ['model', { type: 'CharLevel', vocab: {} }],
    ['post_processor', { type: 'Fancy' }],
    ['decoder', { type: 'CTCDecoder' }],
    ['normalizer', { type: 'Sequence', normalizers: [{ type: 'toString' }] }],
  ])('an unknown %s is refused by name', (part, component) => {
    const build = () => new TextTokenizer(changed({ [part]: component }), {});
    expect(build).toThrow(UnsupportedError);
    expect(build).toThrow(/is not supported: got .* expected one of/);
  });

  const template = { type: 'TemplateProcessing', single: [{ Sequence: { id: 'B', type_id: 0 } }], pair: [] };
  it.each<[string, unknown]>([
    ['no object', 'text'],
    ['no model', changed({ model: undefined })],
    ['no vocabulary', changed({ model: { type: 'WordPiece', unk_token: '[UNK]' } })],
    ['an id that is none', changed({ model: { type: 'WordPiece', unk_token: 'a', vocab: { a: -1 } } })],
    ['a merge of one token', changed({ model: { type: 'BPE', vocab: { a: 0 }, merges: ['a'] } })],
    ['a merge of unknown tokens', changed({ model: { type: 'BPE', vocab: { a: 0 }, merges: [['a', 'b']] } })],
    ['a piece without score', changed({ model: { type: 'Unigram', vocab: [['a']] } })],
    ['an unk_id beyond the vocabulary', changed({ model: { type: 'Unigram', unk_id: 9, vocab: [['a', 0]] } })],
    ['a list of words without the name of the unknown one', changed({ model: { type: 'WordLevel', vocab: { a: 0 } } })],
    ['a delimiter of two characters', changed({ pre_tokenizer: { type: 'CharDelimiterSplit', delimiter: '--' } })],
    ['pieces of no length', changed({ pre_tokenizer: { type: 'FixedLength', length: 0 } })],
    ['a CTC decoder without its padding', changed({ decoder: { type: 'CTC', word_delimiter_token: '|' } })],
    ['added tokens without id', changed({ added_tokens: [{ content: 'x' }] })],
    ['a template of B alone', changed({ post_processor: { ...template, special_tokens: {} } })],
    ['a broken charsmap', changed({ normalizer: { type: 'Precompiled', precompiled_charsmap: 'AAAA' } })],
    ['a broken pattern', changed({ normalizer: { type: 'Replace', pattern: { Regex: '(' }, content: '' } })],
  ])('%s is malformed', (_, json) => {
    expect(() => new TextTokenizer(json, {})).toThrow(SourceError);
    expect(() => new TextTokenizer(json, {})).toThrow(/is malformed/);
  });
});

it.each(['WordLevel', 'WordPiece', 'BPE'])(
  'needs the unknown token of %s only where a word is unknown, as Python does',
  type => {
    const vocab = { a: 0, b: 1 };
    const model = { type, unk_token: '[UNK]', vocab, ...(type === 'BPE' && { merges: [] }) };
    const text = new TextTokenizer({ model, pre_tokenizer: { type: 'Whitespace' } }, {});
    expect(text.encode('a b').ids).toEqual([0, 1]);
    expect(() => text.encode('a q')).toThrow(SourceError);
    expect(() => text.encode('a q')).toThrow(/unk_token: got "\[UNK\]", expected .*, for the word "q"/);
  },
);

it('looks at pairs as often as a long word has characters, not as often as its square', () => {
  const text = tokenizer(roberta);
  const { get } = Map.prototype;
  const lookups = (length: number) => {
    const input = Array.from({ length }, (_, i) => String.fromCharCode(97 + ((i * i) % 26))).join('');
    let count = 0;
    Map.prototype.get = function (this: Map<unknown, unknown>, key: unknown) {
      count++;
      return get.call(this, key);
    };
    try {
      text.encode(input);
    } finally {
      Map.prototype.get = get;
    }
    return count;
  };
  const few = lookups(5_000);
  expect(few).toBeGreaterThan(5_000);
  expect(lookups(20_000)).toBeLessThan(5 * few);
});
