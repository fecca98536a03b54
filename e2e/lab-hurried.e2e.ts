import type { Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import { at } from '../scripts/root.mjs';
import { gateGpu, holdGpu, letGpuGo } from './lab-held.ts';
import { DESKTOP, keptOffline, lab, open, openLab, PHONE, until, withFixture } from './lab-pages.ts';

/** What people do when they are in a hurry: they change their mind half way, leave, come back, press twice, paste a link. */

openLab();

const fixture = (name: string) => `${lab.origin}/fixtures/random/${name}/`;
const addressOf = (tab: string, settings: Readonly<Record<string, string>>) =>
  `#${tab}?${new URLSearchParams(settings)}`;
/** As a link does that is clicked, or pasted into the address of the page that is open. */
const follow = (page: Page, hash: string) => page.evaluate(target => location.assign(target), hash);
const modelName = (page: Page) => page.locator('.model-name').first();
const ready = (page: Page) => page.locator('.model-state.is-ready').first().waitFor();
const sampleRanked = (page: Page) => page.getByText(/^48 passages ranked in/).waitFor();
const listOf = (lines: number) => ({
  name: 'list.csv',
  mimeType: 'text/csv',
  buffer: Buffer.from(Array.from({ length: lines }, (_, i) => `Line ${i} of a long list of things`).join('\n')),
});
async function giveFile(page: Page, file: ReturnType<typeof listOf>): Promise<void> {
  await page.getByRole('button', { name: 'Other texts' }).click();
  await page.locator('.search-new input[type=file]').setInputFiles(file);
}
/** What has the focus; the page itself where it was lost. */
const focused = (page: Page) => page.evaluate(() => document.activeElement?.textContent?.trim().slice(0, 40));

describe('a link that is followed in the open page', () => {
  test('brings its model, and back again; a folder that was chosen stays until a link names another', async () => {
    const { page, errors } = await open('#pairs');
    await ready(page);
    await follow(page, addressOf('pairs', { model: fixture('bert-base') }));
    await until(
      () => modelName(page).textContent(),
      name => name === 'bert-base',
    );
    await ready(page);
    await page.goBack();
    await until(
      () => modelName(page).textContent(),
      name => name === 'all-MiniLM-L6-v2',
    );
    await ready(page);
    await page.locator('.answers[aria-busy=false] .pair-number').waitFor();
    await page.getByRole('button', { name: 'Change' }).click();
    await page.locator('.picker input[type=file]').setInputFiles(at('tests', 'fixtures', 'random', 'mpnet-base'));
    await ready(page);
    await page.getByLabel('Sentence A').fill('A dog and a cat.');
    await page.locator('.tab-strip a', { hasText: 'This device' }).click();
    await page.locator('.tab-strip a', { hasText: 'Sentence pairs' }).click();
    await ready(page);
    expect(await modelName(page).textContent()).toBe('mpnet-base');
    await page.getByRole('button', { name: 'Share' }).click();
    await page.getByText(/link.*, without the model of your folder$/i).waitFor();
    await follow(page, addressOf('pairs', { model: fixture('bert-base'), 'model-dtype': 'fp16' }));
    await until(
      () => modelName(page).textContent(),
      name => name === 'bert-base',
    );
    await ready(page);
    expect(errors).toEqual([]);
  });

  test('brings its head; one that is none changes nothing', async () => {
    const { page, errors } = await open('#attention?head=-1.5');
    await page.locator('bert-attention[data-live]').waitFor();
    const head = () => page.locator('bert-attention h2').textContent();
    expect(await head()).toMatch(/^Layer [1-6], head \d+$/);
    await follow(page, '#attention?head=5.6');
    await until(head, name => name === 'Layer 5, head 6');
    for (const odd of ['-1.5', '0.3', '99.1', '1x.5', 'Infinity.1']) {
      await follow(page, `#attention?head=${odd}`);
      await page.waitForTimeout(100);
      expect(await head()).toBe('Layer 5, head 6');
    }
    expect(errors).toEqual([]);
  });

  test('of a model of another shape than the view that was computed beforehand has its head, too', async () => {
    // Two layers of two heads: the view that is seen first has six of twelve.
    const { page, errors } = await open(withFixture('attention', 'random/mpnet-base', { text: 'A dog.', head: '2.1' }));
    await page.locator('bert-attention[data-live]').waitFor();
    await until(
      () => page.locator('bert-attention h2').textContent(),
      name => name === 'Layer 2, head 1',
    );
    expect(errors).toEqual([]);
  });
});

describe('a change of mind', () => {
  test('the model that is loading is chosen once more', async () => {
    const { page, errors } = await open('icon.svg');
    await page.route('**/model.safetensors', async route => {
      await new Promise(resolve => setTimeout(resolve, 400));
      await route.continue().catch(() => undefined);
    });
    await page.goto(`${lab.origin}/#pairs`);
    await page.locator('.model-state.is-loading').waitFor();
    for (let i = 0; i < 3; i += 1) {
      await page.getByRole('button', { name: 'Change' }).click();
      await page.getByRole('button', { name: /all-MiniLM-L6-v2/ }).click();
    }
    await ready(page);
    expect(await page.getByRole('alert').count()).toBe(0);
    expect(errors).toEqual([]);
  });

  test('a query that was changed and changed back has its own answer', async () => {
    const { page, errors } = await open('icon.svg');
    await gateGpu(page);
    await page.goto(`${lab.origin}/#search`);
    await sampleRanked(page);
    const hit = () => page.locator('.search-hit p').first().textContent();
    const first = await hit();
    const field = page.getByLabel('Search by meaning');
    const asked = await field.inputValue();
    await holdGpu(page, 0);
    await field.fill('money that is paid back');
    await until(
      () => page.evaluate(() => window.gpuGate.waiting.length),
      waiting => waiting > 0,
    );
    await field.fill(asked);
    await letGpuGo(page);
    await page.waitForTimeout(500);
    expect(await hit()).toBe(first);
    expect(errors).toEqual([]);
  });

  test('texts that are still read when the tab is left are open when one comes back', async () => {
    const { page, errors } = await open('icon.svg');
    await page.addInitScript(() => {
      const { arrayBuffer } = Blob.prototype;
      Blob.prototype.arrayBuffer = async function () {
        await new Promise(resolve => setTimeout(resolve, this instanceof File ? 1_000 : 0));
        return arrayBuffer.call(this);
      };
    });
    await page.goto(`${lab.origin}/#search`);
    await sampleRanked(page);
    await giveFile(page, listOf(20));
    await page.locator('.tab-strip a', { hasText: 'This device' }).click();
    await page.getByRole('button', { name: 'Measure this device' }).waitFor();
    await until(
      () => page.locator('.tab-strip a', { hasText: 'Search' }).getAttribute('href'),
      href => /texts=/.test(href ?? ''),
    );
    await page.locator('.tab-strip a', { hasText: 'Search' }).click();
    await page.locator('.search-texts', { hasText: 'list.csv' }).waitFor();
    expect(errors).toEqual([]);
  });

  test('Stop that is pressed twice stops, by pointer and by keyboard', async () => {
    const { page, errors } = await open('#search');
    await sampleRanked(page);
    await giveFile(page, listOf(3_000));
    const stop = page.locator('.work').getByRole('button', { name: 'Stop' });
    const goOn = page.locator('.work').getByRole('button', { name: 'Go on' });
    await stop.dblclick();
    await goOn.waitFor();
    await page.waitForTimeout(500);
    await goOn.press('Enter');
    await stop.focus();
    await page.keyboard.press('Enter');
    await page.locator('.work button:focus', { hasText: 'Go on' }).waitFor();
    await page.keyboard.press('Enter');
    await page.waitForTimeout(500);
    expect(await stop.count()).toBe(0);
    await page.keyboard.press('Enter');
    await stop.waitFor();
    expect(errors).toEqual([]);
  });
});

test('two pages that write one index keep its texts', async () => {
  const { page, context, errors } = await open('icon.svg');
  await gateGpu(page);
  await page.goto(`${lab.origin}/${withFixture('search', 'random/bert-base')}`);
  await sampleRanked(page);
  await holdGpu(page, 2);
  await giveFile(page, listOf(600));
  await page.locator('.work', { hasText: 'of 600' }).waitFor();
  const other = await context.newPage();
  await other.goto(page.url());
  await other.getByText(/^600 passages to search/).waitFor();
  await other.getByRole('button', { name: 'Other texts' }).click();
  await other.getByLabel(/^Add to/).check();
  await other.locator('.search-new input[type=file]').setInputFiles(listOf(20));
  await other.getByText(/^620 passages to search/).waitFor();
  // The first page knows nothing of the added texts, and writes its vectors last.
  await letGpuGo(page);
  await page.getByText(/^600 passages to search/).waitFor();
  await other.reload();
  await other.getByText(/^620 passages to search/).waitFor();
  expect(await other.getByRole('alert').count()).toBe(0);
  expect(errors).toEqual([]);
});

test('a long text of many names leaves the page free', async () => {
  const { page, errors } = await open(withFixture('entities', 'random/bert-token'));
  await page.locator('.answers[aria-busy=false]').waitFor();
  await page.getByLabel('Text', { exact: true }).fill('The cat sat on Mona Lisa in Paris. '.repeat(300));
  const rows = page.locator('.entity-list tbody tr');
  await page.locator('.answers[aria-busy=false]', { hasText: /\d{4} found/ }).waitFor();
  expect(await rows.count()).toBe(100);
  await page.getByRole('button', { name: 'Show more' }).click();
  expect(await rows.count()).toBe(200);
  expect(errors).toEqual([]);
});

test('a tab whose script cannot be loaded says so, and comes with the next attempt', async () => {
  // A page that is not kept by its service worker.
  const { page } = await open('#attention', { ...DESKTOP, serviceWorkers: 'block' });
  await page.locator('bert-attention').waitFor();
  await page.route('**/assets/device-*.js', route => route.abort());
  await follow(page, '#device');
  await page.getByRole('alert').waitFor();
  await page.unroute('**/assets/device-*.js');
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('button', { name: 'Measure this device' }).waitFor();
});

test('offline every tab opens by a reload, also under the name of the file', async () => {
  const { page, context, errors } = await open('#device');
  await keptOffline(page);
  await page.reload();
  await context.setOffline(true);
  for (const name of ['', 'index.html']) {
    for (const tab of [
      'attention',
      'fill-mask',
      'pairs',
      'classification',
      'entities',
      'search',
      'training',
      'device',
    ]) {
      await page.goto(`${lab.origin}/${name}?visit=${tab}#${tab}`);
      await page.locator('.model-name').first().waitFor();
    }
  }
  expect(errors.filter(line => !line.includes('ERR_INTERNET_DISCONNECTED'))).toEqual([]);
});

test('a panel that closes gives the focus back to the button that opened it', async () => {
  const { page, errors } = await open(withFixture('search', 'random/bert-base'));
  await sampleRanked(page);
  const change = page.getByRole('button', { name: 'Change' });
  await change.press('Enter');
  await page.getByRole('button', { name: /all-MiniLM-L6-v2/ }).press('Enter');
  await until(
    () => focused(page),
    text => text === 'Change',
  );
  await change.press('Enter');
  await page.getByLabel(/Any other/).fill('nobody/nothing');
  await page.keyboard.press('Enter');
  await until(
    () => focused(page),
    text => text === 'Change',
  );
  await page.getByRole('button', { name: 'Other texts' }).press('Enter');
  await page.getByLabel(/^Texts of your own/).fill('The cat sleeps on the sofa.');
  await page.getByRole('button', { name: 'Search in it' }).press('Enter');
  await until(
    () => focused(page),
    text => text === 'Other texts',
  );
  expect(errors.filter(line => !line.includes('ERR_NAME_NOT_RESOLVED'))).toEqual([]);
});

test('an attention of no text: the tab says that nothing is written, and shows what was read before', async () => {
  const { page, errors } = await open('#attention', PHONE);
  await page.locator('bert-attention[data-live]').waitFor();
  await page.getByLabel('Text', { exact: true }).fill('  ');
  await page.getByText('Nothing is written yet').waitFor();
  await follow(page, '#attention?text=&pair=');
  await page.getByText('Nothing is written yet').waitFor();
  expect(errors).toEqual([]);
});
