import { PreTrainedModel } from '../../src/api/model.ts';
import type { ModelSource } from '../../src/checkpoint/source/index.ts';
import * as library from '../../src/index.ts';
import {
  EmbeddingSimilarityEvaluator,
  InformationRetrievalEvaluator,
  MultipleNegativesRankingLoss,
  SentenceTransformerTrainer,
} from '../../src/train.ts';
import { streamedFile } from '../../tests/checkpoint-bytes.ts';
import { loadCheckpoint } from '../../tests/checkpoint-tensors.ts';
import { type EmbedderFixture, fixtureEmbedder, kept, modulesOf } from '../../tests/embedder-fixture.ts';
import { sharedDevice } from '../fixtures.ts';
import { liveBytes, takeCounts } from '../gpu-watch.ts';
import { check, expect, expectEqual } from '../harness.ts';
import { addressOf, fetchJson, ownDevice } from '../library.ts';
import { checkSteps, far } from '../training-steps.ts';

/**
 * Training runs of embedders on this device against those of sentence-transformers in float64 (tests/fixtures/embedder-training), and what
 * evaluators say of its embeddings.
 */

/** Of a number of an embedding, of up to 5, after the run. */
const EMBEDDING = 1e-3;

/** Each with a file of weights for every module that has some. */
const RUNS: Readonly<Record<string, readonly string[]>> = {
  pairs: [],
  'hard-negatives': ['2_Dense', '3_Dense'],
  cosine: [],
  cosent: [],
  matryoshka: ['2_Dense', '3_LayerNorm', '4_Dense'],
};

library.env.useBrowserCache = false;

type Files = Readonly<Record<string, Uint8Array<ArrayBuffer>>>;

/** The files of an embedder, those that another fixture has too from there. */
async function filesOf({ model, weights }: EmbedderFixture, dense: readonly string[]): Promise<Files> {
  const own = addressOf(`/fixtures/sentence/${model}/`);
  const shared = weights ? addressOf(`/fixtures/random/${weights}/`) : own;
  const read = async (folder: string, file: string) => {
    const response = await fetch(folder + file);
    if (!response.ok) throw new Error(`${folder}${file}: ${response.status}`);
    return [file, new Uint8Array(await response.arrayBuffer())] as const;
  };
  const modules = await fetchJson<readonly { path: string }[]>(`${own}modules.json`);
  const configs = modules.flatMap(({ path }) => (path ? [`${path}/config.json`] : []));
  return Object.fromEntries(
    await Promise.all([
      ...['config.json', 'tokenizer_config.json', 'modules.json', 'config_sentence_transformers.json'].map(file =>
        read(own, file),
      ),
      ...[...configs, ...dense.map(path => `${path}/model.safetensors`)].map(file => read(own, file)),
      ...['model.safetensors', 'tokenizer.json'].map(file => read(shared, file)),
    ]),
  );
}

const sourceOf = (files: Files): ModelSource => ({
  name: 'files',
  async open(file) {
    const bytes = files[file];
    if (!bytes) return undefined as never;
    return streamedFile(new Blob([bytes]).stream() as ReadableStream<Uint8Array<ArrayBuffer>>, bytes.length);
  },
  async json(file) {
    return files[file] && JSON.parse(new TextDecoder().decode(files[file]));
  },
});

for (const [name, dense] of Object.entries(RUNS)) {
  check(`${name}: losses, gradients and embeddings are sentence-transformers'`, async log => {
    const fixture = await fetchJson<EmbedderFixture>(`/fixtures/embedder-training/${name}.json`);
    const files = await filesOf(fixture, dense);
    const pipe = await library.pipeline('feature-extraction', files, { device: await sharedDevice() });
    const engine = PreTrainedModel.engineOf(pipe.model);
    const source = sourceOf(files);
    const modules = await modulesOf(source);
    const { graph, batchesOf } = fixtureEmbedder(engine.config, modules, fixture);
    const { tensors } = await loadCheckpoint(source, modules.files);
    const backend = await engine.backendForTraining();
    const { session, words } = await checkSteps({ backend, graph, tensors, fixture, batchesOf });
    let embedding: Float32Array | undefined;
    const { pooling, normalize, tokenSteps, rowSteps } = modules;
    await engine.run(
      [batchesOf(0)[0]![0]!],
      { pool: { pooling, normalize, tokenSteps, rowSteps } },
      {
        signal: undefined,
        done: ([sequence]) => {
          embedding = sequence!.outputs.find(output => output.name === 'embedding')!.data.slice();
        },
      },
    );
    const after = far(kept(embedding!), fixture.after);
    expect(after <= EMBEDDING, `the embedding after the run is off by ${after}`);
    log(`${words}, embedding after ${after.toExponential(1)}`);
    session.destroy();
    await pipe.dispose();
  });
}

