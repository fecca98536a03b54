import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openCheckpoint, type TensorDtype, tensorFinder } from '../src/checkpoint/file/index.ts';
import { matchParts, upload } from '../src/engine/upload.ts';
import { CheckpointError, UnsupportedError } from '../src/errors.ts';
import type { Piece, WeightStore } from '../src/gpu/index.ts';
import { readConfig, withTask } from '../src/model/index.ts';
import { fakeSource, inPieces, random, safetensors, type TensorBytes } from './checkpoint-bytes.ts';

/** Weights for tasks, as jina-embeddings-v3 keeps them: every linear and embedding with factors A and B of each task. */

const TASKS = ['retrieval.query', 'retrieval.passage', 'separation'];
const RANK = 2;
const ALPHA = 3;
const [V, C, F] = [9, 6, 10];
const CONFIG = {
  model_type: 'xlm-roberta-flash',
  vocab_size: V,
  hidden_size: C,
  num_hidden_layers: 1,
  num_attention_heads: 3,
  intermediate_size: F,
  max_position_embeddings: 12,
  type_vocab_size: 1,
  position_embedding_type: 'rotary',
  lora_adaptations: TASKS,
  lora_rank: RANK,
  lora_alpha: ALPHA,
};

const next = random(5);
const numbers = (count: number) => Float32Array.from({ length: count }, () => Math.fround(2 * next() - 1));
/** The same numbers as BF16: the upper halves of their words. */
const upperHalves = (values: Float32Array) =>
  Uint16Array.from(new Uint32Array(values.buffer), word => word >>> 16) as Uint16Array<ArrayBuffer>;
const rounded = (values: Float32Array) =>
  new Float32Array(Uint32Array.from(upperHalves(values), half => half << 16).buffer);

interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly base: Float32Array;
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly isEmbedding: boolean;
}
const matrixOf = (rows: number, columns: number, isEmbedding = false): Matrix => ({
  rows,
  columns,
  isEmbedding,
  base: rounded(numbers(rows * columns)),
  a: numbers(TASKS.length * RANK * (isEmbedding ? rows : columns)),
  b: numbers(TASKS.length * RANK * (isEmbedding ? columns : rows)),
});

const LAYER = 'roberta.encoder.layers.0';
const MATRICES: Record<string, Matrix> = {
  'roberta.embeddings.word_embeddings': matrixOf(V, C, true),
  'roberta.embeddings.token_type_embeddings': matrixOf(1, C, true),
  [`${LAYER}.mixer.Wqkv`]: matrixOf(3 * C, C),
  [`${LAYER}.mixer.out_proj`]: matrixOf(C, C),
  [`${LAYER}.mlp.fc1`]: matrixOf(F, C),
  [`${LAYER}.mlp.fc2`]: matrixOf(C, F),
};

/** W + (alpha / rank) B A; of an embedding A B. Plain loops. */
function mergedBase({ rows, columns, base, a, b, isEmbedding }: Matrix, task: number): number[] {
  const merged: number[] = [];
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      let sum = 0;
      for (let k = 0; k < RANK; k++) {
        sum += isEmbedding
          ? a[(task * rows + r) * RANK + k]! * b[(task * RANK + k) * columns + c]!
          : b[(task * rows + r) * RANK + k]! * a[(task * RANK + k) * columns + c]!;
      }
      merged.push(base[r * columns + c]! + (ALPHA / RANK) * sum);
    }
  }
  return merged;
}

type Order = 'factors first' | 'matrix first';

function fileOf(dtype: 'F32' | 'BF16', order: Order, change?: (tensors: Record<string, TensorBytes>) => void) {
  const tensors: Record<string, TensorBytes> = {};
  for (const [name, { rows, columns, base, a, b, isEmbedding }] of Object.entries(MATRICES)) {
    const bytes = dtype === 'F32' ? base : upperHalves(base);
    const original = { dtype, shape: [rows, columns], bytes: new Uint8Array(bytes.buffer as ArrayBuffer) };
    const factor = (values: Float32Array, shape: number[]) => ({
      dtype: 'F32',
      shape: [TASKS.length, ...shape],
      bytes: new Uint8Array(values.buffer as ArrayBuffer),
    });
    const at = `${name}.parametrizations.weight`;
    const factors = {
      [`${at}.0.lora_A`]: factor(a, isEmbedding ? [rows, RANK] : [RANK, columns]),
      [`${at}.0.lora_B`]: factor(b, isEmbedding ? [RANK, columns] : [rows, RANK]),
    };
    if (order === 'factors first') Object.assign(tensors, factors, { [`${at}.original`]: original });
    else Object.assign(tensors, { [`${at}.original`]: original }, factors);
  }
  change?.(tensors);
  return safetensors(tensors);
}

