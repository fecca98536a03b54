import { afterEach, describe, expect, test, vi } from 'vitest';
import { InputError, UnsupportedError } from '../src/errors.ts';
import { SparseEncoder, type SparseVector } from '../src/index.ts';
import { safetensors } from './checkpoint-bytes.ts';
import type { CPUBackend } from './cpu-backend.ts';
import type { Files } from './fixture-files.ts';
import { leftOpen } from './on-the-cpu.ts';
import { thrown } from './source-environment.ts';
import { checkpointFiles, fixture, json, routed, worstDifference } from './vector-fixtures.ts';

/** SparseEncoder without a GPU, against sentence-transformers 6.2 in float64. */

const { backends } = vi.hoisted(() => ({ backends: [] as CPUBackend[] }));
vi.mock('../src/engine/webgpu-backend.ts', async original =>
  (await import('./on-the-cpu.ts')).onTheCPU(original, backends),
);
afterEach(() => {
  // Whatever a test has loaded was given back.
  expect(leftOpen(backends)).toEqual([]);
});

interface Expected {
  texts: string[];
  calls: [{ sparse: { indices: number[]; values: number[] }[]; similarity: { shape: number[]; data: number[] } }];
}
const TOLERANCE = 1e-5;
const V = 640;

function dense({ indices, values }: { indices: ArrayLike<number>; values: ArrayLike<number> }): number[] {
  const row = Array.from({ length: V }, () => 0);
  for (let i = 0; i < indices.length; i++) row[indices[i]!] = values[i]!;
  return row;
}

async function using<T>(files: Files, use: (encoder: SparseEncoder) => Promise<T>): Promise<T> {
  const encoder = await SparseEncoder.from_pretrained(files);
  try {
    return await use(encoder);
  } finally {
    await encoder.dispose();
  }
}

describe.each(['splade-max', 'splade-sum', 'splade-twice'])('%s', name => {
  const { texts, calls } = fixture<Expected>(name);
  const [{ sparse, similarity }] = calls;

  test('the vectors and similarities of Python', async () => {
    await using(checkpointFiles(name), async encoder => {
      const vectors = await encoder.encode(texts);
      for (const [i, vector] of vectors.entries()) {
        expect(worstDifference(dense(vector), dense(sparse[i]!))).toBeLessThan(TOLERANCE);
        expect(vector.indices).toEqual(Uint32Array.from(sparse[i]!.indices));
      }
      const scores = encoder.similarity(vectors, vectors);
      expect(scores.dims).toEqual(similarity.shape);
      expect(worstDifference(scores.data, similarity.data)).toBeLessThan(TOLERANCE);
      expect(vectors.truncated).toEqual([false, false, false, false]);
      expect(encoder.get_embedding_dimension()).toBe(V);
    });
  });

  test('a text alone is one vector, the same as in a list', async () => {
    await using(checkpointFiles(name), async encoder => {
      const vectors = await encoder.encode_document(texts);
      for (const [i, text] of texts.entries()) expect(await encoder.encode_query(text)).toEqual(vectors[i]);
    });
  });
});

