import { chromium } from 'playwright';
import { chromiumOptions } from '../e2e/browsers.mjs';
import { modelsFolder } from '../weights/fetch.mjs';
import { buildLab, labMounts } from './lab.mjs';
import { at } from './root.mjs';
import { serve } from './serve.mjs';
import { setup } from './setup.mjs';
import { command, say, steps } from './step.mjs';

/**
 * The pictures of the lab in docs/images, by MiniLM's real weights. An entry for each: the address, what is done there, and how large.
 * @type {{ file: string, hash: string, scheme: 'light' | 'dark', width: number, height: number, act?: (page: import('playwright').Page) => Promise<void>, ready: string }[]}
 */
const pictures = [
  {
    file: 'lab-attention.png',
    hash: '',
    scheme: 'light',
    width: 1280,
    height: 1080,
    ready: 'bert-attention[data-live]',
    act: page => page.getByRole('button', { name: 'Find “same or related words” heads' }).click(),
  },
  {
    file: 'lab-attention-dark.png',
    hash: '#attention?head=2.9',
    scheme: 'dark',
    width: 1280,
    height: 1080,
    ready: 'bert-attention[data-live]',
  },
  {
    file: 'lab-attention-phone.png',
    hash: '#attention?head=2.9',
    scheme: 'light',
    width: 390,
    height: 844,
    ready: 'bert-attention[data-live]',
  },
];

await command(async () => {
  const step = steps(3);
  await step(...setup.model);
  await step('lab', 'examples/lab, into .cache/lab', buildLab);
  await step('pictures', 'docs/images', async () => {
    const server = await serve(labMounts(modelsFolder));
    const browser = await chromium.launch(await chromiumOptions('swiftshader'));
    try {
      for (const { file, hash, scheme, width, height, ready, act } of pictures) {
        const page = await browser.newPage({
          viewport: { width, height },
          colorScheme: scheme,
          deviceScaleFactor: width < 500 ? 2 : 1,
        });
        await page.goto(`${server.origin}/${hash}`);
        await page.locator(ready).waitFor();
        await act?.(page);
        // The last frame of what was done.
        await page.waitForTimeout(500);
        await page.screenshot({ path: at('docs', 'images', file) });
        await page.close();
        say(file);
      }
    } finally {
      await browser.close();
      await server.close();
    }
  });
});
