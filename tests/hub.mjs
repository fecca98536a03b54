import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join, normalize } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * A local server that behaves like the hub of Hugging Face, for tests that must run without a network:
 *   /{id}/resolve/{revision}/{file}   small files directly, large ones by a 302 to /cdn/..., as for LFS
 *   /plain/{id}/{file}                the same files as a static server would give them
 *
 * @typedef {object} Fault what goes wrong with one file; `times` says how often (default: always)
 * @property {number} [times]
 * @property {number} [cut] the connection is cut after so many bytes of the answer
 * @property {number} [lengthOff] added to Content-Length, which is then not the length
 * @property {number} [status] answered instead of the file
 * @property {string} [retryAfter] the header Retry-After beside `status`
 * @property {boolean} [drop] the connection is closed without an answer
 * @property {boolean} [html] a web page with status 200, as a single-page application's server gives for every path
 * @property {boolean} [noRange] Range is ignored
 * @property {boolean} [noValidator] neither ETag nor Last-Modified
 * @property {boolean} [encoded] the Content-Encoding 'gzip' is used, so that Content-Length is not the size
 * @property {number} [pauseMs] between pieces of 64 KiB
 * @property {string} [etag] instead of the file's own
 *
 * @typedef {object} HubOptions
 * @property {string} [root] a folder that holds {id}/{file}
 * @property {Record<string, Uint8Array | string>} [files] by '{id}/{file}'; they stand before those of `root`
 * @property {Record<string, Fault>} [faults] by '{id}/{file}'
 * @property {string[]} [revisions] default: main
 * @property {string[]} [gated] ids that answer 401
 * @property {number} [largeBytes] files from this size on are redirected, as all *.safetensors; default 1 MiB
 * @property {number} [port] default: any that is free
 * @property {Record<string, string>} [commits] the commit of each revision, which the hub's own answers tell then, and under
 *   which its files are, too: by '{id}@{commit}/{file}', or else by '{id}/{file}'
 *
 * @typedef {object} Hub
 * @property {string} url with a slash at its end; for env.remoteHost
 * @property {{ method: string, path: string, range: string | undefined, status: number }[]} requests
 * @property {Record<string, Fault>} faults may be changed at any time
 * @property {Record<string, Uint8Array | string>} files may be changed at any time
 * @property {Record<string, string>} commits may be changed at any time
 * @property {() => Promise<void>} stop
 *
 * @param {HubOptions} [options]
 * @returns {Promise<Hub>}
 */
