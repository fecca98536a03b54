import { isSupported, pipeline as onGPU } from 'webgpu-bert';

/**
 * The same call with or without a GPU: on WebGPU by webgpu-bert, elsewhere on WASM by transformers.js, which is downloaded only then.
 * An adapter that computes on the CPU counts as none, because there WASM is the faster of the two.
 *
 * The two read different files of a repository, model.safetensors and onnx/; where an author publishes them in two repositories, `onnx`
 * names the other one. `dtype` is handed to both; q8 is what transformers.js takes on WASM unless told otherwise.
 */
export async function pipeline(task, model, { onnx = model, ...options } = {}) {
  const { ok, software, reason } = await isSupported();
  if (ok && !software) return onGPU(task, model, options);
  console.info(`${task} runs on WASM: ${reason ?? 'the graphics adapter computes on the CPU.'}`);
  const { pipeline: onCPU } = await import('@huggingface/transformers');
  const { dtype, progress_callback, revision } = options;
  return onCPU(task, onnx, { device: 'wasm', dtype, progress_callback, revision });
}
