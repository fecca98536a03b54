import { FORMATS } from '../api/index.ts';
import { openCheckpoint, tensorFinder } from '../checkpoint/file/index.ts';
import { inFolder } from '../checkpoint/source/index.ts';
import { encoderConfig } from '../engine/index.ts';
import { openGpu } from '../gpu/index.ts';
import { encoderGraph, everything, hasPooler } from '../model/index.ts';
import { plan, USUAL_GPU, weightBytes } from '../plan/index.ts';
import type { Inquiry } from './inquiry.ts';
import type { MemoryFootprint } from './types.ts';

/** The bytes of a model's weights on the GPU, from config.json, the headers of the weights and the plan for them. */
export async function footprint(inquiry: Inquiry): Promise<MemoryFootprint> {
  const { source, options } = inquiry;
  const caps = options.device ? (await openGpu(options.device)).caps : USUAL_GPU;
  const { folder, isStatic, head, modules, tokens } = await inquiry.parts();
  const encoder = inFolder(source, Promise.resolve(folder));
  const opened = openCheckpoint(encoder, { signal: options.signal });
  const [config, checkpoint] = await Promise.all([encoderConfig(encoder, opened, isStatic), opened]);
  await checkpoint.cancel();
  const withPooler = !config.static && hasPooler(config, tensorFinder(checkpoint, config));
  const graph = encoderGraph(config, everything(withPooler, head, modules, (await tokens?.(source))?.steps));
  const bytesIn = (dtype: keyof MemoryFootprint) =>
    plan(graph, { caps, format: FORMATS[dtype] }).weights.reduce((sum, weight) => sum + weightBytes(weight), 0);
  return { fp32: bytesIn('fp32'), fp16: bytesIn('fp16'), q8: bytesIn('q8') };
}
