/**
 * Embeds the texts of a JSONL file into another one, in Node: see README.md beside this file.
 *
 * Line i of the input, counted from 0, becomes one line of the output: `{ "index": i, "embedding": [...] }`, or
 * `{ "index": i, "error": "..." }` where it holds no text. Lines come out in order, so the last whole line of the output says where a
 * run that was broken off has to go on.
 */
import { once } from 'node:events';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  readFileSync,
  realpathSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { pipeline, WebGPUBertError } from 'webgpu-bert';

const help = `node bulk.mjs --model MODEL --input texts.jsonl --output vectors.jsonl
  --model M       a hub id, a URL or a directory with a slash in its name
  --field NAME    the field of a line that holds the text; text unless told. A line may also be a JSON string
  --shard I/N     only lines I, I + N, I + 2 N, ... (I from 0), for N jobs that each write a file of their own
  --pooling P     model, mean, cls, ...; model unless told
  --prompt NAME   a prompt of the checkpoint, such as document
  --dtype D       fp32, fp16 or q8
  --batch B       how many texts are read at once and written together; 512 unless told`;

/** What a person can mend. */
class Complaint extends Error {}

const text = /** @type {const} */ ({ type: 'string' });
const names = {
  model: text,
  input: text,
  output: text,
  field: text,
  shard: text,
  pooling: text,
  prompt: text,
  dtype: text,
  batch: text,
};

function given() {
  try {
    return parseArgs({ options: names }).values;
  } catch (error) {
    throw new Complaint(`${/** @type {Error} */ (error).message}\n${help}`);
  }
}

function options() {
  const values = given();
  const { model, input, output, field = 'text', shard = '0/1', prompt, batch = '512' } = values;
  // The library says what it takes where these are something else.
  const pooling = /** @type {import('webgpu-bert').PoolingName} */ (values.pooling ?? 'model');
  const dtype = /** @type {import('webgpu-bert').PretrainedOptions['dtype']} */ (values.dtype);
  if (!model || !input || !output) throw new Complaint(`--model, --input and --output are needed\n${help}`);
  const [index = Number.NaN, count = Number.NaN] = shard.split('/').map(Number);
  const isShard = Number.isInteger(index) && Number.isInteger(count) && index >= 0 && index < count;
  if (!isShard) throw new Complaint(`--shard ${shard}: expected I/N with I from 0 to N - 1, such as 0/8`);
  const size = Number(batch);
  if (!Number.isInteger(size) || size < 1) throw new Complaint(`--batch ${batch}: expected a whole number from 1`);
  if (!existsSync(input)) throw new Complaint(`--input ${input}: there is no such file`);
  if (existsSync(output) && realpathSync(input) === realpathSync(output)) {
    throw new Complaint(`--output ${output} is the input: name another file`);
  }
  return { model, input, output, field, shard: { index, count }, pooling, prompt, dtype, size };
}

/** Node has no WebGPU of its own; the package webgpu brings Dawn. */
async function installWebGPU() {
  if (globalThis.navigator?.gpu) return;
  const { create, globals } = await import(process.env.WEBGPU_PACKAGE ?? 'webgpu').catch(error => {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new Complaint('Node has no WebGPU of its own: npm install webgpu');
  });
  Object.assign(globalThis, globals);
  Object.defineProperty(globalThis, 'navigator', { value: { gpu: create([]) }, configurable: true });
}

/** Tenths of the model's files that are there. */
let tenths = 0;

/** Tells how far the files of the model have come. @param {import('webgpu-bert').ProgressInfo} info */
function progress_callback(info) {
  // Small files come first; the weights are nearly all of a model.
  if (info.status !== 'progress_total' || !Object.keys(info.files).some(file => file.endsWith('.safetensors'))) return;
  if (Math.floor(info.progress / 10) === tenths) return;
  tenths = Math.floor(info.progress / 10);
  console.error(`model: ${tenths * 10} % of ${(info.total / 1e6).toFixed(1)} MB`);
}

/**
 * What an earlier run has left: cuts a line that was broken off in the middle, and gives the index of the last whole one.
 * @param {string} path
 */
