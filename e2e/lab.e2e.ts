import { existsSync, readFileSync } from 'node:fs';
import type { Page } from 'playwright';
import { describe, expect, onTestFinished, test } from 'vitest';
import { at } from '../scripts/root.mjs';
import {
  DESKTOP,
  keptOffline,
  lab,
  MINILM,
  open,
  openLab,
  openWithoutGpu,
  PHONE,
  seriousFaults,
  until,
} from './lab-pages.ts';
import { randomBert } from './random-bert.ts';

/** What all tabs share, and the tab of attention. */

openLab();

const live = (page: Page) => page.locator('bert-attention[data-live]').waitFor();
const heads = (page: Page) => page.locator('bert-attention .cells button');
const tokens = (page: Page) => page.locator('bert-attention .tokens.from button');

/** The element draws what was chosen in the next frame, which may come after Playwright's next question. */
const showsHead = (page: Page, name: string) =>
  page.locator('bert-attention h2', { hasText: new RegExp(`^${name}$`) }).waitFor();

describe('attention', () => {
  test('something is to be seen before the model is there, and becomes live', async () => {
    const context = await lab.browser.newContext(DESKTOP);
    onTestFinished(() => context.close());
    const page = await context.newPage();
    let letGo = () => {};
    const held = new Promise<void>(resolve => {
      letGo = resolve;
    });
    await page.route('**/models/**', async route => {
      await held;
      await route.continue();
    });
    await page.goto(`${lab.origin}/`);
    await heads(page).nth(71).waitFor();
    expect(await page.getByText('computed beforehand').count()).toBe(1);
    expect(await tokens(page).count()).toBe(23);
    letGo();
    await live(page);
    await page.getByText(/72 heads, 23 tokens, read in/).waitFor();
  });

  test('typing is followed, the newest text wins, and a link holds what is seen', async () => {
    const { page, errors } = await open('');
    await live(page);
    await page.getByLabel('Second text').fill('');
    await page.getByLabel('Text', { exact: true }).pressSequentially(' It sat there.', { delay: 20 });
    await until(
      () => tokens(page).allTextContents(),
      all => all.length === 19 && all.at(-3) === 'there',
    );
    await heads(page).nth(26).click();
    await showsHead(page, 'Layer 3, head 3');
    expect(page.url()).toContain('head=3.3');
    await page.reload();
    await live(page);
    await showsHead(page, 'Layer 3, head 3');
    await until(
      () => tokens(page).count(),
      count => count === 19,
    );
    expect(errors).toEqual([]);
  });

  test('one click finds the heads of a pattern; formulas and numbers are in view', async () => {
    const { page, errors } = await open('');
    await live(page);
    await page.getByRole('button', { name: 'Find “next word” heads' }).click();
    // Both scores, and that these heads have the largest of all 72, are Python's: transformers 5.24 in float64 on this text, by the same
    // formulas, gives 0.6871 and 0.4969. The page shows two digits.
    await showsHead(page, 'Layer 2, head 9');
    const next = page.locator('bert-attention .scores .has', { hasText: 'Next token' });
    expect(await next.textContent()).toContain('mean of A[i, i+1]');
    expect(await next.locator('dd').textContent()).toBe('0.69');
    await page.getByRole('button', { name: 'Find “same or related words” heads' }).click();
    const same = page.locator('bert-attention .scores .has', { hasText: 'Same or related word' });
    await showsHead(page, 'Layer 3, head 10');
    expect(await same.locator('dd').textContent()).toBe('0.50');
    await page.getByLabel('Only heads that have it').check();
    await until(
      () => heads(page).count(),
      count => count > 0 && count < 20,
    );
    expect(errors).toEqual([]);
  });

  test('by keyboard alone: heads by arrows and Enter, tokens by arrows, a mask by M', async () => {
    const { page, errors } = await open('');
    await live(page);
    await heads(page).and(page.locator('[tabindex="0"]')).focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowRight');
    await showsHead(page, 'Layer 2, head 2');
    await page.keyboard.press('Enter');
    expect(page.url()).toContain('head=2.2');
    await tokens(page).nth(1).focus();
    await page.keyboard.press('ArrowDown');
    expect(await page.locator('bert-attention .readout').textContent()).toContain('“dog” looks at');
    await page.keyboard.press('m');
    await until(
      () => tokens(page).nth(2).textContent(),
      text => text === '[MASK]',
    );
    expect(
      await page.evaluate(() => document.querySelector('bert-attention')?.shadowRoot?.activeElement?.textContent),
    ).toBe('[MASK]');
    await page.getByText('no masked-LM head').waitFor();
    expect(errors).toEqual([]);
  });

  test('a double click masks a token, and a checkpoint with the head for it guesses', async () => {
    const { page, errors } = await open(
      `#attention?model=${encodeURIComponent(`${lab.origin}/fixtures/random/bert-masked-lm/`)}`,
    );
    await live(page);
    await tokens(page).nth(2).dblclick();
    await until(
      () => page.locator('bert-attention .guesses li').count(),
      count => count === 5,
    );
    const scores = await page.locator('bert-attention .guesses b').allTextContents();
    expect(scores.map(Number)).toEqual(scores.map(Number).sort((a, b) => b - a));
    await page.getByRole('button', { name: /^Unmask/ }).click();
    await until(
      () => page.locator('bert-attention .guesses li').count(),
      count => count === 0,
    );
    expect(errors).toEqual([]);
  });

  test('one head alone, as a matrix, with a threshold, without special tokens; saved as PNG, SVG and JSON', async () => {
    const { page, errors } = await open('');
    await live(page);
    await heads(page).nth(20).dblclick();
    await until(
      () => heads(page).first().isVisible(),
      isVisible => !isVisible,
    );
    await page.getByRole('button', { name: 'Matrix' }).click();
    await page.getByLabel('Hide special tokens').check();
    await until(
      () => tokens(page).count(),
      count => count === 20,
    );
    await page.getByLabel('First text to second only').check();
    await until(
      () => tokens(page).count(),
      count => count === 13,
    );
    await page.getByLabel('At least').fill('0.3');
    for (const format of ['PNG', 'SVG', 'JSON'] as const) {
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('button', { name: format, exact: true }).click(),
      ]);
      const content = readFileSync(await download.path());
      if (format === 'PNG') expect(content.subarray(1, 4).toString()).toBe('PNG');
      else if (format === 'SVG')
        expect(content.toString()).toMatch(/^<svg [^>]+>[\s\S]+<rect[\s\S]+barked[\s\S]+<\/svg>$/);
      else expect(JSON.parse(content.toString())).toMatchObject({ kind: 'bert-attention', layers: 6, heads: 12 });
    }
    await page.keyboard.press('Escape');
    await until(() => heads(page).first().isVisible(), Boolean);
    expect(errors).toEqual([]);
  });

  test('24 layers of 16 heads are all painted, and follow the typing', async () => {
    const base = (file: string) => at('tests', 'fixtures', 'random', 'bert-base', file);
    const config = JSON.parse(readFileSync(base('config.json'), 'utf8'));
    const { files } = randomBert(
      { ...config, hidden_size: 64, num_hidden_layers: 24, num_attention_heads: 16, intermediate_size: 64 },
      { seed: 7, as: 'F32' },
    );
    const { page, context, errors } = await open('icon.svg');
    await context.route('**/large/*', route => {
      const file = new URL(route.request().url()).pathname.split('/').at(-1)!;
      const bytes = files[file];
      if (bytes) return route.fulfill({ body: Buffer.from(bytes) });
      return route.fulfill(existsSync(base(file)) ? { path: base(file) } : { status: 404 });
    });
    await page.goto(`${lab.origin}/#attention?${new URLSearchParams({ model: `${lab.origin}/large/`, pair: '' })}`);
    await live(page);
    expect(await heads(page).count()).toBe(384);
    await page.getByLabel('Text', { exact: true }).fill('The dog sat.');
    await until(
      () => tokens(page).count(),
      count => count === 8,
    );
    await page.getByText(/384 heads, 8 tokens, read in/).waitFor();
    // Heads in the middle of whose place the picture is clear: nothing was painted there.
    const blank = await page.evaluate(() => {
      const { shadowRoot } = document.querySelector('bert-attention')!;
      const canvas = shadowRoot!.querySelector<HTMLCanvasElement>('.canvas-box canvas')!;
      const box = canvas.getBoundingClientRect();
      const scale = canvas.width / box.width;
      const paint = canvas.getContext('2d')!;
      return [...shadowRoot!.querySelectorAll('.cells button')].filter(cell => {
        const { left, top, width, height } = cell.getBoundingClientRect();
        const x = Math.round((left - box.left + width / 2) * scale);
        const y = Math.round((top - box.top + height / 2) * scale);
        return paint.getImageData(x, y, 1, 1).data[3] === 0;
      }).length;
    });
    expect(blank).toBe(0);
    expect(errors).toEqual([]);
  });

  test('two texts of as many tokens have a difference; others a reason', async () => {
    const { page, errors } = await open('#attention?text=The%20cat%20sleeps.');
    await live(page);
    await page.getByLabel('Compare with').selectOption('text');
    await page.getByLabel('The text to compare with').fill('The dog sleeps.');
    const note = page.locator('bert-attention .notice');
    await until(
      () => note.textContent(),
      text => Boolean(text?.startsWith('Differences:')),
    );
    await page.getByLabel('The text to compare with').fill('The dog sleeps well.');
    await until(
      () => note.textContent(),
      text => Boolean(text?.includes('6 and 7 tokens')),
    );
    expect(errors).toEqual([]);
  });

  test('two models are compared', async () => {
    const fixture = (name: string) => encodeURIComponent(`${lab.origin}/fixtures/random/${name}/`);
    const { page, errors } = await open(
      `#attention?model=${fixture('bert-base')}&compare=model&with=${fixture('bert-sequence')}`,
    );
    await live(page);
    await until(
      () => page.locator('bert-attention .notice').textContent(),
      text => text?.startsWith('Differences:') === true,
    );
    // What is masked is masked in both.
    await tokens(page).nth(2).press('m');
    await until(
      () => page.evaluate(() => document.querySelector('bert-attention')?.compare?.tokens[2]?.isMasked),
      isMasked => isMasked === true,
    );
    expect(errors).toEqual([]);
  });
});

