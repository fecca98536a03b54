import type { PretrainedOptions } from '../../src/index.ts';
import { readTensors, safetensors, type TensorBytes } from '../../tests/checkpoint-bytes.ts';
import { edited, valuesOf } from '../checkpoint-edit.ts';
import { liveBuffers } from '../gpu-watch.ts';
import { check, expect, expectEqual, expectThrows } from '../harness.ts';
import { BERT, fetchFiles, library, once, ownDevice } from '../library.ts';
import { half } from '../packed.ts';
import { type BertShape, randomBert, type StoredAs } from '../random-bert.ts';

/** Numbers that nothing can be computed with: in a file they are named before the model is there, in an answer they reject the call. */

const { AutoModel, CheckpointError, NotFiniteError, pipeline } = library;
type Files = Record<string, Uint8Array<ArrayBuffer>>;
type Dtype = 'fp32' | 'fp16' | 'q8';

// Heads of five, odd rows and columns: what is padded, joined and placed.
const shape: BertShape = {
  vocab_size: 31,
  hidden_size: 15,
  num_hidden_layers: 1,
  num_attention_heads: 3,
  intermediate_size: 18,
  hidden_act: 'gelu',
  max_position_embeddings: 9,
  type_vocab_size: 2,
};
// What lies in the file as it will lie in memory.
const even: BertShape = { ...shape, hidden_size: 16, num_attention_heads: 2, intermediate_size: 32 };

const shared = once(ownDevice);

/** The bits of a number in a type of safetensors; what a type cannot hold becomes infinite. */
function bitsOf(value: number, stored: StoredAs): Uint8Array {
  if (stored === 'F32') return new Uint8Array(Float32Array.of(value).buffer);
  if (stored === 'BF16') return new Uint8Array(Float32Array.of(value).buffer).slice(2);
  const bits = Number.isNaN(value) ? 0x7e01 : Number.isFinite(value) ? half(value).bits : value < 0 ? 0xfc00 : 0x7c00;
  return new Uint8Array(Uint16Array.of(bits).buffer);
}

/** The model with a number of one tensor, by its place in the file, replaced. */
function spoilt(base: BertShape, stored: StoredAs, name: string, at: 'first' | 'last' | number, value: number) {
  const { files } = randomBert(base, { seed: 2, as: stored });
  const tensors: Record<string, TensorBytes> = readTensors(files['model.safetensors']!);
  const { shape: dims, bytes } = tensors[name]!;
  const count = dims.reduce((a, b) => a * b);
  const index = at === 'first' ? 0 : at === 'last' ? count - 1 : at;
  const bits = bitsOf(value, stored);
  bytes.set(bits, index * bits.length);
  const [, columns] = dims;
  const place = columns ? [Math.floor(index / columns), index % columns] : [index];
  return { files: { ...files, 'model.safetensors': safetensors(tensors) } as Files, place: `[${place.join(', ')}]` };
}

async function refused(files: Files | string, dtype: Dtype, tensor: string, words: readonly string[]): Promise<string> {
  const device = await shared();
  const before = liveBuffers(device).count;
  const error = await expectThrows(() => AutoModel.from_pretrained(files, { device, dtype }), `${tensor} in ${dtype}`);
  const told = String(error);
  expect(error instanceof CheckpointError, told);
  expectEqual(error.tensor, tensor, 'tensor');
  expectEqual(error.file, 'model.safetensors', 'file');
  for (const word of [tensor, ...words]) expect(told.includes(word), `no ${word} in: ${told}`);
  expectEqual(liveBuffers(device).count, before, 'buffers on the device');
  return told;
}

const TENSORS = [
  'embeddings.word_embeddings.weight',
  'embeddings.position_embeddings.weight',
  'embeddings.LayerNorm.weight',
  'encoder.layer.0.attention.self.key.weight',
  'encoder.layer.0.attention.self.value.bias',
  'encoder.layer.0.attention.output.dense.weight',
  'encoder.layer.0.output.dense.weight',
  'encoder.layer.0.output.LayerNorm.bias',
  'pooler.dense.weight',
];

