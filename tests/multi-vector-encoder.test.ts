import { afterEach, describe, expect, test, vi } from 'vitest';
import { InputError, UnsupportedError } from '../src/errors.ts';
import { MultiVectorEncoder, Tensor, type TokenVectors } from '../src/index.ts';
import type { CPUBackend } from './cpu-backend.ts';
import type { Files } from './fixture-files.ts';
import { leftOpen } from './on-the-cpu.ts';
import { thrown } from './source-environment.ts';
import { colbertFiles as filesOf, fixture, json, worstDifference } from './vector-fixtures.ts';

/** MultiVectorEncoder without a GPU, against sentence-transformers 6.2 in float64. */

const { backends } = vi.hoisted(() => ({ backends: [] as CPUBackend[] }));
vi.mock('../src/engine/webgpu-backend.ts', async original =>
  (await import('./on-the-cpu.ts')).onTheCPU(original, backends),
);
afterEach(() => {
  // Whatever a test has loaded was given back.
  expect(leftOpen(backends)).toEqual([]);
});

interface Numbers {
  shape: number[];
  data: number[];
}
interface Expected {
  texts: string[];
  calls: [{ queries: Numbers[]; documents: Numbers[]; similarity: Numbers }];
}
const TOLERANCE = 1e-5;

async function using<T>(files: Files, use: (encoder: MultiVectorEncoder) => Promise<T>): Promise<T> {
  const encoder = await MultiVectorEncoder.from_pretrained(files);
  try {
    return await use(encoder);
  } finally {
    await encoder.dispose();
  }
}

const NAMES = [
  'colbert',
  'colbert-skips',
  'colbert-query-length',
  'colbert-expansion',
  'colbert-min',
  'colbert-pylate',
  'colbert-stanford',
];

describe.each(NAMES)('%s', name => {
  const { texts, calls } = fixture<Expected>(name);
  const [golden] = calls;

  test('the vectors and scores of Python, the same alone', async () => {
    await using(filesOf(name), async encoder => {
      const queries = await encoder.encode_query(texts.slice(0, golden.queries.length));
      const documents = await encoder.encode_document(texts);
      for (const [vectors, expected] of [
        [queries, golden.queries],
        [documents, golden.documents],
      ] as const) {
        expect(vectors.map(({ dims }) => dims)).toEqual(expected.map(({ shape }) => shape));
        for (const [i, { data }] of vectors.entries()) {
          expect(worstDifference(data, expected[i]!.data), `text ${i}`).toBeLessThan(TOLERANCE);
        }
      }
      const scores = await encoder.similarity(queries, documents);
      expect(scores.dims).toEqual(golden.similarity.shape);
      expect(worstDifference(scores.data, golden.similarity.data)).toBeLessThan(TOLERANCE);
      for (const [i, text] of texts.entries()) {
        if (i < queries.length) expect((await encoder.encode_query(text)).data).toEqual(queries[i]!.data);
        expect((await encoder.encode_document(text)).data).toEqual(documents[i]!.data);
      }
    });
  });
});

describe('rank', () => {
  const { texts } = fixture<Expected>('colbert-expansion');

  test('gives the documents by their scores', async () => {
    await using(filesOf('colbert-expansion'), async encoder => {
      const [query, documents] = [await encoder.encode_query(texts[0]!), await encoder.encode_document(texts)];
      const scores = [...(await encoder.similarity(query, documents)).data];
      const order = scores.map((score, corpus_id) => ({ corpus_id, score })).sort((a, b) => b.score - a.score);
      expect(await encoder.rank(texts[0]!, texts)).toEqual(order);
      const [best] = order;
      const answer = await encoder.rank(texts[0]!, texts, { top_k: 1, return_documents: true });
      expect(answer).toEqual([{ ...best!, text: texts[best!.corpus_id] }]);
      expect(answer.truncated).toEqual([false, false, false, false]);
      expect((await encoder.rank('a', ['a '.repeat(99), 'b'])).truncated).toEqual([true, false]);
    });
  });

  test('refuses what it does not take', async () => {
    await using(filesOf('colbert'), async encoder => {
      expect(await thrown(encoder.rank('a', []))).toBeInstanceOf(InputError);
      expect(await thrown(encoder.rank('a', ['b'], { top_k: 0 }))).toBeInstanceOf(InputError);
      expect(await thrown(encoder.rank('a', ['b'], { activation: 'none' } as object))).toBeInstanceOf(UnsupportedError);
    });
  });
});

