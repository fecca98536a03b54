import { openGpu } from '../../src/gpu/device.ts';
import { PipelineCache } from '../../src/gpu/pipelines.ts';
import { readConfig } from '../../src/model/config.ts';
import { encoderGraph } from '../../src/model/encoder.ts';
import { type Batch, packBatch } from '../../src/plan/batch.ts';
import type { DeviceOp } from '../../src/plan/lower.ts';
import { kernelsOf, type Plan, plan } from '../../src/plan/plan.ts';
import type { Step } from '../../src/plan/step.ts';
import { distinctSteps, zeros } from './kernels.ts';
import { median } from './median.ts';
import { repetitions, spanFor, submitFloor } from './peak.ts';
import { timedStep } from './timed-step.ts';

/** ModernBERT of the size of MiniLM: 6 layers, of which two look at all keys and four at a window of 64 to either side. */
const CONFIG = {
  model_type: 'modernbert',
  vocab_size: 1000,
  hidden_size: 384,
  intermediate_size: 768,
  num_hidden_layers: 6,
  num_attention_heads: 12,
  max_position_embeddings: 8192,
};

/** Tiles of attention that are timed of a sequence; the others take as long. */
const TIMED_TILES = 64;

/** What a pass of one sequence takes, in milliseconds. */
export interface LongFigure {
  tokens: number;
  /** The attention of one layer. */
  globalMs: number;
  slidingMs: number;
  /** Everything of the pass: all layers, with their linears, norms and rotary positions. */
  passMs: number;
}

/** The op that a step belongs to, by the value that it writes. */
function opsByLabel({ ops }: Plan): Map<string, DeviceOp> {
  return new Map(ops.map(op => [op.op === 'attention' ? op.context.name : op.y.name, op]));
}

/** A batch whose attention has only some of its tiles, spread evenly, and how many times as many there are in all. */
function withFewTiles(batch: Batch): { batch: Batch; share: number } {
  const { tiles } = batch.sizes;
  const count = Math.min(tiles, TIMED_TILES);
  const chosen = new Uint32Array(4 * count);
  for (let i = 0; i < count; i++) {
    const from = 4 * Math.floor(((i + 0.5) * tiles) / count);
    chosen.set(batch.tiles.subarray(from, from + 4), 4 * i);
  }
  return { batch: { ...batch, sizes: { ...batch.sizes, tiles: count }, tiles: chosen }, share: tiles / count };
}

/** Every kernel of a ModernBERT pass of one long sequence, alone, as benchKernels times them. */
export async function benchLong(lengths: readonly number[]): Promise<LongFigure[]> {
  const { device, caps } = await openGpu();
  const made = plan(encoderGraph(readConfig(CONFIG), { pool: { pooling: 'mean', normalize: true } }), { caps });
  const ops = opsByLabel(made);
  const pipelines = new PipelineCache(device);
  await Promise.all(kernelsOf(made.steps).map(kernel => pipelines.get(kernel)));
  const floorMs = await submitFloor(device);
  const spanMs = spanFor(floorMs);
  /** Of one dispatch. */
  const timeOfStep = async (batch: Batch, step: Step): Promise<number> => {
    const { submit, destroy } = await timedStep(device, pipelines, batch, step);
    await submit(1);
    const times = await repetitions(submit, spanMs);
    const taken: number[] = [];
    for (let run = 0; run < 3; run++) taken.push(await submit(times));
    destroy();
    return Math.max(0, median(taken) - floorMs) / times;
  };
  const figures: LongFigure[] = [];
  for (const tokens of lengths) {
    const batch = packBatch([zeros(tokens)], made.queryTile);
    const few = withFewTiles(batch);
    const figure = { tokens, globalMs: 0, slidingMs: 0, passMs: 0 };
    for (const { step, dispatches } of distinctSteps(made.steps)) {
      const op = ops.get(step.label);
      const isAttention = op?.op === 'attention';
      const ms = isAttention ? few.share * (await timeOfStep(few.batch, step)) : await timeOfStep(batch, step);
      if (isAttention) figure[op.window === undefined ? 'globalMs' : 'slidingMs'] = ms;
      figure.passMs += ms * dispatches;
    }
    figures.push(figure);
  }
  device.destroy();
  return figures;
}
