import { afterEach, describe, expect, it, vi } from 'vitest';
import { env } from '../src/api/env.ts';
import { fastest, remembered, tuned } from '../src/engine/tune.ts';
import type { Gpu } from '../src/gpu/device.ts';
import { linearKernel, tilingsFor } from '../src/plan/choose.ts';
import { GPU } from './caps.ts';

const NAMES = ['usual', 'b', 'c', 'd'];

/** A timer that knows what one repetition of each takes, and says what it was asked. */
function timer(ms: Record<string, number | (() => number)>) {
  const asked: [string, number][] = [];
  const time = async (name: string, repeats: number) => {
    asked.push([name, repeats]);
    const one = ms[name];
    if (one === undefined) throw new Error(`${name} does not run`);
    return repeats * (typeof one === 'function' ? one() : one);
  };
  return { asked, time };
}

describe('the fastest tiling', () => {
  it('is the one with the least time', async () => {
    expect(await fastest(NAMES, timer({ usual: 5, b: 4, c: 2, d: 3 }).time)).toBe('c');
    expect(await fastest(NAMES, timer({ usual: 5, b: 6, c: 7, d: 8 }).time)).toBe('usual');
  });

  it('is not the usual one only where it is a tenth faster', async () => {
    expect(await fastest(NAMES, timer({ usual: 5, b: 4.6, c: 6, d: 6 }).time)).toBe('usual');
    expect(await fastest(NAMES, timer({ usual: 5, b: 4.4, c: 6, d: 6 }).time)).toBe('b');
  });

  it('is found among those that run', async () => {
    expect(await fastest(NAMES, timer({ b: 5, c: 4.9 }).time)).toBe('c');
    expect(await fastest(NAMES, timer({ usual: 5, c: 4.9 }).time)).toBe('usual');
    expect(await fastest(NAMES, timer({}).time)).toBeUndefined();
    expect(await fastest([], timer({}).time)).toBeUndefined();
    let runs = 0;
    const lost = () => {
      if (runs++) throw new Error('lost');
      return 1;
    };
    expect(await fastest(NAMES, timer({ usual: 5, b: lost, c: 4, d: 5 }).time)).toBe('c');
  });

  it('may need time to warm up', async () => {
    let runs = 0;
    const { time } = timer({ usual: 5, b: () => (runs++ ? 3 : 30), c: 5, d: 5 });
    expect(await fastest(NAMES, time)).toBe('b');
  });

  it('is sought with so much work that a coarse clock tells it, the same for all', async () => {
    const { asked, time } = timer({ usual: 0.3, b: 0.2, c: 0.3, d: 0.3 });
    expect(await fastest(NAMES, time)).toBe('b');
    expect(asked.slice(0, 5).map(([, repeats]) => repeats)).toEqual([1, 2, 4, 8, 16]);
    expect(new Set(asked.slice(5).map(([, repeats]) => repeats))).toEqual(new Set([16]));
    const nothing = timer({ usual: 0, b: 0, c: 0, d: 0 });
    expect(await fastest(NAMES, nothing.time)).toBe('usual');
    expect(Math.max(...nothing.asked.map(([, repeats]) => repeats))).toBe(64);
  });

  it('is sought within the budget', async () => {
    const slow = timer({ usual: 1200, b: 1, c: 1, d: 1 });
    expect(await fastest(NAMES, slow.time)).toBe('usual');
    expect(slow.asked).toEqual([['usual', 1]]);
    const middling = timer({ usual: 60, b: 40, c: 60, d: 10 });
    expect(await fastest(NAMES, middling.time)).toBe('b');
    expect(middling.asked).toHaveLength(3);
  });

  it('is not sought any longer among the hopeless', async () => {
    const { asked, time } = timer({ usual: 5, b: 8, c: 7, d: 5 });
    await fastest(NAMES, time);
    const turns = NAMES.map(name => asked.filter(([each]) => each === name).length);
    expect(turns).toEqual([3, 2, 3, 3]);
  });
});

afterEach(() => vi.unstubAllGlobals());

