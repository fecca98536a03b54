import { PreTrainedModel } from '../../src/api/model.ts';
import type { ModelSource } from '../../src/checkpoint/source/index.ts';
import * as library from '../../src/index.ts';
import { streamedFile } from '../../tests/checkpoint-bytes.ts';
import { loadCheckpoint } from '../../tests/checkpoint-tensors.ts';
import { type EmbedderFixture, fixtureEmbedder, kept, modulesOf } from '../../tests/embedder-fixture.ts';
import { sharedDevice } from '../fixtures.ts';
import { check, expect } from '../harness.ts';
import { addressOf, fetchJson } from '../library.ts';
import { checkSteps, far } from '../training-steps.ts';

/** Training runs of embedders on this device against those of sentence-transformers in float64 (tests/fixtures/embedder-training). */

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
