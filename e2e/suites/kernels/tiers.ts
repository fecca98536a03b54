import { TILINGS } from '../../../bench/page/candidates.ts';
import type { NormVariant } from '../../../shaders/norm.ts';
import { fitted, type Tiling, tilingLabel } from '../../../shaders/tiling.ts';
import { type Caps, USUAL_GPU } from '../../../src/plan/caps.ts';
import { type Profile, profileOf } from '../../../src/plan/profiles.ts';
import { DEFAULTS, SMALL } from '../../device-limits.ts';
import { testGpu } from '../../dispatch.ts';
import { isSmall } from '../../gpu-limits.ts';
import { fewOf } from '../../slow-compiler.ts';

/** How many rows or tokens a kernel is tried with: less than a workgroup, about one, several. */
export const ROWS = [1, 7, 63, 65, 257];

const { adapter: here } = (await testGpu()).gpu.caps;

/**
 * The kinds of adapter whose choices are tried: what of a device's abilities each has. Those of a GPU are tried everywhere, those of a
 * CPU adapter on that adapter alone, since nobody else is given them.
 */
export const TIERS: Record<string, (real: Caps) => Caps> = {
  ...(here === 'swiftshader' && { swiftshader: (caps: Caps): Caps => ({ ...caps, adapter: 'swiftshader' }) }),
  ...(here === 'llvmpipe' && { llvmpipe: (caps: Caps): Caps => ({ ...caps, adapter: 'llvmpipe' }) }),
  gpu: caps => ({ ...caps, adapter: 'gpu' }),
  'gpu of 128': caps => ({ ...caps, adapter: 'gpu', maxInvocations: 128 }),
};

/** What is chosen for a tier on this device; `without` features where the device has them. */
export async function profileFor(tier: string, without: Partial<Caps> = {}): Promise<Profile> {
  const { gpu } = await testGpu();
  return profileOf({ ...TIERS[tier]!(gpu.caps), ...without });
}

/** The cases of a tier that are tried here: with the shapes of a GPU the first few where compiling them is slow. */
export const casesFor = <T>(tier: string, cases: readonly T[], few = 2): readonly T[] =>
  tier === here ? cases : fewOf(cases, few);

/** The tiers whose shapes differ in kernels other than linears. */
export const FULL_TIERS: readonly string[] = Object.keys(TIERS).filter(tier => tier !== 'gpu of 128');

/** The tiling of a tier on a device that allows so many invocations. */
const tilingOf = (tier: string, maxInvocations: number): string =>
  tilingLabel(profileOf(TIERS[tier]!({ ...USUAL_GPU, maxInvocations })).tiling);

/**
 * The tiers whose linears are tried here. Limits change the tiling of a linear and no other kernel (tests/profiles.test.ts), so a small
 * device tries those tiers alone whose tiling is another there: the texts of all others run in the same browser with the default limits.
 */
export const LINEAR_TIERS: readonly string[] = Object.keys(TIERS).filter(
  tier =>
    !isSmall() ||
    tilingOf(tier, SMALL.maxComputeInvocationsPerWorkgroup) !==
      tilingOf(tier, DEFAULTS.maxComputeInvocationsPerWorkgroup),
);

/** Those of them that are more than a few cases. */
export const FULL_LINEAR_TIERS = FULL_TIERS.filter(tier => LINEAR_TIERS.includes(tier));

/** The tilings that may suit a GPU, fitted to this device; on a small one those alone that are others there. */
export const FITTED_TILINGS: readonly Tiling[] = isSmall()
  ? TILINGS.map(tiling => fitted(tiling, SMALL.maxComputeInvocationsPerWorkgroup)).filter(
      (tiling, i) => tilingLabel(tiling) !== tilingLabel(TILINGS[i]!),
    )
  : TILINGS;

export const LAYER_NORM: NormVariant = { kind: 'layer', beta: true, unitOffset: false };
