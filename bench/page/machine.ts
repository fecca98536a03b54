import { cases, run } from '../../e2e/harness.ts';
import { type BertShape, randomBert } from '../../e2e/random-bert.ts';
import { tilingLabel } from '../../shaders/tiling.ts';
import '../../e2e/suites/kernels.ts';
import { openGpu } from '../../src/gpu/device.ts';
import { PipelineCache } from '../../src/gpu/pipelines.ts';
import { AutoModel, type PreTrainedModel, Tensor } from '../../src/index.ts';
import { readConfig } from '../../src/model/config.ts';
import { encoderGraph } from '../../src/model/encoder.ts';
import type { EncoderConfig } from '../../src/model/encoder-config.ts';
import { packBatch } from '../../src/plan/batch.ts';
import { plan } from '../../src/plan/plan.ts';
import { profileOf } from '../../src/plan/profiles.ts';
import { lists } from '../work.mjs';
import { benchKernels, type KernelReport, zeros } from './kernels.ts';
import { median } from './median.ts';
import { submitFloor } from './peak.ts';
import { benchTilings, type TilingFigure } from './tilings.ts';
import { timedStep } from './timed-step.ts';

const BERT_BASE: BertShape = {
  vocab_size: 30522,
  hidden_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  intermediate_size: 3072,
  hidden_act: 'gelu',
  max_position_embeddings: 512,
  type_vocab_size: 2,
};
/** all-MiniLM-L6-v2. */
const MINILM: BertShape = { ...BERT_BASE, hidden_size: 384, num_hidden_layers: 6, intermediate_size: 1536 };
const MODELS = { MiniLM: MINILM, 'BERT-base': BERT_BASE };

/** The median of some calls of a list of texts. */
export interface CallFigure {
  work: string;
  tokens: number;
  medianMs: number;
  minMs: number;
  runs: number;
}

export interface ModelFigures {
  model: string;
  /** From bytes in memory to the first answer. */
  firstAnswerMs: number;
  gpuBytes: { weights: number; activations: number };
  calls: CallFigure[];
}

/** One submit of a linear that is dispatched over and over. */
export interface SubmitFigure {
  multiplyAdds: number;
  ms: number;
}

/** What the archive of `npm run bench:node -- --pack` measures. */
export interface MachineReport {
  adapter: string;
  /** Of the linears, as the library chooses it. */
  tiling: string;
  floorMs: number;
  /** Every kernel against its float64 twin: e2e/suites/kernels/. */
  correctness: { passed: number; failed: { name: string; error: string }[] };
  models: ModelFigures[];
  /** One for each model and list of texts. */
  kernels: (KernelReport & { model: string })[];
  submits: SubmitFigure[];
  /** Of all candidates on a graphics card. On software adapters, none. */
  tilings: TilingFigure[];
  /** What there was no time for. */
  leftOut: string[];
}

/** Calls that are counted, and how long they may take together. */
const RUNS = 15;
const CALLS_MS = 6000;
/** A submit that takes longer than this is not made larger. */
const LONGEST_SUBMIT_MS = 400;

/**
 * Measures in the order of what a reader needs first: whether the kernels are right, then whole calls of two models with random
 * weights, submits of growing size, the kernels of both models, and all tilings. What would begin after `seconds` is left out, and named.
 */
export async function benchMachine({
  seconds,
  say,
}: {
  seconds: number;
  say: (line: string) => void;
}): Promise<MachineReport> {
  const began = performance.now();
  const { device, caps, adapterName } = await openGpu();
  const report: MachineReport = {
    adapter: adapterName,
    tiling: tilingLabel(profileOf(caps).tiling),
    floorMs: await submitFloor(device),
    correctness: { passed: 0, failed: [] },
    models: [],
    kernels: [],
    submits: [],
    tilings: [],
    leftOut: [],
  };
  device.destroy();
  const elapsed = () => (performance.now() - began) / 1000;
  const stage = async (name: string, body: () => Promise<void>, limit = seconds): Promise<void> => {
    if (elapsed() > limit) return void report.leftOut.push(name);
    say(`${elapsed().toFixed(0).padStart(4)} s  ${name}`);
    await body();
  };
  for (const { name } of cases()) {
    const body = async () => {
      const { ok, error } = await run(name);
      if (ok) report.correctness.passed++;
      else report.correctness.failed.push({ name, error: error ?? '' });
    };
    await stage(`kernel: ${name}`, body, seconds / 3);
  }
  for (const [model, shape] of Object.entries(MODELS)) {
    await stage(`${model}, random weights: calls`, async () => {
      report.models.push(await benchCalls(model, shape, () => elapsed() > seconds));
    });
  }
  const small = configOf(MINILM);
  await stage('submits of growing size', async () => {
    report.submits = await benchSubmits(small);
  });
  for (const [model, shape] of Object.entries(MODELS)) {
    for (const [work, lengths] of Object.entries(lists)) {
      await stage(`${model}: kernels of ${work}`, async () => {
        report.kernels.push({ model, ...(await benchKernels(configOf(shape), { [work]: lengths })) });
      });
    }
  }
  for (const [work, lengths] of Object.entries(caps.adapter === 'gpu' ? lists : {})) {
    await stage(`tilings of the linears of ${work}`, async () => {
      report.tilings.push(...(await benchTilings(small, { [work]: lengths })));
    });
  }
  return report;
}

const configOf = (shape: BertShape): EncoderConfig =>
  readConfig({ model_type: 'bert', layer_norm_eps: 1e-12, ...shape });

