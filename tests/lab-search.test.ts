import { afterEach, describe, expect, test, vi } from 'vitest';
import type { FeatureExtractionPipeline } from 'webgpu-bert';
import { csvLines } from '../examples/lab/tabs/search/csv.ts';
import { embedPassages, embedQuery } from '../examples/lab/tabs/search/embed.ts';
import { readFiles, readPasted } from '../examples/lab/tabs/search/files.ts';
import { passagesOf, type Unit } from '../examples/lab/tabs/search/passages.ts';
import { best, RowScores } from '../examples/lab/tabs/search/rank.ts';
import { type Query, rank, ranking } from '../examples/lab/tabs/search/ranking.ts';
import {
  contextOf,
  findPassages,
  type TextIndex,
  textOf,
  type Vectors,
} from '../examples/lab/tabs/search/text-index.ts';

const passages = (text: string, unit: Unit = 'sentences') =>
  [...passagesOf({ name: 'a', text, unit })].map(({ start, end }) => text.slice(start, end));

describe('passages', () => {
  test('are sentences, whatever lines they are wrapped into', () => {
    expect(passages('The first sentence\nis wrapped. The second is not.\n\nA new paragraph')).toEqual([
      'The first sentence\nis wrapped.',
      'The second is not.',
      'A new paragraph',
    ]);
  });

  test('keep a short piece with its neighbour', () => {
    expect(passages('Dr. Watson came in at once. He was late. Yes!')).toEqual([
      'Dr. Watson came in at once.',
      'He was late. Yes!',
    ]);
    expect(passages('Yes!')).toEqual(['Yes!']);
  });

  test('begin anew at headings and items, whose marks are left out; lines without words are none', () => {
    expect(
      passages('# A heading\nA sentence of the text.\n---\n\n- first item\n- second item\n1. third item\n***\n'),
    ).toEqual(['A heading', 'A sentence of the text.', 'first item', 'second item', 'third item']);
    expect(passages('--- * ---\n\n***')).toEqual([]);
  });

  test('are paragraphs of at most 700 characters, or lines', () => {
    const sentence = `${'Word '.repeat(40)}end. `;
    const parts = passages(sentence.repeat(9), 'paragraphs');
    expect(parts.length).toBe(3);
    expect(parts.every(part => part.length <= 700)).toBe(true);
    expect(passages('One. Two.\nThree.\n\n  Four.  ', 'lines')).toEqual(['One. Two.', 'Three.', 'Four.']);
  });

  test('are cut between words, and never within a character, where they are too long', () => {
    const long = passages('abcd '.repeat(1_000), 'lines');
    expect(long.every(part => part.length <= 1_500 && part.startsWith('abcd') && part.endsWith('abcd'))).toBe(true);
    expect(long.join(' ')).toBe('abcd '.repeat(1_000).trim());
    const letters = passages(`a${'𠀀'.repeat(2_000)}`, 'lines');
    expect(letters.join('')).toBe(`a${'𠀀'.repeat(2_000)}`);
    expect(letters.every(part => (part.charCodeAt(part.length - 1) & 0xfc00) !== 0xd800)).toBe(true);
  });

  test('of several texts stand in one list, with what is around them', async () => {
    const sources = [
      { name: 'a', text: 'The sun sets early. The moon rises. Stars come out one by one.', unit: 'sentences' },
      { name: 'b', text: 'a line\nanother line', unit: 'lines' },
    ] as const;
    const { passages, isCut } = await findPassages(sources, new AbortController().signal);
    expect(isCut).toBe(false);
    const index = { id: 'a', name: 'a', createdAt: 0, sources, passages, vectors: undefined };
    expect([...passages.sources]).toEqual([0, 0, 0, 1, 1]);
    expect(textOf(index, 1)).toBe('The moon rises.');
    expect(contextOf(index, 1, 16)).toEqual({ before: '… sun sets early.', after: 'Stars come out …' });
    expect(contextOf(index, 0, 16)).toEqual({ before: '', after: 'The moon rises.' });
    expect(contextOf(index, 2, 100)).toEqual({ before: 'The moon rises.', after: '' });
    expect(contextOf(index, 4, 16)).toEqual({ before: '', after: '' });
  });
});

