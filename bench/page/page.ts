import { benchKernels } from './kernels.ts';
import { benchOurs } from './ours.ts';

/** What scripts/bench.mjs calls. */
const calls = { benchKernels, benchOurs };

declare global {
  var bench: typeof calls;
}
globalThis.bench = calls;
