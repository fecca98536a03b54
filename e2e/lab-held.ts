import { readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import type { Page } from 'playwright';
import { onTestFinished } from 'vitest';
import { files } from '../scripts/serve.mjs';

/** Downloads and passes that stand still half way, until a test lets them go on: what a page shows meanwhile does not hang on speed. */

/** A server of the models in a folder, whose weights stand still half way. */
export interface HeldServer {
  readonly origin: string;
  /** Downloads of weights that stand still now. */
  readonly pending: () => number;
  /** Weights are sent whole from now on. */
  letGo(): void;
}

/** Serves the models below a folder to pages of any origin, until the end of the test. */
export async function serveHeld(folder: string): Promise<HeldServer> {
  let isHeld = true;
  let pending = 0;
  const send = files({ '/': folder, '/models/': folder });
  const server = createServer((request, response) => {
    response.setHeader('access-control-allow-origin', '*');
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    if (!isHeld || request.method !== 'GET' || !pathname.endsWith('/model.safetensors')) {
      send(request, response, () => response.writeHead(404).end());
      return;
    }
    const path = join(folder, pathname.slice('/models/'.length));
    response.writeHead(200, { 'content-length': statSync(path).size });
    const bytes = readFileSync(path);
    response.write(bytes.subarray(0, bytes.length >> 1));
    pending += 1;
    response.on('close', () => {
      pending -= 1;
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject).listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(
    () =>
      new Promise<void>(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return {
    origin: `http://127.0.0.1:${address.port}`,
    pending: () => pending,
    letGo: () => {
      isHeld = false;
    },
  };
}

declare global {
  interface Window {
    /** Results of the GPU that are still handed out; the next ones wait. */
    gpuGate: { left: number; waiting: (() => void)[] };
  }
}

/** Before a page is opened: what it reads back of the GPU waits, once `holdGpu` has been called. */
export async function gateGpu(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const gate: Window['gpuGate'] = { left: Number.POSITIVE_INFINITY, waiting: [] };
    window.gpuGate = gate;
    if (!('GPUBuffer' in globalThis)) return;
    const { mapAsync } = GPUBuffer.prototype;
    GPUBuffer.prototype.mapAsync = async function (...asked) {
      await mapAsync.apply(this, asked);
      gate.left -= 1;
      if (gate.left < 0) await new Promise<void>(resolve => gate.waiting.push(resolve));
      return undefined;
    };
  });
}

/** So many more results come; the next ones wait. */
export const holdGpu = (page: Page, after: number): Promise<void> =>
  page.evaluate(left => {
    window.gpuGate.left = left;
  }, after);

export const letGpuGo = (page: Page): Promise<void> =>
  page.evaluate(() => {
    window.gpuGate.left = Number.POSITIVE_INFINITY;
    for (const resume of window.gpuGate.waiting.splice(0)) resume();
  });

/** Drops a folder of this machine on the page, as a person does. */
export async function dropFolder(page: Page, folder: string): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files: [folder], dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await session.send('Input.dispatchDragEvent', { type, x: 300, y: 300, data });
  }
  await session.detach();
}
