import { type Browser, chromium } from 'playwright';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildPages } from '../bench/build-pages.mjs';
import { benchPackages } from '../bench/packages.mjs';
import type { ComparedCall } from '../bench/page/compare/page.ts';
import { serveBench } from '../bench/serve.mjs';
import { chromiumOptions } from '../scripts/browsers.mjs';
import { build } from '../scripts/build.mjs';
import { at } from '../scripts/root.mjs';

/**
 * Beside transformers.js on WASM, in Chromium: what its model cards show, through both libraries; and the recipe for machines without a
 * GPU, with WebGPU off.
 */

let server: Awaited<ReturnType<typeof serveBench>>;
const browsers: Browser[] = [];

/** The library as it would be on a real GPU, of which this machine need not have one. */
const CLAIM = `export * from '/dist/webgpu-bert.js?as-it-is';
export const isSupported = async () => ({ ok: true, adapter: 'claimed', software: false });`;

async function openPage(adapter: 'swiftshader' | 'none', path: string, claim = false) {
  const browser = await chromium.launch(await chromiumOptions(adapter));
  browsers.push(browser);
  const page = await browser.newPage();
  const lines: string[] = [];
  if (claim)
    await page.route(/webgpu-bert\.js$/, route => route.fulfill({ contentType: 'text/javascript', body: CLAIM }));
  page.on('console', message => lines.push(message.text()));
  page.on('pageerror', error => lines.push(error.stack ?? error.message));
  await page.goto(`${server.origin}${path}`);
  return { page, lines };
}

const why = await benchPackages().then(
  () => undefined,
  (error: Error) => error.message,
);

if (why) test.skip(`beside transformers.js: ${why}`, () => undefined);
else {
  beforeAll(async () => {
    await build();
    await buildPages();
    server = await serveBench([
      ['/fallback/', at('examples', 'fallback')],
      ['/', at('e2e', 'site')],
    ]);
  }, 120_000);
  afterAll(async () => {
    for (const browser of browsers) await browser.close();
    await server?.close();
  });

  describe('model cards of transformers.js give the same through both', () => {
    let results: ComparedCall[];
    beforeAll(async () => {
      const { page } = await openPage('swiftshader', '/compare.html');
      await page.waitForFunction(() => globalThis.libraries !== undefined);
      results = await page.evaluate(() => globalThis.libraries!.compareCards('transformers.js wasm'));
    }, 300_000);

    test('all of them', () => {
      expect(results.length).toBeGreaterThan(15);
      expect(results.filter(({ outcome }) => outcome !== 'same')).toEqual([]);
    });
  });

  describe('examples/fallback', () => {
    interface Shown {
      readonly ours: boolean;
      readonly list: number[][];
    }
    const embed = async (adapter: 'swiftshader' | 'none', claim = false) => {
      const { page, lines } = await openPage(adapter, '/fallback.html', claim);
      await page.waitForFunction(() => document.querySelector('output')?.textContent !== '', undefined, {
        timeout: 90_000,
      });
      const shown: Shown = JSON.parse((await page.locator('output').textContent())!);
      return { shown, lines };
    };
    let direct: number[][];
    beforeAll(async () => {
      const { page } = await openPage('swiftshader', '/compare.html');
      // A string, for an import in a function would be vite's by the time that it comes to the page.
      direct = await page.evaluate(`(async () => {
        const { pipeline } = await import('/dist/webgpu-bert.js');
        const extractor = await pipeline('feature-extraction', '/models/heads/bert-base/');
        const output = await extractor(['you may use the code'], { pooling: 'mean', normalize: true });
        return output.tolist();
      })()`);
    }, 120_000);

    test.each([
      ['WebGPU is off', 'none', 'no usable graphics adapter'],
      ['the adapter computes on the CPU', 'swiftshader', 'computes on the CPU'],
    ] as const)(
      'where %s, the same call runs on WASM and gives the same vectors',
      { timeout: 180_000 },
      async (_, adapter, reason) => {
        const { shown, lines } = await embed(adapter);
        expect(shown.ours).toBe(false);
        expect(lines.join('\n')).toContain(reason);
        expect(Math.max(...shown.list[0]!.map((x, i) => Math.abs(x - direct[0]![i]!)))).toBeLessThan(1e-5);
      },
    );

    test('where there is a GPU, webgpu-bert answers, and transformers.js computes nothing', async () => {
      const { shown } = await embed('swiftshader', true);
      expect(shown).toEqual({ ours: true, list: direct });
    });
  });
}
