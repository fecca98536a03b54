import { describe, expect, it } from 'vitest';
import { Tensor } from '../src/api/tensor.ts';
import { InputError } from '../src/errors.ts';

const matrix = new Tensor('float32', new Float32Array([1, 2, 3, 4, 5, 6]), [2, 3]);

describe('Tensor', () => {
  it('has a type, data, dims and a size', () => {
    expect([matrix.type, matrix.dims, matrix.size]).toEqual(['float32', [2, 3], 6]);
    expect(matrix.data).toBeInstanceOf(Float32Array);
  });

  it('converts lists to its type', () => {
    expect(new Tensor('int64', [1, 2n], [2]).data).toEqual(new BigInt64Array([1n, 2n]));
    expect(new Tensor('int32', [1n, 2], [2]).data).toEqual(new Int32Array([1, 2]));
    expect(new Tensor('bool', [1, 0], [2]).data).toEqual(new Uint8Array([1, 0]));
  });

  it('gives nested lists', () => {
    expect(matrix.tolist()).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(new Tensor('int64', [7, 8], [1, 1, 2]).tolist()).toEqual([[[7n, 8n]]]);
    expect(new Tensor('float32', [], [2, 0]).tolist()).toEqual([[], []]);
    expect(new Tensor('float32', [], [2, 0, 3]).tolist()).toEqual([[], []]);
    expect(new Tensor('float32', [], [2, 3, 0]).tolist()).toEqual(Array(2).fill([[], [], []]));
    expect(new Tensor('float32', [1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2]).tolist()).toEqual([
      [
        [1, 2],
        [3, 4],
      ],
      [
        [5, 6],
        [7, 8],
      ],
    ]);
    expect(new Tensor('float32', [3], []).tolist()).toBe(3);
  });

  it('is indexed and iterated along the first axis, without copies', () => {
    expect(matrix[1]!.tolist()).toEqual([4, 5, 6]);
    expect(matrix[-1]!.dims).toEqual([3]);
    expect(matrix._getitem(0).item).toBeTypeOf('function');
    expect(matrix[1]![2]!.item()).toBe(6);
    expect([...matrix].map(row => (row as Tensor).tolist())).toEqual(matrix.tolist());
    expect([...matrix[0]!]).toEqual([1, 2, 3]);
    expect(matrix[1]!.data.buffer).toBe(matrix.data.buffer);
    expect(() => matrix[2]).toThrow(InputError);
  });

  it('is no thenable and has no strange properties', async () => {
    expect(await matrix).toBe(matrix);
    expect('then' in matrix).toBe(false);
    expect(String(matrix)).toBe('[object Object]');
  });

  it('slices', () => {
    expect(matrix.slice(0).tolist()).toEqual([1, 2, 3]);
    expect(matrix.slice(null, [1, -1]).tolist()).toEqual([[2], [5]]);
    expect(matrix.slice([0, 1], 2).tolist()).toEqual([3]);
    expect(matrix.slice(null, [null, 99]).tolist()).toEqual(matrix.tolist());
    expect(() => matrix.slice(null, [2, 1])).toThrow(/does not end before/);
  });

  it('permutes, views and clones', () => {
    expect(matrix.transpose(1, 0).tolist()).toEqual([
      [1, 4],
      [2, 5],
      [3, 6],
    ]);
    expect(matrix.view(3, -1).dims).toEqual([3, 2]);
    expect(matrix.view(-1).data).toBe(matrix.data);
    expect(matrix.clone().data).not.toBe(matrix.data);
    expect(() => matrix.permute(0, 0)).toThrow(InputError);
    expect(() => matrix.view(4, -1)).toThrow(InputError);
  });

  it('refuses what does not fit', () => {
    expect(() => new Tensor('float32', [1], [2])).toThrow(/does not fit/);
    expect(() => new Tensor('complex64' as 'float32', [1], [1])).toThrow(/the type of a tensor is wrong/);
    expect(() => matrix.item()).toThrow(/one element/);
  });
});