describe('models', () => {
  test('a large download is asked about first, with its size and licence', async () => {
    const { page, context, errors } = await open('#attention?text=Hello');
    await context.route('https://huggingface.co/**', route => {
      const { pathname } = new URL(route.request().url());
      const file = pathname.split('/').at(-1)!;
      if (file === 'model.safetensors') {
        return route.fulfill({
          status: 200,
          headers: { 'content-length': '267954768', 'access-control-allow-origin': '*' },
        });
      }
      const path = at('tests', 'fixtures', 'random', 'distilbert-masked-lm', file);
      return route
        .fulfill({ path, headers: { 'access-control-allow-origin': '*' } })
        .catch(() => route.fulfill({ status: 404 }));
    });
    await page.getByRole('button', { name: 'Change' }).click();
    await page.getByRole('button', { name: /distilbert-base-uncased/ }).click();
    await page.getByRole('button', { name: 'Download 268 MB' }).waitFor();
    expect(await page.getByText('Licence: Apache-2.0').count()).toBe(1);
    expect(errors).toEqual([]);
  });

  test('what cannot be loaded says what, why and what next, and the view stays', async () => {
    const { page, context } = await open('');
    await live(page);
    await context.route('https://huggingface.co/**', route =>
      route.fulfill({ status: 404, headers: { 'access-control-allow-origin': '*' } }),
    );
    await page.getByRole('button', { name: 'Change' }).click();
    await page.getByLabel(/Any other/).fill('nobody/nothing');
    await page.keyboard.press('Enter');
    const alert = page.getByRole('alert');
    await alert.waitFor();
    expect(await alert.textContent()).toContain('nobody/nothing');
    await page.getByRole('button', { name: 'Try again' }).waitFor();
    expect(await heads(page).count()).toBe(72);
    // An id that the hub has, and that the page does not offer: it is fetched, and is what is seen.
    await context.unroute('https://huggingface.co/**');
    const served: string[] = [];
    await context.route('https://huggingface.co/**', route => {
      const file = new URL(route.request().url()).pathname.split('/').at(-1)!;
      served.push(file);
      const path = at('tests', 'fixtures', 'random', 'bert-base', file);
      const headers = { 'access-control-allow-origin': '*' };
      return route.fulfill(existsSync(path) ? { path, headers } : { status: 404, headers });
    });
    await page.getByRole('button', { name: 'Change' }).click();
    await page.getByLabel(/Any other/).fill('somebody/tiny-bert');
    await page.keyboard.press('Enter');
    await until(
      () => heads(page).count(),
      count => count === 4,
    );
    await live(page);
    expect(served).toContain('model.safetensors');
    expect(page.url()).toContain('somebody');
  });

  test('a load can be stopped, and begun again', async () => {
    const context = await lab.browser.newContext(DESKTOP);
    onTestFinished(() => context.close());
    const page = await context.newPage();
    let isHeld = true;
    await page.route('**/model.safetensors', async route => {
      while (isHeld) await new Promise(resolve => setTimeout(resolve, 50));
      await route.continue().catch(() => undefined);
    });
    await page.goto(`${lab.origin}/`);
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByRole('button', { name: 'Load it after all' }).waitFor();
    expect(await heads(page).count()).toBe(72);
    isHeld = false;
    await page.getByRole('button', { name: 'Load it after all' }).click();
    await live(page);
  });

  test('without WebGPU a panel says why; what was computed beforehand can be looked at, and is under no other text', async () => {
    const { page, errors } = await openWithoutGpu('#attention?head=1.1');
    await page.getByRole('alert').getByText('Models do not run in this browser').waitFor();
    await heads(page).nth(71).waitFor();
    expect(await seriousFaults(page)).toEqual([]);
    await heads(page).nth(13).hover();
    await showsHead(page, 'Layer 2, head 2');
    await tokens(page).nth(2).hover();
    await showsHead(page, 'Layer 1, head 1');
    await page.locator('bert-attention .readout', { hasText: '“dog” looks at' }).waitFor();
    // How it is drawn is in the link.
    await page.getByRole('button', { name: 'Matrix' }).click();
    await page.getByLabel('Hide special tokens').check();
    await page.getByLabel('At least').fill('0.3');
    await page.reload();
    await page.locator('bert-attention .drawing.matrix').waitFor();
    expect(await tokens(page).count()).toBe(20);
    expect(await page.getByLabel('At least').inputValue()).toBe('0.3');
    await page.getByLabel('Text', { exact: true }).fill('Another text.');
    await heads(page).first().waitFor({ state: 'hidden' });
    await page.getByRole('button', { name: 'Two sentences' }).click();
    await heads(page).first().waitFor();
    await page.evaluate(() => location.assign('#attention?model=nobody/nothing'));
    await heads(page).first().waitFor({ state: 'hidden' });
    expect(errors).toEqual([]);
  });
});