export async function startHub(options = {}) {
  const { root, revisions = ['main'], gated = [], largeBytes = 1 << 20, port = 0 } = options;
  /** @type {Hub['files']} */
  const files = options.files ?? {};
  /** @type {Hub['faults']} */
  const faults = options.faults ?? {};
  /** @type {Hub['commits']} */
  const commits = options.commits ?? {};
  /** @type {Hub['requests']} */
  const requests = [];

  /** @param {string} key */
  async function load(key) {
    const own = files[key];
    if (own !== undefined) return typeof own === 'string' ? Buffer.from(own) : own;
    if (root === undefined || normalize(key).startsWith('..')) return undefined;
    return readFile(join(root, key)).catch(() => undefined);
  }

  /** @param {string} id */
  async function exists(id) {
    if (Object.keys(files).some(key => key.startsWith(`${id}/`) || key.startsWith(`${id}@`))) return true;
    return (await load(`${id}/config.json`)) !== undefined;
  }

  /** @param {string} key */
  function faultOf(key) {
    const fault = faults[key];
    if (fault === undefined || fault.times === 0) return {};
    if (fault.times !== undefined) fault.times--;
    return fault;
  }

  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {import('node:http').ServerResponse} response
   */
  async function answer(request, response) {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const path = decodeURIComponent(pathname);
    const entry = { method: request.method ?? 'GET', path, range: request.headers.range, status: 0 };
    requests.push(entry);
    response.on('close', () => {
      entry.status = response.statusCode;
    });
    response.setHeader('access-control-allow-origin', '*');
    response.setHeader(
      'access-control-expose-headers',
      'ETag, Content-Range, Accept-Ranges, X-Repo-Commit, X-Error-Code, X-Error-Message, X-Linked-Size, X-Linked-ETag',
    );
    if (request.method === 'OPTIONS') {
      response.setHeader('access-control-allow-headers', 'authorization, range, if-range, if-none-match');
      return response.writeHead(204).end();
    }
    const hub = /^\/(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
    if (hub) {
      // A revision may hold an escaped slash: refs%2Fpr%2F1.
      const [id = '', revision = '', file = ''] = hub.slice(1).map(decodeURIComponent);
      if (gated.includes(id)) return refuse(response, 401, 'GatedRepo', `Access to model ${id} is restricted.`);
      if (!(await exists(id))) return refuse(response, 401, 'RepoNotFound', 'Invalid username or password.');
      const commit = commits[revision] ?? Object.values(commits).find(each => each === revision);
      if (!commit && !revisions.includes(revision))
        return refuse(response, 404, 'RevisionNotFound', `Invalid rev id: ${revision}`);
      if (commit) response.setHeader('x-repo-commit', commit);
      const key = files[`${id}@${commit}/${file}`] === undefined ? `${id}/${file}` : `${id}@${commit}/${file}`;
      const bytes = await load(key);
      if (bytes === undefined) return refuse(response, 404, 'EntryNotFound', 'Entry not found');
      if (file.endsWith('.safetensors') || bytes.length >= largeBytes) {
        response.setHeader('x-linked-etag', etagOf(bytes));
        response.setHeader('x-linked-size', bytes.length);
        return response.writeHead(302, { location: `/cdn/${key}?signed=1` }).end();
      }
      return send(request, response, key, bytes);
    }
    const key = path.replace(/^\/(cdn|plain)\//, '');
    const bytes = key === path ? undefined : await load(key);
    if (bytes === undefined && !faults[key]?.html) return response.writeHead(404).end('Not found');
    return send(request, response, key, bytes ?? Buffer.alloc(0));
  }

  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {import('node:http').ServerResponse} response
   * @param {string} key
   * @param {Uint8Array} bytes
   */
  async function send(request, response, key, bytes) {
    const fault = request.method === 'HEAD' ? (faults[key] ?? {}) : faultOf(key);
    if (fault.drop) return response.destroy();
    if (fault.status !== undefined) {
      if (fault.retryAfter !== undefined) response.setHeader('retry-after', fault.retryAfter);
      return response.writeHead(fault.status).end();
    }
    if (fault.html) {
      return response
        .writeHead(200, { 'content-type': 'text/html' })
        .end('<!doctype html><title>App</title><div id="app">');
    }
    const etag = fault.etag ?? etagOf(bytes);
    if (!fault.noValidator) response.setHeader('etag', etag);
    response.setHeader('content-type', key.endsWith('.json') ? 'application/json' : 'application/octet-stream');
    if (!fault.noRange) response.setHeader('accept-ranges', 'bytes');
    if (fault.encoded) response.setHeader('content-encoding', 'gzip');
    let start = 0;
    let end = bytes.length;
    const range = fault.noRange ? null : /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const condition = request.headers['if-range'];
    if (range && (condition === undefined || condition === etag)) {
      start = Number(range[1]);
      if (range[2]) end = Math.min(end, Number(range[2]) + 1);
      if (start >= bytes.length) return response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
      response.setHeader('content-range', `bytes ${start}-${end - 1}/${bytes.length}`);
      response.statusCode = 206;
    }
    let body = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start);
    if (fault.encoded) body = (await import('node:zlib')).gzipSync(body);
    response.setHeader('content-length', body.length + (fault.lengthOff ?? 0));
    if (request.method === 'HEAD') return response.end();
    const stop = fault.cut === undefined ? body.length : Math.min(fault.cut, body.length);
    for (let at = 0; at < stop && !response.destroyed; at += 1 << 16) {
      const piece = body.subarray(at, Math.min(at + (1 << 16), stop));
      if (!response.write(piece)) await once(response, 'drain');
      if (fault.pauseMs) await sleep(fault.pauseMs);
    }
    if (fault.cut === undefined && !fault.lengthOff) return response.end();
    // What was written must arrive before the connection is cut.
    await sleep(20);
    return response.destroy();
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(error => response.destroy(error));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port.');
  return {
    url: `http://127.0.0.1:${address.port}/`,
    requests,
    faults,
    files,
    commits,
    stop: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/**
 * @param {import('node:events').EventEmitter} emitter
 * @param {string} event
 * @returns {Promise<void>} when the event or the end comes
 */
function once(emitter, event) {
  return new Promise(resolve => {
    const end = () => {
      emitter.off(event, end);
      emitter.off('close', end);
      resolve();
    };
    emitter.once(event, end);
    emitter.once('close', end);
  });
}

/** @param {Uint8Array} bytes */
function etagOf(bytes) {
  return `"${createHash('sha256').update(bytes).digest('hex')}"`;
}

/**
 * @param {import('node:http').ServerResponse} response
 * @param {number} status
 * @param {string} code
 * @param {string} message
 */
function refuse(response, status, code, message) {
  response.setHeader('x-error-code', code);
  response.setHeader('x-error-message', message);
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ error: message }));
}
