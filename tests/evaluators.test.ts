import { readFileSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { InputError, UnsupportedError } from '../src/errors.ts';
import { cos_sim, dot, type FeatureExtractionPipeline, pipeline, type Similarity, Tensor } from '../src/index.ts';
import { SIMILARITY_FUNCTIONS } from '../src/tasks/index.ts';
import { type Precision, quantizeEmbeddings, rangesFor } from '../src/tasks/precision.ts';
import { normalizeRows, truncateRows } from '../src/tasks/rows.ts';
import {
  BinaryClassificationEvaluator,
  EmbeddingSimilarityEvaluator,
  type Evaluator,
  InformationRetrievalEvaluator,
  MultipleNegativesRankingLoss,
  SentenceTransformerTrainer,
  SequentialEvaluator,
  TripletEvaluator,
} from '../src/train.ts';
import { FakeDirectory } from './fake-directory.ts';
import { thrown } from './source-environment.ts';
import { checkpointFiles } from './vector-fixtures.ts';

/** The evaluators of sentence-transformers: on given vectors against Python's (tests/python/make_evaluator_fixtures.py), and of embedders. */

vi.mock('../src/engine/webgpu-backend.ts', async original => {
  const { CPUBackend } = await import('./cpu-backend.ts');
  return { ...(await original<object>()), openWebGPU: async () => new CPUBackend() };
});

type Kind = 'text' | 'query' | 'document';
interface Case {
  readonly cls: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly similarity: Similarity;
  readonly functions: readonly Similarity[] | null;
  readonly metrics: Readonly<Record<string, number>>;
  readonly primary: string;
}
const { rows, cases } = JSON.parse(readFileSync(new URL('fixtures/evaluators.json', import.meta.url), 'utf8')) as {
  rows: Record<Kind, Record<string, number[]>>;
  cases: Case[];
};

interface CallOptions {
  readonly truncate_dim?: number;
  readonly precision?: Precision;
  readonly normalize?: boolean;
}

/** An embedder whose vectors are those of the file. */
function modelOf(similarity_fn_name: Similarity): FeatureExtractionPipeline {
  const encode =
    (kind: Kind) =>
    async (texts: readonly string[], { truncate_dim, precision = 'float32', normalize }: CallOptions = {}) => {
      const all = Float32Array.from(texts.flatMap(text => rows[kind][text]!));
      const columns = truncate_dim ?? 16;
      const cut = truncateRows(all, 16, columns);
      if (normalize) normalizeRows(cut, columns);
      const ranges = precision.endsWith('int8') ? rangesFor(cut, columns, precision, undefined) : undefined;
      const quantized = quantizeEmbeddings(cut, columns, { precision, ranges });
      return new Tensor(quantized.type, quantized.data as Float32Array<ArrayBuffer>, [texts.length, quantized.columns]);
    };
  return Object.assign(encode('text'), {
    encode_query: encode('query'),
    encode_document: encode('document'),
    similarity_fn_name,
  }) as unknown as FeatureExtractionPipeline;
}

const CLASSES = {
  BinaryClassificationEvaluator,
  EmbeddingSimilarityEvaluator,
  InformationRetrievalEvaluator,
  TripletEvaluator,
} as unknown as Readonly<
  Record<
    string,
    new (
      options: object,
    ) => ((model: FeatureExtractionPipeline) => Promise<Record<string, number>>) & { primary_metric: string | null }
  >
>;

describe("the metrics are Python's", () => {
  test.each(cases.map((each, i) => [`${i} ${each.cls}`, each] as const))('%s', async (_, each) => {
    const functions = each.functions && {
      score_functions: Object.fromEntries(each.functions.map(name => [name, SIMILARITY_FUNCTIONS[name]])),
    };
    const evaluator = new CLASSES[each.cls]!({ ...each.arguments, ...functions });
    expect(evaluator.primary_metric).toBeNull();
    const metrics = await evaluator(modelOf(each.similarity));
    expect(evaluator.primary_metric).toBe(each.primary);
    expect(Object.keys(metrics)).toEqual(Object.keys(each.metrics));
    for (const [key, value] of Object.entries(each.metrics)) {
      // Python's similarities, and so its thresholds, are float32.
      expect(Math.abs(metrics[key]! - value) / (1 + Math.abs(value)), `${key}: ${metrics[key]}, ${value}`).toBeLessThan(
        1e-6,
      );
    }
  });
});

const load = () => pipeline('feature-extraction', checkpointFiles('st-prompts'));
const TRIPLETS = {
  anchors: ['Paris', 'the fox', 'rain'],
  positives: ['a city in France', 'a brown animal', 'water that falls'],
  negatives: ['a train', 'Paris', 'it goes on rails'],
};
const RETRIEVAL = {
  queries: new Map([
    ['a', 'Paris'],
    ['b', 'the fox'],
  ]),
  corpus: { x: 'a city in France', y: 'a brown animal', z: 'rain' },
  relevant_docs: { a: new Set(['x']), b: ['y'] },
};

describe('of an embedder', () => {
  test('they embed as its own calls do', async () => {
    const extractor = await load();
    expect(extractor.similarity_fn_name).toBe('cosine');
    const rowsOf = ({ data, dims }: { data: ArrayLike<unknown>; dims: readonly number[] }) =>
      Array.from({ length: dims[0]! }, (_, i) => (data as Float32Array).subarray(i * dims[1]!, (i + 1) * dims[1]!));
    const anchors = rowsOf(await extractor.encode_query(TRIPLETS.anchors));
    const positives = rowsOf(await extractor.encode_document(TRIPLETS.positives));
    const negatives = rowsOf(await extractor.encode_document(TRIPLETS.negatives));
    const right = anchors.filter((row, i) => cos_sim(row, positives[i]!) > cos_sim(row, negatives[i]!)).length;
    expect(await new TripletEvaluator(TRIPLETS)(extractor)).toEqual({ cosine_accuracy: right / 3 });
    const evaluator = new InformationRetrievalEvaluator({ ...RETRIEVAL, score_functions: { dot } });
    const metrics = await evaluator(extractor);
    const documents = rowsOf(await extractor.encode_document(Object.values(RETRIEVAL.corpus)));
    const first = rowsOf(await extractor.encode_query(['Paris', 'the fox'])).map((query, q) => {
      const scores = documents.map(document => dot(query, document));
      return 1 / (1 + scores.filter(score => score > scores[q]!).length);
    });
    expect(metrics['dot_mrr@10']).toBeCloseTo((first[0]! + first[1]!) / 2, 6);
    const scores = { sentences1: TRIPLETS.anchors, sentences2: TRIPLETS.positives, scores: [1, 0.5, 0] };
    for (const precision of ['int8', 'binary'] as const) {
      const { pearson_cosine } = await new EmbeddingSimilarityEvaluator({ ...scores, precision })(extractor);
      expect(Math.abs(pearson_cosine!)).toBeLessThanOrEqual(1);
    }
    const stop = AbortSignal.abort(new Error('enough'));
    expect((await thrown(evaluator(extractor, { signal: stop }))).message).toBe('enough');
  });

  test('a trainer takes one, a list, or a function, and goes by their metrics', async () => {
    const run = async (evaluator: Evaluator | readonly Evaluator[], metric_for_best_model: string) => {
      const trainer = new SentenceTransformerTrainer({
        model: await load(),
        loss: new MultipleNegativesRankingLoss(),
        train_dataset: TRIPLETS.anchors.map((anchor, i) => ({ anchor, positive: TRIPLETS.positives[i]! })),
        evaluator,
        args: {
          max_steps: 2,
          learning_rate: 1e-3,
          eval_strategy: 'steps',
          eval_steps: 1,
          save_strategy: 'best',
          metric_for_best_model,
          output_dir: new FakeDirectory().handle(),
        },
      });
      await trainer.train();
      return { trainer, logs: trainer.state.log_history.filter(entry => 'eval_runtime' in entry) };
    };
    const retrieval = new InformationRetrievalEvaluator({ ...RETRIEVAL, name: 'dev' });
    const one = await run(retrieval, 'eval_dev_cosine_ndcg@10');
    expect(one.logs).toHaveLength(2);
    expect(one.logs.map(entry => typeof (entry as Record<string, unknown>)['eval_dev_cosine_mrr@10'])).toEqual([
      'number',
      'number',
    ]);
    expect(one.trainer.state.best_metric).toBe(
      Math.max(...one.logs.map(entry => (entry as Record<string, number>)['eval_dev_cosine_ndcg@10']!)),
    );
    const list = await run([retrieval, new TripletEvaluator(TRIPLETS), () => 3], 'sequential_score');
    expect(list.logs[0]).toMatchObject({ eval_sequential_score: 3, eval_evaluator_2: 3 });
    expect(list.logs[0]).toHaveProperty('eval_cosine_accuracy');
    expect((await run(() => 0.5, 'evaluator')).logs[0]).toMatchObject({ eval_evaluator: 0.5 });
    expect((await run(async () => ({ own: 1 }), 'own')).logs[0]).toMatchObject({ eval_own: 1 });
  });

  test('several in a row have a score of their own', async () => {
    const extractor = await load();
    const [one, two] = [
      new TripletEvaluator({ ...TRIPLETS, name: 'a' }),
      new TripletEvaluator({ ...TRIPLETS, name: 'b' }),
    ];
    const all = new SequentialEvaluator([one, two], { main_score_function: scores => scores.length });
    const metrics = await all(extractor);
    expect(Object.keys(metrics)).toEqual(['a_cosine_accuracy', 'b_cosine_accuracy', 'sequential_score']);
    expect([metrics.sequential_score, all.primary_metric]).toEqual([2, 'sequential_score']);
    const same = new SequentialEvaluator([new TripletEvaluator(TRIPLETS), new TripletEvaluator(TRIPLETS)]);
    expect((await thrown(same(extractor))).message).toMatch(/one name.*cosine_accuracy.*name: "dev"/);
  });
});

describe('what is refused', () => {
  const pairs = { sentences1: ['a', 'b'], sentences2: ['c', 'd'] };
  test.each<[string, () => unknown, RegExp, new (...values: never[]) => Error]>([
    [
      'a name that there is not',
      () => new TripletEvaluator({ ...TRIPLETS, batch_size: 8 } as never),
      /no field "batch_size".*batched as/,
      InputError,
    ],
    [
      'lists of two lengths',
      () => new TripletEvaluator({ ...TRIPLETS, anchors: ['a'] }),
      /differ in length.*anchors 1/,
      InputError,
    ],
    [
      'an empty list',
      () => new TripletEvaluator({ ...TRIPLETS, anchors: [] }),
      /anchors is wrong.*at least one/,
      InputError,
    ],
    [
      'a margin by another name',
      () => new TripletEvaluator({ ...TRIPLETS, margin: { cos: 1 } as never }),
      /margin is wrong/,
      InputError,
    ],
    [
      'a similarity that there is not',
      () => new TripletEvaluator({ ...TRIPLETS, similarity_fn_names: ['angle' as never] }),
      /angle.*cosine/,
      UnsupportedError,
    ],
    [
      'another main similarity',
      () => new TripletEvaluator({ ...TRIPLETS, similarity_fn_names: ['dot'], main_similarity_function: 'cosine' }),
      /a list with "cosine"/,
      InputError,
    ],
    [
      'labels that are none',
      () => new BinaryClassificationEvaluator({ ...pairs, labels: [0, 2 as never] }),
      /labels is wrong.*0 and 1/,
      InputError,
    ],
    [
      'scores that are none',
      () => new EmbeddingSimilarityEvaluator({ ...pairs, scores: [0, Number.NaN] }),
      /scores is wrong/,
      InputError,
    ],
    [
      'a precision',
      () => new EmbeddingSimilarityEvaluator({ ...pairs, scores: [0, 1], precision: 'int4' as never }),
      /int4.*ubinary/,
      UnsupportedError,
    ],
    [
      'no relevant document',
      () => new InformationRetrievalEvaluator({ ...RETRIEVAL, relevant_docs: { c: ['x'] } }),
      /no query has a relevant/,
      InputError,
    ],
    [
      'ids that are none',
      () => new InformationRetrievalEvaluator({ ...RETRIEVAL, relevant_docs: { a: 'x' as never } }),
      /relevant_docs is wrong.*Sets of ids/,
      InputError,
    ],
    ['no k', () => new InformationRetrievalEvaluator({ ...RETRIEVAL, mrr_at_k: [0] }), /mrr_at_k is wrong/, InputError],
    [
      'a main function',
      () =>
        new InformationRetrievalEvaluator({ ...RETRIEVAL, score_functions: { dot }, main_score_function: 'cosine' }),
      /main_score_function is wrong.*dot/,
      InputError,
    ],
    ['no evaluators', () => new SequentialEvaluator([]), /evaluators is wrong/, InputError],
  ])('%s', (_, make, message, error) => {
    expect(make).toThrow(message);
    expect(make).toThrow(error);
  });

  test('what is no embedder, and columns that it has not', async () => {
    const evaluator = new TripletEvaluator({ ...TRIPLETS, truncate_dim: 99 });
    expect(await thrown(evaluator({} as never))).toBeInstanceOf(InputError);
    expect((await thrown(evaluator(await load()))).message).toMatch(
      /truncate_dim is wrong: got number 99, expected at most/,
    );
  });
});