check('holds what it says it will, and makes nothing once it runs', async log => {
  const device = await ownDevice();
  const model = await library.pipeline('feature-extraction', addressOf('/fixtures/random/bert-base/'), { device });
  const held: number[] = [];
  const trainer = new SentenceTransformerTrainer({
    model,
    loss: new MultipleNegativesRankingLoss(),
    train_dataset: FACTS.map(([anchor, positive]) => ({ anchor, positive })),
    args: { max_steps: 20, per_device_train_batch_size: 3, logging_steps: 10 },
    callbacks: [
      {
        on_step_end(_, { global_step }) {
          if (global_step === 5) takeCounts();
          if (global_step >= 5) held.push(liveBytes(device));
        },
      },
    ],
  });
  const { total } = (await trainer.memory())!;
  await trainer.train();
  const { createBuffer, createTexture, createBindGroup, createComputePipelineAsync } = takeCounts();
  expectEqual([createBuffer, createTexture, createBindGroup, createComputePipelineAsync], [0, 0, 0, 0], 'made');
  expectEqual(new Set(held).size, 1, 'how many different bytes were held');
  // A call of the model has buffers of its own; its weights are counted in both.
  const bytes = held[0]! - (await model.model.bytes()).activations;
  log(`${bytes} bytes held, ${total} said`);
  expect(Math.abs(total / bytes - 1) < 0.01, `${bytes} bytes are held, ${total} were said`);
  await model.dispose();
  device.destroy();
});

const FACTS: readonly (readonly [query: string, passage: string])[] = [
  ['the river', 'It runs past small stone houses.'],
  ['Paris', 'a city in France'],
  ['the fox', 'a brown animal'],
  ['rain', 'water that falls'],
  ['a train', 'It goes on rails.'],
  ['the sea', 'Boats wait there.'],
];
const byId = (name: string, column: 0 | 1): Record<string, string> =>
  Object.fromEntries(FACTS.map((fact, i) => [`${name}${i}`, fact[column]]));

check('evaluators say what embeddings of this device are worth, before, during and after a training', async log => {
  const device = await sharedDevice();
  const model = await library.pipeline('feature-extraction', addressOf('/fixtures/random/bert-base/'), { device });
  const search = new InformationRetrievalEvaluator({
    queries: byId('q', 0),
    corpus: byId('d', 1),
    relevant_docs: Object.fromEntries(FACTS.map((_, i) => [`q${i}`, [`d${i}`]])),
    accuracy_at_k: [1],
    name: 'facts',
  });
  const scores = FACTS.map((_, i) => i / FACTS.length);
  const similar = new EmbeddingSimilarityEvaluator({
    sentences1: FACTS.map(([query]) => query),
    sentences2: FACTS.map(([, passage]) => passage),
    scores,
  });
  /** The same by their definitions, of the embeddings of this moment. */
  const expected = async () => {
    const rowsOf = async (column: 0 | 1) =>
      (
        await model(
          FACTS.map(fact => fact[column]),
          { pooling: 'mean' },
        )
      ).tolist() as number[][];
    const [queries, passages] = [await rowsOf(0), await rowsOf(1)];
    const cosines = queries.map(query => passages.map(passage => library.cos_sim(query, passage)));
    const ranks = cosines.map((row, i) => 1 + row.filter(cosine => cosine > row[i]!).length);
    const mean = (numbers: readonly number[]) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
    const own = cosines.map((row, i) => row[i]!);
    const spread = (x: readonly number[], y: readonly number[]) =>
      mean(x.map((value, i) => (value - mean(x)) * (y[i]! - mean(y))));
    return {
      'facts_cosine_accuracy@1': mean(ranks.map(rank => Number(rank === 1))),
      'facts_cosine_mrr@10': mean(ranks.map(rank => 1 / rank)),
      'facts_cosine_ndcg@10': mean(ranks.map(rank => 1 / Math.log2(rank + 1))),
      pearson_cosine: spread(own, scores) / Math.sqrt(spread(own, own) * spread(scores, scores)),
    };
  };
  const checkMetrics = async (metrics: Readonly<Record<string, number>>, prefix: string, when: string) => {
    for (const [name, value] of Object.entries(await expected())) {
      const found = metrics[prefix + name]!;
      expect(Math.abs(found - value) < 1e-5, `${when}: ${prefix}${name} is ${found}, expected ${value}`);
    }
  };
  const before = { ...(await search(model)), ...(await similar(model)) };
  await checkMetrics(before, '', 'before');
  const trainer = new SentenceTransformerTrainer({
    model,
    loss: new MultipleNegativesRankingLoss(),
    train_dataset: FACTS.map(([anchor, positive]) => ({ anchor, positive })),
    evaluator: [search, similar],
    args: {
      max_steps: 30,
      per_device_train_batch_size: FACTS.length,
      learning_rate: 2e-3,
      dropout: 0,
      eval_strategy: 'steps',
      eval_steps: 10,
      logging_steps: 10,
    },
  });
  let evaluations = 0;
  trainer.add_callback({
    async on_evaluate(_, { global_step }, __, { metrics }) {
      evaluations++;
      await checkMetrics(metrics!, 'eval_', `step ${global_step}`);
    },
  });
  await trainer.train();
  expectEqual(evaluations, 3, 'evaluations');
  const after = await search(model);
  log(
    ['accuracy@1', 'mrr@10', 'ndcg@10']
      .map(
        name => `${name} ${before[`facts_cosine_${name}`]!.toFixed(3)} -> ${after[`facts_cosine_${name}`]!.toFixed(3)}`,
      )
      .join(', '),
  );
  expectEqual(after['facts_cosine_accuracy@1'], 1, 'the accuracy on what was learnt');
  expect(before['facts_cosine_accuracy@1']! < 1, 'there was nothing to learn');
  await model.dispose();
});
