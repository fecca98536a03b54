import { describe, expect, it } from 'vitest';
import type { Checkpoint, TensorInfo } from '../src/checkpoint/file/types.ts';
import { type CheckpointPart, matchParts, upload } from '../src/engine/upload.ts';
import { CheckpointError } from '../src/errors.ts';
import type { Flaw, WeightStore } from '../src/gpu/index.ts';

/** A file of float32 tensors. */
function part(
  file: string,
  owns: string,
  tensors: Record<string, { shape: number[]; values: number[] }>,
): CheckpointPart {
  const infos = new Map<string, TensorInfo>();
  for (const [name, { shape, values }] of Object.entries(tensors)) {
    infos.set(name, { name, dtype: 'F32', shape, byteOffset: 0, byteLength: 4 * values.length, file });
  }
  const checkpoint: Checkpoint = {
    tensors: infos,
    leftOut: new Map(),
    byteLength: 0,
    async *chunks() {
      for (const tensor of infos.values()) {
        yield { tensor, begin: 0, bytes: new Uint8Array(Float32Array.from(tensors[tensor.name]!.values).buffer) };
      }
    },
    cancel: async () => undefined,
  };
  // The model knows every tensor under another name than the file.
  const find = (canonical: string) => infos.get(`file.${canonical.slice(owns.length)}`);
  return { checkpoint, find, owns: canonical => canonical.startsWith(owns), folder: 'encoder' };
}

async function run(parts: CheckpointPart[], wanted: string[], flaws: Flaw[], host: string[] = []) {
  const store = { write: async () => undefined, finish: async () => flaws } as unknown as WeightStore;
  const square = (tensor: string) => ({ tensor, shape: [2, 2] });
  const matched = matchParts(parts, { weights: wanted.map(square), host: host.map(square) });
  return upload(matched, store, { name: 'm', progress: undefined, signal: new AbortController().signal });
}

const square = { shape: [2, 2], values: [1, 2, 3, 4] };

describe('numbers that nothing can be computed with', () => {
  const files = () => [
    part('model.safetensors', 'encoder.', { 'file.a': square, 'file.b': square }),
    part('2_Dense/model.safetensors', 'dense.', { 'file.weight': square }),
  ];
  const wanted = ['encoder.a', 'encoder.b', 'dense.weight'];

  it('are told by the name and the file of their tensor, of dense layers too', async () => {
    const flaw: Flaw = { tensor: 'dense.weight', index: [1, 0], kind: '-Infinity' };
    const error: unknown = await run(files(), wanted, [flaw]).catch(thrown => thrown);
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error).toMatchObject({
      tensor: 'file.weight',
      file: '2_Dense/model.safetensors',
      actual: '-Infinity at [1, 0]',
    });
  });

  it('in several tensors are told of the first, with the number of the others', async () => {
    const flaws: Flaw[] = ['encoder.b', 'encoder.a'].map(tensor => ({ tensor, index: [0], kind: 'NaN' }));
    await expect(run(files(), wanted, flaws)).rejects.toMatchObject({
      tensor: 'file.b',
      actual: 'NaN at [0], and in 1 more tensor',
    });
  });

  it('that a half cannot hold say so', async () => {
    const flaw: Flaw = { tensor: 'encoder.a', index: [0, 1], kind: 'too large' };
    await expect(run(files(), wanted, [flaw])).rejects.toThrow(/file\.a.*fp16.*65504 at \[0, 1\].*"fp32" or "q8"/);
  });

  it('are found in what the CPU needs; a score of minus infinity forbids a transition', async () => {
    const host = (values: number[]) => [part('model.safetensors', 'crf.', { 'file.t': { shape: [2, 2], values } })];
    const forbidden = await run(host([0, Number.NEGATIVE_INFINITY, 1, 2]), [], [], ['crf.t']);
    expect([...forbidden.get('crf.t')!]).toEqual([0, Number.NEGATIVE_INFINITY, 1, 2]);
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      await expect(run(host([0, 1, 2, value]), [], [], ['crf.t'])).rejects.toMatchObject({
        tensor: 'file.t',
        actual: `${value} at [1, 1]`,
      });
    }
  });
});