describe('everywhere', () => {
  test('on a phone: nothing is wider than the page, and a tap on a token offers the mask', async () => {
    const { page, errors } = await open('', PHONE);
    await live(page);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
    await heads(page).nth(31).tap();
    await showsHead(page, 'Layer 3, head 8');
    await tokens(page).nth(5).tap();
    await page.getByRole('button', { name: 'Mask “cat”' }).tap();
    await until(
      () => tokens(page).nth(5).textContent(),
      text => text === '[MASK]',
    );
    expect(await seriousFaults(page)).toEqual([]);
    expect(errors).toEqual([]);
  });

  test.each(['light', 'dark'] as const)(
    'axe-core finds nothing serious, %s, with everything open',
    async colorScheme => {
      const { page, errors } = await open('', { ...DESKTOP, colorScheme });
      await live(page);
      await page.getByRole('button', { name: 'Change' }).click();
      await page.getByRole('button', { name: /^Previous token/ }).click();
      await tokens(page).nth(2).click();
      expect(await seriousFaults(page)).toEqual([]);
      expect(errors).toEqual([]);
    },
  );

  test('the switch of colours is kept', async () => {
    const { page } = await open('', { ...DESKTOP, colorScheme: 'light' });
    const ink = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const light = await ink();
    await page.getByRole('button', { name: /^Colours/ }).click();
    await page.getByRole('button', { name: /^Colours/ }).click();
    await until(ink, colour => colour !== light);
    const dark = await ink();
    const bars = () =>
      page
        .locator('meta[name="theme-color"]')
        .evaluateAll(metas => metas.map(meta => (meta as HTMLMetaElement).content));
    expect(await bars()).toEqual(['#141619', '#141619']);
    await page.reload();
    expect(await ink()).toBe(dark);
    await until(bars, colours => colours.every(colour => colour === '#141619'));
  });

  test('after the first visit it works offline, the model too', async () => {
    const { page, context } = await open('');
    await live(page);
    await keptOffline(page);
    const { icons, id } = await (await page.request.get(`${lab.origin}/manifest.webmanifest`)).json();
    expect(id).toBe('./');
    expect(icons.map(({ sizes }: { sizes: string }) => sizes)).toEqual(['any', '192x192', '512x512']);
    for (const { src, type } of icons) {
      const icon = await page.request.get(`${lab.origin}/${src}`);
      expect([icon.status(), icon.headers()['content-type']]).toEqual([200, type]);
    }
    await context.setOffline(true);
    await page.reload();
    await live(page);
    await page.getByLabel('Text', { exact: true }).fill('Far from any network.');
    await until(
      () => tokens(page).allTextContents(),
      all => all.includes('network'),
    );
  });

  test('the custom element alone, in a page without a bundler', async () => {
    const { page, context, errors } = await open('icon.svg');
    await context.route('**/alone', route =>
      route.fulfill({
        contentType: 'text/html',
        body: `<!doctype html><html lang="en"><title>Alone</title>
          <script type="importmap">{ "imports": { "webgpu-bert": "/dist/webgpu-bert.js" } }</script>
          <script type="module" src="/element/bert-attention.js"></script>
          <bert-attention model="/models/${MINILM}/" text="The cat sleeps." layer="1" head="8"></bert-attention>`,
      }),
    );
    await page.goto(`${lab.origin}/alone`);
    await heads(page).nth(71).waitFor();
    await showsHead(page, 'Layer 2, head 9');
    await page.evaluate(() => document.querySelector('bert-attention')!.setAttribute('text', 'A dog.'));
    await until(
      () => tokens(page).allTextContents(),
      all => all.includes('dog'),
    );
    expect(errors).toEqual([]);
  });
});
