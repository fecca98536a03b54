import type { FeatureExtractionPipeline, PretrainedOptions, Tensor } from '../../src/index.ts';
import { readTensors, safetensors, type TensorBytes } from '../../tests/checkpoint-bytes.ts';
import { cosine } from '../answers.ts';
import { valuesOf } from '../checkpoint-edit.ts';
import { enforce, restrict } from '../gpu-limits.ts';
import { liveBuffers, takeExcesses, takeScopes } from '../gpu-watch.ts';
import { check, expect, expectEqual, expectSameBits, expectThrows } from '../harness.ts';
import { BERT, library, once, ownDevice } from '../library.ts';
import { type BertShape, randomBert } from '../random-bert.ts';
import { fewOf } from '../slow-compiler.ts';

/** What a device allows is asked of nobody: no binding, buffer or workgroup is larger, and what is refused rejects its call. */

const { AutoModel, DeviceError } = library;
type Files = Record<string, Uint8Array<ArrayBuffer>>;

const shape: BertShape = {
  vocab_size: 1000,
  hidden_size: 48,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 40,
  hidden_act: 'gelu',
  max_position_embeddings: 40,
  type_vocab_size: 2,
};

/** A model whose word table has so many rows, each its own: the rows of a small one, turned by a column for every thousand. */
function large(rows: number, columns: number): Files {
  const { files } = randomBert({ ...shape, hidden_size: columns }, { seed: 3, as: 'F32' });
  const tensors: Record<string, TensorBytes> = readTensors(files['model.safetensors']!);
  const name = 'embeddings.word_embeddings.weight';
  const small = valuesOf(tensors[name]!);
  const table = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const from = small.subarray((row % 1000) * columns, ((row % 1000) + 1) * columns);
    const turn = Math.floor(row / 1000) % columns;
    table.set(from.subarray(turn), row * columns);
    table.set(from.subarray(0, turn), (row + 1) * columns - turn);
  }
  tensors[name] = { dtype: 'F32', shape: [rows, columns], bytes: new Uint8Array(table.buffer) };
  const config = JSON.parse(new TextDecoder().decode(files['config.json']));
  return {
    'config.json': new TextEncoder().encode(JSON.stringify({ ...config, vocab_size: rows })),
    'model.safetensors': safetensors(tensors),
  };
}

/** The least cosine of the rows of two [1, L, C]. */
function leastCosine(a: Tensor, b: Tensor): number {
  const [, L = 0, C = 0] = a.dims;
  const rowOf = (tensor: Tensor, i: number) => (tensor.data as Float32Array).subarray(i * C, (i + 1) * C);
  return Math.min(...Array.from({ length: L }, (_, i) => cosine(rowOf(a, i), rowOf(b, i))));
}

const LEAST = { fp32: 0.999999, fp16: 0.9999, q8: 0.99 } as const;

/** A device that the kernels of GPUs are chosen for: weights in buffers, operands through workgroup memory. */
async function likeGpu(): Promise<GPUDevice> {
  const device = await ownDevice();
  Object.defineProperty(device, 'adapterInfo', { value: { vendor: 'nobody', architecture: 'none' } });
  return device;
}

const DEVICES: Record<string, () => Promise<GPUDevice | undefined>> = {
  ours: async () => undefined,
  "the caller's": ownDevice,
  "the caller's, with the kernels of GPUs": likeGpu,
};

const tokens = (rows: number, count: number) =>
  Array.from({ length: count }, (_, i) => Math.floor((i * (rows - 1)) / (count - 1)));

async function answer(files: Files, ids: number[], options: PretrainedOptions): Promise<Tensor> {
  const model = await AutoModel.from_pretrained(files, options);
  const { last_hidden_state } = await model({ input_ids: [ids] });
  await model.dispose();
  return last_hidden_state;
}

const withAnswer = async (rows: number, columns: number) => {
  const files = large(rows, columns);
  const ids = tokens(rows, 40);
  const device = await ownDevice();
  const wanted = await answer(files, ids, { device });
  device.destroy();
  return { files, ids, wanted };
};
const huge = once(() => withAnswer(100_000, 384));
const middling = once(() => withAnswer(4001, 196));

