import { findChromium } from './chromium.mjs';
import { findFirefox, homeOfThisUser } from './firefox.mjs';
import { Stop } from './step.mjs';

/**
 * One small interface over Chromium (Playwright) and Firefox (puppeteer-core, WebDriver BiDi), both with WebGPU on.
 *
 * @typedef {object} Page
 * @property {<A extends unknown[], R>(body: string | ((...args: A) => R), ...args: A) => Promise<Awaited<R>>} evaluate
 *   Runs a function in the page; arguments and result travel as JSON, and it sees nothing of the scope around it. A
 *   string is evaluated as an expression. A promise is awaited.
 * @property {(url: string) => Promise<void>} goto Resolves when the page's load event has come.
 * @property {(path: string, options?: { width?: number, height?: number }) => Promise<void>} screenshot A PNG.
 * @property {(see: (line: string, kind: 'console' | 'error') => void) => void} onMessage Console lines and errors.
 * @property {() => Promise<void>} close
 *
 * @typedef {object} Browser
 * @property {'chromium' | 'firefox' | 'node' | 'deno'} name
 * @property {string} version
 * @property {(url?: string) => Promise<Page>} newPage
 * @property {() => boolean} isOpen
 * @property {() => Promise<void>} close
 *
 * @typedef {'swiftshader' | 'hardware' | 'auto'} Adapter
 */

const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'];

/** @type {Record<'swiftshader' | 'hardware', string[]>} */
const adapterFlags = {
  swiftshader: ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'],
  // On Linux a headless Chrome reaches the GPU only through ANGLE on Vulkan; elsewhere the defaults are right.
  hardware: [
    '--enable-unsafe-webgpu',
    '--ignore-gpu-blocklist',
    ...(process.platform === 'linux' ? ['--enable-features=Vulkan', '--use-angle=vulkan'] : []),
  ],
};

/**
 * WEBGPU_BERT_ADAPTER: `swiftshader` (a CPU adapter, the same on every Linux machine), `hardware`, or `auto` (hardware
 * where there is some, else swiftshader).
 * @param {Adapter} otherwise @returns {Adapter}
 */
function wantedAdapter(otherwise) {
  const wanted = process.env.WEBGPU_BERT_ADAPTER || otherwise;
  if (wanted === 'swiftshader' || wanted === 'hardware' || wanted === 'auto') return wanted;
  throw new Stop(`WEBGPU_BERT_ADAPTER is "${wanted}"`, 'set it to swiftshader, hardware or auto, or unset it.');
}

/** The expression that calls a function in the page. @param {unknown} body @param {unknown[]} args */
const callOf = (body, args) =>
  typeof body === 'string' ? body : `(${body})(${args.map(value => JSON.stringify(value) ?? 'undefined').join(', ')})`;

/**
 * @param {{ headless?: boolean, adapter?: Adapter, userDataDir?: string }} [options] `adapter` where
 *   WEBGPU_BERT_ADAPTER does not say; by default swiftshader on Linux, auto elsewhere.
 * @returns {Promise<Browser>}
 */
export async function openChromium({ headless = true, adapter, userDataDir } = {}) {
  const wanted = wantedAdapter(adapter ?? (process.platform === 'linux' ? 'swiftshader' : 'auto'));
  if (wanted !== 'auto') return (await launchChromium(wanted, headless, userDataDir)).browser;
  const { browser, context } = await launchChromium('hardware', headless, userDataDir);
  if (await hasAdapter(context)) return browser;
  await browser.close();
  return (await launchChromium('swiftshader', headless, userDataDir)).browser;
}

/** Flags that do not fit a machine make requestAdapter answer null, or never. @param {import('playwright').BrowserContext} context */
async function hasAdapter(context) {
  // WebGPU wants a secure context, which about:blank is not. Nothing goes out to this address.
  const url = 'https://adapter.invalid/';
  const page = await context.newPage();
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const limit = new Promise(resolve => {
    timer = setTimeout(resolve, 10_000, false);
  });
  try {
    await page.route(url, route => route.fulfill({ contentType: 'text/html', body: '' }));
    await page.goto(url);
    const answer = page.evaluate(async () => (await navigator.gpu?.requestAdapter()) != null);
    return (await Promise.race([answer, limit])) === true;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
    await page.close().catch(() => undefined);
  }
}