describe('the options of encode', () => {
  const files = () => checkpointFiles('splade-max');

  test('max_active_dims keeps the greatest, in ascending order of their indices', async () => {
    await using(files(), async encoder => {
      const whole = await encoder.encode('Paris is the capital');
      const few = await encoder.encode('Paris is the capital', { max_active_dims: 7 });
      const best = encoder.decode(whole, 7);
      expect(encoder.decode(few)).toEqual(best);
      expect([...few.indices]).toEqual([...few.indices].sort((a, b) => a - b));
      expect(few.indices).toHaveLength(7);
      for (const count of [0, -1, 1.5]) {
        expect(await thrown(encoder.encode('a', { max_active_dims: count }))).toBeInstanceOf(InputError);
      }
    });
  });

  test('max_active_dims of the checkpoint is the default', async () => {
    const general = { model_type: 'SparseEncoder', max_active_dims: 3 };
    await using({ ...files(), 'config_sentence_transformers.json': json(general) }, async encoder => {
      expect((await encoder.encode('Paris is the capital')).indices).toHaveLength(3);
    });
  });

  test('prompts by name, by text, and those of queries and documents', async () => {
    const general = { prompts: { query: 'the ', passage: 'you ', other: 'work ' }, default_prompt_name: 'other' };
    await using({ ...files(), 'config_sentence_transformers.json': json(general) }, async encoder => {
      const of = (text: string) => encoder.encode(text, { prompt: '' });
      expect(await encoder.encode_query('capital')).toEqual(await of('the capital'));
      expect(await encoder.encode_document('capital')).toEqual(await of('you capital'));
      expect(await encoder.encode('capital')).toEqual(await of('work capital'));
      expect(await encoder.encode('capital', { prompt_name: 'query' })).toEqual(await of('the capital'));
      expect(await encoder.encode_query('capital', { prompt: 'a ' })).toEqual(await of('a capital'));
      expect(encoder.prompts).toEqual(general.prompts);
      const error = await thrown(encoder.encode('capital', { prompt_name: 'none' }));
      expect(error).toBeInstanceOf(InputError);
      expect(String(error)).toContain('query, passage, other');
    });
  });

  test('a text that is cut says so, or is refused', async () => {
    await using(files(), async encoder => {
      const texts = ['a '.repeat(100), 'a'];
      expect((await encoder.encode(texts)).truncated).toEqual([true, false]);
      expect((await encoder.encode(texts[0]!)).truncated).toBe(true);
      const error = await thrown(encoder.encode(texts, { overflow: 'error' }));
      expect(error).toBeInstanceOf(InputError);
      // It offers nothing that such an encoder does not have.
      expect(String(error)).not.toContain('window');
      expect(String(error)).toContain("overflow: 'truncate'");
    });
  });

  test('progress and the abort signal', async () => {
    await using(files(), async encoder => {
      const loaded: number[] = [];
      await encoder.encode(['a', 'b', 'c', 'd'], {
        progress_callback: info => info.status === 'run' && loaded.push(info.loaded),
      });
      expect(loaded.at(-1)).toBe(4);
      const reason = new Error('enough');
      expect(await thrown(encoder.encode(['a'], { signal: AbortSignal.abort(reason) }))).toBe(reason);
    });
  });

  test('unknown ones and wrong texts are refused', async () => {
    await using(files(), async encoder => {
      expect(await thrown(encoder.encode('a', { top_k: 1 } as object))).toBeInstanceOf(UnsupportedError);
      expect(await thrown(encoder.encode_query('a', { task: 'query' }))).toBeInstanceOf(UnsupportedError);
      expect(await thrown(encoder.encode([]))).toBeInstanceOf(InputError);
      const task = 'passage' as 'query';
      expect(await thrown(encoder.encode('a', { task }))).toBeInstanceOf(UnsupportedError);
      const signal = new AbortController() as unknown as AbortSignal;
      expect(String(await thrown(encoder.encode('a', { signal })))).toContain('Pass its `signal`');
      const progress_callback = 5 as unknown as () => void;
      expect(await thrown(encoder.encode('a', { progress_callback }))).toBeInstanceOf(InputError);
      expect(await thrown(encoder.encode([1] as unknown as string[]))).toBeInstanceOf(InputError);
    });
  });
});

