import { PreTrainedModel } from '../../src/api/model.ts';
import { type HostDtype, toFloats } from '../../src/checkpoint/file/index.ts';
import { UnsupportedError } from '../../src/errors.ts';
import { WeightReader } from '../../src/gpu/index.ts';
import { floatsToHalves, halvesToFloats } from '../../src/halves.ts';
import * as source from '../../src/index.ts';
import { tensorReader, wholeTensor } from '../../src/training/weights.ts';
import { readTensors } from '../../tests/checkpoint-bytes.ts';
import { heads, sharedDevice } from '../fixtures.ts';
import { isSmall } from '../gpu-limits.ts';
import { check, expect, expectEqual, expectSameBits, expectThrows } from '../harness.ts';
import { addressOf, fetchJson } from '../library.ts';
import { randomBert, UNEVEN_SHAPE } from '../random-bert.ts';

/** What the GPU holds of a model is what the file has: the weights are read back, of every family and head, with every layout of a weight. */

source.env.useBrowserCache = false;

/** The tensors of a file, as float32. */
type Tensors = ReadonlyMap<string, { readonly shape: readonly number[]; readonly values: Float32Array }>;

async function tensorsAt(url: string): Promise<Tensors> {
  const file = new Uint8Array(await (await fetch(addressOf(url))).arrayBuffer());
  return new Map(
    Object.entries(readTensors(file)).map(([name, { dtype, shape, bytes }]) => [
      name,
      { shape, values: toFloats(bytes.slice().buffer, dtype as HostDtype) },
    ]),
  );
}

type Classes = Readonly<Record<string, typeof source.AutoModel>>;
type Location = Parameters<typeof source.AutoModel.from_pretrained>[0];

async function loadEngine(cls: string, from: Location, options: source.PretrainedOptions = {}) {
  const auto = (source as unknown as Classes)[`AutoModel${/For[A-Z]\w*$/.exec(cls)?.[0] ?? ''}`]!;
  const model = await auto.from_pretrained(from, { device: await sharedDevice(), ...options });
  return { model, engine: PreTrainedModel.engineOf(model) };
}
type Engine = Awaited<ReturnType<typeof loadEngine>>['engine'];

/** The rows of a file's tensor that a canonical name stands for. */
function rowsOf(file: Tensors, { name, shape, rows }: Engine['tensors'][number]['info'] & ViewRows): Float32Array {
  const { values } = file.get(name)!;
  if (!rows) return values;
  const columns = shape.slice(1).reduce((a, b) => a * b, 1);
  const { first, run, step } = rows;
  return Float32Array.from({ length: shape[0]! * columns }, (_, i) => {
    const row = Math.floor(i / columns);
    return values[(first + Math.floor(row / run) * step + (row % run)) * columns + (i % columns)]!;
  });
}
interface ViewRows {
  readonly rows?: { readonly first: number; readonly run: number; readonly step: number } | undefined;
}

/** Compares every tensor that the GPU has with the file's, read in pieces of so many bytes. Gives how many there were. */
async function compareAll(
  engine: Engine,
  file: Tensors,
  { pieceBytes, rounded = [] }: { pieceBytes?: number; rounded?: readonly string[] } = {},
): Promise<number> {
  const { access } = await engine.backend();
  const { device, weights, signal: life } = access!;
  const reader = new WeightReader({ device, weights, life, ...(pieceBytes && { pieceBytes }) });
  const held = engine.tensors
    .filter(({ isOnHost }) => !isOnHost)
    .flatMap(({ views }) => [...views])
    .filter(([canonical]) => reader.has(canonical));
  // Several at once: a piece is a few hundred bytes and a whole trip to the GPU, which Firefox looks after every few milliseconds.
  const waiting = held.values();
  const readRest = async () => {
    for (const [canonical, view] of waiting) {
      const expected = rowsOf(file, view);
      const format = weights.stored().find(({ weight }) => weight.parts.some(({ tensor }) => tensor === canonical))!;
      const kept = format.weight.storage.format === 'f16' ? halvesToFloats(floatsToHalves(expected)) : expected;
      if (kept !== expected) (rounded as string[]).push(canonical);
      expectSameBits(await wholeTensor(reader, canonical), kept, canonical);
    }
  };
  await Promise.all(Array.from({ length: 6 }, readRest));
  return held.length;
}

