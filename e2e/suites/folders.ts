import type { Tensor } from '../../src/index.ts';
import { load } from '../answers.ts';
import { fixturesOf, loadAs, sharedDevice } from '../fixtures.ts';
import { check, expect, expectClose, expectEqual } from '../harness.ts';
import { addressOf, fetchJson, library } from '../library.ts';

/**
 * Checkpoints as they lie in a folder, loaded by their address: of sentence-transformers, and with vocabulary files in the place of
 * tokenizer.json. WEBGPU_BERT_FIXTURES names folders of more: see tests/given-fixtures.ts.
 */

interface Numbers {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
/** Of |x| + 1. */
const TOLERANCE = { absolute: 1e-5, relative: 1e-5 };

interface SentenceCall {
  readonly options: { readonly prompt_name?: string; readonly prompt?: string };
  readonly embeddings?: Numbers;
  readonly sparse?: readonly { indices: readonly number[]; values: readonly number[] }[];
  readonly queries?: readonly Numbers[];
  readonly documents?: readonly Numbers[] | readonly string[];
  readonly similarity?: Numbers;
  readonly query?: string;
  readonly rank?: readonly { corpus_id: number; score: number }[];
}
interface SentenceExpected {
  /** Another fixture has the weights: the suites `sentence` and `vectors` run it. */
  readonly weights?: string;
  readonly texts: readonly string[];
  readonly calls: readonly SentenceCall[];
}

/** Compares, and keeps the largest difference of a case. */
class Differences {
  worst = 0;
  close(actual: ArrayLike<number>, expected: ArrayLike<number>, label: string): void {
    this.worst = Math.max(this.worst, expectClose(actual, expected, { label, ...TOLERANCE }));
  }
  toString(): string {
    return `largest difference ${this.worst.toExponential(1)}`;
  }
}

async function embeddings(url: string, { texts, calls }: SentenceExpected, differences: Differences): Promise<void> {
  const pipe = await load('feature-extraction', url);
  for (const { options, embeddings } of calls) {
    const label = `embeddings ${JSON.stringify(options)}`;
    const out = await pipe([...texts], { pooling: 'model', ...options });
    expectEqual(out.dims, embeddings!.shape, `dims of ${label}`);
    differences.close(out.data as Float32Array, embeddings!.data, label);
  }
  await pipe.dispose();
}

async function sparse(url: string, { texts, calls }: SentenceExpected, differences: Differences): Promise<void> {
  const encoder = await library.SparseEncoder.from_pretrained(url, { device: await sharedDevice() });
  const columns = encoder.get_embedding_dimension();
  const dense = ({ indices, values }: { indices: ArrayLike<number>; values: ArrayLike<number> }) => {
    const row = new Float64Array(columns);
    for (let i = 0; i < indices.length; i++) row[indices[i]!] = values[i]!;
    return row;
  };
  for (const { sparse, similarity } of calls) {
    const vectors = await encoder.encode([...texts]);
    expectEqual(vectors.length, sparse!.length, 'the number of vectors');
    vectors.forEach((vector, i) => {
      differences.close(dense(vector), dense(sparse![i]!), `vector ${i}`);
    });
    const scores = encoder.similarity(vectors, vectors);
    expectEqual(scores.dims, similarity!.shape, 'dims of similarity');
    differences.close(scores.data as Float32Array, similarity!.data, 'similarity');
  }
  await encoder.dispose();
}

async function multiVector(url: string, { texts, calls }: SentenceExpected, differences: Differences): Promise<void> {
  const encoder = await library.MultiVectorEncoder.from_pretrained(url, { device: await sharedDevice() });
  for (const { queries, documents, similarity } of calls) {
    const wanted = { query: queries!, document: documents as readonly Numbers[] };
    const got = {
      query: await encoder.encode_query(texts.slice(0, queries!.length)),
      document: await encoder.encode_document(texts.slice(0, documents!.length)),
    };
    for (const kind of ['query', 'document'] as const) {
      expectEqual(got[kind].length, wanted[kind].length, `the number of ${kind} vectors`);
      got[kind].forEach(({ dims, data }, i) => {
        expectEqual(dims, wanted[kind][i]!.shape, `dims of ${kind} ${i}`);
        differences.close(data, wanted[kind][i]!.data, `${kind} ${i}`);
      });
    }
    const scores = await encoder.similarity(got.query, got.document);
    expectEqual(scores.dims, similarity!.shape, 'dims of similarity');
    differences.close(scores.data as Float32Array, similarity!.data, 'similarity');
  }
  await encoder.dispose();
}

async function ranking(url: string, { calls }: SentenceExpected, differences: Differences): Promise<void> {
  const pipe = await load('text-ranking', url);
  for (const { query, documents, rank } of calls) {
    const got = await pipe(query!, documents as readonly string[]);
    const order = (ranked: readonly { corpus_id: number }[]) => ranked.map(({ corpus_id }) => corpus_id);
    const scores = (ranked: readonly { score: number }[]) => ranked.map(({ score }) => score);
    expectEqual(order(got), order(rank!), 'the order');
    differences.close(scores(got), scores(rank!), 'scores');
  }
  await pipe.dispose();
}

/** What of sentence-transformers runs a checkpoint, by what is expected of a call. */
const RUNS = { embeddings, sparse, queries: multiVector, rank: ranking } as const;

for (const url of fixturesOf('sentence')) {
  const expected = await fetchJson<SentenceExpected>(`${url}expected.json`);
  if (expected.weights !== undefined) continue;
  check(url, async log => {
    const [name] = (Object.keys(RUNS) as (keyof typeof RUNS)[]).filter(field => field in (expected.calls[0] ?? {}));
    expect(name, `${url}expected.json: a call has none of ${Object.keys(RUNS)}`);
    const differences = new Differences();
    await RUNS[name](url, expected, differences);
    log(`${expected.calls.length} calls of ${expected.texts.length} texts, ${differences}`);
  });
}

interface VocabularyExpected {
  readonly max_length: number;
  readonly cases: readonly {
    readonly text: string;
    readonly text_pair: string | null;
    readonly input_ids: readonly number[];
    readonly token_type_ids: readonly number[] | null;
    readonly offsets: readonly (readonly [number, number])[];
    /** last_hidden_state of the first token. */
    readonly first: readonly number[];
  }[];
}

for (const url of fixturesOf('vocabulary')) {
  check(url, async log => {
    const { cases, max_length } = await fetchJson<VocabularyExpected>(`${url}expected.json`);
    const tokenizer = await library.AutoTokenizer.from_pretrained(addressOf(url));
    const model = await loadAs('Model', url);
    const differences = new Differences();
    for (const { text, text_pair, ...expected } of cases) {
      const label = JSON.stringify(text.slice(0, 30));
      const options = { text_pair, truncation: true, max_length, return_offsets_mapping: true } as const;
      const row = tokenizer(text, { ...options, return_tensor: false });
      expectEqual(row.input_ids, expected.input_ids, `ids of ${label}`);
      expectEqual(row.token_type_ids ?? null, expected.token_type_ids, `token types of ${label}`);
      expectEqual(row.offset_mapping, expected.offsets, `offsets of ${label}`);
      const { offset_mapping: _, ...inputs } = tokenizer(text, options);
      const { last_hidden_state } = (await model(inputs)) as { last_hidden_state: Tensor };
      differences.close(
        last_hidden_state.slice(0, 0).data as Float32Array,
        expected.first,
        `the first row of ${label}`,
      );
    }
    await model.dispose();
    log(`${cases.length} texts, ${differences}`);
  });
}