test('a table is a line for each record', () => {
  expect(csvLines('id,name,note\n1,"Smith, Ann","said ""yes""\nthen left"\r\n2,,\n\n3,Bo,')).toBe(
    'id · name · note\n1 · Smith, Ann · said "yes" then left\n2\n3 · Bo',
  );
  expect(csvLines('a;b;c,d\n1;2')).toBe('a · b · c,d\n1 · 2');
  expect(csvLines('"never closed, "" 1')).toBe('never closed, " 1');
});

test('a context is cut between words, and between characters where there are no words', async () => {
  const sources = [
    { name: 'a', text: `${'𠮷'.repeat(20)}。${'一'.repeat(20)}。${'𠮷'.repeat(20)}。`, unit: 'sentences' },
  ] as const;
  const { passages } = await findPassages(sources, new AbortController().signal);
  const index = { id: 'a', name: 'a', createdAt: 0, sources, passages, vectors: undefined };
  expect(contextOf(index, 1, 5)).toEqual({ before: '… 𠮷𠮷。', after: '𠮷𠮷 …' });
  expect(contextOf(index, 1, 4)).toEqual({ before: '… 𠮷。', after: '𠮷𠮷 …' });
});

// The page's import of the package is the library itself, as in the build.
vi.mock('webgpu-bert', () => import('../src/errors.ts'));

describe('what is brought', () => {
  const read = (name: string, content: string | Uint8Array<ArrayBuffer>) =>
    readFiles([new File([content], name)], 'sentences');
  const utf16 = (text: string, isLittle: boolean) => {
    const bytes = new DataView(new ArrayBuffer(2 * text.length));
    for (let i = 0; i < text.length; i += 1) bytes.setUint16(2 * i, text.charCodeAt(i), isLittle);
    return new Uint8Array(bytes.buffer);
  };

  test('is read in UTF-8, and in UTF-16 with its mark', async () => {
    for (const content of [
      '\uFEFFZwei Straßen',
      utf16('\uFEFFZwei Straßen', true),
      utf16('\uFEFFZwei Straßen', false),
    ]) {
      expect((await read('a.txt', content)).sources).toEqual([
        { name: 'a.txt', text: 'Zwei Straßen', unit: 'sentences' },
      ]);
    }
    expect((await read('A.TSV', 'a, b\tc, d, e\n1\t2')).sources[0]!.text).toBe('a, b · c, d, e\n1 · 2');
  });

  test.each([
    ['nothing', 'a.txt', ''],
    ['a table without a field', 'a.csv', ',,,\n,,\n'],
    ['neither words nor numbers', 'a.txt', '... !!! ???\n\n* * *'],
    ['another encoding', 'a.txt', Uint8Array.of(0x53, 0x74, 0x72, 0x61, 0xdf, 0x65)],
    ['bytes that are no text', 'a.txt', Uint8Array.of(0x50, 0, 1, 2)],
    ['no name of a text', 'a.png', 'words'],
  ])('is refused where it has no passage: %s', async (_, name, content) => {
    await expect(read(name, content)).rejects.toThrow(/the file has no text/);
  });

  test('is named by its first line, by whole characters', async () => {
    expect((await readPasted(`${'👩'.repeat(60)} words`, 'lines')).sources[0]!.name).toBe(`${'👩'.repeat(39)}…`);
    await expect(readPasted(' … \n ?', 'lines')).rejects.toThrow(/neither a word nor a number/);
  });
});

const never = new AbortController().signal;

test('the best rows by cosine, the earlier first of equal ones', async () => {
  const matrix = { data: Float32Array.of(1, 0, 0, 1, 0.6, 0.8, 1, 0), dims: 2, rows: 4 };
  const scores = await new RowScores(Float32Array.of(1, 0), matrix).all(never);
  expect([...scores].map(score => Number(score.toFixed(4)))).toEqual([1, 0, 0.6, 1]);
  expect(best(scores, 3)).toEqual([0, 3, 2]);
  expect(best(scores, 3, 0)).toEqual([3, 2, 1]);
  expect(best(scores, 9)).toEqual([0, 3, 2, 1]);
});

