import AxeBuilder from '@axe-core/playwright';
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { chromiumOptions } from '../scripts/browsers.mjs';
import { elementFolder, labMounts } from '../scripts/lab.mjs';
import { at } from '../scripts/root.mjs';
import { serve } from '../scripts/serve.mjs';
import { modelsFolder } from '../weights/fetch.mjs';

/** The production build of the lab, with MiniLM beside it, in Chromium: what the tests of all tabs open and ask. */

export const MINILM = 'sentence-transformers/all-MiniLM-L6-v2';
export const DESKTOP = { viewport: { width: 1280, height: 900 } };
export const PHONE = { viewport: { width: 360, height: 780 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };

/** The browser and the server of a file of tests: there once its tests begin. */
export const lab = {} as { browser: Browser; origin: string };

/** Serves the page, which lab-setup.ts has built, and opens a browser, before the tests of the file that calls this. */
export function openLab(): void {
  let server: Awaited<ReturnType<typeof serve>> | undefined;
  beforeAll(async () => {
    server = await serve({
      ...labMounts(modelsFolder),
      '/fixtures/': at('tests', 'fixtures'),
      '/element/': elementFolder,
      '/dist/': at('dist'),
    });
    lab.origin = server.origin;
    lab.browser = await chromium.launch(await chromiumOptions('swiftshader'));
  });
  afterAll(async () => {
    await lab.browser?.close();
    await server?.close();
  });
}

/** Chromium writes a line for every file that is not there, also where the library asks for one that a model may lack. */
const isMissingFile = (line: string) => line.startsWith('Failed to load resource') && line.includes('404');

export interface Opened {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Errors on the console, and exceptions. */
  readonly errors: string[];
}

/** How long a page may take for what is waited for: a load on a slow machine, beside another file of tests. */
const PATIENCE_MS = 50_000;

/** A page of a new visitor, until the end of the test. */
export async function open(
  address: string,
  options: BrowserContextOptions = DESKTOP,
  from = lab.browser,
): Promise<Opened> {
  const context = await from.newContext(options);
  onTestFinished(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const errors: string[] = [];
  page.on('console', message => {
    if (message.type() === 'error' && !isMissingFile(message.text())) errors.push(message.text());
  });
  page.on('pageerror', error => errors.push(error.stack ?? error.message));
  await page.goto(`${lab.origin}/${address}`);
  return { page, context, errors };
}

/** The same without WebGPU. */
export async function openWithoutGpu(address: string): Promise<Opened> {
  const bare = await chromium.launch(await chromiumOptions('none'));
  onTestFinished(() => bare.close());
  return open(address, DESKTOP, bare);
}

/** Waits until what a function gives is as expected. */
export async function until<T>(
  value: () => Promise<T>,
  expected: (value: T) => boolean,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  for (const end = Date.now() + patienceMs; ; ) {
    const now = await value();
    if (expected(now)) return;
    if (Date.now() > end) throw new Error(`still ${JSON.stringify(now)}`);
    await new Promise(resolve => setTimeout(resolve, 30));
  }
}

/** The address of a tab with a checkpoint of tests/fixtures, served by its URL. */
export const withFixture = (tab: string, name: string, settings: Readonly<Record<string, string>> = {}): string =>
  `#${tab}?${new URLSearchParams({ model: `${lab.origin}/fixtures/${name}/`, ...settings })}`;

/** How wide the page is that has to be seen: more than its window is a fault. */
export const pageWidth = (page: Page): Promise<number> => page.evaluate(() => document.documentElement.scrollWidth);

/** Resolves once the page and its files are kept for visits without a connection, those of training last. */
export async function keptOffline(page: Page): Promise<void> {
  await page.evaluate(() => navigator.serviceWorker.ready);
  const isWhole = () =>
    page.evaluate(async () => {
      const name = (await caches.keys()).find(each => each.startsWith('lab-'));
      const files = name === undefined ? [] : await (await caches.open(name)).keys();
      return files.some(({ url }) => /training-[^/]+\.js$/.test(url));
    });
  await until(isWhole, Boolean);
}

/** Begins stopped work again by the button that got the focus of its Stop, as somebody does who has seen it: a press at once is one too many. */
export async function goOnByKey(page: Page, words = 'Go on'): Promise<void> {
  await page.waitForTimeout(500);
  await page.locator('.work button:focus', { hasText: words }).press('Enter');
}

export async function seriousFaults(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(
      ({ id, nodes }) =>
        `${id}: ${nodes
          .slice(0, 3)
          .map(({ html, failureSummary }) => `${html} ${failureSummary}`)
          .join(' | ')}`,
    );
}