for (const dtype of ['fp32', 'fp16', 'q8'] as const) {
  for (const stored of ['F32', 'F16', 'BF16'] as const) {
    check(
      `NaN and infinities in a file of ${stored}, dtype ${dtype}: the tensor, its first such number and what it is`,
      async log => {
        let told = '';
        for (const [i, tensor] of TENSORS.entries()) {
          const value = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY][i % 3]!;
          const at = (['first', 'last'] as const)[i % 2]!;
          const { files, place } = spoilt(i % 4 < 2 ? shape : even, stored, tensor, at, value);
          told = await refused(files, dtype, tensor, [String(value), `at ${place}`]);
        }
        log(told);
      },
    );
  }
}

check('every kind of number at the ends and in the middle of a word table', async () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    for (const at of ['first', 'last', 100] as const) {
      const { files, place } = spoilt(even, 'F32', TENSORS[0]!, at, value);
      await refused(files, 'fp32', TENSORS[0]!, [String(value), place]);
    }
  }
});

check('numbers beyond a half: refused in fp16 alone, and only where halves are kept', async log => {
  const device = await shared();
  const words = TENSORS[0]!;
  for (const [stored, value] of [
    ['F32', 7e4],
    ['F32', -7e4],
    ['BF16', 70144],
    ['F32', 65520],
  ] as const) {
    const { files, place } = spoilt(shape, stored, words, 'last', value);
    log(await refused(files, 'fp16', words, ['65504', place, 'fp32']));
    for (const dtype of ['fp32', 'q8'] as const) {
      const model = await AutoModel.from_pretrained(files, { device, dtype });
      await model.dispose();
    }
  }
  // What rounds to the largest half; and what stays float32 in any dtype.
  for (const [tensor, value] of [
    [words, 65519],
    ['embeddings.LayerNorm.bias', 7e4],
  ] as const) {
    const { files } = spoilt(shape, 'F32', tensor, 'first', value);
    const model = await AutoModel.from_pretrained(files, { device, dtype: 'fp16' });
    await model.dispose();
  }
});

check('a tensor that the model does not use may hold anything', async () => {
  const { files } = randomBert(shape, { seed: 2, as: 'F32' });
  const tensors = readTensors(files['model.safetensors']!);
  tensors['cls.predictions.bias'] = { dtype: 'F32', shape: [1], bytes: bitsOf(Number.NaN, 'F32') };
  const model = await AutoModel.from_pretrained({ ...files, 'model.safetensors': safetensors(tensors) } as Files, {
    device: await shared(),
  });
  await model.dispose();
});

check('the names are those of the file, under a prefix and in shards', async () => {
  const { files } = randomBert(even, { seed: 2, as: 'F32', prefix: 'bert.', shards: 2 });
  const [file] = Object.keys(files).filter(name => name.endsWith('1-of-00002.safetensors'));
  const tensors = readTensors(files[file!]!);
  const [name] = Object.keys(tensors);
  tensors[name!]!.bytes.set(bitsOf(Number.NaN, 'F32'), 8);
  const error = await expectThrows(
    async () =>
      AutoModel.from_pretrained({ ...files, [file!]: safetensors(tensors) } as Files, { device: await shared() }),
    'load',
  );
  expect(error instanceof CheckpointError && error.tensor === name && error.file === file, String(error));
  expect(name!.startsWith('bert.') && String(error).includes(name!), String(error));
});

/** Weights that are finite, and so large that what is computed with them is not. */
const overflowing = (scale: number, which: RegExp): Promise<Files> =>
  edited(BERT, {
    tensors: all => {
      for (const [name, tensor] of Object.entries(all)) {
        if (!which.test(name)) continue;
        all[name] = { ...tensor, bytes: new Uint8Array(valuesOf(tensor).map(v => Math.sign(v) * scale).buffer) };
      }
    },
  });

