import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright';
import { modelsFolder } from '../weights/fetch.mjs';
import { chromiumOptions } from './browsers.mjs';
import { buildLab, labMounts } from './lab.mjs';
import { at } from './root.mjs';
import { serve } from './serve.mjs';
import { setup } from './setup.mjs';
import { command, say, steps } from './step.mjs';

const help = `node scripts/lab-pictures.mjs [-- options]
  --every-tab FOLDER   whole pages of every tab in both colours and two widths into a folder, to be looked at; docs/images stay
  --only NAME          the pictures whose file has NAME in it
  --random             with --every-tab: the tabs that need a large checkpoint answer with random weights of tests/fixtures`;

const SENTENCES = [
  'A cat is asleep on the sofa.',
  'The kitten naps on the couch.',
  'Interest rates were raised again.',
  'The central bank makes loans dearer.',
  'Stir the soup until it boils.',
];

/**
 * @typedef {object} Picture
 * @property {string} file
 * @property {string} hash The tab and its settings in the address; ORIGIN stands for the server's.
 * @property {'light' | 'dark'} scheme
 * @property {number} width
 * @property {number} height
 * @property {boolean} [isWhole] The whole page, as long as it is.
 * @property {string} ready What is there when the tab can be used.
 * @property {(page: import('playwright').Page) => Promise<unknown>} [act] What is done before the picture is taken.
 */

/** Scrolls so far that an element begins below the bar of the page. @param {import('playwright').Locator} element */
const beginWith = element =>
  element.evaluate(it => {
    const { bottom = 0 } = document.querySelector('.bar')?.getBoundingClientRect() ?? {};
    scrollTo(0, it.getBoundingClientRect().top + scrollY - bottom - 8);
  });

/** Makes the window so high that it ends below <bert-attention>. @param {import('playwright').Page} page */
async function endWithAttention(page) {
  const { width = 0 } = page.viewportSize() ?? {};
  const bottom = await page.locator('bert-attention').evaluate(it => it.getBoundingClientRect().bottom);
  await page.setViewportSize({ width, height: Math.ceil(bottom) + 24 });
}

/** Trains, and waits for what the model says then. @param {import('playwright').Page} page @param {string} list */
async function train(page, list) {
  await page.getByRole('button', { name: 'Train', exact: true }).click();
  await page.getByText(/^Learned in/).waitFor();
  await page.getByRole('list', { name: list }).locator('li').nth(1).waitFor();
}

