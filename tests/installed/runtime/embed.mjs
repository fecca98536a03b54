// usage: node embed.mjs MODEL_DIRECTORY, or deno run --allow-all embed.mjs MODEL_DIRECTORY
import process from 'node:process';
import { pipeline } from 'webgpu-bert';

// Node has no WebGPU of its own: the package webgpu brings one.
if (!globalThis.navigator?.gpu) {
  const { create, globals } = await import(process.env.WEBGPU_PACKAGE ?? 'webgpu');
  Object.assign(globalThis, globals);
  Object.defineProperty(globalThis, 'navigator', { value: { gpu: create([]) }, configurable: true });
}

const extractor = await pipeline('feature-extraction', process.argv[2]);
const output = await extractor('hello world', { pooling: 'mean', normalize: true });
console.log(JSON.stringify(output.tolist()[0]));
await extractor.dispose();
// Dawn's instance would keep the process alive.
process.exit(0);