// 154 MB in float32, more than the 128 MiB that a device binds by default; as halves or bytes less.
const ON_DEVICES = [
  ['fp16', "the caller's"],
  ['q8', 'ours'],
  ['fp16', "the caller's, with the kernels of GPUs"],
  ['q8', "the caller's, with the kernels of GPUs"],
] as const;
for (const [dtype, name] of fewOf(ON_DEVICES, 2)) {
  check(`a word table of 100,000 x 384 in ${dtype}: ${name} device`, async log => {
    const { files, ids, wanted } = await huge();
    const device = await DEVICES[name]!();
    const least = leastCosine(await answer(files, ids, { dtype, device }), wanted);
    device?.destroy();
    expect(least >= LEAST[dtype], `the least cosine with float32 is ${least}`);
    log(`least cosine with float32 ${least.toFixed(7)}`);
  });
}

// 3 MB: slices in every format, and bands of the rows of each.
for (const dtype of ['fp32', 'fp16', 'q8'] as const) {
  check(`a word table of 4,001 x 196 in ${dtype}, of which a device binds little`, async log => {
    const { files, ids, wanted } = await middling();
    for (const open of fewOf([ownDevice, likeGpu])) {
      const device = restrict(await open(), { maxBufferSize: 520_000, maxStorageBufferBindingSize: 500_000 });
      const least = leastCosine(await answer(files, ids, { dtype, device }), wanted);
      expectEqual(liveBuffers(device).labels, [], 'buffers after dispose');
      expect(least >= LEAST[dtype], `the least cosine with float32 is ${least}`);
      log(`least cosine with float32 ${least.toFixed(7)}`);
      device.destroy();
    }
  });
}

/** A device with exactly the default limits, whatever its adapter has: nothing is asked for. */
async function defaultDevice(): Promise<GPUDevice> {
  const adapter = await navigator.gpu.requestAdapter();
  expect(adapter, 'no adapter');
  const device = await adapter.requestDevice();
  expectEqual(device.limits.maxStorageBufferBindingSize, 128 << 20, 'bytes of a binding');
  return device;
}

/** 128,000,000 numbers: 512 MB as floats, 256 MB as halves, 136 MB as bytes with their scales. A binding has 134 MB. */
const ENORMOUS = { rows: 500_000, columns: 256 } as const;

/** Two checkpoints in halves: with an enormous word table, of which each thousand rows has rows of its own; and with `count` rows of it alone. */
const enormous = once(async () => {
  const { rows, columns } = ENORMOUS;
  const { files } = randomBert({ ...shape, hidden_size: columns }, { seed: 6, as: 'F16' });
  const tensors: Record<string, TensorBytes> = readTensors(files['model.safetensors']!);
  const name = 'embeddings.word_embeddings.weight';
  const { bytes } = tensors[name]!;
  const small = new Uint16Array(bytes.slice().buffer);
  const table = new Uint16Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const from = small.subarray((row % 1000) * columns, ((row % 1000) + 1) * columns);
    const turn = Math.floor(row / 1000) % columns;
    table.set(from.subarray(turn), row * columns);
    table.set(from.subarray(0, turn), (row + 1) * columns - turn);
  }
  const ids = tokens(rows, 40);
  const some = new Uint16Array(ids.length * columns);
  for (const [i, id] of ids.entries()) some.set(table.subarray(id * columns, (id + 1) * columns), i * columns);
  const config = JSON.parse(new TextDecoder().decode(files['config.json']));
  const withTable = (values: Uint16Array<ArrayBuffer>): Files => {
    const count = values.length / columns;
    const word = { dtype: 'F16', shape: [count, columns], bytes: new Uint8Array(values.buffer) };
    return {
      'config.json': new TextEncoder().encode(JSON.stringify({ ...config, vocab_size: count })),
      'model.safetensors': safetensors({ ...tensors, [name]: word }),
    };
  };
  return { whole: withTable(table), some: withTable(some), ids };
});

