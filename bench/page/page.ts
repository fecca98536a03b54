import { openGpu } from '../../src/gpu/device.ts';
import { readConfig } from '../../src/model/config.ts';
import { benchJax } from './jax/side-by-side.ts';
import { benchKernels } from './kernels.ts';
import { benchStep, learnFewMails, learnGlosses, learnSpam, learnSpamHead } from './learning.ts';
import { benchLoad } from './load.ts';
import { benchLong } from './long.ts';
import { submitFloor } from './peak.ts';
import { MODEL } from './sides.ts';
import { benchSweep } from './sweep.ts';
import { benchOwnShare, benchThread, benchThreadFloor } from './thread.ts';
import { benchWarm } from './warm.ts';

/** What scripts/bench.mjs and scripts/bench-learning.mjs call, each in a page of its own. */
const calls = {
  benchKernels: async (passes: Record<string, number[]>) =>
    benchKernels(readConfig(await (await fetch(`/models/${MODEL}/config.json`)).json()), passes),
  benchJax,
  benchLoad,
  benchLong,
  benchOwnShare,
  benchStep,
  benchSweep,
  benchThread,
  benchThreadFloor,
  benchWarm,
  learnFewMails,
  learnGlosses,
  learnSpam,
  learnSpamHead,
  async facts(): Promise<{ adapter: string; floorMs: number }> {
    const { device, adapterName } = await openGpu();
    const floorMs = await submitFloor(device);
    device.destroy();
    return { adapter: adapterName, floorMs };
  },
};

declare global {
  var bench: typeof calls;
}
globalThis.bench = calls;
