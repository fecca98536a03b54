import { chromium } from 'playwright';
import { chromiumOptions } from '../e2e/browsers.mjs';
import { modelsFolder } from '../weights/fetch.mjs';
import { buildLab, labMounts } from './lab.mjs';
import { at } from './root.mjs';
import { serve } from './serve.mjs';
import { setup } from './setup.mjs';
import { command, say, steps } from './step.mjs';

const SENTENCES = [
  'A cat is asleep on the sofa.',
  'The kitten naps on the couch.',
  'Interest rates were raised again.',
  'The central bank makes loans dearer.',
  'Stir the soup until it boils.',
];

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
  {
    file: 'lab-search.png',
    hash: '#search',
    scheme: 'light',
    width: 1280,
    height: 1080,
    ready: '.search-body',
    act: async page => {
      await page.getByText(/^48 passages ranked/).waitFor();
      await page.getByRole('button', { name: 'UMAP' }).click();
      await page.getByText(/neighbours kept together/).waitFor();
      await page.getByText('Honey bees find their way').first().hover();
    },
  },
  {
    file: 'lab-map-phone.png',
    hash: '#search?view=map&q=the+night+sky',
    scheme: 'dark',
    width: 390,
    height: 1080,
    ready: '.search-body',
    act: async page => {
      await page.getByText(/^48 passages ranked/).waitFor();
      await page.getByRole('application', { name: /^Map of/ }).press('ArrowRight');
      await page.getByText('Nearest to it').waitFor();
      await page.evaluate(() => scrollTo(0, 0));
    },
  },
  {
    file: 'lab-pairs.png',
    hash: `#pairs?${new URLSearchParams({ text: SENTENCES.join('\n') })}`,
    scheme: 'light',
    width: 1280,
    height: 1080,
    ready: '.model-state.is-ready',
    act: async page => {
      await page.getByRole('list', { name: 'Nearest pairs' }).locator('li').first().waitFor();
    },
  },
  {
    file: 'lab-device.png',
    hash: '#device',
    scheme: 'light',
    width: 1280,
    height: 1080,
    ready: '.model-state.is-ready',
    act: async page => {
      await page.getByRole('button', { name: 'Measure this device' }).click();
      await page.locator('.device-rates li').waitFor();
    },
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
        // A software adapter takes its time.
        page.setDefaultTimeout(300_000);
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