describe('similarity and decode', () => {
  const a = { indices: Uint32Array.of(1, 5), values: Float32Array.of(1, 2) };
  const b = { indices: Uint32Array.of(5, 9), values: Float32Array.of(3, -1) };

  test.each([
    ['dot', 6],
    ['cosine', 6 / Math.sqrt(5 * 10)],
    ['euclidean', -Math.sqrt(3)],
    ['manhattan', -3],
  ])('%s', async (similarity_fn_name, expected) => {
    const general = json({ model_type: 'SparseEncoder', similarity_fn_name });
    const files = { ...checkpointFiles('splade-max'), 'config_sentence_transformers.json': general };
    await using(files, async encoder => {
      expect(encoder.similarity_fn_name).toBe(similarity_fn_name);
      const scores = encoder.similarity(a, [b, a]);
      expect(scores.dims).toEqual([1, 2]);
      expect(scores.data[0]).toBeCloseTo(expected as number, 6);
    });
  });

  test('the tokens of the greatest weights, and wrong vectors', async () => {
    await using(checkpointFiles('splade-max'), async encoder => {
      const token = (id: number) => encoder.tokenizer.text.idToToken(id);
      expect(encoder.decode(b)).toEqual([
        [token(5), 3],
        [token(9), -1],
      ]);
      expect(encoder.decode([a, b], 1)).toEqual([[[token(5), 2]], [[token(5), 3]]]);
      const wrong: unknown[] = [
        {},
        [],
        { ...a, values: Float32Array.of(1) },
        { ...a, indices: Uint32Array.of(5, 5) },
        { ...a, indices: Uint32Array.of(5, V) },
        { indices: [1], values: [2] },
        { indices: Uint32Array.of(1), values: Float32Array.of(Number.NaN) },
        Promise.resolve(a),
      ];
      for (const vector of wrong) {
        expect(() => encoder.decode(vector as SparseVector), JSON.stringify(vector)).toThrow(InputError);
        expect(() => encoder.similarity(a, vector as SparseVector), JSON.stringify(vector)).toThrow(InputError);
      }
      expect(() => encoder.decode(a, 0)).toThrow(InputError);
      const nothing = { indices: new Uint32Array(), values: new Float32Array() };
      expect([encoder.decode(nothing), encoder.decode([nothing, a], 1)]).toEqual([[], [[], [[token(5), 2]]]]);
      expect(encoder.similarity(nothing, [a, nothing]).tolist()).toEqual([[0, 0]]);
    });
  });
});

const WEIGHTS = Float32Array.from({ length: V }, (_, id) => (id % 7) / 4);

describe('queries without a model', () => {
  const { texts, calls } = fixture<Expected>('splade-twice');
  const tensor = {
    'query_0_SparseStaticEmbedding/config.json': json({ frozen: true }),
    'query_0_SparseStaticEmbedding/model.safetensors': safetensors({
      weight: { dtype: 'F32', shape: [V], bytes: new Uint8Array(WEIGHTS.buffer) },
    }),
  };

  test('have the weight of each token that occurs, once and without special tokens', async () => {
    await using(routed(tensor), async encoder => {
      const before = backends[0]!.passes.length;
      const queries = await encoder.encode_query(texts);
      expect(backends[0]!.passes).toHaveLength(before);
      for (const [i, text] of texts.entries()) {
        const ids = new Set(encoder.tokenizer.encode(text, { add_special_tokens: false }));
        const expected = [...ids].filter(id => WEIGHTS[id] !== 0).sort((a, b) => a - b);
        expect(queries[i]!.indices).toEqual(Uint32Array.from(expected));
        expect(queries[i]!.values).toEqual(Float32Array.from(expected, id => WEIGHTS[id]!));
      }
      const documents = await encoder.encode_document(texts);
      // Without a task the default route.
      expect(await encoder.encode(texts)).toEqual(documents);
      expect(await encoder.encode(texts, { task: 'query' })).toEqual(queries);
      for (const [i, { sparse }] of documents.map((_, i) => [i, calls[0]] as const)) {
        expect(worstDifference(dense(documents[i]!), dense(sparse[i]!))).toBeLessThan(TOLERANCE);
      }
      expect((await encoder.encode_query('a '.repeat(100))).truncated).toBe(true);
      expect(await thrown(encoder.encode_query('a '.repeat(100), { overflow: 'error' }))).toBeInstanceOf(InputError);
    });
  });

  test('have those of a JSON file by token', async () => {
    const files = routed({
      'query_0_SparseStaticEmbedding/config.json': json({ frozen: true, path: 'idf.json' }),
      'query_0_SparseStaticEmbedding/idf.json': json({ the: 0.5, of: 0.25 }),
    });
    await using(files, async encoder => {
      expect(encoder.decode(await encoder.encode_query('the end of the day'))).toEqual([
        ['the', 0.5],
        ['of', 0.25],
      ]);
    });
  });

  test('by route_mappings, and a task without modules', async () => {
    const mappings = { "(None, 'text')": 'query' };
    await using(routed(tensor, { route_mappings: mappings }), async encoder => {
      expect(await encoder.encode_document('the')).toEqual(await encoder.encode_query('the'));
    });
  });

  test('a table that is damaged, or of another shape, is refused with its file', async () => {
    const file = 'query_0_SparseStaticEmbedding/model.safetensors';
    const table = (shape: number[], data: Float32Array) =>
      safetensors({ weight: { dtype: 'F32', shape, bytes: new Uint8Array(data.buffer as ArrayBuffer) } });
    for (const bytes of [table([2, V / 2], WEIGHTS), table([V], WEIGHTS.with(3, Number.NaN))]) {
      const error = await thrown(SparseEncoder.from_pretrained(routed({ ...tensor, [file]: bytes })));
      expect(error).toMatchObject({ name: 'CheckpointError', file });
    }
  });
});

