import { padded } from '../../shaders/kernel.ts';
import { maxSim } from '../../shaders/max-sim.ts';
import { MaxSim } from '../../src/gpu/max-sim.ts';
import { PipelineCache } from '../../src/gpu/pipelines.ts';
import * as reference from '../../tests/reference.ts';
import { dispatch, padRows, random, testGpu } from '../dispatch.ts';
import { sharedDevice } from '../fixtures.ts';
import { takeCounts } from '../gpu-watch.ts';
import { check, expect, expectClose, expectEqual, expectSameBits } from '../harness.ts';
import { addressOf, fetchFiles, fetchJson, library } from '../library.ts';

/** SparseEncoder and MultiVectorEncoder on the browser's device, against sentence-transformers in float64. */

interface Numbers {
  shape: number[];
  data: number[];
}
interface Expected {
  weights?: string;
  texts: string[];
  calls: {
    sparse: { indices: number[]; values: number[] }[];
    queries: Numbers[];
    documents: Numbers[];
    similarity: Numbers;
  }[];
}
type Files = Record<string, Uint8Array<ArrayBuffer>>;

const TOLERANCE = { absolute: 1e-5, relative: 1e-5 };
const url = (name: string) => addressOf(`/fixtures/sentence/${name}/`);
const COMMON = [
  'config.json',
  'tokenizer_config.json',
  'modules.json',
  'config_sentence_transformers.json',
  'sentence_bert_config.json',
];
const TOKEN_MODULES = [
  '1_Dense/config.json',
  '1_Dense/model.safetensors',
  '2_Normalize/config.json',
  '3_MultiVectorMask/config.json',
];

async function filesOf(name: string, modules: readonly string[]): Promise<{ files: Files; expected: Expected }> {
  const expected = await fetchJson<Expected>(`${url(name)}expected.json`);
  const shared = await fetchFiles(expected.weights === undefined ? url(name) : `/fixtures/random/${expected.weights}/`);
  const own = [...COMMON, ...modules].map(async file => {
    const response = await fetch(url(name) + file);
    if (!response.ok) throw new Error(`${name}/${file}: ${response.status}`);
    return [file, new Uint8Array(await response.arrayBuffer())] as const;
  });
  return { files: { ...shared, ...Object.fromEntries(await Promise.all(own)) }, expected };
}

for (const name of ['splade-max', 'splade-sum', 'splade-twice']) {
  check(name, async log => {
    const { files, expected } = await filesOf(name, ['1_SpladePooling/config.json']);
    const { SparseEncoder } = library;
    const encoder = await SparseEncoder.from_pretrained(files, { device: await sharedDevice() });
    const vectors = await encoder.encode(expected.texts);
    const [golden] = expected.calls as [Expected['calls'][number]];
    const dense = ({ indices, values }: { indices: ArrayLike<number>; values: ArrayLike<number> }) => {
      const row = new Float64Array(encoder.get_embedding_dimension());
      for (let i = 0; i < indices.length; i++) row[indices[i]!] = values[i]!;
      return row;
    };
    let worst = 0;
    for (const [i, vector] of vectors.entries()) {
      const label = `text ${i}`;
      worst = Math.max(worst, expectClose(dense(vector), dense(golden.sparse[i]!), { label, ...TOLERANCE }));
      expectSameBits((await encoder.encode(expected.texts[i]!)).values, vector.values, `the same bits alone: ${label}`);
    }
    const scores = encoder.similarity(vectors, vectors);
    expectClose(scores.data, golden.similarity.data, { label: 'similarity', ...TOLERANCE });
    takeCounts();
    await encoder.encode(expected.texts);
    const { createBuffer, createBindGroup, createShaderModule } = takeCounts();
    expectEqual([createBuffer, createBindGroup, createShaderModule], [0, 0, 0], 'what a warm call makes');
    log(`largest difference ${worst.toExponential(1)}`);
    await encoder.dispose();
  });
}

check('ModelRegistry: bytes on the GPU by model_class, in each dtype', async log => {
  const { AutoModelForMaskedLM, AutoModelForPreTraining, ModelRegistry, MultiVectorEncoder, SparseEncoder } = library;
  const device = await sharedDevice();
  const sparse = (await filesOf('splade-max', ['1_SpladePooling/config.json'])).files;
  const colbert = (await filesOf('colbert', TOKEN_MODULES)).files;
  for (const dtype of ['fp32', 'fp16', 'q8'] as const) {
    const options = { device, dtype };
    const loads = [
      ['SparseEncoder', sparse, async () => (await SparseEncoder.from_pretrained(sparse, options)).model],
      ['MultiVectorEncoder', colbert, async () => (await MultiVectorEncoder.from_pretrained(colbert, options)).model],
      ['AutoModelForMaskedLM', sparse, () => AutoModelForMaskedLM.from_pretrained(sparse, options)],
      [
        'AutoModelForPreTraining',
        addressOf('/fixtures/random/bert-pretraining/'),
        () => AutoModelForPreTraining.from_pretrained(addressOf('/fixtures/random/bert-pretraining/'), options),
      ],
    ] as const;
    for (const [model_class, where, load] of loads) {
      const footprint = await ModelRegistry.get_memory_footprint(where, { model_class, device });
      const model = await load();
      expectEqual((await model.bytes()).weights, footprint[dtype], `${model_class} in ${dtype}`);
      await model.dispose();
      if (dtype === 'fp32') log(`${model_class}: ${JSON.stringify(footprint)}`);
    }
  }
});

