import { adapterNameOf, kindOf } from '../src/gpu/device.ts';

const info = (await navigator.gpu.requestAdapter())?.info;

/**
 * Whether compiling a kernel takes this adapter seconds, as it takes SwiftShader for the shapes of a GPU; llvmpipe takes a tenth of that.
 * Cases that say little beside others are left out there. A thorough run (npm test -- --thorough) leaves out none.
 */
const compilesSlowly = !globalThis.isThorough && kindOf(adapterNameOf(info), info?.isFallbackAdapter) === 'swiftshader';

/** The first few of some cases where compiling is slow, else all. */
export const fewOf = <T>(cases: readonly T[], few = 1): readonly T[] => (compilesSlowly ? cases.slice(0, few) : cases);
