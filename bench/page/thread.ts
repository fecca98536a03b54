import { Tensor } from '../../src/api/index.ts';
import { pack, unpack } from '../../src/worker/packing.ts';
import { type HeldThread, watched } from './held-thread.ts';
import { median } from './median.ts';
import { sentence } from './sentence.ts';
import { type Extractor, type Library, MODEL, OPTIONS } from './sides.ts';

/** One entry of the library: a load, then a call of many short texts. */
export interface ThreadFigure {
  entry: 'webgpu-bert' | 'webgpu-bert/worker';
  texts: number;
  tokens: number;
  load: HeldThread;
  call: HeldThread;
}

/** What the page's own thread does for a call in the worker, in milliseconds: medians. */
export interface OwnShare {
  /** Texts and options are packed and posted. */
  handOverMs: number;
  /** The result is read and unpacked. */
  takeMs: number;
}

/** The page's part of a result, with what it was measured on: it may stand beside parts of another day. */
export interface ThreadReport {
  date: string;
  browser: string;
  adapter: string;
  processor: string;
  figures: ThreadFigure[];
  own: OwnShare;
  /** Of the machine, before the run: programs that wanted a core at the same time. */
  loadAverage: number;
  /** Without the library, while as many workers as there are cores count: what the machine alone holds a page for. */
  floor: HeldThread;
}

const MODULES = { 'webgpu-bert': '/dist/es/index.js', 'webgpu-bert/worker': '/dist/es/worker.js' } as const;

/** Loads MiniLM and embeds `count` texts of 5 to 20 tokens, in a page that does nothing else. */
export async function benchThread(entry: ThreadFigure['entry'], count: number): Promise<ThreadFigure> {
  const { origin } = location;
  const library: Library = await import(/* @vite-ignore */ `${origin}${MODULES[entry]}`);
  library.env.useBrowserCache = false;
  const lengths = Array.from({ length: count }, (_, i) => 5 + ((i * 7) % 16));
  const texts = lengths.map(sentence);
  let extractor: Extractor | undefined;
  const load = await watched(async () => {
    extractor = await library.pipeline('feature-extraction', `${origin}/models/${MODEL}/`);
    await extractor(texts.slice(0, 4), OPTIONS);
  });
  const call = await watched(async () => {
    const { dims } = await extractor!(texts, OPTIONS);
    if (dims[0] !== count) throw new Error(`${dims[0]} rows`);
  });
  const tokens = lengths.reduce((sum, length) => sum + length);
  await extractor!.dispose();
  return { entry, texts: count, tokens, load, call };
}

/** The page's share of a call of `count` texts by MiniLM, without a worker: what is posted goes to this thread again. */
export async function benchOwnShare(count: number): Promise<OwnShare> {
  const texts = Array.from({ length: count }, (_, i) => sentence(5 + ((i * 7) % 16), i));
  const [handOver, take]: [number[], number[]] = [[], []];
  const { port1, port2 } = new MessageChannel();
  const arrival = (port: MessagePort) =>
    new Promise<number>(resolve => {
      port.onmessage = event => {
        const began = performance.now();
        unpack(event.data, () => undefined);
        resolve(performance.now() - began);
      };
    });
  for (let run = 0; run < 41; run++) {
    const heard = arrival(port2);
    const began = performance.now();
    port1.postMessage(pack([texts, OPTIONS], () => undefined).packed);
    handOver.push(performance.now() - began);
    await heard;
    const result = new Tensor('float32', new Float32Array(count * 384), [count, 384]);
    Object.defineProperty(result, 'tokens', { value: Array(count).fill(12) });
    const { packed, buffers } = pack(result, () => undefined);
    const taken = arrival(port1);
    port2.postMessage(packed, buffers);
    take.push(await taken);
  }
  port1.close();
  return { handOverMs: median(handOver), takeMs: median(take) };
}

/** A page that does nothing, beside workers that keep every core busy, as an adapter does that computes on the CPU. */
export async function benchThreadFloor(seconds: number): Promise<HeldThread> {
  const script = new Blob(['for (let count = 0; ; count++);'], { type: 'text/javascript' });
  const workers = Array.from({ length: navigator.hardwareConcurrency }, () => new Worker(URL.createObjectURL(script)));
  const held = await watched(() => new Promise(resolve => setTimeout(resolve, 1000 * seconds)));
  for (const worker of workers) worker.terminate();
  return held;
}
