import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright';
import { buildLabWatch, labWatchFolder } from '../bench/build-pages.mjs';
import { modelsFolder } from '../weights/fetch.mjs';
import { chromiumOptions } from './browsers.mjs';
import { buildLab, labMounts } from './lab.mjs';
import { keepMadeUpIndex } from './made-up-index.mjs';
import { serve } from './serve.mjs';
import { setup } from './setup.mjs';
import { command, Stop, say, steps } from './step.mjs';

/** @typedef {import('playwright').Page} Page @typedef {import('../bench/page/held-thread.ts').HeldThread} HeldThread */

const ROWS = 10_000;
const words = ROWS.toLocaleString('en');
const table = join(labWatchFolder, 'table.csv');

/** @param {Page} page */
const mapOf = page => page.getByRole('application', { name: /^Map of/ });

/** The map in the middle of the window, and a place of it for each number. @param {Page} page */
async function placesOf(page) {
  await mapOf(page).evaluate(canvas => canvas.scrollIntoView({ block: 'center' }));
  const box = await mapOf(page).boundingBox();
  if (!box) throw new Stop('the lab shows no map', 'look at it: npm start.');
  return (/** @type {number} */ i) => ({
    x: box.x + box.width * (0.5 + 0.35 * Math.sin(1.7 * i)),
    y: box.y + box.height * (0.5 + 0.35 * Math.cos(2.3 * i)),
  });
}

/** @param {Page} page @param {number} moves */
async function hover(page, moves) {
  const place = await placesOf(page);
  for (let i = 0; i < moves; i += 1) {
    const { x, y } = place(i);
    await page.mouse.move(x, y);
    await page.waitForTimeout(30);
  }
}

/**
 * What a person does with many passages, each watched by itself.
 * @type {[name: string, act: (page: Page) => Promise<void>][]}
 */
const acts = [
  [
    'an index is opened, ranked and drawn (PCA)',
    async page => {
      await page.evaluate(() => {
        location.hash = '#search?texts=large&q=anything';
      });
      await page.getByText(new RegExp(`^${words} passages ranked in`)).waitFor();
      await page.getByText(new RegExp(`^${words} passages; two directions`)).waitFor();
    },
  ],
  [
    'a query is typed',
    async page => {
      await page.getByLabel('Search by meaning').fill('');
      await page.getByLabel('Search by meaning').pressSequentially('a record of the night sky', { delay: 120 });
      await page.waitForTimeout(2_000);
    },
  ],
  ['the map is hovered: 60 moves', page => hover(page, 60)],
  [
    'passages of the list are hovered',
    async page => {
      for (let i = 0; i < 10; i += 1) await page.locator('.search-hit').nth(i).hover();
    },
  ],
  [
    'the map is zoomed, dragged, and walked with arrow keys',
    async page => {
      const place = await placesOf(page);
      await mapOf(page).focus();
      for (const key of '++++') await page.keyboard.press(key);
      await page.mouse.move(place(0).x, place(0).y);
      await page.mouse.down();
      for (let i = 1; i <= 20; i += 1) {
        await page.mouse.move(place(0).x + 5 * i, place(0).y + 3 * i);
        await page.waitForTimeout(30);
      }
      await page.mouse.up();
      for (let i = 0; i < 16; i += 1) {
        await page.keyboard.press(`Arrow${['Right', 'Up', 'Left', 'Down'][i % 4]}`);
        await page.waitForTimeout(60);
      }
      await page.keyboard.press('0');
      await page.keyboard.press('Escape');
    },
  ],
  [
    'UMAP, and the map is hovered meanwhile',
    async page => {
      await page.getByRole('button', { name: 'UMAP' }).click();
      const isDone = page.getByText(new RegExp(`^${words} passages; neighbours kept together`)).waitFor();
      await hover(page, 200);
      await isDone;
    },
  ],
  ['the map of UMAP is hovered: 60 moves', page => hover(page, 60)],
  [
    'UMAP is begun again and stopped',
    async page => {
      await page.getByRole('button', { name: 'UMAP' }).click();
      await page.locator('.map-head').getByText('Moving the points').waitFor();
      await page.locator('.map-head').getByRole('button', { name: 'Stop' }).click();
      await page.locator('.map-head').getByText('Stopped').waitFor();
    },
  ],
  [
    `a table of ${words} lines is read, and its embedding begins and is stopped`,
    async page => {
      await page.getByRole('button', { name: 'Other texts' }).click();
      await page.locator('.search-new input[type=file]').setInputFiles(table);
      await page.locator('.work', { hasText: `of ${words}` }).waitFor();
      await page.waitForTimeout(3_000);
      await page.getByRole('button', { name: 'Stop' }).click();
      await page.getByText(new RegExp(`^Stopped: .* of ${words} passages`)).waitFor();
    },
  ],
];

