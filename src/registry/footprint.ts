import { FORMATS } from '../api/index.ts';
import { openCheckpoint, tensorFinder } from '../checkpoint/file/index.ts';
import { inFolder } from '../checkpoint/source/index.ts';
import { openGpu } from '../gpu/index.ts';
import { encoderGraph, everything, hasPoolerIn, readConfig } from '../model/index.ts';
import { plan, USUAL_GPU, weightBytes } from '../plan/index.ts';
import { CONFIG } from './file-lister.ts';
import type { Inquiry } from './inquiry.ts';
import type { MemoryFootprint } from './types.ts';

/** The bytes of a model's weights on the GPU, from config.json, the headers of the weights and the plan for them. */
export async function footprint(inquiry: Inquiry): Promise<MemoryFootprint> {
  const { source, task, options } = inquiry;
  const caps = options.device ? (await openGpu(options.device)).caps : USUAL_GPU;
  const { folder, modules } = await inquiry.sentenceFiles();
  const encoder = inFolder(source, Promise.resolve(folder));
  const [config, checkpoint] = await Promise.all([
    encoder.json(CONFIG).then(json => readConfig(json)),
    openCheckpoint(encoder, { signal: options.signal }),
  ]);
  await checkpoint.cancel();
  const hasPooler = hasPoolerIn(config, tensorFinder(checkpoint, config));
  const graph = encoderGraph(config, everything(hasPooler, task?.info.head, modules));
  const bytesIn = (dtype: keyof MemoryFootprint) =>
    plan(graph, { caps, format: FORMATS[dtype] }).weights.reduce((sum, weight) => sum + weightBytes(weight), 0);
  return { fp32: bytesIn('fp32'), fp16: bytesIn('fp16'), q8: bytesIn('q8') };
}