/**
 * What Playwright starts Chromium with.
 * @param {'swiftshader' | 'hardware' | 'none'} adapter `none`: no WebGPU @param {boolean} [headless]
 */
export async function chromiumOptions(adapter, headless = true) {
  const found = await findChromium();
  if (!found) throw new Stop('Chrome or Chromium is not installed', 'npm run setup, or set WEBGPU_BERT_CHROME to one.');
  const isRoot = process.getuid?.() === 0;
  const flags = adapter === 'none' ? ['--disable-gpu', '--disable-features=WebGPU'] : adapterFlags[adapter];
  return { executablePath: found.path, headless, args: [...quiet, ...(isRoot ? ['--no-sandbox'] : []), ...flags] };
}

/**
 * @param {'swiftshader' | 'hardware'} adapter @param {boolean} headless @param {string} [userDataDir]
 * @returns {Promise<{ browser: Browser, context: import('playwright').BrowserContext }>}
 */
async function launchChromium(adapter, headless, userDataDir) {
  const [{ chromium }, options] = await Promise.all([import('playwright'), chromiumOptions(adapter, headless)]);
  // A folder keeps the Cache API's contents from one start to the next; without one everything is fresh.
  const kept = userDataDir === undefined ? undefined : await chromium.launchPersistentContext(userDataDir, options);
  const browser = kept?.browser() ?? (await chromium.launch(options));
  const context = kept ?? (await browser.newContext());
  /** @type {Browser} */
  const opened = {
    name: 'chromium',
    version: browser.version(),
    isOpen: () => browser.isConnected(),
    close: async () => {
      await kept?.close();
      await browser.close();
    },
    async newPage(url) {
      const page = await context.newPage();
      page.setDefaultTimeout(60_000);
      if (url !== undefined) await page.goto(url);
      return {
        evaluate: (body, ...args) => page.evaluate(callOf(body, args)),
        goto: async target => void (await page.goto(target)),
        async screenshot(file, { width = 1280, height = 800 } = {}) {
          await page.setViewportSize({ width, height });
          await page.screenshot({ path: file });
        },
        onMessage(see) {
          page.on('console', message => see(message.text(), 'console'));
          page.on('pageerror', error => see(error.stack || error.message, 'error'));
          page.on('crash', () => see('the page has crashed', 'error'));
        },
        close: () => page.close(),
      };
    },
  };
  return { browser: opened, context };
}

/** @param {{ headless?: boolean }} [options] @returns {Promise<Browser>} */
export async function openFirefox({ headless = true } = {}) {
  const [{ default: puppeteer }, found] = await Promise.all([import('puppeteer-core'), findFirefox()]);
  if ('why' in found) throw new Stop(found.why, 'npm run setup, or set WEBGPU_BERT_FIREFOX to one.');
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: found.path,
    headless,
    env: { ...process.env, ...homeOfThisUser() },
    // A pass on a CPU adapter may hold a page for long; the tests have limits of their own.
    protocolTimeout: 0,
    extraPrefsFirefox: {
      'dom.webgpu.enabled': true,
      'gfx.webgpu.ignore-blocklist': true,
      'gfx.webgpu.force-enabled': true,
    },
  });
  return {
    name: 'firefox',
    version: (await browser.version()).replace(/^firefox\//i, ''),
    isOpen: () => browser.connected,
    close: () => browser.close(),
    async newPage(url) {
      const page = await browser.newPage();
      if (url !== undefined) await page.goto(url, { timeout: 60_000 });
      return {
        evaluate: async (body, ...args) => /** @type {any} */ (await page.evaluate(callOf(body, args))),
        goto: async target => void (await page.goto(target, { timeout: 60_000 })),
        async screenshot(file, { width = 1280, height = 800 } = {}) {
          await page.setViewport({ width, height });
          await page.screenshot({ path: /** @type {`${string}.png`} */ (file) });
        },
        onMessage(see) {
          page.on('console', message => see(message.text(), 'console'));
          page.on('pageerror', error =>
            see(error instanceof Error ? error.stack || error.message : String(error), 'error'),
          );
        },
        close: () => page.close(),
      };
    },
  };
}
