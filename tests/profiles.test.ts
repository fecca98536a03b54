import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { TILINGS } from '../bench/page/candidates.ts';
import { fitted, tileRows, tilingLabel } from '../shaders/tiling.ts';
import type { Caps } from '../src/plan/caps.ts';
import { linearKernel } from '../src/plan/choose.ts';
import { type Profile, profileOf } from '../src/plan/profiles.ts';
import { GPU, LLVMPIPE, SWIFTSHADER, WORKGROUP_BYTES } from './caps.ts';

/** What a device can at most: every feature, and subgroups of 32. */
const able = (caps: Caps): Caps => ({ ...caps, subgroup: 32, f16: true, dot4I8: true, storageTextures: true });

describe('a profile', () => {
  it('of a GPU has nothing that is there for software adapters, whatever the device can do', () => {
    for (const caps of [GPU, able(GPU), { ...GPU, maxInvocations: 128 }]) {
      const profile = profileOf(caps);
      expect(profile.target.texture).toBeUndefined();
      expect([profile.sharedLinears, profile.measuresSpeed]).toEqual([false, true]);
      expect([profile.norm.lanes, profile.attention(64).shared, profile.tiling.kind]).toEqual([64, true, 'workgroup']);
    }
  });

  it.each([SWIFTSHADER, LLVMPIPE])('of a software adapter needs no barrier: $adapter', caps => {
    const profile = profileOf(able(caps));
    expect([profile.norm.lanes, profile.attention(64).shared, profile.tiling.kind]).toEqual([1, false, 'register']);
    expect([profile.sharedLinears, profile.measuresSpeed]).toEqual([true, false]);
  });

  it('uses of a device what it can do, where that is fast there', () => {
    const none = { texture: undefined, subgroup: 0, f16: false, dot4I8: false };
    expect(profileOf(GPU).target).toEqual(none);
    expect(profileOf(able(GPU)).target).toEqual({ ...none, subgroup: 32, f16: true, dot4I8: true });
    const { texture, dot4I8 } = profileOf(able(SWIFTSHADER)).target;
    expect([texture, dot4I8]).toEqual(['sampled', false]);
    expect(profileOf(able(LLVMPIPE)).target).toMatchObject({ texture: 'storage', dot4I8: true });
    expect(profileOf({ ...LLVMPIPE, storageTextures: false }).target.texture).toBe('sampled');
  });

  it('has a tiling that fits the device', () => {
    const labels = [256, 128].map(maxInvocations => tilingLabel(profileOf({ ...GPU, maxInvocations }).tiling));
    expect(labels).toEqual(['workgroup 4x4x16x16', 'workgroup 4x4x16x8']);
    expect(tileRows(profileOf({ ...GPU, maxInvocations: 128 }).tiling)).toBe(32);
  });

  it('depends on the invocations of a workgroup in the tiling of linears alone, which alone small devices try again', () => {
    for (const adapter of ['gpu', 'swiftshader', 'llvmpipe'] as const) {
      const [{ tiling, ...large }, { tiling: small, ...rest }] = [256, 128].map(maxInvocations =>
        profileOf({ ...able(GPU), adapter, maxInvocations }),
      ) as [Profile, Profile];
      expect(rest).toEqual(large);
      expect(small).toEqual(fitted(tiling, 128));
      expect(profileOf({ ...able(GPU), adapter, maxBindingBytes: 4 << 20 })).toEqual({ ...large, tiling });
    }
  });

  it('is the same object for the same facts, so that its kernels are written once', () => {
    expect(profileOf(GPU)).toBe(profileOf(GPU));
  });
});

describe('the tilings that are timed on GPUs', () => {
  const variant = { inner: 384, outputs: 1536, bias: true, residual: false };

  it('begin with the one that is chosen', () => {
    expect(TILINGS[0]).toEqual(profileOf(GPU).tiling);
  });

  it('are kernels of their own, within the limits of every device', () => {
    const codes = new Set<string>();
    const formats = ['f32', 'f16', 'i8'] as const;
    for (const tiling of TILINGS) {
      for (const format of formats) {
        const profile: Profile = { ...profileOf(able(GPU)), tiling };
        const { code, name } = linearKernel({ ...variant, format }, profile);
        expect(name).toContain(tilingLabel(tiling));
        codes.add(code);
        const size = /@workgroup_size\(([\d, ]+)\)/.exec(code)![1]!.split(',').map(Number);
        expect(size.reduce((a, b) => a * b)).toBeLessThanOrEqual(GPU.maxInvocations);
        const shared = [...code.matchAll(/var<workgroup> \w+: array<(vec4f|f32|u32), (\d+)>/g)];
        const bytes = shared.reduce((sum, [, type, n]) => sum + Number(n) * (type === 'vec4f' ? 16 : 4), 0);
        expect(bytes).toBeLessThanOrEqual(WORKGROUP_BYTES);
      }
    }
    expect(codes.size).toBe(TILINGS.length * formats.length);
  });

  it('a tiling through workgroup memory has a text for each shape, also where linears share one', () => {
    const workgroup = TILINGS.find(({ kind }) => kind === 'workgroup')!;
    for (const sharedLinears of [true, false]) {
      const profile: Profile = { ...profileOf(able(GPU)), tiling: workgroup, sharedLinears };
      // Params cannot be read at module scope, where such a text has its constants.
      expect(linearKernel({ ...variant, format: 'f32' }, profile).code).not.toMatch(/^const \w+ = .*params\./m);
    }
  });
});

describe('which kind of adapter it is', () => {
  const root = fileURLToPath(new URL('..', import.meta.url));
  /** Where a kind is named: its type, what tells it, the table of what is chosen for it; 'gpu' is also a device's name in options. */
  const ALLOWED = ['src/api/options.ts', 'src/gpu/device.ts', 'src/plan/caps.ts', 'src/plan/profiles.ts'];

  /** Files that name a kind of adapter outside of comments, or compare one. */
  const asking = (files: Iterable<readonly [path: string, source: string]>) =>
    [...files]
      .filter(([, source]) => {
        const code = source.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
        return /(['"`])(gpu|swiftshader|llvmpipe)\1|\b(swiftshader|llvmpipe):|\badapter\b\s*[!=]==/.test(code);
      })
      .map(([path]) => path);

  const tree = ['src', 'shaders'].flatMap(folder =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile() && entry.name.endsWith('.ts'))
      .map(entry => join(entry.parentPath, entry.name))
      .map(path => [path.slice(root.length).replaceAll('\\', '/'), readFileSync(path, 'utf8')] as const),
  );

  it('is asked in one place', () => {
    expect(tree.length).toBeGreaterThan(60);
    expect(asking(tree).sort()).toEqual(ALLOWED);
  });

  it('and a question elsewhere would be found', () => {
    const wrong = [
      ["if (caps.adapter === 'gpu') return 1;"],
      ['const isFast = adapter !== slow;'],
      ['const SHAPES = { "swiftshader": 1 };'],
      ['const SHAPES = { swiftshader: 1 };'],
    ].map(([source], i) => [`src/${i}.ts`, source!] as const);
    expect(asking(wrong)).toHaveLength(wrong.length);
    expect(asking([['src/a.ts', "// not 'gpu'\nnavigator.gpu; /* 'llvmpipe' */"]])).toEqual([]);
  });
});
