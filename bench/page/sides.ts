import type * as ours from '../../src/index.ts';

/**
 * What is measured against what. transformers.js is one module with two backends, and WebGPU has two model files
 * (bench/peer_model.py): plain `webgpu` the one that onnxruntime's optimizer makes, whose attention falls to the CPU,
 * `all on GPU` the one whose attention does not. Which is faster is for each adapter to show.
 */
export type Side =
  | 'ours'
  | 'another build'
  | 'transformers.js webgpu'
  | 'transformers.js webgpu all on GPU'
  | 'transformers.js wasm';

/** `another build` is this library at another commit, to show what a change costs or gains: `npm run bench -- --before FILE`. */
const BUILDS: Readonly<Partial<Record<Side, string>>> = {
  ours: '/dist/webgpu-bert.js',
  'another build': '/before/webgpu-bert.js',
};

const isPeer = (side: Side) => !(side in BUILDS);

/** The calls have the same names and shapes on both sides, so ours describe both. */
export type Library = typeof ours;
export type Extractor = ours.FeatureExtractionPipeline;

/** Settings of transformers.js that we have not. */
interface PeerEnvironment {
  useWasmCache: boolean;
  backends: { onnx: { wasm: { wasmPaths: Record<'mjs' | 'wasm', string>; numThreads: number } } };
}

export const MODEL = 'sentence-transformers/all-MiniLM-L6-v2';

/**
 * Imports a library, as a person's page does, and points it at this server. Both fetch plainly, through the HTTP cache, and
 * keep no copies of their own.
 */
export async function open(side: Side): Promise<Library> {
  const { origin } = location;
  const module = BUILDS[side] ?? '/transformers/transformers.min.js';
  const library: Library = await import(/* @vite-ignore */ `${origin}${module}`);
  const { env } = library;
  env.allowLocalModels = true;
  env.allowRemoteModels = false;
  env.localModelPath = '/models/';
  env.useBrowserCache = false;
  if (isPeer(side)) {
    const peer = env as unknown as PeerEnvironment;
    const { wasm } = peer.backends.onnx;
    const name = `${origin}/onnxruntime/ort-wasm-simd-threaded.asyncify`;
    wasm.wasmPaths = { mjs: `${name}.mjs`, wasm: `${name}.wasm` };
    // Else it reads all of the module before it compiles, instead of compiling what arrives.
    peer.useWasmCache = false;
    // By default it takes half of the cores, four at most.
    if (side === 'transformers.js wasm') wasm.numThreads = navigator.hardwareConcurrency;
  }
  return library;
}

/** The file of the folder onnx/, as transformers.js is told of it: without its ending. */
const fileOf = (side: Side) => ({
  model_file_name: side === 'transformers.js webgpu all on GPU' ? 'model_webgpu' : 'model',
});

export const deviceOf = (side: Side): string => (side === 'transformers.js wasm' ? 'wasm' : 'webgpu');

export async function loadExtractor(library: Library, side: Side): Promise<Extractor> {
  const options = { device: deviceOf(side), dtype: 'fp32' } as const;
  return library.pipeline('feature-extraction', MODEL, isPeer(side) ? { ...options, ...fileOf(side) } : options);
}

/** Every call of the benchmark is this one. */
export const OPTIONS = { pooling: 'mean', normalize: true } as const;
