import type { NormVariant } from '../../../shaders/norm.ts';
import type { Caps } from '../../../src/plan/caps.ts';
import { type Profile, profileOf } from '../../../src/plan/profiles.ts';
import { testGpu } from '../../dispatch.ts';

/** How many rows or tokens a kernel is tried with: less than a workgroup, about one, several. */
export const ROWS = [1, 7, 63, 65, 257];

/** The kinds of adapter whose choices are tried: what of a device's abilities each has. */
export const TIERS: Record<string, (real: Caps) => Caps> = {
  swiftshader: caps => ({ ...caps, adapter: 'swiftshader' }),
  llvmpipe: caps => ({ ...caps, adapter: 'llvmpipe', storageTextures: true, subgroup: 0 }),
  gpu: caps => ({ ...caps, adapter: 'gpu' }),
  'gpu of 128': caps => ({ ...caps, adapter: 'gpu', maxInvocations: 128 }),
};

/** What is chosen for a tier on this device; `without` features where the device has them. */
export async function profileFor(tier: string, without: Partial<Caps> = {}): Promise<Profile> {
  const { gpu } = await testGpu();
  return profileOf({ ...TIERS[tier]!(gpu.caps), ...without });
}

/** The tiers whose shapes differ in kernels other than linears. */
export const FULL_TIERS = ['swiftshader', 'llvmpipe', 'gpu'] as const;

export const LAYER_NORM: NormVariant = { kind: 'layer', beta: true, unitOffset: false };
