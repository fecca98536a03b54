import { beforeEach, describe, expect, it } from 'vitest';
import { f32, type Kernel, read, u32, write } from '../shaders/kernel.ts';
import { bindKernel, encodeDispatch, UNIFORM_BLOCK_BYTES, UniformBlocks } from '../src/gpu/dispatch.ts';
import type { CompiledKernel } from '../src/gpu/pipelines.ts';
import { FakeDevice, FakeWorld } from './fake-gpu.ts';

const kernel: Kernel = {
  name: 'scale 4',
  code: '',
  bindings: [read('x'), { name: 'weight', access: 'texel', type: 'rgba32float' }, write('y')],
  params: [u32('rows'), f32('factor')],
  workgroups: ({ rows }) => [rows!, 1, 1],
};
const compiled = { pipeline: 'the pipeline', layout: 'the layout' } as unknown as CompiledKernel;

let fake: FakeDevice;
let device: GPUDevice;
beforeEach(() => {
  fake = new FakeDevice(new FakeWorld(1));
  device = fake as unknown as GPUDevice;
});

const buffer = (label: string) => device.createBuffer({ label, size: 16, usage: 128 });
const texture = () => device.createTexture({ size: [1], format: 'rgba32float', usage: 4 });

describe('params', () => {
  it('are packed by name, in the order of the kernel, into a block that is aligned', () => {
    const uniforms = new UniformBlocks(device, 'params', 2);
    uniforms.pack(1, kernel, { factor: 0.5, rows: 7 });
    uniforms.write();
    const { buffer, offset, size } = uniforms.binding(1) as { buffer: unknown; offset: number; size: number };
    expect([offset, size, uniforms.byteLength]).toEqual([256, 256, 512]);
    const view = new DataView((buffer as { bytes: Uint8Array }).bytes.buffer, offset);
    expect([view.getUint32(0, true), view.getFloat32(4, true)]).toEqual([7, 0.5]);
  });

  it('of one block can be written alone', () => {
    const uniforms = new UniformBlocks(device, 'params', 2);
    for (const block of [0, 1]) uniforms.pack(block, kernel, { rows: 1, factor: 1 });
    uniforms.writeBlock(1);
    const { bytes } = uniforms.binding(0).buffer as unknown as { bytes: Uint8Array };
    const words = new Uint32Array(bytes.buffer);
    expect([words[0], words[UNIFORM_BLOCK_BYTES / 4]]).toEqual([0, 1]);
  });

  it.each([
    ['missing', { rows: 1 }, 'the kernel "scale 4" got no param "factor"'],
    ['surplus', { rows: 1, factor: 1, columns: 2 }, 'the kernel "scale 4" has no param "columns", but got one'],
    ['misnamed', { rows: 1, factors: 1 }, 'the kernel "scale 4" got no param "factor"'],
  ])('that are %s throw', (_, values, message) => {
    expect(() => new UniformBlocks(device, 'params', 1).pack(0, kernel, values)).toThrow(message);
  });
});

describe('resources', () => {
  const params = () => new UniformBlocks(device, 'params', 1).binding(0);

  it('are bound by name, in whatever order they are given: the params first, then as the kernel declares them', () => {
    const [x, weight, y] = [buffer('x'), texture(), buffer('y')];
    const bound = bindKernel(device, { kernel, compiled, params: params(), resources: { y, weight, x } });
    const bindings = bound.bindGroup as unknown as { buffer?: unknown; texture?: unknown }[];
    expect(bindings.map(entry => entry.buffer ?? entry.texture)).toEqual([
      expect.objectContaining({ label: 'params' }),
      x,
      weight,
      y,
    ]);
    expect(bound.pipeline).toBe('the pipeline');
  });

  it.each([
    ['missing', ['x', 'weight'], 'the kernel "scale 4" got no resource "y"'],
    ['surplus', ['x', 'weight', 'y', 'bias'], 'the kernel "scale 4" has no resource "bias", but got one'],
    ['misnamed', ['x', 'weights', 'y'], 'the kernel "scale 4" got no resource "weight"'],
  ])('that are %s throw', (_, names, message) => {
    const resources = Object.fromEntries(names.map(name => [name, buffer(name)]));
    expect(() => bindKernel(device, { kernel, compiled, params: params(), resources })).toThrow(message);
  });
});

it('a dispatch sets its pipeline and bind group once, however often it is repeated', () => {
  const calls: unknown[][] = [];
  const note =
    (name: string) =>
    (...args: unknown[]) =>
      void calls.push([name, ...args]);
  const pass = {
    setPipeline: note('pipeline'),
    setBindGroup: note('group'),
    dispatchWorkgroups: note('dispatch'),
  } as unknown as GPUComputePassEncoder;
  const bound = { pipeline: 'p' as unknown as GPUComputePipeline, bindGroup: 'g' as unknown as GPUBindGroup };
  encodeDispatch(pass, bound, [3, 2, 1], 2);
  expect(calls).toEqual([
    ['pipeline', 'p'],
    ['group', 0, 'g'],
    ['dispatch', 3, 2, 1],
    ['dispatch', 3, 2, 1],
  ]);
});
