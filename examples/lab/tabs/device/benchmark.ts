import type { FeatureExtractionPipeline } from 'webgpu-bert';
import { type Spread, spreadOf } from './spread.ts';

/** What is measured: so many texts of so many tokens each, in one call. */
export interface Workload {
  readonly name: string;
  readonly texts: number;
  readonly tokens: number;
}

export const WORKLOADS: readonly Workload[] = [
  { name: 'A short sentence', texts: 1, tokens: 16 },
  { name: 'Eight sentences', texts: 8, tokens: 32 },
  { name: 'A paragraph', texts: 1, tokens: 128 },
];

/** The throughput: as many texts as a GPU takes at once, and fewer where a call would take longer than some seconds. */
const MANY = { name: 'Many texts', texts: 64, tokens: 64 };
const FEWEST_TEXTS = 4;
const LONGEST_CALL_MS = 2_000;

/** Steps of one dtype: the load, the workloads and the throughput. */
export const STEPS = WORKLOADS.length + 2;

/** The workload of the throughput, by how fast the fastest of those before was. */
export function throughputWorkload(measured: readonly Measured[]): Workload {
  const rate = Math.max(...measured.map(({ tokens, ms }) => tokens / ms.median));
  let { texts } = MANY;
  while (texts > FEWEST_TEXTS && texts * MANY.tokens > rate * LONGEST_CALL_MS) texts /= 2;
  return { ...MANY, texts };
}

/** Calls of one workload: at least so many, then until the time is over, and no more than so many. */
const FEWEST = 3;
const MOST = 30;
const ENOUGH_MS = 2_000;

export interface Measured {
  readonly workload: Workload;
  /** Tokens that were run in a call, special tokens included. */
  readonly tokens: number;
  /** Milliseconds of a call. */
  readonly ms: Spread;
}

export interface DtypeResult {
  readonly dtype: string;
  readonly loadMs: number;
  /** The workloads in their order, and the throughput as the last. */
  readonly measured: readonly Measured[];
  /** Bytes on the GPU. */
  readonly bytes: { readonly weights: number; readonly activations: number };
}

/** Why a dtype was not measured to its end. */
export interface DtypeFailure {
  readonly dtype: string;
  readonly reason: string;
}

export interface BenchmarkOptions {
  /** The throughput that was measured with another dtype: it is measured with as many texts. */
  readonly throughput?: Workload | undefined;
  readonly signal: AbortSignal;
  /** What is measured now, in words. */
  onStep(words: string): void;
}

/** A text of exactly so many tokens; where its tokenizer makes none of that length, of a few less. */
export function textOfTokens(extractor: FeatureExtractionPipeline, tokens: number): string {
  const fits = (text: string) => extractor.tokenizer.encode(text).length <= tokens;
  let [low, high] = [1, tokens];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(textOf(middle))) low = middle;
    else high = middle - 1;
  }
  // A word may be several tokens: a letter fills up what is left.
  let text = textOf(low);
  for (let i = 0; i < tokens && fits(`${text} a`); i += 1) text += ' a';
  return text;
}

const WORDS = ['time', 'people', 'water', 'place', 'house', 'world', 'night', 'music'];
const textOf = (words: number): string => Array.from({ length: words }, (_, i) => WORDS[i % WORDS.length]).join(' ');

/** Loads a model and runs every workload. Rejects with the error of the load or of a call, or with the signal's reason. */
export async function measure(
  dtype: string,
  load: () => Promise<FeatureExtractionPipeline>,
  { throughput, signal, onStep }: BenchmarkOptions,
): Promise<DtypeResult> {
  onStep(`${dtype}: loading`);
  const began = performance.now();
  const extractor = await load();
  const loadMs = performance.now() - began;
  try {
    const measured: Measured[] = [];
    const add = async (workload: Workload) => {
      onStep(`${dtype}: ${workload.texts} × ${workload.tokens} tokens`);
      measured.push(await measureWorkload(extractor, workload, signal));
    };
    for (const workload of WORKLOADS) await add(workload);
    await add(throughput ?? throughputWorkload(measured));
    const { weights, activations } = await extractor.model.bytes();
    return { dtype, loadMs, measured, bytes: { weights, activations } };
  } finally {
    await extractor.dispose();
  }
}

async function measureWorkload(
  extractor: FeatureExtractionPipeline,
  workload: Workload,
  signal: AbortSignal,
): Promise<Measured> {
  const text = textOfTokens(extractor, workload.tokens);
  const texts = Array.from({ length: workload.texts }, () => text);
  const call = () => extractor(texts, { pooling: 'mean', normalize: true, signal });
  // The first call plans, and is not counted.
  const { tokens } = await call();
  const times: number[] = [];
  const begin = performance.now();
  while (times.length < FEWEST || (times.length < MOST && performance.now() - begin < ENOUGH_MS)) {
    const began = performance.now();
    await call();
    times.push(performance.now() - began);
    signal.throwIfAborted();
  }
  return { workload, tokens: tokens.reduce((sum, count) => sum + count, 0), ms: spreadOf(times) };
}
