import { Executable } from '../../src/gpu/executable.ts';
import { MeasuredPace, type Pacer } from '../../src/gpu/measured-pace.ts';
import { WeightStore } from '../../src/gpu/weights.ts';
import type { FillMaskPipeline } from '../../src/index.ts';
import { readConfig } from '../../src/model/config.ts';
import { encoderGraph } from '../../src/model/encoder.ts';
import type { EncoderConfig } from '../../src/model/encoder-config.ts';
import type { EncoderRequest } from '../../src/model/request.ts';
import { packBatch } from '../../src/plan/batch.ts';
import type { Caps } from '../../src/plan/caps.ts';
import { plan } from '../../src/plan/plan.ts';
import type { Sequence } from '../../src/plan/sequence.ts';
import { load, url } from '../answers.ts';
import { random, testGpu } from '../dispatch.ts';
import { takeCounts } from '../gpu-watch.ts';
import { check, expect, expectClose, expectEqual, expectSameBits } from '../harness.ts';
import { fetchJson, library, ownDevice } from '../library.ts';
import { randomBert } from '../random-bert.ts';

/** No dispatch and no submit takes longer the more a caller asks for: a pass that is too much is several submits, of the same bits. */

const ENDLESS: Pacer = { budget: () => Number.POSITIVE_INFINITY, begin: () => () => undefined };
const steady = (budget: number): Pacer => ({ ...ENDLESS, budget: () => budget });

const shaped = (fields: object): EncoderConfig =>
  readConfig({
    model_type: 'bert',
    vocab_size: 301,
    hidden_size: 36,
    num_hidden_layers: 2,
    num_attention_heads: 3,
    intermediate_size: 70,
    max_position_embeddings: 512,
    type_vocab_size: 2,
    ...fields,
  });

const sequence = (length: number, seed: number): Sequence => ({
  ids: Array.from({ length }, (_, i) => (7 * i + seed) % 301),
  positions: Array.from({ length }, (_, i) => i),
  types: Array.from({ length }, (_, i) => i % 2),
  masked: Array.from({ length: Math.ceil(length / 3) }, (_, i) => 3 * i),
});

/** One pass of random weights, run at several paces. Gives the outputs and the counts of calls of each. */
async function runAt(pacers: readonly Pacer[], caps: Caps, request: EncoderRequest, lengths: readonly number[]) {
  const { gpu, pipelines } = await testGpu();
  const { device } = gpu;
  const made = plan(encoderGraph(shaped({}), request), { caps });
  const store = new WeightStore(device, pipelines);
  await store.allocate(made.weights);
  const seen = new Set<string>();
  for (const { tensor, shape } of made.weights.flatMap(({ parts }) => parts)) {
    if (seen.has(tensor)) continue;
    seen.add(tensor);
    const values = random(seen.size)(
      shape.reduce((a, b) => a * b),
      0.2,
    );
    await store.write({ tensor, stored: 'F32', begin: 0, bytes: new Uint8Array(values.buffer) });
  }
  await store.finish();
  const batch = packBatch(lengths.map(sequence), made.queryTile);
  const runs: { outputs: readonly Float32Array[]; counts: ReturnType<typeof takeCounts> }[] = [];
  for (const pacer of pacers) {
    const { signal } = new AbortController();
    const executable = await Executable.create({ device, plan: made, weights: store, pipelines, signal, pacer });
    // Also the one that makes room, and once more, warm: whatever a part has left in the params must not matter.
    const first = await executable.run(batch).outputs;
    takeCounts();
    const outputs = await executable.run(batch).outputs;
    const counts = takeCounts();
    expectSameBits(outputs, first, 'the same pass again');
    runs.push({ outputs, counts });
    executable.destroy();
  }
  store.destroy();
  return runs;
}

const REQUESTS: Record<string, EncoderRequest> = {
  'hidden states and attentions': { lastHiddenState: true, hiddenStates: [0, 1, 2], attentions: [0, 1] },
  'a pooled row': { pool: { pooling: 'mean', normalize: true } },
  'the best of a vocabulary': { head: { kind: 'MaskedLM', picked: true, topK: 8 } },
};
const TIERS: Record<string, (real: Caps) => Caps> = {
  'as this adapter is': caps => caps,
  'as a GPU': caps => ({ ...caps, adapter: 'gpu', maxInvocations: 256 }),
};

for (const [tier, as] of Object.entries(TIERS)) {
  for (const [name, request] of Object.entries(REQUESTS)) {
    check(`a pass in one submit and in many, ${name} (${tier}): the same bits, nothing is made`, async log => {
      const { gpu } = await testGpu();
      const budgets = [2 ** 20, 2 ** 15];
      const lengths = [1, 70, 7];
      const [whole, ...parts] = await runAt([ENDLESS, ...budgets.map(steady)], as(gpu.caps), request, lengths);
      expectEqual(whole!.counts.submit, 1, 'submits of one');
      for (const [i, { outputs, counts }] of parts.entries()) {
        expectSameBits(outputs, whole!.outputs, `with a budget of ${budgets[i]}`);
        const { submit, mapAsync, ...making } = counts;
        expect(submit > 1, `${submit} submits`);
        expectEqual(mapAsync, 1, 'maps');
        expect(
          Object.values(making).every(times => times === 0),
          `it made something: ${JSON.stringify(making)}`,
        );
      }
      log(`${parts.map(({ counts }) => counts.submit).join(', ')} submits with ${budgets.join(', ')}`);
    });
  }
}