/** Begins to watch the thread of the page; resolves to the end of it. @param {Page} page @returns {Promise<() => Promise<HeldThread>>} */
async function watch(page) {
  const stop = await page.evaluateHandle(async () => {
    /** @type {typeof import('../bench/page/held-thread.ts')} */
    const { watchThread } = await import(`${location.origin}/bench/held-thread.js`);
    return watchThread();
  });
  return () => stop.evaluate(end => end());
}

/**
 * The most processor time that one task of the page's thread took, in milliseconds, by Chromium's own trace. Other programs, and workers
 * that want the same core, make a task last longer, but not this.
 * @param {Buffer} trace
 */
function longestTask(trace) {
  /** @type {{ name: string, ph: string, pid: number, tid: number, tdur?: number, args: { name?: string } }[]} */
  const events = JSON.parse(trace.toString()).traceEvents;
  const pages = new Set(
    events
      .filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain')
      .map(({ pid, tid }) => `${pid} ${tid}`),
  );
  const tasks = events.filter(
    ({ name, ph, pid, tid }) => ph === 'X' && /RunTask$/.test(name) && pages.has(`${pid} ${tid}`),
  );
  return tasks.reduce((most, { tdur = 0 }) => Math.max(most, tdur), 0) / 1000;
}

/** How long the lab's thread is held with many passages: a line for each thing that a person does, for bench/notebook.md. */
await command(async () => {
  const step = steps(4);
  await step(...setup.model);
  await step('lab', 'examples/lab, into .cache/lab', buildLab);
  await step('watch', 'bench/page/held-thread.ts', async () => {
    await buildLabWatch();
    const records = Array.from({ length: ROWS }, (_, i) => `${i},"A record of a table, with some words",${i % 7}`);
    writeFileSync(table, records.join('\n'));
  });
  await step('thread', `${words} made-up passages`, async () => {
    const server = await serve({ ...labMounts(modelsFolder), '/bench/': labWatchFolder });
    const options = await chromiumOptions('swiftshader');
    // The clock of the watch is shared memory, which a page without isolation has by this switch alone.
    const args = options.args.map(flag => flag.replace('--enable-features=', '--enable-features=SharedArrayBuffer,'));
    const browser = await chromium.launch({ ...options, args });
    try {
      const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
      page.setDefaultTimeout(300_000);
      await page.goto(`${server.origin}/#search`);
      await page.getByText(/^48 passages ranked in/).waitFor();
      // Until the sample's vectors are kept.
      await page.waitForTimeout(1_000);
      await page.evaluate(keepMadeUpIndex, { id: 'large', rows: ROWS, seed: 7 });
      say('| what | all of it, s | longest hold, ms | tasks over 50 ms | longest task, ms of the processor |');
      say('| --- | ---: | ---: | ---: | ---: |');
      for (const [name, act] of acts) {
        const end = await watch(page);
        await browser.startTracing(page, { categories: ['toplevel'] });
        await act(page);
        const trace = await browser.stopTracing();
        const { ms, longestMs, longTasks } = await end();
        const figures = [(ms / 1000).toFixed(1), longestMs.toFixed(0), longTasks, longestTask(trace).toFixed(0)];
        say(`| ${name} | ${figures.join(' | ')} |`);
      }
    } finally {
      await browser.close();
      await server.close();
    }
  });
});
