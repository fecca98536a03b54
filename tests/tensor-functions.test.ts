import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as library from '../src/index.ts';
import { InputError, Tensor } from '../src/index.ts';

/** What transformers.js 4.3.1 answers: tests/fixtures/tools/transformers_js_functions.mjs. */
interface Plain {
  type: 'float32' | 'int64' | 'bool' | 'int8' | 'uint8';
  dims: number[];
  data: number[];
}
interface Answer {
  function?: string;
  method?: string;
  self?: Plain;
  args: unknown[];
  result: Plain | Plain[] | number | number[];
}
const answers = JSON.parse(
  readFileSync(new URL('fixtures/transformers-js-functions.json', import.meta.url), 'utf8'),
) as Answer[];

const isPlain = (value: unknown): value is Plain => typeof value === 'object' && value !== null && 'dims' in value;
const tensorOf = ({ type, dims, data }: Plain) => new Tensor(type, data, dims);
const given = (value: unknown): unknown =>
  isPlain(value) ? tensorOf(value) : Array.isArray(value) && isPlain(value[0]) ? value.map(tensorOf) : value;

/** The largest difference of float32 sums that are made in another order, of numbers up to 10. */
const TOLERANCE = 2e-6;

function compare(got: unknown, wanted: Answer['result']): void {
  if (isPlain(wanted)) {
    expect(got).toBeInstanceOf(Tensor);
    const { type, dims, data } = got as Tensor;
    expect({ type, dims }).toEqual({ type: wanted.type, dims: wanted.dims });
    compare(Array.from(data, Number), wanted.data);
  } else if (Array.isArray(wanted)) {
    const list = got as ArrayLike<unknown>;
    expect(list.length).toBe(wanted.length);
    wanted.forEach((item, i) => void compare(list[i], item));
  } else expect(Math.abs(Number(got) - wanted)).toBeLessThanOrEqual(TOLERANCE * (1 + Math.abs(wanted)));
}

type Functions = Record<string, (...args: unknown[]) => unknown>;

describe('functions on tensors answer as those of transformers.js', () => {
  for (const [i, answer] of answers.entries()) {
    const name = answer.function ?? `tensor.${answer.method}`;
    it(`${name}, case ${i}`, async () => {
      const args = answer.args.map(given);
      const self = answer.self && tensorOf(answer.self);
      const before = self?.clone();
      const got = self
        ? (self as unknown as Functions)[answer.method!]!(...args)
        : await (library as unknown as Functions)[answer.function!]!(...args);
      compare(got, answer.result);
      expect(self?.data, 'the tensor itself is as it was').toEqual(before?.data);
    });
  }

  it('in place: a method whose name ends in _ changes the tensor and gives it back', () => {
    const tensor = new Tensor('float32', [1, 2, 3, 4], [2, 2]);
    expect(tensor.mul_(2).add_(1).sub_(1).div_(2).neg_().clamp_(-3, 0)).toBe(tensor);
    expect([...tensor.data]).toEqual([-1, -2, -3, -3]);
    expect(tensor.unsqueeze_(0).dims).toEqual([1, 2, 2]);
    expect(tensor.squeeze_().flatten_().dims).toEqual([4]);
    expect(tensor.to('float32')).toBe(tensor);
  });

  it('bigints: arithmetic with bigints, and a clear error for means', () => {
    const ids = new Tensor('int64', [1n, 2n, 3n], [3]);
    expect([...ids.mul(2n).data]).toEqual([2n, 4n, 6n]);
    expect(() => ids.mean()).toThrow(InputError);
    expect(() => ids.norm()).toThrow(/to\('float32'\)/);
  });

  it('argmax along an axis, which transformers.js does not have', () => {
    const tensor = new Tensor('float32', [1, 5, 5, 7, 0, 2], [2, 3]);
    expect(tensor.argmax(1).tolist()).toEqual([1n, 0n]);
    expect(tensor.argmin(0, true).tolist()).toEqual([[0n, 1n, 1n]]);
  });

  it('refuses operands that do not fit', async () => {
    const tensor = new Tensor('float32', [1, 2, 3, 4, 5, 6], [2, 3]);
    await expect(library.matmul(tensor, tensor)).rejects.toThrow(/do not fit.*\[2, 3\] and \[2, 3\]/);
    expect(() => library.cat([tensor, tensor.transpose(1, 0)])).toThrow(InputError);
    expect(() => library.cat([])).toThrow(InputError);
    expect(() => library.layer_norm(tensor, [2])).toThrow(InputError);
    expect(() => library.quantize_embeddings(tensor, 'binary')).toThrow(/multiple of 8/);
    expect(() => tensor.sum(2)).toThrow(/from -2 to 1/);
    expect(() => tensor.repeat(2)).toThrow(InputError);
    expect(() => new Tensor('float32', [], [0]).max()).toThrow(/no element/);
  });
});
