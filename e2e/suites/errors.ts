import type { ModelInputs, PretrainedOptions } from '../../src/index.ts';
import { safetensors, withHeader } from '../../tests/checkpoint-bytes.ts';
import { liveBuffers } from '../gpu-watch.ts';
import { check, expect, expectEqual, expectThrows } from '../harness.ts';
import { BERT, fetchFiles, library, once, ownDevice } from '../library.ts';
import { type BertShape, randomBert } from '../random-bert.ts';

/** Everything that can be wrong, each an error of its class that says what, and what to do; and nothing stays behind. */

const { AutoModel, AutoTokenizer, env, pipeline } = library;
const { CheckpointError, DeviceError, InputError, SourceError, UnsupportedError, WebGPUBertError } = library;

type Kind =
  | typeof CheckpointError
  | typeof DeviceError
  | typeof InputError
  | typeof SourceError
  | typeof UnsupportedError;
type Files = Record<string, Uint8Array<ArrayBuffer>>;

const shape: BertShape = {
  vocab_size: 11,
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 12,
  hidden_act: 'gelu',
  max_position_embeddings: 9,
  type_vocab_size: 2,
};
const good = randomBert(shape, { seed: 1, as: 'F32' }).files as Files;
const weights = good['model.safetensors']!;
const text = (value: string) => new TextEncoder().encode(value);
const config = (change: Record<string, unknown>): Files => ({
  ...good,
  'config.json': text(JSON.stringify({ ...JSON.parse(new TextDecoder().decode(good['config.json'])), ...change })),
});
const weightsAre = (bytes: Uint8Array<ArrayBuffer>): Files => ({ ...good, 'model.safetensors': bytes });

const shared = once(ownDevice);
const model = once(async () => AutoModel.from_pretrained(good, { device: await shared() }));
const extractor = once(async () => pipeline('feature-extraction', BERT, { device: await shared() }));

/** The error is of this class and its message has all of these words; classes and fields are as promised. */
function expectKind(error: unknown, kind: Kind, words: readonly (string | RegExp)[]): void {
  const told = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  expect(
    error instanceof kind && error instanceof WebGPUBertError && error instanceof Error,
    `it is no ${kind.name}: ${told}`,
  );
  expectEqual(error.name, new kind({ what: '', file: '', supported: [] }).name, 'the name of the error');
  for (const word of words) {
    expect(
      typeof word === 'string' ? error.message.includes(word) : word.test(error.message),
      `no ${word} in: ${told}`,
    );
  }
  expect(error.what.length > 0 && error.message.startsWith(error.what), `it does not say what: ${told}`);
  expect(error.actual === undefined || error.message.includes(error.actual), `it does not say what was found: ${told}`);
  expect(error.expected === undefined || error.message.includes(error.expected), `nor what was expected: ${told}`);
  const helps = error.next !== undefined || error.expected !== undefined;
  expect(helps, `it says neither what was expected nor what to do: ${told}`);
}

/** A load that must fail with this error and leave the device as it was. */
function refuses(
  name: string,
  kind: Kind,
  words: readonly (string | RegExp)[],
  files: Files | string,
  options: PretrainedOptions = {},
): void {
  check(`load: ${name}`, async log => {
    const device = await shared();
    const before = liveBuffers(device).count;
    const error = await expectThrows(() => AutoModel.from_pretrained(files, { device, ...options }), name);
    expectKind(error, kind, words);
    expectEqual(liveBuffers(device).count, before, 'buffers on the device');
    log((error as Error).message);
  });
}

check('no WebGPU', async log => {
  Object.defineProperty(navigator, 'gpu', { value: undefined, configurable: true });
  try {
    for (const load of [() => AutoModel.from_pretrained(good), () => pipeline('feature-extraction', BERT)]) {
      const error = await expectThrows(load, 'no WebGPU');
      expectKind(error, DeviceError, ['WebGPU', 'navigator.gpu', 'Chrome', 'Firefox']);
      log((error as Error).message);
    }
  } finally {
    Reflect.deleteProperty(navigator, 'gpu');
  }
  expect(navigator.gpu, 'navigator.gpu did not come back');
});

check('no adapter', async log => {
  navigator.gpu.requestAdapter = () => Promise.resolve(null);
  try {
    const error = await expectThrows(() => AutoModel.from_pretrained(good), 'no adapter');
    expectKind(error, DeviceError, ['adapter']);
    log((error as Error).message);
  } finally {
    Reflect.deleteProperty(navigator.gpu, 'requestAdapter');
  }
});