describe('another repository', () => {
  test('new makes no encoder, and says what does', () => {
    const make = SparseEncoder as unknown as new (model: string) => SparseEncoder;
    expect(() => new make('org/name')).toThrow(/await SparseEncoder\.from_pretrained/);
  });

  test('a masked language model without modules.json has max pooling', async () => {
    const { 'modules.json': _, 'config_sentence_transformers.json': __, ...files } = checkpointFiles('splade-max');
    const { texts, calls } = fixture<Expected>('splade-max');
    await using(files, async encoder => {
      const vectors = await encoder.encode(texts);
      for (const [i, vector] of vectors.entries()) {
        expect(worstDifference(dense(vector), dense(calls[0].sparse[i]!))).toBeLessThan(TOLERANCE);
      }
    });
  });

  test.each([
    ['SentenceTransformer', 'feature-extraction'],
    ['CrossEncoder', 'text-ranking'],
    ['MultiVectorEncoder', 'MultiVectorEncoder'],
  ])('a %s is refused with what to take', async (model_type, take) => {
    const general = json({ model_type });
    const files = { ...checkpointFiles('splade-max'), 'config_sentence_transformers.json': general };
    const error = await thrown(SparseEncoder.from_pretrained(files));
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(String(error)).toContain(take);
  });

  test('an encoder without that head, and modules that are not built, are refused by name', async () => {
    const { 'modules.json': _, 'config_sentence_transformers.json': __, ...files } = checkpointFiles('splade-max');
    const bare = json({ ...JSON.parse(new TextDecoder().decode(files['config.json'])), architectures: ['BertModel'] });
    expect(String(await thrown(SparseEncoder.from_pretrained({ ...files, 'config.json': bare })))).toMatch(
      /BertModel.*feature-extraction/,
    );
    const types = ['Transformer', 'Pooling', 'SparseAutoEncoder'].map(kind => ({
      path: '',
      type: `sentence_transformers.x.${kind}`,
    }));
    const csr = { ...files, 'modules.json': json(types) };
    expect(String(await thrown(SparseEncoder.from_pretrained(csr)))).toContain('SparseAutoEncoder');
    const pooling = json({ pooling_strategy: 'mean' });
    const mean = { ...checkpointFiles('splade-max'), '1_SpladePooling/config.json': pooling };
    expect(String(await thrown(SparseEncoder.from_pretrained(mean)))).toMatch(/pooling_strategy.*mean/);
  });
});