describe('similarity', () => {
  const rows = (...list: number[][]): TokenVectors => new Tensor('float32', list.flat(), [list.length, 16]);
  const row = (value: number) => Array.from({ length: 16 }, () => value);

  test('of texts without vectors', async () => {
    await using(filesOf('colbert'), async encoder => {
      const scores = await encoder.similarity([rows(row(1), row(2)), rows()], [rows(), rows(row(0.5), row(-1))]);
      expect([...scores.data]).toEqual([-1e9, 24, -1e9, 0]);
    });
  });

  test('refuses what are no vectors of the model, and the signal ends it', async () => {
    await using(filesOf('colbert'), async encoder => {
      const wrong: unknown[] = [
        [],
        [[1, 2]],
        new Tensor('float32', row(1), [16]),
        new Tensor('float32', [1, 2], [1, 2]),
        new Tensor('int64', row(1), [1, 16]),
        rows(row(Number.NaN)),
        Promise.resolve(rows(row(1))),
      ];
      for (const value of wrong) {
        expect(await thrown(encoder.similarity(value as TokenVectors, rows(row(1))))).toBeInstanceOf(InputError);
        expect(await thrown(encoder.similarity(rows(row(1)), value as TokenVectors))).toBeInstanceOf(InputError);
      }
      expect(await thrown(encoder.similarity(rows(row(1e30)), rows(row(1e30))))).toBeInstanceOf(InputError);
      const reason = new Error('enough');
      const call = encoder.similarity(rows(row(1)), rows(row(1)), { signal: AbortSignal.abort(reason) });
      expect(await thrown(call)).toBe(reason);
    });
  });

  test('goes on with another device', async () => {
    await using(filesOf('colbert'), async encoder => {
      backends[0]!.lose();
      backends[0]!.destroy(new Error('lost'));
      expect([...(await encoder.similarity(rows(row(1)), rows(row(2)))).data]).toEqual([32]);
      expect(backends).toHaveLength(2);
    });
  });
});

describe('the options of encode', () => {
  test('prompts, overflow and texts', async () => {
    await using(filesOf('colbert'), async encoder => {
      expect(encoder.prompts).toEqual({ query: '[Q] ', document: '[D] ' });
      const plain = await encoder.encode_query('Paris', { prompt: '' });
      expect((await encoder.encode_query('Paris')).data).toEqual(
        (await encoder.encode_query('[Q] Paris', { prompt: '' })).data,
      );
      expect((await encoder.encode_document('Paris', { prompt: '' })).data).toEqual(plain.data);
      expect((await encoder.encode_document('a '.repeat(99))).truncated).toBe(true);
      expect(await thrown(encoder.encode_document('a '.repeat(99), { overflow: 'error' }))).toBeInstanceOf(InputError);
      expect(await thrown(encoder.encode_query([]))).toBeInstanceOf(InputError);
      expect(await thrown(encoder.encode_query('a', { prompt_name: 'none' }))).toBeInstanceOf(InputError);
    });
  });

  test('a marker is one token where the vocabulary has it', async () => {
    for (const name of ['colbert-stanford', 'colbert-pylate']) {
      await using(filesOf(name), async encoder => {
        const { tokens } = encoder.tokenizer.text.encode('[unused0] Paris', { addSpecialTokens: false });
        expect(tokens[0]).toBe('[unused0]');
      });
    }
  });
});

describe('another repository', () => {
  test('new makes no encoder, and says what does', () => {
    const make = MultiVectorEncoder as unknown as new (model: string) => MultiVectorEncoder;
    expect(() => new make('org/name')).toThrow(/await MultiVectorEncoder\.from_pretrained/);
  });

  test.each([
    ['SentenceTransformer', 'feature-extraction'],
    ['SparseEncoder', 'SparseEncoder.from_pretrained'],
  ])('a %s is refused with what to take', async (model_type, take) => {
    const files = { ...filesOf('colbert'), 'config_sentence_transformers.json': json({ model_type }) };
    const error = await thrown(MultiVectorEncoder.from_pretrained(files));
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(String(error)).toContain(take);
  });

  test('an encoder without a projection, and a module that is not built, are refused', async () => {
    const { 'modules.json': _, 'config_sentence_transformers.json': __, ...bare } = filesOf('colbert');
    expect(String(await thrown(MultiVectorEncoder.from_pretrained(bare)))).toContain('BertModel');
    const modules = json([
      { path: '', type: 'sentence_transformers.models.Transformer' },
      { path: '1_TokenPooling', type: 'sentence_transformers.multi_vector_encoder.modules.token_pooling.TokenPooling' },
    ]);
    const error = await thrown(MultiVectorEncoder.from_pretrained({ ...filesOf('colbert'), 'modules.json': modules }));
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(String(error)).toContain('TokenPooling');
  });

  test('an expansion that cannot be is refused by name', async () => {
    const settings = (query_expansion: unknown) => ({
      ...filesOf('colbert-expansion'),
      'sentence_bert_config.json': json({ query_expansion }),
    });
    const load = (expansion: unknown) => thrown(MultiVectorEncoder.from_pretrained(settings(expansion)));
    expect(String(await load({ strategy: 'wide', length: 20 }))).toContain('strategy');
    expect(String(await load({ strategy: 'fixed' }))).toContain('length');
    expect(String(await load({ strategy: 'fixed', length: 20, token: '[NONE]' }))).toContain('[NONE]');
  });
});