check('a budget that is measured: the same bits whatever it comes to be', async log => {
  const { gpu } = await testGpu();
  const caps = TIERS['as a GPU']!(gpu.caps);
  // A clock that says of every submit that it took long, and one that says nothing took any time.
  let clock = 0;
  const slow = new MeasuredPace(caps, () => (clock += 5000));
  const [whole, ...others] = await runAt(
    [ENDLESS, slow, new MeasuredPace(caps, () => 0)],
    caps,
    REQUESTS['a pooled row']!,
    [90, 9],
  );
  for (const { outputs } of others) expectSameBits(outputs, whole!.outputs, 'outputs');
  expect(slow.budget() < 2 ** 30, `a budget of ${slow.budget()}`);
  log(`${others.map(({ counts }) => counts.submit).join(', ')} submits`);
});

/** A device that says that it is one of a graphics card: the library then measures it. */
async function pretended(): Promise<GPUDevice> {
  const device = await ownDevice();
  Object.defineProperty(device, 'adapterInfo', { value: { vendor: 'pretended' } });
  return device;
}

/** What `work` gives, while every answer of a GPU comes so much later. */
async function slowed<T>(ms: number, work: () => Promise<T>): Promise<T> {
  const { mapAsync } = GPUBuffer.prototype;
  GPUBuffer.prototype.mapAsync = async function (this: GPUBuffer, ...range) {
    await mapAsync.apply(this, range);
    await new Promise(resolve => setTimeout(resolve, ms));
    return undefined;
  };
  try {
    return await work();
  } finally {
    GPUBuffer.prototype.mapAsync = mapAsync;
  }
}

check(
  'a slow device that is no known software adapter: the submits of a long sequence are cut as it is measured',
  async log => {
    const { AutoModel, DeviceError } = library;
    const { files } = randomBert(
      {
        vocab_size: 100,
        hidden_size: 48,
        num_hidden_layers: 1,
        num_attention_heads: 3,
        intermediate_size: 96,
        hidden_act: 'gelu',
        max_position_embeddings: 1600,
        type_vocab_size: 2,
      },
      { seed: 9, as: 'F32' },
    );
    const device = await pretended();
    const slow = await AutoModel.from_pretrained(files, { device });
    const ids = (length: number) => ({ input_ids: [Array.from({ length }, (_, i) => (7 * i) % 100)] });
    const wanted = await slowed(1000, () => slow(ids(300)));
    // By now it is known to be slow: it gets 2^28 multiply-adds at once, and 1,600 tokens have about 4e8.
    takeCounts();
    const long = await slow(ids(1600));
    const { submit: whole, mapAsync } = takeCounts();
    expect(whole >= 2, `${whole} submits`);
    expectEqual(mapAsync, 1, 'maps');
    const known = await AutoModel.from_pretrained(files, { device: await ownDevice() });
    const same = await known(ids(1600));
    const label = 'last_hidden_state';
    expectClose(long[label].data as Float32Array, same[label].data as Float32Array, { label, absolute: 1e-4 });
    expectSameBits(await slow(ids(300)), wanted, 'a short sequence after it');
    takeCounts();
    const left = slow(ids(1600)).catch((error: unknown) => error);
    // Long enough for the first submit, and not for its end.
    while (takeCounts().submit === 0) await new Promise(resolve => setTimeout(resolve, 1));
    await slow.dispose();
    const error = await left;
    expect(error instanceof DeviceError && /disposed/.test(error.message), `${error}`);
    await device.queue.onSubmittedWorkDone();
    expectEqual(takeCounts().submit, 0, 'submits after dispose()');
    await known.dispose();
    device.destroy();
    log(`${whole} submits`);
  },
);

check('fill-mask: a top_k of 64, found on the GPU, begins the answer of 65, sorted here', async log => {
  for (const name of ['bert-masked-lm', 'roberta-masked-lm', 'electra-masked-lm']) {
    const pipe: FillMaskPipeline = await load('fill-mask', url(name));
    const { vocab_size: V } = await fetchJson<{ vocab_size: number }>(`${url(name)}config.json`);
    const mask = pipe.tokenizer.mask_token!;
    for (const text of [`${mask} is the capital.`, `${mask} is the ${mask} of the town.`]) {
      const ask = async (top_k: number) =>
        ((await pipe(text, { top_k })) as unknown[]).flat() as { token: number; score: number }[];
      const masks = text.split(mask).length - 1;
      const [few, more, all] = [await ask(64), await ask(65), await ask(V)];
      const [short, long, whole] = [few, more, all].map(list => list.length / masks);
      expectEqual([short, long, whole], [64, 65, V], 'answers for a mask');
      for (let m = 0; m < masks; m++) {
        const first = (list: typeof few, length: number) => list.slice(m * length, m * length + 64);
        const tokens = (list: typeof few) => list.map(({ token }) => token);
        expectEqual(tokens(first(more, 65)), tokens(first(few, 64)), `${name}: tokens of 65 and 64`);
        expectEqual(tokens(first(all, V)), tokens(first(few, 64)), `${name}: tokens of ${V} and 64`);
        const scores = (list: typeof few) => list.map(({ score }) => score);
        expectClose(scores(first(more, 65)), scores(first(few, 64)), { label: 'scores', relative: 1e-5 });
        expectSameBits(scores(first(all, V)), scores(first(more, 65)), 'scores of all and of 65');
        expectEqual(new Set(tokens(all.slice(m * V, (m + 1) * V))).size, V, 'tokens, each once');
      }
    }
    await pipe.dispose();
    log(`${name}: ${V} tokens`);
  }
});