/** The pictures of the lab in docs/images, by MiniLM's real weights. @type {Picture[]} */
const pictures = [
  {
    file: 'lab-attention.png',
    hash: '',
    scheme: 'light',
    width: 1280,
    height: 1080,
    ready: 'bert-attention[data-live]',
    act: async page => {
      await page.getByRole('button', { name: 'Find “same or related words” heads' }).click();
      // Most of what such a head does not use goes to [CLS]: its thickest lines would be those.
      await page.getByLabel('Hide special tokens').check();
      await endWithAttention(page);
    },
  },
  {
    file: 'lab-attention-dark.png',
    hash: '#attention?head=2.9',
    scheme: 'dark',
    width: 1280,
    height: 1080,
    ready: 'bert-attention[data-live]',
    act: endWithAttention,
  },
  {
    file: 'lab-attention-phone.png',
    hash: '#attention?head=2.9',
    scheme: 'light',
    width: 390,
    height: 844,
    ready: 'bert-attention[data-live]',
    act: page => beginWith(page.locator('bert-attention .head')),
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
      await beginWith(page.locator('.map-head'));
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
    file: 'lab-training.png',
    hash: '#training?mode=embedder',
    scheme: 'light',
    width: 1280,
    height: 1200,
    ready: '.model-state.is-ready',
    act: async page => {
      await train(page, 'Passages now');
      await beginWith(page.locator('.training-outcome'));
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

/** A tab as a stranger sees it first: MiniLM answers where it can, elsewhere a download is offered. @type {(Pick<Picture, 'hash' | 'ready' | 'act'> & { name: string })[]} */
const firstViews = [
  { name: 'attention', hash: '#attention', ready: 'bert-attention[data-live]' },
  { name: 'fill-mask', hash: '#fill-mask', ready: '.model' },
  { name: 'pairs', hash: '#pairs', ready: '.answers[aria-busy=false] .pair-number' },
  { name: 'classification', hash: '#classification', ready: '.model' },
  { name: 'entities', hash: '#entities', ready: '.model' },
  {
    name: 'search',
    hash: '#search',
    ready: '.search-body',
    act: page => page.getByText(/^48 passages; two directions/).waitFor({ state: 'attached' }),
  },
  {
    name: 'classifier',
    hash: '#training?epochs=4',
    ready: '.model-state.is-ready',
    act: page => train(page, 'Your labels'),
  },
  {
    name: 'embedder',
    hash: '#training?mode=embedder&epochs=4&rate=0.0002',
    ready: '.model-state.is-ready',
    act: page => train(page, 'Passages now'),
  },
  {
    name: 'device',
    hash: '#device',
    ready: '.model-state.is-ready',
    act: async page => {
      await page.getByRole('button', { name: 'Measure this device' }).click();
      await page.locator('.device-rates li').first().waitFor();
      await page.locator('.work').waitFor({ state: 'detached' });
    },
  },
];

/** @param {string} name @param {string} tab @param {string} param @param {string} model @param {Record<string, string>} [settings] */
const withRandom = (name, tab, param, model, settings) => ({
  name,
  hash: `#${tab}?${new URLSearchParams({ ...settings, [param]: `ORIGIN/fixtures/${model}/` })}`,
  ready: '.answers[aria-busy=false]',
});

/** Every way to use a tab, answered: by weights of chance, so these are no pictures for anybody else. */
const randomViews = [
  withRandom('fill-mask', 'fill-mask', 'model', 'bert-masked-lm'),
  withRandom('next-sentence', 'pairs', 'next-model', 'bert-pretraining', { mode: 'next' }),
  withRandom('labels', 'classification', 'model', 'bert-sequence'),
  withRandom('zero-shot', 'classification', 'zero-model', 'bert-sequence', { mode: 'zero-shot', entailment: 'POS' }),
  withRandom('ranking', 'classification', 'rank-model', 'bert-rerank', { mode: 'rank' }),
  withRandom('entities', 'entities', 'model', 'bert-token'),
  withRandom('answers', 'entities', 'answer-model', 'bert-qa', { mode: 'answers' }),
];

/** @param {boolean} isRandom @returns {Picture[]} */
const everyTab = isRandom =>
  /** @type {const} */ (['light', 'dark']).flatMap(scheme =>
    [
      { name: 'desktop', width: 1280, height: 900 },
      { name: 'phone', width: 360, height: 780 },
    ].flatMap(({ name: look, ...size }) =>
      (isRandom ? randomViews : firstViews).map(({ name, ...view }) => ({
        ...view,
        ...size,
        scheme,
        file: `${name}-${look}-${scheme}${isRandom ? '-random' : ''}.png`,
        isWhole: true,
      })),
    ),
  );

await command(async () => {
  const { values } = parseArgs({
    options: {
      'every-tab': { type: 'string' },
      only: { type: 'string', default: '' },
      random: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(help);
  const folder = values['every-tab'] ?? at('docs', 'images');
  const all = values['every-tab'] === undefined ? pictures : everyTab(values.random);
  const taken = all.filter(({ file }) => file.includes(values.only));
  mkdirSync(folder, { recursive: true });
  const step = steps(3);
  await step(...setup.model);
  await step('lab', 'examples/lab, into .cache/lab', buildLab);
  await step('pictures', folder, async () => {
    const server = await serve({ ...labMounts(modelsFolder), '/fixtures/': at('tests', 'fixtures', 'random') });
    const browser = await chromium.launch(await chromiumOptions('swiftshader'));
    try {
      for (const { file, hash, scheme, width, height, isWhole, ready, act } of taken) {
        const page = await browser.newPage({
          viewport: { width, height },
          colorScheme: scheme,
          deviceScaleFactor: width < 500 ? 2 : 1,
          hasTouch: width < 500,
          isMobile: width < 500,
        });
        // A software adapter takes its time.
        page.setDefaultTimeout(300_000);
        await page.goto(`${server.origin}/${hash.replace('ORIGIN', encodeURIComponent(server.origin))}`);
        await page.locator(ready).waitFor();
        await act?.(page);
        // The last frame of what was done.
        await page.waitForTimeout(500);
        await page.screenshot({ path: join(folder, file), fullPage: isWhole });
        await page.close();
        say(file);
      }
    } finally {
      await browser.close();
      await server.close();
    }
  });
});
