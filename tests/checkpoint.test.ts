import { describe, expect, test } from 'vitest';
import { openCheckpoint } from '../src/checkpoint/file/checkpoint.ts';
import type { Checkpoint } from '../src/checkpoint/file/types.ts';
import { CheckpointError, SourceError } from '../src/errors.ts';
import { fakeSource, inPieces, noise, random, safetensors, type TensorBytes } from './checkpoint-bytes.ts';

const f32 = (shape: number[], seed: number): TensorBytes => ({
  dtype: 'F32',
  shape,
  bytes: noise(
    shape.reduce((a, b) => a * b, 4),
    seed,
  ),
});
const half = (dtype: string, shape: number[], seed: number): TensorBytes => ({
  dtype,
  shape,
  bytes: noise(
    shape.reduce((a, b) => a * b, 2),
    seed,
  ),
});
const TENSORS: Record<string, TensorBytes> = {
  a: f32([7, 13], 1),
  odd: half('F16', [3], 2),
  b: half('BF16', [65, 5], 3),
  empty: f32([0, 4], 4),
  ids: { dtype: 'I64', shape: [1, 9], bytes: noise(72, 5) },
  one: f32([], 6),
};

/** All tensors joined from the chunks, with every promise of a chunk checked. */
async function whole(checkpoint: Checkpoint): Promise<Record<string, Uint8Array>> {
  const tensors: Record<string, Uint8Array> = {};
  for await (const { tensor, begin, bytes } of checkpoint.chunks()) {
    tensors[tensor.name] ??= new Uint8Array(tensor.byteLength);
    expect(bytes.length).toBeGreaterThan(0);
    expect(bytes.length).toBeLessThanOrEqual(4 << 20);
    expect(begin % 4).toBe(0);
    if (begin + bytes.length < tensor.byteLength) expect(bytes.length % 4).toBe(0);
    tensors[tensor.name]!.set(bytes, begin);
  }
  return tensors;
}

