import { createReadStream, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { gzipSync } from 'node:zlib';
import { at } from '../scripts/root.mjs';
import { pagesFolder } from './build-pages.mjs';
import { inBench } from './packages.mjs';
import { peerModels } from './peer-model.mjs';

const random = at('tests', 'fixtures', 'random');
/** The ONNX files of the random checkpoints with heads, and what else transformers.js needs beside them. */
const heads = inBench('page', 'compare', 'models');

/** Folders by the beginnings of their addresses; the first that has the file gives it. */
const mounts = /** @type {[string, string][]} */ ([
  ['/dist/', at('dist')],
  ['/models/', at('.cache', 'models')],
  ['/models/', peerModels],
  ['/models/fixtures/', random],
  ['/models/heads/', heads],
  ['/models/heads/', random],
  // Of the weights of bert-sequence: its config.json alone is another.
  ['/models/heads/bert-nli/', `${heads}/bert-sequence`],
  ['/models/heads/bert-nli/', `${random}/bert-sequence`],
  ['/transformers/', inBench('node_modules', '@huggingface', 'transformers', 'dist')],
  ['/onnxruntime/', inBench('node_modules', 'onnxruntime-web', 'dist')],
  ['/jax/', inBench('node_modules', '@jax-js', 'jax', 'dist')],
  ['/', pagesFolder],
]);

const types = new Map(
  Object.entries({
    '.html': 'text/html; charset=utf-8',
    '.js': 'text/javascript; charset=utf-8',
    '.mjs': 'text/javascript; charset=utf-8',
    '.json': 'application/json; charset=utf-8',
    '.wasm': 'application/wasm',
  }),
);

/** @param {string} path @param {readonly [string, string][]} more */
function find(path, more) {
  for (const [prefix, folder] of [...more, ...mounts]) {
    if (!path.startsWith(prefix)) continue;
    const file = join(folder, normalize(`/${path.slice(prefix.length)}`));
    const info = statSync(file, { throwIfNoEntry: false });
    if (info?.isFile()) return { file, info };
  }
  return undefined;
}

/**
 * What a good host of static files does, on this machine: code, JSON and WASM gzipped (the weights of either side do not
 * compress), every file cacheable for a year but for the pages, isolation headers, so that WASM may use threads.
 * `taken()` is what was sent since it was last asked. `more` are mounts beside the usual ones.
 * @param {readonly [string, string][]} [more] @returns {Promise<{ origin: string, taken(): { bytes: number, files: Record<string, number> }, close(): Promise<void> }>}
 */
export async function serveBench(more = []) {
  /** @type {Record<string, number>} */
  let sent = {};
  /** @type {Map<string, Buffer>} */
  const gzipped = new Map();
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const path = decodeURIComponent(pathname);
    const isolation = {
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    };
    const found = find(path === '/' ? '/index.html' : path, more);
    if (!found) return void response.writeHead(404, { ...isolation, 'content-type': 'text/plain' }).end('not found\n');
    const { file, info } = found;
    const type = types.get(extname(file));
    const isPage = extname(file) === '.html';
    const etag = `"${info.size.toString(16)}-${Math.floor(info.mtimeMs).toString(16)}"`;
    const headers = {
      ...isolation,
      'content-type': type ?? 'application/octet-stream',
      'cache-control': isPage ? 'no-store' : 'public, max-age=31536000, immutable',
      etag,
    };
    if (request.headers['if-none-match'] === etag) return void response.writeHead(304, headers).end();
    const count = (/** @type {number} */ bytes) => {
      sent[path] = (sent[path] ?? 0) + bytes;
    };
    if (type) {
      const key = `${file} ${etag}`;
      const body = gzipped.get(key) ?? gzipSync(readFileSync(file));
      gzipped.set(key, body);
      response.writeHead(200, { ...headers, 'content-encoding': 'gzip', 'content-length': body.length });
      if (request.method === 'HEAD') return void response.end();
      count(body.length);
      return void response.end(body);
    }
    const range = request.headers.range?.match(/^bytes=(\d+)-(\d*)$/);
    const start = range ? Number(range[1]) : 0;
    const end = range?.[2] ? Math.min(Number(range[2]), info.size - 1) : info.size - 1;
    const length = { 'content-length': end - start + 1, 'accept-ranges': 'bytes' };
    if (range)
      response.writeHead(206, { ...headers, ...length, 'content-range': `bytes ${start}-${end}/${info.size}` });
    else response.writeHead(200, { ...headers, ...length });
    if (request.method === 'HEAD') return void response.end();
    // Counted as they go out: a reader may stop early.
    createReadStream(file, { start, end, highWaterMark: 1 << 20 })
      .on('data', chunk => count(chunk.length))
      .on('error', error => response.destroy(error))
      .pipe(response);
  });
  await new Promise((resolve, reject) => server.on('error', reject).listen(0, '127.0.0.1', () => resolve(undefined)));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the benchmark server has no port');
  return {
    origin: `http://127.0.0.1:${address.port}`,
    taken() {
      const files = sent;
      sent = {};
      return { bytes: Object.values(files).reduce((a, b) => a + b, 0), files };
    },
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
