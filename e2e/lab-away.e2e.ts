import { readFileSync } from 'node:fs';
import type { Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import { keepMadeUpIndex } from '../scripts/made-up-index.mjs';
import { at } from '../scripts/root.mjs';
import { gateGpu, holdGpu, serveHeld } from './lab-held.ts';
import { lab, open, openLab, PHONE, until, withFixture } from './lab-pages.ts';

/** What becomes of work when its tab or its page is left, of the focus when a button vanishes, of pictures that are too large. */

openLab();

const sampleRanked = (page: Page) => page.getByText(/^48 passages ranked in/).waitFor();
/** What has the focus; the page itself where it was lost. */
const focused = (page: Page) =>
  page.evaluate(() => {
    const { activeElement } = document;
    return activeElement === document.body ? 'nothing' : activeElement?.textContent?.trim().slice(0, 40);
  });
const tabLink = (page: Page, name: string) => page.locator('.tab-strip a', { hasText: name });
/** Presses a button, and waits for what has the focus then. */
async function pressedTo(page: Page, name: string | RegExp, next: string | RegExp): Promise<void> {
  await page.getByRole('button', { name }).press('Enter');
  await until(
    () => focused(page),
    text => (typeof next === 'string' ? text === next : next.test(text ?? '')),
  );
}

describe('the focus', () => {
  test('stays beside a model whose buttons come and go: its question, its stop, the load after all, a failure', async () => {
    const held = await serveHeld(at('tests', 'fixtures', 'random'));
    const { page, errors } = await open(`#pairs?${new URLSearchParams({ model: `${held.origin}/models/bert-base/` })}`);
    await page.locator('.model-state.is-loading').waitFor();
    await pressedTo(page, 'Stop', 'Change');
    await pressedTo(page, 'Load it after all', 'Change');
    await page.goto(`${lab.origin}/?again#fill-mask`);
    await page.context().route('https://huggingface.co/**', route => new Promise(() => void route));
    await pressedTo(page, /^Download 268 MB/, 'Change');
    expect(errors).toEqual([]);
  });

  test('stays on the button that begins work, and on the one that stops it', async () => {
    const { page, errors } = await open(withFixture('training', 'random/bert-base', { epochs: '30' }));
    await page.getByText(/about .* on the GPU$/).waitFor();
    await pressedTo(page, 'Train', 'Train anew');
    await page.locator('.work .number').waitFor();
    const stop = page.locator('.work').getByRole('button', { name: 'Stop' });
    await stop.press('Enter');
    await until(
      () => focused(page),
      text => text === 'Go on',
    );
    await page.waitForTimeout(500);
    await pressedTo(page, 'Go on', 'Stop');
    await page.getByText(/^Learned in/).waitFor({ timeout: 120_000 });
    expect(await focused(page)).not.toBe('nothing');
    await pressedTo(page, 'Download the files', 'Download the files');
    expect(errors).toEqual([]);
  });

  test('stays among the texts when one is renamed or removed', async () => {
    const { page, errors } = await open(withFixture('search', 'random/bert-base'));
    await sampleRanked(page);
    await page.getByRole('button', { name: 'Other texts' }).click();
    await page.getByLabel(/^Texts of your own/).fill('The cat sleeps on the sofa.');
    await page.getByRole('button', { name: 'Search in it' }).click();
    await page.getByText(/^1 passage to search/).waitFor();
    await page.getByRole('button', { name: 'Other texts' }).click();
    await page.getByRole('button', { name: /^Rename/ }).press('Enter');
    await page.getByLabel('Name').fill('Cats');
    await page.keyboard.press('Enter');
    await until(
      () => focused(page),
      text => /^Cats/.test(text ?? ''),
    );
    await page.getByRole('button', { name: 'Remove Cats' }).press('Enter');
    await page.getByRole('button', { name: 'Remove Cats for good' }).press('Enter');
    await page.getByRole('button', { name: 'Remove Cats' }).waitFor({ state: 'detached' });
    expect(await focused(page)).not.toBe('nothing');
    expect(errors).toEqual([]);
  });

  test('stays on the mask of a token, and on a head that is shown alone', async () => {
    const { page, errors } = await open(
      withFixture('attention', 'random/bert-masked-lm', { text: 'A dog.', pair: '' }),
    );
    await page.locator('bert-attention[data-live]').waitFor();
    const inside = () =>
      page.evaluate(() => document.querySelector('bert-attention')!.shadowRoot!.activeElement?.textContent);
    await page.locator('bert-attention .tokens.from button').nth(1).click();
    await page.getByRole('button', { name: /^Mask/ }).press('Enter');
    await until(inside, text => /^Unmask/.test(text ?? ''));
    await page.locator('bert-attention .cells button').first().dblclick();
    await until(inside, text => text === 'All heads');
    expect(errors).toEqual([]);
  });
});

describe('work whose tab is left', () => {
  test('a download that was said yes to goes on, says how far it is on return, and is stopped there', async () => {
    const held = await serveHeld(at('tests', 'fixtures', 'random'));
    const { page, errors } = await open(`#pairs?${new URLSearchParams({ model: `${held.origin}/models/bert-base/` })}`);
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByRole('button', { name: 'Load it after all' }).click();
    const far = () =>
      page.getByRole('progressbar', { name: 'Download' }).evaluate((bar: HTMLProgressElement) => bar.position);
    await until(far, position => position > 0.2 && position < 0.9);
    const before = await far();
    await tabLink(page, 'This device').click();
    await page.getByRole('button', { name: 'Measure this device' }).waitFor();
    await page.waitForTimeout(300);
    expect(held.pending()).toBe(1);
    await tabLink(page, 'Sentence pairs').click();
    await until(far, position => position >= before);
    expect(held.pending()).toBe(1);
    await page.getByRole('button', { name: 'Stop' }).click();
    await until(
      async () => held.pending(),
      count => count === 0,
    );
    expect(errors).toEqual([]);
  });

  test('a map goes on, with how far it is on return; one worker draws it', async () => {
    const { page, errors } = await open('#search');
    await sampleRanked(page);
    await page.waitForTimeout(500);
    await page.evaluate(keepMadeUpIndex, { id: 'large', rows: 10_000, seed: 7 });
    await page.goto(`${lab.origin}/#search?texts=large&q=anything`);
    await page.getByText(/^10,000 passages; two directions/).waitFor();
    await page.getByRole('button', { name: 'UMAP' }).click();
    await page.locator('.map-head progress').waitFor();
    for (let i = 0; i < 3; i += 1) {
      await tabLink(page, 'This device').click();
      await page.getByRole('button', { name: 'Measure this device' }).waitFor();
      await tabLink(page, 'Search').click();
      await page.locator('.map-head progress').waitFor();
    }
    expect(page.workers()).toHaveLength(1);
    await page.locator('.map-head').getByRole('button', { name: 'Stop' }).click();
    await until(
      async () => page.workers().length,
      count => count === 0,
    );
    expect(errors).toEqual([]);
  });

  test('a benchmark is stopped, says so on return, and can be begun again', async () => {
    const { page, errors } = await open('icon.svg');
    await gateGpu(page);
    await page.goto(`${lab.origin}/${withFixture('device', 'random/bert-base')}`);
    await page.getByText(/^ready in/).waitFor();
    await holdGpu(page, 4);
    await page.getByRole('button', { name: 'Measure this device' }).click();
    await page.locator('.work').waitFor();
    await tabLink(page, 'Search').click();
    await page.locator('.search-body').waitFor();
    await tabLink(page, 'This device').click();
    await page.locator('.work', { hasText: 'Stopped' }).getByRole('button', { name: 'Go on' }).waitFor();
    expect(errors).toEqual([]);
  });
});

describe('a page that goes away', () => {
  test('keeps what it has embedded by then', async () => {
    const { page, errors } = await open('icon.svg');
    await gateGpu(page);
    await page.goto(`${lab.origin}/${withFixture('search', 'random/bert-base')}`);
    await sampleRanked(page);
    await holdGpu(page, 3);
    await page.getByRole('button', { name: 'Other texts' }).click();
    await page.locator('.search-new input[type=file]').setInputFiles({
      name: 'list.csv',
      mimeType: 'text/csv',
      buffer: Buffer.from(Array.from({ length: 400 }, (_, i) => `Line ${i} of a long list of things`).join('\n')),
    });
    const done = async () => Number.parseInt((await page.locator('.work .number').textContent())!, 10);
    await until(done, rows => rows > 8);
    const rows = await done();
    // The model does not come back, so that nothing is embedded anew.
    await page.route('**/model.safetensors', route => route.abort());
    await page.reload();
    await page.getByText('400 passages').first().waitFor();
    const dims = 48;
    const kept = await page.evaluate(async () => {
      const answer = <T>(request: IDBRequest<T>) =>
        new Promise<T>(resolve => {
          request.onsuccess = () => resolve(request.result);
        });
      const db = await answer(indexedDB.open('webgpu-bert-lab-search'));
      const notes = await answer(db.transaction('notes').objectStore('notes').getAll());
      const { id } = notes.find(({ passages }) => passages === 400);
      const own = IDBKeyRange.bound([id, 0], [id, Number.POSITIVE_INFINITY]);
      const blocks = await answer(db.transaction('blocks').objectStore('blocks').getAll(own));
      return blocks.reduce((sum, { data }) => sum + data.length, 0);
    });
    // Some more may have come since their number was read.
    expect(kept / dims).toBeGreaterThanOrEqual(rows);
    expect(kept / dims).toBeLessThan(400);
    expect(errors.filter(line => !line.includes('ERR_FAILED'))).toEqual([]);
  });

  test('has lines that another page has written since', async () => {
    const { page, context } = await open(withFixture('training', 'random/bert-base'));
    const other = await context.newPage();
    await other.goto(page.url());
    const field = (of: Page) => of.getByRole('textbox', { name: 'Your lines' });
    await field(other).fill('red, A rose\nblue, The sky');
    await until(
      () => field(page).inputValue(),
      text => text === 'red, A rose\nblue, The sky',
    );
  });
});

describe('a picture that is too large for a canvas', () => {
  /** Safari of a phone: no more than so many pixels, no edge longer than this. */
  const limitCanvases = (page: Page) =>
    page.addInitScript(() => {
      const isLarge = ({ width, height }: HTMLCanvasElement) =>
        width * height > 2 ** 24 || Math.max(width, height) > 8_192;
      const { getContext, toBlob } = HTMLCanvasElement.prototype;
      HTMLCanvasElement.prototype.getContext = function (this: HTMLCanvasElement, ...asked: unknown[]) {
        return isLarge(this) ? null : Reflect.apply(getContext, this, asked);
      } as typeof getContext;
      HTMLCanvasElement.prototype.toBlob = function (given, ...more) {
        if (isLarge(this) || document.documentElement.hasAttribute('data-no-png')) given(null);
        else toBlob.call(this, given, ...more);
      };
    });

  test('is saved at a size that fits, and says so; where there is none, it says why', async () => {
    const { page, errors } = await open('icon.svg', PHONE);
    await limitCanvases(page);
    const text = 'The dog chased the cat up a tree. '.repeat(30);
    await page.goto(`${lab.origin}/#attention?${new URLSearchParams({ text, pair: '' })}`);
    await page.locator('bert-attention[data-live]').waitFor();
    await page.getByText(/72 heads, 256 tokens/).waitFor();
    const drawing = await page
      .locator('bert-attention .drawing canvas')
      .evaluate(({ width, height }: HTMLCanvasElement) => ({ width, height }));
    expect(Math.max(drawing.width, drawing.height)).toBeLessThanOrEqual(8_192);
    for (const mode of ['Lines', 'Matrix']) {
      await page.getByRole('button', { name: mode }).click();
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('button', { name: 'PNG', exact: true }).click(),
      ]);
      const bytes = readFileSync(await download.path());
      const [width, height] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
      expect(width * height).toBeLessThanOrEqual(2 ** 24);
      expect(Math.max(width, height)).toBeLessThanOrEqual(8_192);
      expect(width * height).toBeGreaterThan(2 ** 22);
      await page.getByText(/^Saved at \d+ % of its usual size/).waitFor();
    }
    await page.evaluate(() => document.documentElement.setAttribute('data-no-png', ''));
    await page.getByRole('button', { name: 'PNG', exact: true }).click();
    await page.getByRole('alert').getByText('could not be saved as PNG').waitFor();
    expect(errors).toEqual([]);
  });

  test('what fails in <bert-attention> stands in it, unless the page takes it', async () => {
    const { page, errors } = await open('');
    await page.locator('bert-attention[data-live]').waitFor();
    const breakMaps = () =>
      page.evaluate(() => {
        const element = document.querySelector('bert-attention')!;
        element.data = { ...element.data!, map: async () => Promise.reject(new Error('The device is gone.')) };
      });
    await breakMaps();
    const alert = page.getByRole('alert').getByText('The device is gone.');
    await alert.waitFor();
    await page.getByLabel('Second text').fill('');
    await alert.waitFor({ state: 'detached' });
    await page.evaluate(() =>
      document.querySelector('bert-attention')!.addEventListener('error', event => event.preventDefault()),
    );
    await breakMaps();
    await page.waitForTimeout(300);
    expect(await alert.count()).toBe(0);
    expect(errors).toEqual([]);
  });
});