async function failure(promise: Promise<unknown>): Promise<CheckpointError> {
  const error = await promise.then(
    () => new Error('It was accepted.'),
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(CheckpointError);
  return error as CheckpointError;
}

async function drain(checkpoint: Checkpoint): Promise<void> {
  for await (const _ of checkpoint.chunks());
}

describe('one file', () => {
  test.each([1, 2, 3, 5, 8, 17, 64, 1000, 1 << 20])('pieces of up to %i bytes give the whole', async most => {
    for (let seed = 0; seed < 8; seed++) {
      const file = safetensors(TENSORS, seed);
      const source = fakeSource({ 'model.safetensors': file }, bytes => inPieces(bytes, most, seed));
      const checkpoint = await openCheckpoint(source);
      expect(checkpoint.byteLength).toBe(file.length);
      expect([...checkpoint.tensors.keys()]).toEqual(['a', 'odd', 'b', 'empty', 'ids', 'one']);
      const tensors = await whole(checkpoint);
      for (const [name, { bytes }] of Object.entries(TENSORS)) {
        expect(tensors[name] ?? new Uint8Array(), name).toEqual(bytes);
      }
    }
  });

  test('what lies in one piece is a view, not a copy', async () => {
    const file = safetensors({ a: f32([1024], 1) });
    const checkpoint = await openCheckpoint(
      fakeSource({ 'model.safetensors': file }, bytes => new Blob([bytes as BlobPart]).stream()),
    );
    const buffers = new Set<ArrayBufferLike>();
    for await (const { bytes } of checkpoint.chunks()) buffers.add(bytes.buffer);
    expect(Math.max(...[...buffers].map(buffer => buffer.byteLength))).toBe(file.length);
  });

  test('data can be read once', async () => {
    const checkpoint = await openCheckpoint(fakeSource({ 'model.safetensors': safetensors(TENSORS) }));
    await drain(checkpoint);
    expect((await failure(drain(checkpoint))).message).toContain('begun before');
  });

  test.each([true, false])('a stream that ends early (size known: %s)', async sized => {
    const file = safetensors(TENSORS);
    for (const length of [0, 5, 20, file.length - 200, file.length - 1]) {
      const stream = () => inPieces(file.slice(0, length), 100, 1);
      const source = fakeSource({ 'model.safetensors': file }, stream, sized);
      const error = await failure(openCheckpoint(source).then(drain));
      expect(error.file).toBe('model.safetensors');
      expect(error.message).toMatch(length < 8 ? /too short/ : /is truncated: got \d+ bytes, expected \d+ bytes/);
      if (length >= 8) expect(error.actual).toBe(`${length} bytes`);
      if (length > 400) expect(error.expected).toContain(`${file.length} bytes`);
    }
  });

  test('a stream that goes on', async () => {
    const file = safetensors(TENSORS);
    const stream = () => inPieces(Uint8Array.of(...file, 0), 100, 1);
    const error = await failure(openCheckpoint(fakeSource({ 'model.safetensors': file }, stream, false)).then(drain));
    expect(error.message).toContain(`goes on after its last tensor: got more than ${file.length} bytes`);
  });

  test('a wrong size is known before any data are read', async () => {
    const file = safetensors(TENSORS);
    const source = fakeSource({ 'model.safetensors': file });
    const open = source.open;
    source.open = async (...args) => ({ ...(await open(...args))!, size: file.length + 1 });
    expect((await failure(openCheckpoint(source))).message).toContain('goes on');
  });

  test('neither file nor index', async () => {
    await expect(openCheckpoint(fakeSource({ 'pytorch_model.bin': new Uint8Array(9) }))).rejects.toThrow(SourceError);
    await expect(openCheckpoint(fakeSource({}))).rejects.toThrow(/neither model.safetensors nor/);
  });

  test('a file that comes while the index is asked for is not left open', async () => {
    const source = fakeSource({ 'model.safetensors': safetensors(TENSORS) });
    const { open } = source;
    let cancelled = 0;
    // Missing at first; then it is there.
    source.open = async (file, options) => {
      if (options?.optional) return undefined;
      const opened = (await open(file, options))!;
      const cancel = async () => {
        cancelled++;
      };
      return { ...opened, cancel };
    };
    await expect(openCheckpoint(source)).rejects.toThrow(/neither model.safetensors nor/);
    expect(cancelled).toBe(1);
  });

  test('files chosen by name', async () => {
    const source = fakeSource({ 'other.safetensors': safetensors(TENSORS) });
    expect((await openCheckpoint(source, { files: ['other.safetensors'] })).tensors.size).toBe(6);
  });
});

describe('backpressure, memory, cancelling', () => {
  /** A synthetic file of 60 MB that is made as it is read. */
  function synthetic() {
    const rows = 15_000;
    const head = safetensors({ table: { dtype: 'F32', shape: [rows, 1000], bytes: new Uint8Array() } });
    const text = new TextDecoder()
      .decode(head.subarray(8))
      .replace('"data_offsets":[0,0]', `"data_offsets":[0,${rows * 4000}]`);
    const json = new TextEncoder().encode(text);
    const first = new Uint8Array(8 + json.length);
    new DataView(first.buffer).setBigUint64(0, BigInt(json.length), true);
    first.set(json, 8);
    const state = { made: 0, cancelled: 0, size: first.length + rows * 4000 };
    const next = random(9);
    const stream = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          if (state.made === state.size) return controller.close();
          const length = Math.min(1 + Math.floor(next() * 200_000), state.size - state.made);
          const piece = new Uint8Array(length).map((_, i) => (state.made + i) * 31);
          if (state.made < first.length) piece.set(first.subarray(state.made, state.made + length));
          controller.enqueue(piece);
          state.made += length;
        },
        cancel() {
          state.cancelled++;
        },
      },
      { highWaterMark: 0 },
    );
    const source = fakeSource({ 'model.safetensors': new Uint8Array(1) }, () => stream, false);
    return { state, source, data: first.length };
  }

  test('60 MB stream at the pace of the reader', async () => {
    const { state, source, data } = synthetic();
    const checkpoint = await openCheckpoint(source);
    expect(state.made).toBeLessThan(400_000);
    let read = 0;
    let wrong = 0;
    let ahead = 0;
    for await (const { begin, bytes } of checkpoint.chunks()) {
      expect(begin).toBe(read);
      for (let i = 0; i < bytes.length; i += 997) if (bytes[i] !== (((data + begin + i) * 31) & 255)) wrong++;
      read += bytes.length;
      ahead = Math.max(ahead, state.made - data - read);
    }
    expect(read).toBe(60_000_000);
    expect(wrong).toBe(0);
    // Never more than the piece that is being read.
    expect(ahead).toBeLessThan(200_000);
  });

  test('cancel is idempotent and ends the stream', async () => {
    const { state, source } = synthetic();
    const checkpoint = await openCheckpoint(source);
    await Promise.all([checkpoint.cancel(), checkpoint.cancel()]);
    await checkpoint.cancel();
    expect(state.cancelled).toBe(1);
    expect((await failure(drain(checkpoint))).message).toContain('cancelled');
  });

  test('leaving the loop ends the stream', async () => {
    const { state, source } = synthetic();
    for await (const _ of (await openCheckpoint(source)).chunks()) break;
    expect(state.cancelled).toBe(1);
  });

  test('an abort rejects with its reason: before, while the header and while the data are read', async () => {
    const reason = new Error('enough');
    await expect(openCheckpoint(synthetic().source, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);

    const stalled = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => undefined) });
    const early = new AbortController();
    const pending = openCheckpoint(
      fakeSource({ 'model.safetensors': new Uint8Array(1) }, () => stalled),
      { signal: early.signal },
    );
    setTimeout(() => early.abort(reason), 5);
    await expect(pending).rejects.toBe(reason);

    const late = new AbortController();
    const { state, source } = synthetic();
    const checkpoint = await openCheckpoint(source, { signal: late.signal });
    const reading = (async () => {
      for await (const { begin } of checkpoint.chunks()) if (begin > 1e6) late.abort(reason);
    })();
    await expect(reading).rejects.toBe(reason);
    expect(state.cancelled).toBe(1);
  });
});

