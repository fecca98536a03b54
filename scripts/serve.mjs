import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, sep } from 'node:path';

const types = new Map(
  Object.entries({
    '.html': 'text/html; charset=utf-8',
    '.js': 'text/javascript; charset=utf-8',
    '.mjs': 'text/javascript; charset=utf-8',
    '.css': 'text/css; charset=utf-8',
    '.json': 'application/json; charset=utf-8',
    '.map': 'application/json; charset=utf-8',
    '.txt': 'text/plain; charset=utf-8',
    '.svg': 'image/svg+xml',
    '.png': 'image/png',
  }),
);

/**
 * A middleware that serves files below some folders: `{ '/models/': '/…/.cache/models' }`. With content-length, ETag,
 * If-None-Match and one Range, so that a page's cache and a resumed download can be tried; a missing file is a 404.
 * What lies under no mount goes on to `next`. A mount without the slash at its end is one file.
 * @param {Record<string, string>} mounts
 * @returns {(request: import('node:http').IncomingMessage, response: import('node:http').ServerResponse, next: () => void) => void}
 */
export function files(mounts) {
  return (request, response, next) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const mount = Object.keys(mounts).find(prefix =>
      prefix.endsWith('/') && prefix !== '/' ? pathname.startsWith(prefix) : pathname === prefix,
    );
    if (mount === undefined) return next();
    const folder = /** @type {string} */ (mounts[mount]);
    const path = mount.endsWith('/') && mount !== '/' ? join(folder, decode(pathname.slice(mount.length))) : folder;
    const isInside = path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
    send(request, response, isInside ? path : '').catch(error => response.destroy(error));
  };
}

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return '..';
  }
}

/** @param {import('node:http').IncomingMessage} request @param {import('node:http').ServerResponse} response @param {string} path */
async function send(request, response, path) {
  const info = path === '' ? undefined : await stat(path).catch(() => undefined);
  if (!info?.isFile()) {
    response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' }).end('not found\n');
    return;
  }
  const etag = `"${info.size.toString(16)}-${Math.floor(info.mtimeMs).toString(16)}"`;
  const headers = {
    'content-type': types.get(extname(path)) ?? 'application/octet-stream',
    'accept-ranges': 'bytes',
    'cache-control': 'no-cache',
    etag,
  };
  if (request.headers['if-none-match'] === etag) {
    response.writeHead(304, headers).end();
    return;
  }
  const range = request.headers.range?.match(/^bytes=(\d+)-(\d*)$/);
  const start = range ? Number(range[1]) : 0;
  const end = range?.[2] ? Math.min(Number(range[2]), info.size - 1) : info.size - 1;
  if (range && start > end) {
    response.writeHead(416, { ...headers, 'content-range': `bytes */${info.size}` }).end();
    return;
  }
  const length = end - start + 1;
  if (range)
    response.writeHead(206, {
      ...headers,
      'content-length': length,
      'content-range': `bytes ${start}-${end}/${info.size}`,
    });
  else response.writeHead(200, { ...headers, 'content-length': length });
  if (request.method === 'HEAD' || length === 0) {
    response.end();
    return;
  }
  createReadStream(path, { start, end })
    .on('error', error => response.destroy(error))
    .pipe(response);
}

/**
 * A server on this machine alone, on any free port.
 * @param {Record<string, string>} mounts
 * @returns {Promise<{ origin: string, close: () => Promise<void> }>}
 */
export async function serve(mounts) {
  const handle = files(mounts);
  const server = createServer((request, response) =>
    handle(request, response, () => response.writeHead(404, { 'content-type': 'text/plain' }).end('not found\n')),
  );
  await new Promise((resolve, reject) => server.on('error', reject).listen(0, '127.0.0.1', () => resolve(undefined)));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return {
    origin: `http://127.0.0.1:${address.port}`,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