async function lastIndex(path) {
  if (!existsSync(path)) return -1;
  let [whole, position, last] = [0, 0, ''];
  let tail = Buffer.alloc(0);
  for await (const chunk of createReadStream(path)) {
    const bytes = Buffer.concat([tail, chunk]);
    const end = bytes.lastIndexOf(10) + 1;
    if (end > 0) last = bytes.subarray(bytes.lastIndexOf(10, end - 2) + 1, end).toString('utf8');
    whole = position + end;
    tail = bytes.subarray(end);
    position = whole;
  }
  if (tail.length > 0) truncateSync(path, whole);
  return last === '' ? -1 : JSON.parse(last).index;
}

/**
 * Vectors of two models in one file would be of no use to anybody, so a file beside the output says what made it.
 * @param {string} path @param {Record<string, unknown>} made
 */
function claim(path, made) {
  const file = `${path}.json`;
  const now = JSON.stringify(made, undefined, 2);
  if (!existsSync(path)) return writeFileSync(file, `${now}\n`);
  const before = existsSync(file) ? readFileSync(file, 'utf8').trim() : 'nothing';
  if (before !== now) {
    throw new Complaint(
      `${path} was made otherwise.\nthen: ${before}\nnow: ${now}\nName another --output, or remove both files.`,
    );
  }
}

/** @param {string} line @param {string} field @returns {{ text: string } | { error: string }} */
function textOf(line, field) {
  try {
    const value = JSON.parse(line);
    const text = typeof value === 'string' ? value : value?.[field];
    return typeof text === 'string' ? { text } : { error: `no text in the field ${JSON.stringify(field)}` };
  } catch {
    return { error: 'no JSON' };
  }
}

async function main() {
  const { model, input, output, field, shard, pooling, prompt, dtype, size } = options();
  await installWebGPU();
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort(new Complaint('stopped; the same command goes on from here')));
  const extractor = await pipeline('feature-extraction', model, { dtype, signal: stop.signal, progress_callback });
  const callOptions = { pooling, ...(prompt !== undefined && { prompt_name: prompt }), signal: stop.signal };
  const { space } = await extractor(['.'], callOptions);
  claim(output, { model, space, input, field, shard: `${shard.index}/${shard.count}` });

  const done = await lastIndex(output);
  if (done >= 0) console.error(`goes on behind line ${done}`);
  const file = createWriteStream(output, { flags: 'a' });
  const began = performance.now();
  let [embedded, wrong, at] = [0, 0, -1];
  /** @type {{ index: number, text?: string, error?: string }[]} */
  let waiting = [];

  const flush = async () => {
    const texts = waiting.flatMap(({ text }) => (text === undefined ? [] : [text]));
    const rows = texts.length > 0 ? await extractor(texts, callOptions) : undefined;
    const width = rows?.dims.at(-1) ?? 0;
    const numbers = rows?.data ?? new Float32Array();
    let row = 0;
    const lines = waiting.map(({ index, text, error }) => {
      if (text === undefined) return JSON.stringify({ index, error });
      const vector = numbers.subarray(row * width, ++row * width);
      // Nine digits are enough to give every float32 back.
      return JSON.stringify({ index, embedding: Array.from(vector, x => Number(x.toPrecision(9))) });
    });
    if (!file.write(`${lines.join('\n')}\n`)) await once(file, 'drain');
    embedded += texts.length;
    wrong += waiting.length - texts.length;
    waiting = [];
    const seconds = (performance.now() - began) / 1000;
    console.error(
      `line ${at}: ${embedded} texts, ${Math.round(embedded / seconds)} a second${wrong ? `, ${wrong} without text` : ''}`,
    );
  };

  try {
    for await (const line of createInterface({ input: createReadStream(input), crlfDelay: Number.POSITIVE_INFINITY })) {
      at += 1;
      if (at % shard.count !== shard.index || at <= done) continue;
      waiting.push({ index: at, ...textOf(line, field) });
      if (waiting.length === size) await flush();
    }
    if (waiting.length > 0) await flush();
  } finally {
    file.end();
    await once(file, 'close');
    await extractor.dispose();
  }
  console.error(`done: ${embedded} texts${wrong ? `, ${wrong} lines without text` : ''}`);
}

try {
  await main();
  process.exit(0);
} catch (error) {
  // What the system says of a file names the file; of other errors the place in the code matters, too.
  const isForPeople =
    error instanceof Complaint || error instanceof WebGPUBertError || Object(error).syscall !== undefined;
  console.error(isForPeople ? /** @type {Error} */ (error).message : error);
  process.exit(1);
}
