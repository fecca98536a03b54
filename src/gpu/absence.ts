import { hasFileSystem } from '../runtime/index.ts';

/** Why there is no GPU to compute on, as a clause, and what the reader can do about it, in sentences. */
export interface Absence {
  readonly what: string;
  readonly next: string;
}

/** The versions with which WebGPU came, for people. The code tests for features, never for versions (tests/globals.test.ts). */
const BROWSERS = 'Update the browser, or use Chrome or Edge 113+, Firefox 141+ or Safari 26+.';
const REPORT = 'https://webgpureport.org shows what the browser sees.';

/** Why `navigator.gpu` is missing here: a browser, a page that is not secure, Node and Deno each have another cure. */
export function absenceOfWebGPU(): Absence {
  if (globalThis.isSecureContext === false) {
    return {
      what: 'WebGPU is there for secure pages only, and this page is not one',
      next: 'Serve it over https://, or from localhost while developing.',
    };
  }
  const what = 'this environment has no WebGPU (navigator.gpu is missing)';
  if ('Deno' in globalThis) return { what, next: 'Update Deno, or start it with --unstable-webgpu.' };
  if (hasFileSystem()) {
    const next =
      'For a page make the call in the browser, not on its server; for a program of Node install the package webgpu, and set navigator.gpu as "Node and Deno" of docs/start.md shows.';
    return { what, next };
  }
  return { what, next: `${BROWSERS} ${REPORT}` };
}

/** Why `requestAdapter()` gives none. */
export function absenceOfAdapter(): Absence {
  const next = hasFileSystem()
    ? 'Install a driver of the graphics adapter; on Linux libvulkan1 and a Vulkan driver are needed.'
    : `Switch on hardware acceleration in the settings of the browser, or update the graphics driver; ${REPORT}`;
  return { what: 'WebGPU found no usable graphics adapter', next };
}

/** What to do where an adapter gives no device. */
export const NO_DEVICE = 'Close other pages and programs that use the GPU, or start the browser anew.';