check('an adapter that gives no device', async log => {
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = () => Promise.reject(new DOMException('out of devices', 'OperationError'));
  try {
    const error = await expectThrows(() => AutoModel.from_pretrained(good), 'no device');
    expectKind(error, DeviceError, ['device', 'out of devices']);
    log((error as Error).message);
  } finally {
    GPUAdapter.prototype.requestDevice = requestDevice;
  }
});

refuses('no config.json', SourceError, ['config.json'], { 'model.safetensors': weights });
refuses('no weights', SourceError, ['model.safetensors', 'save_pretrained'], { 'config.json': good['config.json']! });
refuses('nothing there', SourceError, ['config.json', '/fixtures/nothing/'], '/fixtures/nothing/');
refuses('not a place', InputError, ['hub id'], 'no such place!');
refuses('a web page for config.json', SourceError, ['web page', 'JSON'], {
  ...good,
  'config.json': text('<!doctype html><p>Hi</p>'),
});
refuses(
  'a web page for the weights',
  SourceError,
  ['model.safetensors'],
  weightsAre(text('<!DOCTYPE html><html><body>404</body></html>')),
);
refuses('broken JSON', SourceError, ['config.json', 'JSON'], { ...good, 'config.json': text('{"model_type": "bert"') });
refuses(
  'a pointer of Git LFS',
  SourceError,
  ['model.safetensors'],
  weightsAre(text('version https://git-lfs.github.com/spec/v1\n')),
);

for (const [name, length] of Object.entries({
  'in the data': weights.length - 5,
  'in the header': 40,
  'at byte 3': 3,
  empty: 0,
})) {
  refuses(`safetensors cut ${name}`, CheckpointError, ['model.safetensors'], weightsAre(weights.slice(0, length)));
}
refuses(
  'safetensors with more bytes than it says',
  CheckpointError,
  ['model.safetensors'],
  weightsAre(new Uint8Array([...weights, 0])),
);
refuses('a header that is no JSON', CheckpointError, ['model.safetensors'], weightsAre(withHeader('{"a": [1, }')));
refuses('a header that is a list', CheckpointError, ['model.safetensors'], weightsAre(withHeader('[]')));
refuses('a header of no length', CheckpointError, ['model.safetensors'], weightsAre(new Uint8Array(64)));

const entry = (change: object) =>
  weightsAre(
    withHeader(JSON.stringify({ x: { dtype: 'F32', shape: [2], data_offsets: [0, 8], ...change } }), new Uint8Array(8)),
  );
refuses('a span that is not its shape', CheckpointError, ['"x"'], entry({ shape: [3] }));
refuses('a span past the end', CheckpointError, ['truncated'], entry({ data_offsets: [0, 800], shape: [200] }));
refuses('a negative shape', CheckpointError, ['"x"'], entry({ shape: [-2] }));
refuses('an unknown dtype', CheckpointError, ['"x"'], entry({ dtype: 'X32' }));

refuses('another SHA-256', SourceError, ['SHA-256', 'model.safetensors'], good, {
  integrity: { 'model.safetensors': '0'.repeat(64) },
});
refuses('no SHA-256', InputError, ['64 hex digits'], good, { integrity: { 'model.safetensors': 'abc' } });

refuses('another model_type', UnsupportedError, ['"gpt2"', 'bert'], config({ model_type: 'gpt2' }));
refuses('no model_type', UnsupportedError, ['model_type', 'bert'], config({ model_type: undefined }));
refuses('another activation', UnsupportedError, ['"mish"', 'gelu', 'relu', 'silu'], config({ hidden_act: 'mish' }));
refuses('a decoder', UnsupportedError, ['is_decoder'], config({ is_decoder: true }));
refuses(
  'relative positions',
  UnsupportedError,
  ['position_embedding_type'],
  config({ position_embedding_type: 'relative_key' }),
);
refuses('no hidden_size', CheckpointError, ['hidden_size', 'config.json'], config({ hidden_size: undefined }));
refuses(
  'heads that do not divide',
  CheckpointError,
  ['hidden_size 8', 'num_attention_heads 3'],
  config({ num_attention_heads: 3 }),
);
refuses(
  'config.json of another size',
  CheckpointError,
  ['intermediate', '[12, 8]', '[16, 8]'],
  config({ intermediate_size: 16 }),
);
refuses('more layers than there are', CheckpointError, ['encoder.layer.1'], config({ num_hidden_layers: 2 }));

