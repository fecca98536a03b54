import type { Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import { at } from '../scripts/root.mjs';
import { dropFolder, gateGpu, holdGpu, letGpuGo, serveHeld } from './lab-held.ts';
import {
  DESKTOP,
  goOnByKey,
  keptOffline,
  lab,
  open,
  openLab,
  openWithoutGpu,
  PHONE,
  pageWidth,
  seriousFaults,
  until,
  withFixture,
} from './lab-pages.ts';

/** What every tab does alike: the progress of a load and of its work, the stop of both, a folder that is dropped, no GPU. */

openLab();

const FIXTURES = at('tests', 'fixtures', 'random');

interface Way {
  /** The tab, and the way to use it where it has several. */
  readonly name: string;
  readonly tab: string;
  readonly settings?: Readonly<Record<string, string>>;
  /** The setting that names the model. */
  readonly param?: string;
  /** A checkpoint of tests/fixtures/random. */
  readonly model: string;
  /** Settings of work that is large enough to be stopped; where it is a list, longer than a pass. */
  readonly work?: Readonly<Record<string, string>>;
  /** How many results of the GPU come before the work stands still: so many passes of a list. */
  readonly passes?: number;
  /** Begins the work; where it is not said, the settings of `work` are written into the address. */
  begin?(page: Page): Promise<void>;
  /** Resolves when the answer is there. */
  answered(page: Page): Promise<void>;
}

const listed = (name: string) => (page: Page) =>
  page.locator('.answers[aria-busy=false]').getByRole('list', { name }).locator('li').first().waitFor();
const lines = (count: number) =>
  Array.from({ length: count }, (_, i) => `Number ${i + 1} of a long list of things that are to be read, one by one.`);
const TEXT = 'A dog and a cat sat there.';

const ways: readonly Way[] = [
  {
    name: 'attention',
    tab: 'attention',
    model: 'bert-base',
    work: { text: TEXT, pair: '' },
    answered: page => page.locator('bert-attention[data-live]').waitFor(),
  },
  {
    name: 'fill-mask',
    tab: 'fill-mask',
    model: 'bert-masked-lm',
    work: { text: 'A [MASK] and a cat.' },
    answered: listed('In the gap'),
  },
  {
    name: 'similarity',
    tab: 'pairs',
    model: 'bert-base',
    work: { text: lines(2).join('\n') },
    answered: page => page.locator('.answers[aria-busy=false] .pair-number').waitFor(),
  },
  {
    name: 'next sentence',
    tab: 'pairs',
    settings: { mode: 'next' },
    param: 'next-model',
    model: 'bert-pretraining',
    work: { first: TEXT, second: 'It rains.' },
    answered: listed('Next sentence'),
  },
  {
    name: 'labels of the checkpoint',
    tab: 'classification',
    model: 'bert-sequence',
    work: { text: TEXT },
    answered: listed('Labels'),
  },
  {
    name: 'labels of the person',
    tab: 'classification',
    settings: { mode: 'zero-shot', entailment: 'POS' },
    param: 'zero-model',
    model: 'bert-sequence',
    work: {
      labels: lines(600)
        .map(line => line.replaceAll(',', ' '))
        .join(', '),
    },
    passes: 1,
    answered: listed('Your labels'),
  },
  {
    name: 'reranking',
    tab: 'classification',
    settings: { mode: 'rank' },
    param: 'rank-model',
    model: 'bert-rerank',
    work: { documents: lines(600).join('\n') },
    passes: 1,
    answered: listed('Documents, the best first'),
  },
  {
    name: 'entities',
    tab: 'entities',
    model: 'bert-token',
    work: { text: `${TEXT} ${TEXT}` },
    answered: page => page.locator('.answers[aria-busy=false]').waitFor(),
  },
  {
    name: 'answers',
    tab: 'entities',
    settings: { mode: 'answers' },
    param: 'answer-model',
    model: 'bert-qa',
    work: { context: `${TEXT} ${TEXT}` },
    answered: listed('Answers'),
  },
  {
    name: 'search',
    tab: 'search',
    model: 'bert-base',
    passes: 2,
    begin: async page => {
      await page.getByRole('button', { name: 'Other texts' }).click();
      await page.locator('.search-new input[type=file]').setInputFiles({
        name: 'list.csv',
        mimeType: 'text/csv',
        buffer: Buffer.from(lines(200).join('\n')),
      });
    },
    answered: page => page.getByText(/^\d+ passages (ranked in|to search)/).waitFor(),
  },
  {
    name: 'training a classifier',
    tab: 'training',
    settings: { epochs: '30' },
    model: 'bert-base',
    passes: 20,
    begin: page => page.getByRole('button', { name: 'Train', exact: true }).click(),
    answered: page =>
      page
        .getByText(/about .* on the GPU$|^Learned in/)
        .last()
        .waitFor(),
  },
  {
    name: 'training an embedder',
    tab: 'training',
    settings: { mode: 'embedder', epochs: '30' },
    param: 'embedder-model',
    model: 'bert-base',
    passes: 20,
    begin: page => page.getByRole('button', { name: 'Train', exact: true }).click(),
    answered: page =>
      page
        .getByText(/about .* on the GPU$|^Learned in/)
        .last()
        .waitFor(),
  },
  {
    name: 'this device',
    tab: 'device',
    model: 'bert-base',
    passes: 8,
    begin: page => page.getByRole('button', { name: 'Measure this device' }).click(),
    answered: page => page.getByText(/^ready in/).waitFor(),
  },
];

const addressOf = ({ tab, settings, param = 'model', model }: Way, models = `${lab.origin}/fixtures/random`) =>
  `#${tab}?${new URLSearchParams({ ...settings, [param]: `${models}/${model}/` })}`;

/** The lines of work that say how far it is, and offer its stop. */
const working = (page: Page) => page.locator('.work', { has: page.getByRole('button', { name: 'Stop' }) });

describe.each(ways.map(way => [way.name, way] as const))('%s', (_, way) => {
  test('a download says how far it is; stopped, it ends; begun again, the tab answers', async () => {
    const held = await serveHeld(FIXTURES);
    const { page, errors } = await open(addressOf(way, `${held.origin}/models`));
    const bar = page.getByRole('progressbar', { name: 'Download' });
    await until(
      () => bar.evaluate((element: HTMLProgressElement) => element.position),
      position => position > 0.2 && position < 0.9,
    );
    expect(await page.locator('.bar-row').first().textContent()).toMatch(/Download.* of /);
    await page.locator('.model').getByRole('button', { name: 'Stop' }).click();
    await page.locator('.model-state', { hasText: 'stopped' }).waitFor();
    await bar.waitFor({ state: 'detached' });
    await until(
      async () => held.pending(),
      count => count === 0,
    );
    held.letGo();
    await page.getByRole('button', { name: 'Load it after all' }).click();
    await way.answered(page);
    expect(errors).toEqual([]);
  });

  test('work says what it is at; stopped, it says so; begun again, it answers', async () => {
    const { page, errors } = await open('icon.svg');
    await gateGpu(page);
    await page.goto(`${lab.origin}/${addressOf(way)}`);
    await way.answered(page);
    await holdGpu(page, way.passes ?? 0);
    if (way.begin) await way.begin(page);
    else {
      const address = addressOf({ ...way, settings: { ...way.settings, ...way.work } });
      await page.evaluate(hash => location.assign(hash), address);
    }
    await working(page).waitFor();
    if (way.passes) {
      await until(
        () =>
          working(page)
            .getByRole('progressbar')
            .evaluate((element: HTMLProgressElement) => element.position),
        position => position > 0 && position < 1,
      );
    }
    await working(page).getByRole('button', { name: 'Stop' }).press('Enter');
    await page.locator('.work', { hasText: 'Stopped' }).waitFor();
    await letGpuGo(page);
    // By keyboard the focus goes from the one button to the other.
    await goOnByKey(page);
    // A training of thirty epochs has to end, and there may be two lines: its own, and that of the text which is asked meanwhile.
    await until(
      () => page.locator('.work').count(),
      count => count === 0,
      150_000,
    );
    await way.answered(page);
    expect(errors).toEqual([]);
  });

  test('a folder that is dropped is its model', async () => {
    const { page, errors } = await open(
      `#${way.tab}?${new URLSearchParams({ ...way.settings, [way.param ?? 'model']: `${lab.origin}/none/` })}`,
    );
    await page.getByRole('alert').waitFor();
    await dropFolder(page, at('tests', 'fixtures', 'random', way.model));
    await page.locator('.model-name', { hasText: way.model }).waitFor();
    await way.answered(page);
    expect(await page.getByRole('alert').count()).toBe(0);
    expect(errors).toEqual([]);
  });

  test('answered, dark on a phone and light on a desktop, nothing is serious to axe-core or wider than the page; offline it answers again', async () => {
    const { page, context, errors } = await open(addressOf(way), { ...PHONE, colorScheme: 'dark' });
    await way.answered(page);
    expect(await seriousFaults(page)).toEqual([]);
    expect(await pageWidth(page)).toBe(PHONE.viewport.width);
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize(DESKTOP.viewport);
    expect(await seriousFaults(page)).toEqual([]);
    expect(await pageWidth(page)).toBe(DESKTOP.viewport.width);
    expect(errors).toEqual([]);
    await keptOffline(page);
    await context.setOffline(true);
    await page.reload();
    await way.answered(page);
  });

  test('without a GPU a panel says why, and no picture is blank', async () => {
    const { page, errors } = await openWithoutGpu(addressOf(way));
    const panel = page.getByRole('alert');
    await panel.getByText('Models do not run in this browser').waitFor();
    expect(await page.getByText('as soon as the model is there').count()).toBe(0);
    expect(await page.locator('.model-state').textContent()).toBe('');
    expect(await working(page).count()).toBe(0);
    await until(
      () => blankPictures(page),
      blank => blank === 0,
    );
    expect(errors).toEqual([]);
  });
});

test('a drop that has no model says so, in the tabs that take nothing else; the next tab knows nothing of it', async () => {
  const { page, errors } = await open('#pairs');
  await page.locator('.model-name').waitFor();
  const alert = page.getByRole('alert');
  await dropFolder(page, at('tests', 'fixtures', 'random', 'README.md'));
  await alert.getByText('There is no model in what was dropped').waitFor();
  expect(await alert.textContent()).toContain('README.md');
  await dropFolder(page, at('scripts', 'demo'));
  await until(
    () => alert.textContent(),
    text => /demo/.test(text ?? ''),
  );
  await page.evaluate(() => location.assign('#entities'));
  await alert.waitFor({ state: 'detached' });
  expect(errors).toEqual([]);
});

test('the names of all tabs have room in the strip, or are a list', async () => {
  const { page, errors } = await open('#training', { viewport: { width: 1280, height: 900 } });
  const strip = page.locator('.tab-strip');
  const room = () => strip.evaluate(each => each.scrollWidth - each.clientWidth);
  await strip.waitFor();
  expect(await room()).toBe(0);
  for (let width = 1279; await strip.isVisible(); width -= 4) {
    expect(await room()).toBe(0);
    await page.setViewportSize({ width, height: 900 });
  }
  await page.locator('.tab-menu-button', { hasText: 'Training' }).waitFor();
  expect(errors).toEqual([]);
});

test('on a phone the longest names of tabs and models are no wider than the page', async () => {
  const { page, errors } = await open('#classification', { ...PHONE, viewport: { width: 320, height: 640 } });
  await page.getByText(/^Download 268 MB/).waitFor();
  expect(await pageWidth(page)).toBe(320);
  await page.evaluate(() => location.assign('#entities'));
  const boxes = async () =>
    Promise.all(
      ['.tab-menu-button', '.share-button'].map(name =>
        page.locator(name).evaluate(each => each.getBoundingClientRect().toJSON()),
      ),
    );
  await page.locator('.tab-menu-button', { hasText: 'Entities and answers' }).waitFor();
  const [menu, share] = await boxes();
  expect(menu.right).toBeLessThanOrEqual(share.left);
  expect(await pageWidth(page)).toBe(320);
  expect(errors).toEqual([]);
});

/** Controls in view that stand out of the page to the side, where nothing can be scrolled to bring them back. */
const controlsOutside = (page: Page): Promise<string[]> =>
  page.evaluate(() => {
    const scrolls = (element: Element | null): boolean =>
      element !== null && (/auto|scroll/.test(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
    // The way past the bar is there for the keyboard, and out of sight until it has the focus.
    return [...document.querySelectorAll('a[href], button:not(.skip), input, select, textarea, summary')]
      .filter(control => control.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
      .filter(control => {
        const { left, right, width } = control.getBoundingClientRect();
        return width > 1 && (left < -1 || right > innerWidth + 1) && !scrolls(control.parentElement);
      })
      .map(control => control.outerHTML.slice(0, 120));
  });

test('at 200 % every tab is as wide as the page, and all of its controls are in it', async () => {
  // What a window of 1280 x 900 has room for then.
  const { page, errors } = await open('icon.svg', { viewport: { width: 640, height: 450 }, deviceScaleFactor: 2 });
  for (const { tab, model } of new Map(ways.toReversed().map(way => [way.tab, way])).values()) {
    await page.goto(`${lab.origin}/${withFixture(tab, `random/${model}`)}`);
    await page.locator('main textarea, main canvas, main bert-attention, main button').first().waitFor();
    expect(await pageWidth(page), tab).toBe(640);
    expect(await controlsOutside(page), tab).toEqual([]);
  }
  expect(errors).toEqual([]);
});

/** How many canvases are in view without a single pixel painted: also those of <bert-attention>. */
const blankPictures = (page: Page): Promise<number> =>
  page.evaluate(() => {
    const roots = [document, ...[...document.querySelectorAll('*')].flatMap(({ shadowRoot }) => shadowRoot ?? [])];
    const pictures = roots.flatMap(root => [...root.querySelectorAll('canvas')]);
    return pictures.filter(canvas => {
      if (!canvas.checkVisibility() || canvas.width === 0 || canvas.height === 0) return false;
      const pixels = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data;
      return !pixels?.some(Boolean);
    }).length;
  });