describe('shards', () => {
  const INDEX = 'model.safetensors.index.json';
  const shard = (i: number) => `model-${i}.safetensors`;
  function sharded(count: number) {
    const files: Record<string, Uint8Array | object> = {};
    const map: Record<string, string> = {};
    const tensors: Record<string, Uint8Array> = {};
    for (let i = 0; i < count; i++) {
      const own = { [`w${i}`]: f32([5 + i, 3], i), [`b${i}`]: half('BF16', [i + 1], 50 + i) };
      files[shard(i)] = safetensors(own);
      for (const [name, { bytes }] of Object.entries(own)) {
        map[name] = shard(i);
        tensors[name] = bytes;
      }
    }
    files[INDEX] = { metadata: { total_size: 1 }, weight_map: map };
    return { files, map, tensors };
  }

  test.each([1, 2, 3, 9])('%i of them give the whole', async count => {
    const { files, tensors } = sharded(count);
    const source = fakeSource(files, bytes => inPieces(bytes, 50, 3));
    const checkpoint = await openCheckpoint(source);
    expect(checkpoint.byteLength).toBe(
      Object.values(files).reduce((sum: number, file) => sum + (file instanceof Uint8Array ? file.length : 0), 0),
    );
    expect(await whole(checkpoint)).toEqual(tensors);
    // At most four connections are held open, so that a browser's limit of six is never reached.
    expect(source.opened.length).toBe(count + Math.max(0, count - 4));
  });

  test('a shard that changes between its header and its data', async () => {
    const { files } = sharded(6);
    const checkpoint = await openCheckpoint(fakeSource(files));
    files[shard(5)] = safetensors({ w5: f32([10, 3], 1), b5: half('F16', [6], 55) });
    expect((await failure(drain(checkpoint))).message).toContain('changed');
  });

  test.each<[string, (map: Record<string, string>, files: Record<string, Uint8Array | object>) => void, string]>([
    ['a tensor in another file', map => (map.w0 = shard(1)), 'not in model-1.safetensors'],
    ['a tensor in no file', map => (map.more = shard(1)), 'no file that holds it'],
    ['a tensor that the index does not know', map => delete map.b1, 'does not know'],
    ['a tensor in two files', (_, files) => (files[shard(1)] = files[shard(0)]!), 'stands in both'],
    ['a path upwards', map => (map.w0 = '../secret.safetensors'), 'unusable file'],
    ['a path upwards inside', map => (map.w0 = 'a/../../secret.safetensors'), 'unusable file'],
    ['an absolute path', map => (map.w0 = '/etc/a.safetensors'), 'unusable file'],
    ['a URL', map => (map.w0 = 'https://example.org/a.safetensors'), 'unusable file'],
    ['a backslash', map => (map.w0 = '..\\a.safetensors'), 'unusable file'],
    ['an escape', map => (map.w0 = '%2e%2e/a.safetensors'), 'unusable file'],
    ['another kind of file', map => (map.w0 = 'model.bin'), 'unusable file'],
    ['a number', map => Object.assign(map, { w0: 5 }), 'unusable file'],
  ])('%s', async (_, change, words) => {
    const { files, map } = sharded(2);
    change(map, files);
    expect((await failure(openCheckpoint(fakeSource(files)))).message).toContain(words);
  });

  test.each([{}, [], 'text', null, { weight_map: [] }, { weight_map: {} }, { weight_map: null }])(
    'index %j',
    async index => {
      expect((await failure(openCheckpoint(fakeSource({ [INDEX]: index as object })))).message).toContain('weight_map');
    },
  );
});