const tensor = (dtype: string, dims: number[], size: number) => ({ dtype, shape: dims, bytes: new Uint8Array(size) });
refuses(
  'a tensor missing',
  CheckpointError,
  ['lacks', 'embeddings.word_embeddings.weight', '[11, 8]'],
  weightsAre(safetensors({ x: tensor('F32', [2], 8) })),
);
for (const [name, dtype, size] of [
  ['I64', 'I64', 8],
  ['F64', 'F64', 8],
] as const) {
  refuses(
    `a weight of ${name}`,
    CheckpointError,
    ['embeddings.word_embeddings.weight', dtype, 'F32, F16, BF16'],
    weightsAre(safetensors({ 'embeddings.word_embeddings.weight': tensor(dtype, [11, 8], 88 * size) })),
  );
}

refuses('dtype q4', UnsupportedError, ['"q4"', 'fp32'], good, { dtype: 'q4' });
check('load: device wasm, an object as device', async () => {
  for (const device of ['wasm', 'cpu', {} as GPUDevice]) {
    const error = await expectThrows(() => AutoModel.from_pretrained(good, { device }), 'a device');
    expectKind(error, UnsupportedError, ['device', 'webgpu']);
  }
});
check('load: an unknown task', async () => {
  const error = await expectThrows(() => pipeline('translation' as 'feature-extraction', BERT), 'a task');
  expectKind(error, UnsupportedError, ['"translation"', 'feature-extraction']);
});
check('load: no tokenizer.json', async () => {
  const device = await shared();
  const before = liveBuffers(device).count;
  expectKind(await expectThrows(() => AutoTokenizer.from_pretrained(good), 'AutoTokenizer'), SourceError, [
    'tokenizer.json',
  ]);
  const error = await expectThrows(() => pipeline('feature-extraction', good, { device }), 'pipeline');
  expectKind(error, SourceError, ['tokenizer.json']);
  await new Promise(resolve => setTimeout(resolve, 50));
  expectEqual(liveBuffers(device).count, before, 'buffers on the device');
});
check('a tokenizer with more tokens than the model: refused where such a token occurs', async () => {
  const device = await shared();
  const { 'tokenizer.json': tokenizer } = await fetchFiles(BERT);
  const extractor = await pipeline('feature-extraction', { ...good, 'tokenizer.json': tokenizer! }, { device });
  const error = await expectThrows(() => extractor('The fox'), 'a token without an embedding');
  expectKind(error, InputError, ['no embedding for the token "', '640 tokens', 'below 11']);
  // Nothing but [CLS] and [SEP], which the model has.
  expectEqual((await extractor('')).dims, [1, 2, shape.hidden_size], 'the next call');
  await extractor.dispose();
});
check('load: a tokenizer.json that is none', async () => {
  const device = await shared();
  const before = liveBuffers(device).count;
  const files = { ...good, 'tokenizer.json': text('{"model": {"type": "Nothing"}}') };
  const error = await expectThrows(() => pipeline('feature-extraction', files, { device }), 'pipeline');
  expect(error instanceof WebGPUBertError, `a tokenizer.json that is none: ${error}`);
  await new Promise(resolve => setTimeout(resolve, 50));
  expectEqual(liveBuffers(device).count, before, 'buffers on the device');
});
check('load: a callback that throws', async () => {
  const device = await shared();
  const before = liveBuffers(device).count;
  for (const status of ['compile', 'upload', 'progress', 'ready']) {
    const thrown = new Error(`at ${status}`);
    const progress_callback = (info: { status: string }) => {
      if (info.status === status) throw thrown;
    };
    const error = await expectThrows(() => pipeline('feature-extraction', BERT, { device, progress_callback }), status);
    expect(error === thrown, `a callback that throws at ${status}: ${error}`);
    await new Promise(resolve => setTimeout(resolve, 50));
    expectEqual(liveBuffers(device).count, before, `buffers on the device, ${status}`);
  }
});

check('load: a good model after all of these', async () => {
  const loaded = await AutoModel.from_pretrained(good, { device: await shared() });
  expectEqual((await loaded({ input_ids: [[1, 2, 3]] })).last_hidden_state.dims, [1, 3, 8], 'dims');
  await loaded.dispose();
});

