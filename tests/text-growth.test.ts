import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { TextTokenizer } from '../src/text/text-tokenizer.ts';

/**
 * How much work a text makes, counted by what the library asks the engine for: units looked at, lookups, and the characters or
 * items that a call of the engine walks over. It is the same on every machine. What an engine does inside of one regular
 * expression is not seen here: tests/regular-expressions.test.ts proves those.
 */
function work(run: () => void): number {
  let count = 0;
  const undo: (() => void)[] = [];
  const watch = <T>(owner: T, name: keyof T & string, cost: (self: never, given: never, result: never) => number) => {
    const original = owner[name] as (...given: unknown[]) => unknown;
    const watched = function (this: unknown, ...given: unknown[]) {
      const result = original.apply(this, given);
      count += cost(this as never, given as never, result as never);
      return result;
    };
    Object.assign(owner as object, { [name]: watched });
    undo.push(() => Object.assign(owner as object, { [name]: original }));
  };
  const one = () => 1;
  const length = (self: { length: number }) => self.length;
  const string = String.prototype;
  for (const name of ['charCodeAt', 'codePointAt', 'startsWith', 'endsWith'] as const) watch(string, name, one);
  for (const name of ['normalize', 'replace', 'replaceAll', 'search', 'toLowerCase', 'trim'] as const)
    watch(string, name, length);
  watch(string, 'slice', (_, __, result: string) => 1 + result.length);
  watch(Map.prototype, 'get', one);
  watch(Set.prototype, 'has', one);
  // What is searched from a place on counts up to the end of what was found.
  const reach = (_: RegExp, [text]: [string], result: RegExpExecArray | null) =>
    1 + (result ? result[0].length : Math.min(text.length, 256));
  watch(RegExp.prototype, 'exec', reach);
  watch(RegExp.prototype, 'test', (_: RegExp, [text]: [string]) => text.length);
  for (const name of ['splice', 'includes', 'indexOf', 'find', 'findIndex', 'some', 'concat', 'shift'] as const) {
    watch(Array.prototype, name, length);
  }
  for (const name of ['map', 'filter', 'flatMap', 'forEach', 'reduce', 'join', 'sort'] as const) {
    watch(Array.prototype, name, length);
  }
  watch(Array.prototype, 'slice', (_, __, result: unknown[]) => result.length);
  // Engines copy the whole text with each cluster of it.
  watch(Intl.Segmenter.prototype, 'segment', (_, [text]: [string], found: Intl.Segments) => {
    let count = 0;
    for (const _ of found) count++;
    return count * text.length;
  });
  try {
    run();
  } finally {
    for (const restore of undo.reverse()) restore();
  }
  return count;
}

const folder = new URL('./fixtures/text/', import.meta.url);
const load = (name: string) => JSON.parse(readFileSync(new URL(name, folder), 'utf8'));
const { charsmap } = load('rust-goldens.json') as { charsmap: string };

const added = (content: string, id: number, more = {}) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
  ...more,
});

const letters = [...'abcdefghijklmnopqrstuvwxyz'];
const pieces = [
  '[UNK]',
  ...letters,
  ...letters.map(letter => `##${letter}`),
  'aa',
  'ab',
  '##aa',
  '##ab',
  ' ',
  '\u2581',
  'é',
];
const ids = Object.fromEntries(pieces.map((token, id) => [token, id]));
/** Tokens that are much longer than others, and agree with the texts all the way but for their ends. */
const long = { [`${'a'.repeat(60)}!`]: 200, [`##${'a'.repeat(60)}!`]: 201, [`${'ab'.repeat(30)}!`]: 202 };

const models = {
  WordPiece: { type: 'WordPiece', unk_token: '[UNK]', vocab: ids },
  'WordPiece of long words': { type: 'WordPiece', unk_token: '[UNK]', max_input_chars_per_word: 1e9, vocab: ids },
  'WordPiece with long tokens': {
    type: 'WordPiece',
    unk_token: '[UNK]',
    max_input_chars_per_word: 1e9,
    vocab: { ...ids, ...long },
  },
  BPE: {
    type: 'BPE',
    unk_token: '[UNK]',
    fuse_unk: true,
    vocab: ids,
    merges: ['a a', 'a b'],
  },
  Unigram: { type: 'Unigram', unk_id: 0, vocab: pieces.map(token => [token, -token.length]) },
  'Unigram with long tokens': {
    type: 'Unigram',
    unk_id: 0,
    vocab: [...pieces, ...Object.keys(long)].map(token => [token, -1]),
  },
};

