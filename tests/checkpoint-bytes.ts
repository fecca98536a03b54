import type { ModelFile, ModelSource } from '../src/checkpoint/source/types.ts';

export interface TensorBytes {
  dtype: string;
  shape: number[];
  bytes: Uint8Array;
}

/** A safetensors file with this text as its header, followed by `data`. */
export function withHeader(header: string | Uint8Array, data: Uint8Array = new Uint8Array()): Uint8Array<ArrayBuffer> {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const file = new Uint8Array(8 + json.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  file.set(data, 8 + json.length);
  return file;
}

/** A valid file with these tensors in this order; `padding` spaces shift where the data begin. */
export function safetensors(tensors: Record<string, TensorBytes>, padding = 0): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  const data = new Uint8Array(Object.values(tensors).reduce((sum, { bytes }) => sum + bytes.length, 0));
  let at = 0;
  for (const [name, { dtype, shape, bytes }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    data.set(bytes, at);
    at += bytes.length;
  }
  return withHeader(JSON.stringify(header) + ' '.repeat(padding), data);
}

/** The tensors of a safetensors file, in the file's order. */
export function readTensors(file: Uint8Array): Record<string, TensorBytes> {
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const { __metadata__, ...header } = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)));
  const entries = Object.entries(header as Record<string, { dtype: string; shape: number[]; data_offsets: number[] }>);
  return Object.fromEntries(
    entries.map(([name, { dtype, shape, data_offsets }]) => {
      const [from = 0, to = 0] = data_offsets;
      return [name, { dtype, shape, bytes: file.slice(8 + length + from, 8 + length + to) }];
    }),
  );
}

/** The same numbers for the same seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function noise(length: number, seed: number): Uint8Array<ArrayBuffer> {
  const next = random(seed);
  return Uint8Array.from({ length }, () => next() * 256);
}

/** `file` as a network would bring it: in pieces of 1 to `most` bytes. */
export function inPieces(file: Uint8Array, most: number, seed: number): ReadableStream<Uint8Array> {
  const next = random(seed);
  let at = 0;
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (at >= file.length) return controller.close();
        const end = at + 1 + Math.floor(next() * most);
        controller.enqueue(file.slice(at, end));
        at = end;
      },
    },
    { highWaterMark: 0 },
  );
}

/** A file whose pieces come from a stream. */
export function streamedFile(stream: ReadableStream<Uint8Array>, size: number | undefined): ModelFile {
  const reader = stream.getReader();
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  }
  return { size, bytes: pieces(), cancel: reason => reader.cancel(reason).catch(() => undefined) };
}

/** A source of files in memory whose streams are made by `stream`; counts what is opened. */
export function fakeSource(
  files: Record<string, Uint8Array | object>,
  stream: (file: Uint8Array) => ReadableStream<Uint8Array> = file => inPieces(file, 1 << 16, 1),
  sized = true,
): ModelSource & { opened: string[] } {
  const opened: string[] = [];
  return {
    name: 'fake',
    opened,
    async open(file, { optional = false } = {}) {
      const bytes = files[file];
      if (!(bytes instanceof Uint8Array)) {
        if (optional) return undefined;
        throw new Error(`no ${file}`);
      }
      opened.push(file);
      return streamedFile(stream(bytes), sized ? bytes.length : undefined);
    },
    async json(file, { optional = false } = {}) {
      if (!(file in files) && !optional) throw new Error(`no ${file}`);
      return files[file];
    },
  };
}