/** Calls that must fail, after which the model still works. */
const calls: [string, Kind, (string | RegExp)[], unknown, object?][] = [
  ['no inputs', InputError, ['input_ids'], undefined],
  ['null', InputError, ['input_ids', 'null'], null],
  ['no input_ids', InputError, ['input_ids'], { attention_mask: [[1]] }],
  ['no rows', InputError, ['no rows'], { input_ids: [] }],
  ['a row without ids', InputError, ['no tokens'], { input_ids: [[]] }],
  ['a row without ids after another', InputError, ['no tokens'], { input_ids: [[1, 2], []] }],
  ['one flat list', InputError, ['flat', '[ids]'], { input_ids: [1, 2, 3] }],
  ['a text', InputError, ['input_ids', 'string'], { input_ids: 'Paris' }],
  ['an id past the end', InputError, ['11', 'from 0 to 10'], { input_ids: [[1, 11]] }],
  ['a negative id', InputError, ['-1'], { input_ids: [[-1]] }],
  ['half an id', InputError, ['1.5'], { input_ids: [[1.5]] }],
  ['not a number', InputError, ['NaN'], { input_ids: [[Number.NaN]] }],
  ['a string for an id', InputError, ['"x" in a row'], { input_ids: [['x']] }],
  ['a type past the end', InputError, ['token type', 'from 0 to 1'], { input_ids: [[1]], token_type_ids: [[2]] }],
  ['a position past the end', InputError, ['position'], { input_ids: [[1]], position_ids: [[9]] }],
  ['more tokens than positions', InputError, ['9', 'truncate'], { input_ids: [Array(10).fill(1)] }],
  [
    'a mask of fewer rows',
    InputError,
    ['attention_mask', '[2]', '[2,1]'],
    { input_ids: [[1, 2], [3]], attention_mask: [[1, 1]] },
  ],
  [
    'a mask of another length',
    InputError,
    ['attention_mask', '[3]', '[2]'],
    { input_ids: [[1, 2]], attention_mask: [[1, 1, 1]] },
  ],
  ['types of another length', InputError, ['token_type_ids'], { input_ids: [[1, 2]], token_type_ids: [[1]] }],
  ['a row that is all padding', InputError, ['no tokens'], { input_ids: [[1], [2]], attention_mask: [[1], [0]] }],
  [
    'an unknown option',
    UnsupportedError,
    ['output_attention', 'output_attentions'],
    { input_ids: [[1]] },
    { output_attention: true },
  ],
];
for (const [name, kind, words, inputs, options] of calls) {
  check(`model: ${name}`, async log => {
    const call = await model();
    const error = await expectThrows(() => call(inputs as ModelInputs, options), name);
    expectKind(error, kind, words);
    log((error as Error).message);
  });
}
check('model: a good call after all of these', async () => {
  expectEqual((await (await model())({ input_ids: [[1, 2, 3]] })).last_hidden_state.dims, [1, 3, 8], 'dims');
});

const extractions: [string, Kind, (string | RegExp)[], unknown, object?][] = [
  ['an empty list', InputError, ['empty list'], []],
  ['a number', InputError, ['number', 'string'], 5],
  ['null', InputError, ['null', 'string'], null],
  ['nothing', InputError, ['undefined', 'string'], undefined],
  ['a number in a list', InputError, ['text 1 of 2', 'number'], ['a', 5]],
  ['a list in a list', InputError, ['text 0 of 1', 'a list'], [['a']]],
  ['null in a list', InputError, ['text 2 of 3', 'null'], ['a', 'b', null]],
  ['an unknown pooling', UnsupportedError, ['"sum"', 'mean', 'cls', 'none'], 'a', { pooling: 'sum' }],
  ['a pooling of Object.prototype', UnsupportedError, ['"toString"'], 'a', { pooling: 'toString' }],
  ['an unknown option', UnsupportedError, ['"normalise"', 'normalize'], 'a', { normalise: true }],
];
for (const [name, kind, words, texts, options] of extractions) {
  check(`extractor: ${name}`, async log => {
    const call = await extractor();
    const error = await expectThrows(() => call(texts as string, options), name);
    expectKind(error, kind, words);
    log((error as Error).message);
  });
}
check('extractor: a good call after all of these', async () => {
  expectEqual((await (await extractor())('', { pooling: 'mean' })).dims, [1, 48], 'dims of the empty text');
});

check('settings of env that make no sense', async () => {
  const { allowRemoteModels } = env;
  env.allowRemoteModels = false;
  try {
    expectKind(await expectThrows(() => AutoModel.from_pretrained('org/name'), 'nowhere'), InputError, [
      'allowRemoteModels',
    ]);
  } finally {
    env.allowRemoteModels = allowRemoteModels;
  }
});