describe('what was measured', () => {
  const cacheStorage = () => {
    const items = new Map<string, string>();
    const match = async (url: string) => (items.has(url) ? new Response(items.get(url)) : undefined);
    const put = async (url: string, response: Response) => {
      expect(new URL(url).protocol).toBe('https:');
      items.set(url, await response.text());
    };
    return { items, open: async () => ({ match, put }) };
  };
  const counted = (name: string | undefined) => vi.fn(async () => name);

  it.each(['the Cache API', 'nothing', 'a Cache API that refuses', 'one that is full'])(
    'is remembered: %s',
    async where => {
      const refuse = async () => {
        throw new DOMException('no', 'SecurityError');
      };
      if (where.startsWith('the')) vi.stubGlobal('caches', cacheStorage());
      if (where.startsWith('a ')) vi.stubGlobal('caches', { open: refuse });
      if (where.startsWith('one')) {
        vi.stubGlobal('caches', { open: async () => ({ match: async () => undefined, put: refuse }) });
      }
      const first = counted('b');
      const key = `key of ${where}`;
      expect(await remembered(key, 'state', NAMES, first)).toBe('b');
      expect(first).toHaveBeenCalledOnce();
      const second = counted('c');
      expect(await remembered(key, 'state', NAMES, second)).toBe('b');
      expect(second).not.toHaveBeenCalled();
      expect(await remembered('another', 'state', NAMES, second)).toBe('c');
      // Another browser, or other kernels: measured anew, in the same place.
      const third = counted('d');
      expect(await remembered(key, 'another state', NAMES, third)).toBe('d');
      expect(third).toHaveBeenCalledOnce();
      expect(await remembered(key, 'another state', NAMES, second)).toBe('d');
    },
  );

  it('is measured again where what is remembered is no tiling, or damaged', async () => {
    const storage = cacheStorage();
    vi.stubGlobal('caches', storage);
    await remembered('key', 'state', NAMES, counted('b'));
    const [[url, written]] = [...storage.items] as [[string, string]];
    for (const wrong of ['', 'b', 'undefined', '{}', written.replace('b', 'x'), `${written} `, written.slice(0, -1)]) {
      storage.items.set(url, wrong);
      const measure = counted('c');
      expect(await remembered('key', 'state', NAMES, measure)).toBe('c');
      expect(measure, JSON.stringify(wrong)).toHaveBeenCalledOnce();
      expect(storage.items.get(url)).toBe(written.replace('b', 'c'));
    }
  });

  it('is not remembered where nothing ran', async () => {
    const storage = cacheStorage();
    vi.stubGlobal('caches', storage);
    expect(await remembered('key', 'state', NAMES, counted(undefined))).toBeUndefined();
    const failing = vi.fn(async () => {
      throw new Error('lost');
    });
    expect(await remembered('key', 'state', NAMES, failing)).toBeUndefined();
    expect(storage.items.size).toBe(0);
  });
});

describe('the tilings', () => {
  const variant = { inner: 384, outputs: 1536, bias: true, residual: false };

  it('of adapters that the table knows are not measured', async () => {
    for (const adapter of ['swiftshader', 'llvmpipe'] as const) {
      const known = { caps: { ...GPU, adapter }, adapterName: adapter } as Gpu;
      expect(await tuned(known)).toBe(known);
    }
    expect(env.tuning).toBe(true);
  });

  it('leave the usual one where the device does nothing', async () => {
    vi.stubGlobal('navigator', { userAgent: 'any' });
    const broken = { caps: GPU, adapterName: 'broken', device: {} } as Gpu;
    expect(await tuned(broken)).toEqual(broken);
    expect(linearKernel(variant, GPU).name).toContain('workgroup 4x4x16x16');
  });

  it.each([256, 128])('are kernels of their own, within the limits of %i invocations', maxInvocations => {
    const caps = { ...GPU, maxInvocations, subgroup: 32 };
    const names = tilingsFor(caps);
    expect(names).toHaveLength(8);
    expect(tilingsFor(GPU)).toEqual(names.slice(0, -1));
    const formats = ['f32', 'f16', 'i8'] as const;
    const codes = new Set<string>();
    for (const tiling of names) {
      for (const format of formats) {
        const { code } = linearKernel({ ...variant, format }, { ...caps, tiling });
        codes.add(code);
        const size = /@workgroup_size\(([\d, ]+)\)/.exec(code)![1]!.split(',').map(Number);
        expect(size.reduce((a, b) => a * b)).toBeLessThanOrEqual(maxInvocations);
        const shared = [...code.matchAll(/var<workgroup> \w+: array<(vec4f|f32|u32), (\d+)>/g)];
        const bytes = shared.reduce((sum, [, type, n]) => sum + Number(n) * (type === 'vec4f' ? 16 : 4), 0);
        expect(bytes).toBeLessThanOrEqual(caps.workgroupStorageBytes);
      }
    }
    expect(codes.size).toBe(names.length * formats.length);
  });
});