/** What is written of each tensor, by canonical name. */
async function written(file: Uint8Array<ArrayBuffer>, task: string | undefined, mostBytes: number) {
  const config = withTask(readConfig(CONFIG), task);
  const source = fakeSource({ 'model.safetensors': file }, bytes => inPieces(bytes, mostBytes, 1));
  const checkpoint = await openCheckpoint(source);
  const find = tensorFinder(checkpoint, config);
  const layer = 'encoder.layer.0';
  const wanted = [
    { tensor: 'embeddings.word_embeddings.weight', shape: [V, C] },
    { tensor: 'embeddings.token_type_embeddings.weight', shape: [1, C] },
    ...['query', 'key', 'value'].map(part => ({ tensor: `${layer}.attention.self.${part}.weight`, shape: [C, C] })),
    { tensor: `${layer}.attention.output.dense.weight`, shape: [C, C] },
    { tensor: `${layer}.intermediate.dense.weight`, shape: [F, C] },
    { tensor: `${layer}.output.dense.weight`, shape: [C, F] },
  ];
  const parts = matchParts([{ checkpoint, find, owns: () => true, folder: 'encoder' }], { weights: wanted, host: [] });
  const results = new Map<string, number[]>();
  const store = {
    write: async ({ tensor, stored, begin, bytes }: Piece) => {
      const floats = stored === 'F32' ? new Float32Array(bytes.slice().buffer) : bf16(bytes);
      const list = results.get(tensor) ?? [];
      // Pieces of a tensor come in their order, each once.
      expect(list.length).toBe(begin / (stored === 'F32' ? 4 : 2));
      results.set(tensor, [...list, ...floats]);
    },
    finish: async () => [],
  } as unknown as WeightStore;
  await upload(parts, store, { name: 'm', progress: undefined, signal: new AbortController().signal });
  return results;
}
const bf16 = (bytes: Uint8Array) => {
  const halves = new Uint16Array(bytes.slice().buffer);
  return new Float32Array(Uint32Array.from(halves, half => half << 16).buffer);
};

/** The tensor of the file and the block of its rows that a canonical name stands for. */
const ORIGINS: Record<string, [string, number?]> = {
  'embeddings.word_embeddings': ['roberta.embeddings.word_embeddings'],
  'embeddings.token_type_embeddings': ['roberta.embeddings.token_type_embeddings'],
  'encoder.layer.0.attention.self.query': [`${LAYER}.mixer.Wqkv`, 0],
  'encoder.layer.0.attention.self.key': [`${LAYER}.mixer.Wqkv`, 1],
  'encoder.layer.0.attention.self.value': [`${LAYER}.mixer.Wqkv`, 2],
  'encoder.layer.0.attention.output.dense': [`${LAYER}.mixer.out_proj`],
  'encoder.layer.0.intermediate.dense': [`${LAYER}.mlp.fc1`],
  'encoder.layer.0.output.dense': [`${LAYER}.mlp.fc2`],
};

describe.each(['F32', 'BF16'] satisfies TensorDtype[])('weights for tasks, a file in %s', dtype => {
  it.each([
    ['factors first', 1e6],
    ['factors first', 7],
    ['matrix first', 1e6],
    ['matrix first', 7],
  ] as const)('%s, in pieces of %d bytes at most', async (order, mostBytes) => {
    for (const [task, name] of TASKS.entries()) {
      const results = await written(fileOf(dtype, order), name, mostBytes);
      for (const [canonical, [file, block]] of Object.entries(ORIGINS)) {
        const merged = mergedBase(MATRICES[file]!, task);
        const expected = block === undefined ? merged : merged.slice(block * C * C, (block + 1) * C * C);
        const actual = results.get(`${canonical}.weight`)!;
        expect(actual.length).toBe(expected.length);
        for (const [i, value] of expected.entries()) expect(Math.abs(actual[i]! - value), canonical).toBeLessThan(1e-6);
      }
    }
  });

  it('without a task are those that all share', async () => {
    const results = await written(fileOf(dtype, 'factors first'), undefined, 50);
    for (const [canonical, [file, block]] of Object.entries(ORIGINS)) {
      const base = [...MATRICES[file]!.base];
      expect(results.get(`${canonical}.weight`)).toEqual(
        block === undefined ? base : base.slice(block * C * C, (block + 1) * C * C),
      );
    }
  });
});

describe('default_task', () => {
  const error = async (body: () => unknown): Promise<Error> => {
    try {
      await body();
    } catch (error) {
      return error as Error;
    }
    throw new Error('nothing was thrown');
  };

  it('that the model does not have is refused with those that it has', async () => {
    const refused = (await error(() => withTask(readConfig(CONFIG), 'query'))) as UnsupportedError;
    expect(refused).toBeInstanceOf(UnsupportedError);
    expect(refused.supported).toEqual(TASKS);
    expect(refused.message).toContain('retrieval.query, retrieval.passage, separation');
  });

  it('of a model without such weights is refused', async () => {
    const bert = { ...CONFIG, model_type: 'bert', position_embedding_type: 'absolute' };
    const refused = await error(() => withTask(readConfig(bert), 'retrieval.query'));
    expect(refused).toBeInstanceOf(UnsupportedError);
    expect(refused.message).toContain('no weights of its own for tasks');
  });

  it('whose factors are not there, or have other shapes, is an error of the checkpoint', async () => {
    const at = `${LAYER}.mlp.fc1.parametrizations.weight.0.lora_A`;
    const missing = fileOf('F32', 'factors first', tensors => delete tensors[at]);
    expect(await error(() => written(missing, TASKS[0], 1e6))).toMatchObject({ name: 'CheckpointError', tensor: at });
    const misshapen = fileOf('F32', 'factors first', tensors => {
      tensors[at] = { ...tensors[at]!, shape: [TASKS.length, C, RANK] };
    });
    expect(await error(() => written(misshapen, TASKS[0], 1e6))).toMatchObject({
      name: 'CheckpointError',
      tensor: at,
      actual: `[3, ${C}, ${RANK}]`,
    });
    // Without a task they do not count.
    await written(missing, undefined, 1e6);
    const plain = new Uint8Array(readFileSync(new URL(`${FLASH}model.safetensors`, import.meta.url)));
    const none = await error(() => written(plain, TASKS[0], 1e6));
    expect(none).toBeInstanceOf(CheckpointError);
    expect(none.message).toContain('has no weights for tasks');
  });
});

const FLASH = './fixtures/interpreter/xlm-roberta-flash-Model/';