describe('ranking', () => {
  const MODEL = { name: 'model', id: 'owner/model', dtype: 'fp32' };
  const queryOf = (x: number, y: number): Query => ({
    text: `${x} ${y}`,
    space: 'a',
    vector: Float32Array.of(x, y),
    elapsedMs: 0,
  });

  /** Vectors on the unit circle, of which `rows` are there by now. */
  function circle(total: number, rows = total): Vectors {
    const data = Float32Array.from({ length: 2 * total }, (_, i) =>
      i % 2 === 0 ? Math.cos((i / 2) * 0.001) : Math.sin(((i - 1) / 2) * 0.001),
    );
    return { space: 'a', model: MODEL, dims: 2, rows, data };
  }

  /** A clock by which every look at it is late: whatever works in slices gives up its turn after each piece. */
  const slowClock = () => {
    let now = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => {
      now += 20;
      return now;
    });
  };

  afterEach(async () => {
    vi.restoreAllMocks();
    await rank(undefined, undefined);
  });

  test('works in pieces, between which others have their turn', async () => {
    slowClock();
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    }, 0);
    const began = Date.now();
    // Until the timer has had its turn between two pieces of one ranking, whichever machine this is.
    while (turns === 0 && Date.now() < began + 20_000) await rank(circle(50_000), queryOf(1, 0));
    clearInterval(timer);
    expect(turns).toBeGreaterThan(0);
    expect(ranking.value!.rows[0]).toBe(0);
    expect(ranking.value!.scores.length).toBe(50_000);
  });

  test('scores only the rows that are new, and keeps the order before until the next one is there', async () => {
    const vectors = circle(2_000, 1_000);
    const query = queryOf(0, 1);
    await rank(vectors, query);
    const first = ranking.value!;
    expect(first.rows[0]).toBe(999);
    expect(first.scores.length).toBe(1_000);
    // A row that has a score is not read again.
    vectors.data.fill(0, 0, 2_000);
    vectors.rows = 2_000;
    const second = rank(vectors, query);
    expect(ranking.value).toBe(first);
    await second;
    expect(ranking.value!.rows[0]).toBe(1_571);
    expect(ranking.value!.scores[999]).toBeCloseTo(Math.sin(0.999), 6);
  });

  test('of two queries at once ranks the newer one alone, and one of another space not at all', async () => {
    slowClock();
    const vectors = circle(1_600);
    const seen: (string | undefined)[] = [];
    const forget = ranking.subscribe(value => void seen.push(value?.query.text));
    await Promise.all([rank(vectors, queryOf(1, 0)), rank(vectors, queryOf(0, 1))]);
    expect(seen).toEqual([undefined, '0 1']);
    await rank(vectors, { ...queryOf(1, 0), space: 'b' });
    expect(ranking.value).toBeUndefined();
    forget();
  });
});

