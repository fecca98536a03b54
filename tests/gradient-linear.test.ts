import { describe, expect, it } from 'vitest';
import { TILINGS } from '../bench/page/candidates.ts';
import { random } from '../e2e/dispatch.ts';
import { linearInput, linearInputParams } from '../shaders/linear-input.ts';
import { linearWeight, linearWeightParams } from '../shaders/linear-weight.ts';
import { profileOf } from '../src/plan/profiles.ts';
import { GPU, LLVMPIPE, SWIFTSHADER, WORKGROUP_BYTES } from './caps.ts';
import { expectGradient, product } from './central-differences.ts';
import * as gradient from './gradient-reference-linear.ts';
import * as reference from './reference.ts';

const make = (seed: number) => {
  const numbers = random(seed);
  return (count: number) => Float64Array.from(numbers(count));
};

describe('the twins of the gradients of a linear', () => {
  it('are derivatives of its twin', () => {
    const numbers = make(1);
    const [R, K, N] = [5, 7, 6];
    const [x, weight, bias, dy] = [numbers(R * K), numbers(N * K), numbers(N), numbers(R * N)];
    const loss = () => product(reference.linear(x, weight, { K, N, bias }), dy);
    expectGradient(loss, x, gradient.linearInput(dy, weight, { K, N }), 'dx');
    const found = gradient.linearWeight(dy, x, { K, N });
    expectGradient(loss, weight, found.gradient, 'the weight');
    expectGradient(loss, bias, found.biasGradient, 'the bias');
  });

  it('add another gradient of the input', () => {
    const numbers = make(2);
    const [R, K, N] = [3, 4, 5];
    const [x, weight, dy, other] = [numbers(R * K), numbers(N * K), numbers(R * N), numbers(R * K)];
    const loss = () => product(reference.linear(x, weight, { K, N }), dy) + product(x, other);
    expectGradient(loss, x, gradient.linearInput(dy, weight, { K, N, residual: other }), 'dx');
  });
});

describe('the kernels of the gradients of a linear', () => {
  const [inner, outputs] = [130, 36];
  const names = (kernel: { bindings: readonly { name: string; access: string }[] }) =>
    kernel.bindings.map(({ name, access }) => `${name} ${access}`);

  it('bind operands as buffers on a GPU, as texels on software adapters', () => {
    const { tiling, target } = profileOf(GPU);
    const software = profileOf(SWIFTSHADER);
    const input = { inner: outputs, outputs: inner, residual: true, format: 'f16' } as const;
    expect(names(linearInput(input, tiling, target))).toEqual(['dy read', 'weight read', 'residual read', 'y write']);
    expect(names(linearInput({ ...input, residual: false }, software.tiling, software.target))).toEqual([
      'dy texel',
      'weight texel',
      'y write',
    ]);
    const both = { inner, outputs, bias: true, weight: true };
    expect(names(linearWeight(both, tiling, target))).toEqual([
      'dy read',
      'x read',
      'gradient write',
      'bias_gradient write',
    ]);
    expect(names(linearWeight({ ...both, weight: false }, software.tiling, software.target))).toEqual([
      'dy texel',
      'bias_gradient write',
    ]);
    expect(() => linearWeight({ ...both, weight: false, bias: false }, tiling, target)).toThrow('of both');
  });

  it('have one text for all shapes where the shape is a param', () => {
    for (const caps of [SWIFTSHADER, LLVMPIPE]) {
      const { tiling, target } = profileOf(caps);
      const shared = linearInput({ residual: false }, tiling, target);
      expect(shared.name).toMatch(/^linear input register/);
      expect(shared.code).toContain('params.n4');
      expect(linearInput({ inner, outputs, residual: false }, tiling, target).code).not.toContain('params.n4');
      expect(linearWeight({ bias: true, weight: true }, tiling, target).code).toContain('params.k4');
    }
  });

  it('take the place of a range of outputs from a param, in a text of its own', () => {
    for (const caps of [GPU, SWIFTSHADER]) {
      const { tiling, target } = profileOf(caps);
      for (const sliced of [false, true]) {
        const made = [
          linearInput({ residual: true, sliced }, tiling, target),
          linearWeight({ bias: true, weight: true, sliced }, tiling, target),
        ];
        for (const { name, code, params } of made) {
          expect(name.includes('sliced'), name).toBe(sliced);
          expect(code.includes('params.from4'), name).toBe(sliced);
          expect(params.some(param => param.name === 'from4')).toBe(sliced);
        }
      }
    }
  });

  it('cover every element with their grids, and fit into the memory of a workgroup', () => {
    const tilings = [...TILINGS, ...[SWIFTSHADER, LLVMPIPE].map(caps => profileOf(caps).tiling)];
    for (const tiling of tilings) {
      const { target } = profileOf(GPU);
      const [across, rows] = [tiling.columns * tiling.lanes, tiling.rows * ('down' in tiling ? tiling.down : 1)];
      const input = linearInput({ inner: outputs, outputs: inner, residual: false }, tiling, target);
      const grid = input.workgroups({ rows: 65, ...linearInputParams(outputs, inner) });
      expect(grid, input.name).toEqual([Math.ceil(132 / across), Math.ceil(65 / rows), 1]);
      const height = Math.ceil(tiling.rows / 4) * 4 * ('down' in tiling ? tiling.down : 1);
      for (const weight of [false, true]) {
        const kernel = linearWeight({ inner, outputs, bias: true, weight }, tiling, target);
        expect(kernel.workgroups({ rows: 65, ...linearWeightParams(inner, outputs) }), kernel.name).toEqual([
          1 + (weight ? Math.ceil(132 / across) : 0),
          Math.ceil(36 / height),
          1,
        ]);
        for (const { code } of [input, kernel]) {
          const memory = [...code.matchAll(/var<workgroup> \w+: array<vec4f, (\d+)>/g)];
          expect(memory.reduce((sum, [, count]) => sum + 16 * Number(count), 0)).toBeLessThanOrEqual(WORKGROUP_BYTES);
        }
      }
    }
  });
});