for (const name of ['colbert', 'colbert-skips', 'colbert-query-length', 'colbert-expansion', 'colbert-min']) {
  check(name, async log => {
    const { files, expected } = await filesOf(name, TOKEN_MODULES);
    const { MultiVectorEncoder } = library;
    const encoder = await MultiVectorEncoder.from_pretrained(files, { device: await sharedDevice() });
    const [golden] = expected.calls as [Expected['calls'][number]];
    const queries = await encoder.encode_query(expected.texts.slice(0, golden.queries.length));
    const documents = await encoder.encode_document(expected.texts);
    let worst = 0;
    for (const [kind, vectors, wanted] of [
      ['query', queries, golden.queries],
      ['document', documents, golden.documents],
    ] as const) {
      for (const [i, { dims, data }] of vectors.entries()) {
        const label = `${kind} ${i}`;
        expectEqual(dims, wanted[i]!.shape, label);
        worst = Math.max(worst, expectClose(data, wanted[i]!.data, { label, ...TOLERANCE }));
        const text = expected.texts[i]!;
        const alone = kind === 'query' ? await encoder.encode_query(text) : await encoder.encode_document(text);
        expectSameBits(alone.data, data, `the same bits alone: ${label}`);
      }
    }
    const scores = await encoder.similarity(queries, documents);
    expectClose(scores.data, golden.similarity.data, { label: 'similarity', ...TOLERANCE });
    takeCounts();
    const again = await encoder.similarity(queries, documents);
    const { submit, createBuffer, createBindGroup } = takeCounts();
    expectEqual([submit, createBuffer, createBindGroup], [1, 0, 0], 'submits of a warm call, and what it made');
    expectSameBits(again.data, scores.data, 'the same bits again');
    for (const [d, document] of documents.entries()) {
      const alone = await encoder.similarity(queries[0]!, document);
      expectSameBits(alone.data[0], scores.data[d], `the score of document ${d} alone`);
    }
    log(`largest difference ${worst.toExponential(1)}`);
    await encoder.dispose();
  });
}

check('max-sim', async log => {
  let worst = 0;
  for (const N of [4, 37, 128]) {
    const make = random(N);
    const texts = (lengths: readonly number[]) => lengths.map(length => make(length * N, 0.3));
    const [queries, documents] = [texts([1, 7, 32, 65]), texts([1, 3, 63, 180])];
    const rangesOf = (list: readonly Float32Array[]) => {
      const ends = list.map((_, i) => list.slice(0, i + 1).reduce((sum, { length }) => sum + length / N, 0));
      return Uint32Array.from(list.flatMap(({ length }, i) => [ends[i]! - length / N, ends[i]!]));
    };
    const rows = (list: readonly Float32Array[]) =>
      padRows(
        list.flatMap(text => [...text]),
        N,
      );
    const { scores } = await dispatch(
      maxSim({ columns: N }),
      {
        query_ranges: rangesOf(queries),
        document_ranges: rangesOf(documents),
        queries: rows(queries),
        documents: rows(documents),
        scores: { floats: queries.length * documents.length },
      },
      { queries: queries.length, documents: documents.length, each: 0 },
    );
    const expected = queries.flatMap(query => documents.map(document => reference.maxSim(query, document, N)));
    // 65 maxima of sums of 128 products.
    worst = Math.max(worst, expectClose(scores!, expected, { label: `N = ${N}`, absolute: 2e-5, relative: 1e-6 }));
  }
  expect(worst > 0, 'float32 and float64 differ somewhere');
  log(`largest difference ${worst.toExponential(1)}`);
});

check('max-sim of long texts in parts has the same bits, and no submit is beyond the budget', async log => {
  const { gpu } = await testGpu();
  const { device } = gpu;
  const signal = new AbortController().signal;
  for (const columns of [37, 128]) {
    const make = random(columns);
    const texts = (lengths: readonly number[]) => lengths.map(length => make(length * columns, 0.3));
    const input = { queries: texts([1, 90, 1500]), documents: texts([700, 2, 33]), columns };
    const scoresOf = async (budget: number) => {
      const works: number[] = [];
      const begin = (work: number | undefined) => {
        works.push(work ?? Number.NaN);
        return () => undefined;
      };
      const pacer = { budget: () => budget, begin };
      const made = new MaxSim({ device, pipelines: new PipelineCache(device), pacer, signal });
      const scores = await made.score(input);
      made.destroy();
      return { scores: [...scores], works };
    };
    const whole = await scoresOf(2 ** 40);
    for (const budget of [32 * 32 * padded(columns), 2 ** 21]) {
      const cut = await scoresOf(budget);
      expectEqual(cut.scores, whole.scores, `the same bits, ${columns} columns, a budget of ${budget}`);
      expect(Math.max(...cut.works) <= budget, `${Math.max(...cut.works)} in a submit, of ${budget}`);
      log(`${columns} columns, a budget of ${budget}: ${cut.works.length} submits, not ${whole.works.length}`);
    }
  }
});