const regex = (Regex: string) => ({ pattern: { Regex } });
const normalizers = {
  none: null,
  BertNormalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, lowercase: true },
  NFC: { type: 'NFC' },
  NFD: { type: 'NFD' },
  NFKC: { type: 'NFKC' },
  NFKD: { type: 'NFKD' },
  Lowercase: { type: 'Lowercase' },
  StripAccents: { type: 'StripAccents' },
  'Replace a regular expression': { type: 'Replace', ...regex('\\s+$'), content: '' },
  'Replace spaces': { type: 'Replace', ...regex(' {2,}'), content: ' ' },
  'Replace a text': { type: 'Replace', pattern: { String: 'ab' }, content: 'b' },
  Strip: { type: 'Strip', strip_left: true, strip_right: true },
  Prepend: { type: 'Prepend', prepend: '\u2581' },
  Nmt: { type: 'Nmt' },
  Precompiled: { type: 'Precompiled', precompiled_charsmap: charsmap },
  ByteLevel: { type: 'ByteLevel' },
};

const preTokenizers = {
  none: null,
  BertPreTokenizer: { type: 'BertPreTokenizer' },
  Whitespace: { type: 'Whitespace' },
  WhitespaceSplit: { type: 'WhitespaceSplit' },
  Punctuation: { type: 'Punctuation', behavior: 'Isolated' },
  Digits: { type: 'Digits', individual_digits: false },
  ByteLevel: { type: 'ByteLevel', add_prefix_space: true, use_regex: true },
  Metaspace: { type: 'Metaspace', replacement: '\u2581', prepend_scheme: 'always', split: true },
  ...Object.fromEntries(
    ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'].map(behavior => [
      `Split, ${behavior}`,
      { type: 'Split', ...regex('\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+$|[.!]'), behavior, invert: false },
    ]),
  ),
};

const decoders = {
  none: null,
  WordPiece: { type: 'WordPiece', prefix: '##', cleanup: true },
  ByteLevel: { type: 'ByteLevel' },
  Metaspace: { type: 'Metaspace', replacement: '\u2581', prepend_scheme: 'always', split: true },
  BPEDecoder: { type: 'BPEDecoder', suffix: '</w>' },
  ByteFallback: { type: 'ByteFallback' },
  Fuse: { type: 'Fuse' },
  Strip: { type: 'Strip', content: 'a', start: 1000, stop: 1000 },
  Replace: { type: 'Replace', pattern: { String: '\u2581' }, content: ' ' },
};

const specials = [
  added('<mask>', 300, { lstrip: true, rstrip: true }),
  added('<s>', 301, { single_word: true }),
  added('<n>', 302, { normalized: true, lstrip: true, single_word: true }),
];
const trims = { type: 'RobertaProcessing', sep: ['<s>', 301], cls: ['<s>', 301], trim_offsets: true };

/** What is repeated to make a text. */
const units = {
  letters: 'a',
  'two letters': 'ab',
  words: 'ab cd ',
  'white space': ' ',
  lines: '\n',
  'lines and spaces': ' \n',
  marks: '\u0301',
  'marks out of order': '\u0301\u0323',
  'vocalised Arabic': '\u0645\u064f\u062d\u064e\u0645\u0651\u064e\u062f\u0651\u064c ',
  Hebrew: '\u05e9\u05c1\u05bc\u05b8 ',
  Vietnamese: 'e\u0302\u0323a\u0306\u0323',
  'half width': '\uff76\uff9e\uff9e\uff9f',
  flags: '\u{1f1e9}',
  'joined faces': '\u{1f468}\u200d',
  'carriage returns': '\r\n',
  'lone surrogates': '\ud800',
  Chinese: '\u6c49',
  'composed letters': 'é',
  'capital letters': 'İA',
  masks: '<mask>',
  'masks and white space': ' <mask>   ',
  'words that are special': 'a<s>b <s> ',
  'special tokens of the normalised text': ' <n> a<n>a',
  'beginnings of special tokens': '<mas',
  punctuation: '.!',
};

const build = (parts: Record<string, unknown>) =>
  new TextTokenizer({ added_tokens: specials, model: models.WordPiece, post_processor: trims, ...parts }, {});

/** Of texts twice as long no more than twice the work, and what does not depend on the length. */
function expectLinear(run: (n: number) => void, what: string): void {
  const [one, two, four] = [1, 2, 4].map(n => {
    // What is remembered of a character is not asked for again.
    run(n);
    return work(() => run(n));
  }) as [number, number, number];
  expect(one, what).toBeGreaterThan(0);
  expect(two, what).toBeLessThan(2.3 * one + 2_000);
  expect(four, what).toBeLessThan(2.3 * two + 2_000);
}

const LENGTH = 400;
const textOf = (unit: string, n: number, end: string) => `b${unit.repeat((n * LENGTH) / unit.length)}${end}`;

function encodesLinearly(parts: Record<string, unknown>): void {
  const tokenizer = build(parts);
  for (const [name, unit] of Object.entries(units)) {
    for (const end of ['', 'x<mask>']) {
      expectLinear(n => tokenizer.encode(textOf(unit, n, end)), `${name}${end && ` and ${end}`}`);
    }
  }
}

