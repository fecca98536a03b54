import { writeFileSync } from 'node:fs';
import { modelsFolder } from '../weights/fetch.mjs';
import { openChromium } from './browsers.mjs';
import { buildLab, labMounts } from './lab.mjs';
import { at } from './root.mjs';
import { serve } from './serve.mjs';
import { setup } from './setup.mjs';
import { command, Stop, say, steps } from './step.mjs';

const file = at('examples', 'lab', 'public', 'first-view.json');

/** The largest that a page should wait for in its first second. */
const MOST_BYTES = 100_000;

/** Reads the attention of the lab's first text with MiniLM, in a headless browser, for the page to show before any model is loaded. */
await command(async () => {
  const step = steps(3);
  await step(...setup.model);
  await step('lab', 'examples/lab, into .cache/lab', buildLab);
  await step('view', 'public/first-view.json', async () => {
    const server = await serve(labMounts(modelsFolder));
    const browser = await openChromium({ adapter: 'auto' });
    try {
      const page = await browser.newPage(`${server.origin}/`);
      const snapshot = await page.evaluate(async () => {
        for (;;) {
          const element = /** @type {import('../examples/lab/attention/index.ts').AutoBertAttention | null} */ (
            document.querySelector('bert-attention')
          );
          if (element?.hasAttribute('data-live')) return element.snapshot();
          await new Promise(resolve => setTimeout(resolve, 100));
        }
      });
      if (!snapshot) throw new Stop('the page has no view', 'look at it: npm start.');
      const json = `${JSON.stringify({ ...snapshot, model: 'all-MiniLM-L6-v2' })}\n`;
      if (json.length > MOST_BYTES) throw new Stop(`${json.length} bytes are too many`, 'choose a shorter text.');
      writeFileSync(file, json);
      say(`${json.length} bytes`);
    } finally {
      await browser.close();
      await server.close();
    }
  });
});