describe('embedding', () => {
  const NOTE = { name: 'model', id: 'owner/model', dtype: 'fp32' };

  interface Call {
    readonly texts: readonly string[];
    readonly options: Readonly<Record<string, unknown>>;
  }

  /** A pipeline whose vectors are the lengths of the texts. `stop` is aborted in its second call. */
  function extractorOf(space: string, prompts: Record<string, string>, stop?: AbortController) {
    const calls: Call[] = [];
    const encode = async (texts: readonly string[], options: Record<string, unknown>) => {
      if (calls.length === 1) stop?.abort(new Error('stopped'));
      calls.push({ texts, options });
      const data = Float32Array.from(texts.flatMap(text => [text.length, 1]));
      return { dims: [texts.length, 2], data, tokens: texts.map(() => 3) };
    };
    const parts = { space, prompts, encode_query: encode, encode_document: encode };
    return { calls, extractor: parts as unknown as FeatureExtractionPipeline };
  }

  async function indexOf(count: number): Promise<TextIndex> {
    const text = Array.from({ length: count }, (_, i) => `line ${i}`).join('\n');
    const sources = [{ name: 'a', text, unit: 'lines' }] as const;
    const { passages } = await findPassages(sources, new AbortController().signal);
    return { id: 'a', name: 'a', createdAt: 0, sources, passages, vectors: undefined };
  }

  const embed = (extractor: FeatureExtractionPipeline, index: TextIndex, signal = new AbortController().signal) => {
    const kept: number[] = [];
    /** The rows that were kept as the page went away: from, and how many there were. */
    const last: (readonly [number, number])[] = [];
    const page = new EventTarget();
    const done = embedPassages(extractor, index, {
      model: NOTE,
      signal,
      page,
      onRows: () => {},
      keep: async from => void kept.push(from),
      keepAtOnce: from => void last.push([from, index.vectors!.rows]),
    });
    return { kept, last, page, done };
  };

  test('reads whole passages with the prompt that the checkpoint has for documents, by either name', async () => {
    const index = await indexOf(20);
    const { calls, extractor } = extractorOf('a', { query: 'query: ', document: '', passage: 'passage: ' });
    await embed(extractor, index).done;
    await embedQuery(extractor, 'what', new AbortController().signal);
    expect(calls.flatMap(({ texts }) => texts)).toEqual([...Array.from({ length: 20 }, (_, i) => `line ${i}`), 'what']);
    expect(calls[0]!.options).toMatchObject({ prompt_name: 'passage', normalize: true, overflow: 'window' });
    const usual = extractorOf('b', { query: '', document: 'document: ', passage: 'passage: ' });
    await embed(usual.extractor, index).done;
    expect(usual.calls[0]!.options).toMatchObject({ prompt_name: 'document' });
  });

  test('that was stopped keeps what it has, and goes on from there', async () => {
    const index = await indexOf(1_000);
    const stop = new AbortController();
    const first = embed(extractorOf('a', {}, stop).extractor, index, stop.signal);
    await expect(first.done).rejects.toThrow('stopped');
    expect(index.vectors!.rows).toBe(8);
    expect(first.kept).toEqual([0]);
    const { calls, extractor } = extractorOf('a', {});
    const second = embed(extractor, index);
    await second.done;
    expect(calls[0]!.texts[0]).toBe('line 8');
    expect(index.vectors!.rows).toBe(1_000);
    expect([...index.vectors!.data.subarray(1_996)]).toEqual([8, 1, 8, 1]);
    expect(second.kept[0]).toBe(8);
  });

  test('keeps its first rows at once, new ones within half a second, and the rest as the page goes away', async () => {
    const index = await indexOf(100);
    const { extractor } = extractorOf('a', {});
    /** The third call stands still until it is let go, as on a slow device. */
    let letGo = () => {};
    const { encode_document } = extractor;
    let calls = 0;
    const slow = Object.assign(extractor, {
      async encode_document(...asked: Parameters<typeof encode_document>) {
        calls += 1;
        if (calls === 2) await new Promise(resolve => setTimeout(resolve, 50));
        if (calls === 3) {
          await new Promise<void>(resolve => {
            letGo = resolve;
          });
        }
        return encode_document(...asked);
      },
    });
    const { kept, last, page, done } = embed(slow, index);
    await vi.waitFor(() => expect(index.vectors?.rows).toBe(24));
    expect(kept).toEqual([0]);
    page.dispatchEvent(new Event('pagehide'));
    expect(last).toEqual([[8, 24]]);
    // The page came back.
    await vi.waitFor(() => expect(kept).toEqual([0, 8]));
    page.dispatchEvent(new Event('pagehide'));
    expect(last).toHaveLength(1);
    letGo();
    await done;
    expect(kept).toEqual([0, 8, 24]);
  });

  test('by another model begins anew', async () => {
    const index = await indexOf(10);
    await embed(extractorOf('a', {}).extractor, index).done;
    const { calls, extractor } = extractorOf('b', {});
    const { kept, done } = embed(extractor, index);
    await done;
    expect(calls.flatMap(({ texts }) => texts).length).toBe(10);
    expect(index.vectors!.space).toBe('b');
    expect(kept).toEqual([0]);
  });
});