describe('the work grows with the text, whatever it is made of', () => {
  it.each(Object.entries(normalizers))('normalizer %s', (_, normalizer) => encodesLinearly({ normalizer }));
  it.each(Object.entries(preTokenizers))('pre-tokenizer %s', (_, pre_tokenizer) => encodesLinearly({ pre_tokenizer }));
  it.each(Object.entries(models))('model %s', (_, model) => encodesLinearly({ model }));

  it('post-processing trims what has white space anywhere', () => {
    encodesLinearly({
      pre_tokenizer: null,
      model: {
        ...models.Unigram,
        vocab: [
          ['a', 0],
          ['\u0120', 0],
          [' ', 0],
        ],
      },
    });
  });
});

describe('decoding grows with the number of ids', () => {
  const many = Array.from({ length: 300 }, (_, i) => added(`<${i}>`, 300 + i));
  it.each(Object.entries(decoders))('%s', (_, decoder) => {
    const tokenizer = build({ decoder, added_tokens: many });
    for (const skipSpecialTokens of [false, true]) {
      for (const period of [1, 26, 400]) {
        const idsOf = (n: number) =>
          Array.from({ length: n * LENGTH }, (_, i) => (period === 1 ? 599 : 1 + (i % period)));
        expectLinear(n => tokenizer.decode(idsOf(n), { skipSpecialTokens }), `every ${period}`);
      }
    }
  });

  it('and no faster with that of the special tokens', () => {
    const of = (count: number) => {
      const tokenizer = build({ added_tokens: Array.from({ length: count }, (_, i) => added(`<${i}>`, 300 + i)) });
      const first = tokenizer.tokenToId('<0>')!;
      const list = Array.from({ length: LENGTH }, (_, i) => first + (i % count));
      return work(() => tokenizer.decode(list, { skipSpecialTokens: true }));
    };
    expect(of(800)).toBeLessThan(1.2 * of(100));
  });
});

/** The least of a few, in ms. */
function time(run: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 3; i++) {
    const begun = performance.now();
    run();
    least = Math.min(least, performance.now() - begun);
  }
  return least;
}

describe('a tokenizer.json of unusual size', () => {
  it('many added tokens cost a text no more than few', () => {
    const of = (count: number) => {
      const tokens = Array.from({ length: count }, (_, i) => added(`<extra_${i}>`, 300 + i));
      const tokenizer = build({ added_tokens: tokens });
      const text = 'some words <extra_ and <extra_1> '.repeat(50);
      return work(() => tokenizer.encode(text));
    };
    expect(of(5_000)).toBeLessThan(1.2 * of(50));
  });

  it('nor do many that begin alike', () => {
    const of = (count: number) => {
      const tokens = Array.from({ length: count }, (_, i) => added(`#${i}!`, 300 + i));
      const tokenizer = build({ added_tokens: tokens });
      const text = '#123 '.repeat(10_000);
      return time(() => tokenizer.encode(text));
    };
    const isBounded = () => of(20_000) < 10 * of(20) + 100;
    expect(isBounded() || isBounded() || isBounded()).toBe(true);
  });

  it.each(['WordPiece of long words', 'Unigram'] as const)(
    'one long token costs a text no more than it agrees with it: %s',
    name => {
      const of = (length: number) => {
        const token = `q${'a'.repeat(length)}`;
        const model = models[name];
        const vocab = Array.isArray(model.vocab) ? [...model.vocab, [token, -1]] : { ...model.vocab, [token]: 200 };
        const tokenizer = build({ model: { ...model, vocab } });
        const text = 'abcd'.repeat(500);
        return work(() => tokenizer.encode(text));
      };
      expect(of(10_000)).toBeLessThan(1.2 * of(100));
    },
  );
});

describe('the time that an engine takes for what is not counted', () => {
  // In the square 16 times as long a text takes 256 times as long.
  it.each(['NFC', 'NFD', 'NFKC', 'NFKD', 'BertNormalizer', 'Precompiled', 'Strip'] as const)('%s', name => {
    const tokenizer = build({ normalizer: normalizers[name], pre_tokenizer: preTokenizers.WhitespaceSplit });
    for (const unit of ['\u0301\u0323', '\u0345\u0334\u0301', '\uff9e\u0301', 'é', '\u{1f1e9}', ' ']) {
      const of = (n: number) => {
        const text = `e${unit.repeat(n / unit.length)}x`;
        return time(() => tokenizer.encode(text));
      };
      // Another program may take the machine for a while: one fair try of three is enough.
      const isLinear = () => of(40_000) < 80 * of(2_500) + 100;
      expect(isLinear() || isLinear() || isLinear(), JSON.stringify(unit)).toBe(true);
    }
  });
});