const CALLS: Record<string, [number, RegExp]> = {
  'sums that overflow': [3e38, /layer\.\d\.output\.dense\.weight/],
  'squares that overflow': [1e25, /layer\.\d\.output\.dense\.weight/],
  'scores of attention that overflow': [1e30, /attention\.self\.(query|key)\.weight/],
  'a norm that overflows': [3e38, /layer\.1\.output\.LayerNorm\.weight/],
  'embeddings whose norm overflows': [1e30, /layer\.\d\.output\.LayerNorm\.weight/],
};

for (const [what, [scale, which]] of Object.entries(CALLS)) {
  check(`a call rejects: ${what}`, async log => {
    const device = await shared();
    const files = await overflowing(scale, which);
    for (const options of [{}, { dtype: 'q8' }] satisfies PretrainedOptions[]) {
      const pipe = await pipeline('feature-extraction', files, { device, ...options });
      for (const pooling of ['mean', 'max', 'cls'] as const) {
        const error = await expectThrows(() => pipe(['a', 'b'], { pooling, normalize: true }), `${pooling}`);
        expect(error instanceof NotFiniteError && error.sequence === 0, String(error));
        expect(/NaN|Infinity/.test(String(error)) && /fp32/.test(String(error)), String(error));
        log(String(error));
      }
      await pipe.dispose();
    }
  });
}

check('a call rejects: tanh and relu do not hide NaN', async () => {
  const device = await shared();
  for (const [hidden_act, which] of [
    ['relu', /attention\.output\.dense\.weight/],
    ['gelu', /layer\.1\.output\.dense\.weight/],
  ] as const) {
    const files = await edited(BERT, {
      config: { hidden_act },
      tensors: all => {
        for (const [name, tensor] of Object.entries(all)) {
          if (which.test(name)) {
            all[name] = { ...tensor, bytes: new Uint8Array(valuesOf(tensor).map(v => Math.sign(v) * 3e38).buffer) };
          }
        }
      },
    });
    const model = await AutoModel.from_pretrained(files, { device });
    const error = await expectThrows(() => model({ input_ids: [[2, 5, 9, 3]] }), hidden_act);
    expect(error instanceof NotFiniteError, String(error));
    await model.dispose();
  }
});

check('of the calls of one pass only those whose texts overflow reject', async () => {
  const files = await fetchFiles(BERT);
  const tensors = readTensors(files['model.safetensors']!);
  const words = Object.keys(tensors).find(name => name.endsWith('word_embeddings.weight'))!;
  const table = valuesOf(tensors[words]!);
  const [, C = 0] = tensors[words]!.shape;
  const device = await shared();
  const plain = await AutoModel.from_pretrained(files, { device });
  const good = { input_ids: [[2, 5, 9, 3]] };
  const wanted = (await plain(good)).last_hidden_state.tolist();
  await plain.dispose();
  // Token 7: LayerNorm of the embeddings overflows.
  table.fill(3e38, 7 * C, 8 * C);
  table.fill(-3e38, 7 * C, 7 * C + C / 2);
  tensors[words]!.bytes = new Uint8Array(table.buffer);
  const model = await AutoModel.from_pretrained({ ...files, 'model.safetensors': safetensors(tensors) } as Files, {
    device,
  });
  const bad = {
    input_ids: [
      [2, 5, 3],
      [2, 7, 3],
    ],
  };
  const settled = await Promise.allSettled([model(good), model(bad), model(good)]);
  expectEqual(
    settled.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
    'calls',
  );
  const { reason } = settled[1] as PromiseRejectedResult;
  expect(reason instanceof NotFiniteError && reason.sequence === 1, String(reason));
  for (const each of [settled[0]!, settled[2]!]) {
    const { last_hidden_state } = (each as PromiseFulfilledResult<Awaited<ReturnType<typeof model>>>).value;
    expectEqual(last_hidden_state.tolist(), wanted, 'the others');
  }
  await model.dispose();
});