/** All heads of one family; of the others the encoder and the head whose weights are the word table's, the other heads being linears. */
const isRead = (url: string): boolean =>
  globalThis.isThorough || /\/(bert-\w+|drawn-[\w-]+|[\w-]+-(Model|\w+Encoder|MaskedLM))\/$/.test(url);

// The tables of these fit in one binding of the smallest device, so a small one holds them as any other does.
for (const url of isSmall() ? [] : heads.filter(isRead)) {
  check(url.replace('/fixtures/interpreter/', '').replace(/\/$/, ''), async log => {
    const [{ cls }, file] = await Promise.all([
      fetchJson<{ cls: string }>(`${url}expected.json`),
      tensorsAt(`${url}model.safetensors`),
    ]);
    const { model, engine } = await loadEngine(cls, addressOf(url));
    // A few rows at a time, so that heads and blocks are cut where they may be.
    const counts = [await compareAll(engine, file, { pieceBytes: 300 })];
    counts.push(await compareAll(engine, file));
    const released = engine.tensors.filter(({ isOnHost }) => !isOnHost).reduce((sum, { views }) => sum + views.size, 0);
    log(`${counts[0]} tensors${counts[0] === released ? '' : `, of ${released}: others were given back`}`);
    await model.dispose();
  });
}

for (const as of ['F32', 'F16', 'BF16'] as const) {
  check(`a file of ${as}, kept as fp32, fp16 and q8`, async log => {
    const { files, weights } = randomBert(UNEVEN_SHAPE, { seed: 3, as });
    const plain = await loadEngine('BertModel', files);
    await compareAll(plain.engine, weights);
    const halves = await loadEngine('BertModel', files, { dtype: 'fp16' });
    const rounded: string[] = [];
    await compareAll(halves.engine, weights, { rounded });
    expect(rounded.length > 10, 'matrices are kept as halves');
    const bytes = await loadEngine('BertModel', files, { dtype: 'q8' });
    const reader = tensorReader(await bytes.engine.backend());
    const name = 'encoder.layer.0.output.dense.weight';
    const error = await expectThrows(() => wholeTensor(reader, name), 'q8');
    expect(error instanceof UnsupportedError && /kept as q8.*fp32/s.test(error.message), String(error));
    // Vectors are float32 in every dtype.
    await wholeTensor(reader, 'encoder.layer.0.output.dense.bias');
    for (const { model } of [plain, halves, bytes]) await model.dispose();
    log(`${rounded.length} of ${weights.size} tensors as halves`);
  });
}

check('a table in several bindings', async log => {
  // 12.8 MB, more than the 4 MiB of one binding of a small device.
  const shape = { ...UNEVEN_SHAPE, vocab_size: 80_003 };
  const { files, weights } = randomBert(shape, { seed: 4, as: 'F16' });
  const { model, engine } = await loadEngine('BertModel', files);
  await compareAll(engine, weights);
  const { weights: store, device } = (await engine.backend()).access!;
  const slices = store.stored().filter(({ weight }) => weight.name.includes('word_embeddings')).length;
  log(`${slices} of ${device.limits.maxStorageBufferBindingSize} bytes`);
  await model.dispose();
});

check('reading can be aborted, and ends with the model', async () => {
  const { files } = randomBert(UNEVEN_SHAPE, { seed: 5, as: 'F32' });
  const { model, engine } = await loadEngine('BertModel', files);
  const name = 'embeddings.word_embeddings.weight';
  const stop = new AbortController();
  const reader = tensorReader(await engine.backend(), stop.signal);
  const reading = expectThrows(() => wholeTensor(reader, name), 'aborted at once');
  stop.abort(new Error('enough'));
  expectEqual(String(await reading), 'Error: enough', 'the reason');
  const other = tensorReader(await engine.backend());
  const disposed = expectThrows(() => wholeTensor(other, name), 'disposed');
  await model.dispose();
  expect(/disposed/.test(String(await disposed)), String(await disposed));
});
