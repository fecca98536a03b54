import { createServer } from 'node:http';
import { basename, dirname } from 'node:path';
import sirv from 'sirv';

/** @typedef {import('node:http').IncomingMessage} Request @typedef {import('node:http').ServerResponse} Response */

/**
 * A middleware that serves files below some folders: `{ '/models/': '/…/.cache/models' }`, by sirv: with content-length, ETag,
 * If-None-Match and Range, so that a page's cache and a resumed download can be tried. A mount without the slash at its end is one
 * file. A missing file is a 404; what lies under no mount goes on to `next`.
 * @param {Record<string, string>} mounts
 * @returns {(request: Request, response: Response, next: () => void) => void}
 */
export function files(mounts) {
  const handlers = Object.entries(mounts).map(([mount, path]) => {
    const isFolder = mount.endsWith('/') && mount !== '/';
    // `dev`: files are looked up when they are asked for, since tests and builds write them while the server runs.
    const send = sirv(isFolder ? path : dirname(path), { dev: true, etag: true, extensions: [] });
    return { mount, isFolder, file: `/${basename(path)}`, send };
  });
  return (request, response, next) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const handler = handlers.find(({ mount, isFolder }) =>
      isFolder ? pathname.startsWith(mount) : pathname === mount,
    );
    if (!handler) return next();
    const { mount, isFolder, file, send } = handler;
    request.url = isFolder ? pathname.slice(mount.length - 1) : file;
    send(request, response, () => notFound(response));
  };
}

/** @param {Response} response */
const notFound = response =>
  void response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' }).end('not found\n');

/**
 * A server on this machine alone, on any free port.
 * @param {Record<string, string>} mounts
 * @returns {Promise<{ origin: string, close: () => Promise<void> }>}
 */
export async function serve(mounts) {
  const handle = files(mounts);
  const server = createServer((request, response) => handle(request, response, () => notFound(response)));
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