/** Whole calls of each list of texts, until `isLate`. */
async function benchCalls(name: string, shape: BertShape, isLate: () => boolean): Promise<ModelFigures> {
  const { files } = randomBert(shape, { seed: 1, as: 'F32', pooler: false });
  const blobs = Object.entries(files).map(([file, bytes]) => ({ name: file, blob: new Blob([bytes]) }));
  const began = performance.now();
  const model = await AutoModel.from_pretrained(blobs);
  await call(model, [16]);
  const firstAnswerMs = performance.now() - began;
  const calls: CallFigure[] = [];
  for (const [work, lengths] of Object.entries(lists)) {
    if (isLate()) break;
    await call(model, lengths);
    const times: number[] = [];
    for (let spent = 0; times.length < 3 || (times.length < RUNS && spent < CALLS_MS); spent += times.at(-1)!) {
      const start = performance.now();
      await call(model, lengths);
      times.push(performance.now() - start);
    }
    calls.push({
      work,
      tokens: lengths.reduce((sum, length) => sum + length),
      medianMs: median(times),
      minMs: Math.min(...times),
      runs: times.length,
    });
  }
  const gpuBytes = await model.bytes();
  await model.dispose();
  return { model: name, firstAnswerMs, gpuBytes, calls };
}

/** Token ids of texts with these lengths, padded and masked as a tokenizer does it. */
async function call(model: PreTrainedModel, lengths: readonly number[]): Promise<void> {
  const longest = Math.max(...lengths);
  const tensor = (value: (row: number, column: number) => number) => {
    const data = BigInt64Array.from({ length: lengths.length * longest }, (_, i) =>
      BigInt(value(Math.floor(i / longest), i % longest)),
    );
    return new Tensor('int64', data, [lengths.length, longest]);
  };
  await model._call({
    input_ids: tensor((row, column) => 1000 + ((row * 131 + column * 17) % 20000)),
    attention_mask: tensor((row, column) => Number(column < lengths[row]!)),
  });
}

/** A linear of 256 rows, once in a submit, twice, four times, …: what the budget of a submit is decided by. */
async function benchSubmits(config: EncoderConfig): Promise<SubmitFigure[]> {
  const { device, caps } = await openGpu();
  const graph = encoderGraph(config, { lastHiddenState: true });
  const { steps, ops, queryTile } = plan(graph, { caps });
  const linear = ops.find(op => op.op === 'linear' && op.y.columns === config.intermediateSize);
  const step = steps.find(({ label }) => linear?.op === 'linear' && label === linear.y.name);
  if (linear?.op !== 'linear' || !step) throw new Error('the graph has no feed-forward linear');
  const batch = packBatch([zeros(256)], queryTile);
  const { submit, destroy } = await timedStep(device, new PipelineCache(device), batch, step);
  await submit(1);
  const figures: SubmitFigure[] = [];
  for (let times = 1; times <= 2 ** 20; times *= 2) {
    const ms = median([await submit(times), await submit(times), await submit(times)]);
    figures.push({ multiplyAdds: times * 256 * linear.weight.stride * linear.y.columns, ms });
    if (ms > LONGEST_SUBMIT_MS) break;
  }
  destroy();
  device.destroy();
  return figures;
}

/** The report as text. */
export function reportOf(result: MachineReport & { processor: string; node: string; date: string }): string {
  const { correctness, models, kernels, submits, tilings, leftOut } = result;
  const ms = (value: number) => value.toPrecision(3).padStart(9);
  const lines = [
    `${result.adapter}; ${result.processor}; Node ${result.node} with Dawn; ${result.date}`,
    `an empty submit ${ms(result.floorMs).trim()} ms; tiling of the linears ${result.tiling}`,
    `kernels against their float64 twins: ${correctness.passed} right, ${correctness.failed.length} wrong`,
    ...correctness.failed.map(({ name, error }) => `  WRONG ${name}: ${error.split('\n')[0]}`),
  ];
  for (const { model, firstAnswerMs, gpuBytes, calls } of models) {
    lines.push('', `${model}: first answer ${ms(firstAnswerMs).trim()} ms, ${gpuBytes.weights} bytes of weights`);
    for (const { work, tokens, medianMs, minMs, runs } of calls) {
      lines.push(`  ${work.padEnd(10)} ${ms(medianMs)} ms (best ${ms(minMs).trim()}, ${runs} runs, ${tokens} tokens)`);
    }
  }
  for (const { model, peakGflops, passes } of kernels) {
    for (const pass of passes) {
      const peak = `beside a multiply-add peak of ${Math.round(peakGflops)} GFLOP/s`;
      lines.push('', `${model}: kernels of ${pass.name}, together ${ms(pass.ms).trim()} ms, ${peak}`);
      for (const { kernel, dispatches, ms: each, gflops, ofPeak } of pass.kernels) {
        const share =
          gflops && ofPeak ? `  ${Math.round(gflops)} GFLOP/s, ${Math.round(100 * ofPeak)} % of the peak` : '';
        lines.push(`  ${ms(each)} ms x ${String(dispatches).padEnd(3)} ${kernel}${share}`);
      }
    }
  }
  if (submits.length > 0) lines.push('', 'submits of growing size: multiply-adds, ms');
  for (const figure of submits) lines.push(`  ${figure.multiplyAdds.toExponential(2).padStart(10)} ${ms(figure.ms)}`);
  if (tilings.length > 0) lines.push('', 'linears of a MiniLM pass with every tiling: ms, share of the first tiling');
  for (const { pass, tiling, ms: each, ofDefault } of tilings) {
    lines.push(`  ${pass.padEnd(10)} ${tiling.padEnd(28)} ${ms(each)}  ${ofDefault.toFixed(2)}`);
  }
  if (leftOut.length > 0) lines.push('', `no time was left for: ${leftOut.join('; ')}`);
  return `${lines.join('\n')}\n`;
}