for (const dtype of fewOf(['fp16', 'fp32', 'q8'] as const)) {
  check(
    `a word table of 500,000 x 256 in ${dtype}, larger than the default limits bind`,
    async log => {
      const { whole, some, ids } = await enormous();
      // The adapter's kernels keep the table in textures, which are large enough for fewer numbers in any format.
      for (const kernels of dtype === 'fp16' ? fewOf(['of its adapter', 'of GPUs']) : ['of GPUs']) {
        const device = await defaultDevice();
        if (kernels === 'of GPUs') {
          Object.defineProperty(device, 'adapterInfo', { value: { vendor: 'nobody', architecture: 'none' } });
        }
        const wanted = await answer(some, [...ids.keys()], { dtype, device });
        const actual = await answer(whole, ids, { dtype, device });
        const least = leastCosine(actual, wanted);
        device.destroy();
        // The same rows with the same kernels: the slices may change no bit of them.
        expectSameBits([...(actual.data as Float32Array)], [...(wanted.data as Float32Array)], `kernels ${kernels}`);
        log(`kernels ${kernels}: least cosine with the 40 rows alone ${least}`);
      }
    },
    { limitMs: 300_000 },
  );
}

check('a linear that no slice makes small enough is refused before anything is loaded', async log => {
  const { files } = randomBert({ ...shape, intermediate_size: 400 }, { seed: 4, as: 'F32' });
  const device = restrict(await likeGpu(), { maxStorageBufferBindingSize: 60_000 });
  const error = await expectThrows(() => AutoModel.from_pretrained(files, { device }), 'load');
  expect(error instanceof DeviceError && /intermediate.*76800 bytes.*60000/.test(error.message), String(error));
  expectEqual(liveBuffers(device).labels, [], 'buffers');
  log((error as Error).message);
  device.destroy();
});

/** What stays within the limits that a device claims, and yet is refused: an error of a driver, or of ours. */
for (const dtype of ['fp32', 'fp16', 'q8'] as const) {
  for (const [what, limits] of Object.entries({
    'a buffer': { maxBufferSize: 2000 },
    'a binding': { maxStorageBufferBindingSize: 2000 },
    'a texture': { maxTextureDimension2D: 100 },
  })) {
    check(
      `load in ${dtype}: a device that refuses ${what} rejects the load, and nobody else hears of it`,
      async log => {
        const device = await ownDevice();
        const heard: string[] = [];
        device.addEventListener('uncapturederror', ({ error }) => heard.push(error.message));
        enforce(device, limits);
        const { files } = randomBert(shape, { seed: 5, as: 'F16' });
        takeScopes();
        const error = await expectThrows(() => AutoModel.from_pretrained(files as Files, { device, dtype }), 'load');
        expect(error instanceof DeviceError, String(error));
        await new Promise(resolve => setTimeout(resolve, 100));
        expectEqual(heard, [], 'uncaptured errors');
        expectEqual(liveBuffers(device).labels, [], 'buffers');
        expect(takeExcesses().length > 0, 'nothing was refused');
        const { push, pop, acrossAwait } = takeScopes();
        expectEqual([pop, acrossAwait], [push, 0], 'scopes');
        log((error as Error).message);
        device.destroy();
      },
    );
  }
}

for (const [name, open] of fewOf(Object.entries(DEVICES), 2)) {
  check(`every GPU call of a load, of calls and of the end stands in an error scope: ${name} device`, async () => {
    const device = await open();
    for (const dtype of ['fp32', 'fp16', 'q8'] as const) {
      takeScopes();
      const pipe: FeatureExtractionPipeline = await library.pipeline('feature-extraction', BERT, { device, dtype });
      await pipe('Paris is the capital of France.', { pooling: 'mean' });
      // More than there is room for.
      await pipe(Array(40).fill('Paris is the capital of France, and a town by the river.'), { pooling: 'mean' });
      await pipe.dispose();
      const { push, pop, acrossAwait, unscoped } = takeScopes();
      expect(push > 0 && push === pop, `${push} scopes opened, ${pop} closed`);
      expectEqual(acrossAwait, 0, 'scopes open across an await');
      expectEqual([...new Set(unscoped)], [], `calls outside of any scope, ${dtype}`);
    }
    device?.destroy();
  });
}

check('a shader with a workgroup beyond the limits is refused by the tests', async () => {
  const device = restrict(await ownDevice(), { maxComputeInvocationsPerWorkgroup: 128 });
  device.pushErrorScope('validation');
  device.createShaderModule({ code: '@compute @workgroup_size(16, 16) fn main() {}' });
  const error = await device.popErrorScope();
  expect(error, 'it compiled');
  expectEqual(takeExcesses().length, 1, 'excesses');
  device.destroy();
});
