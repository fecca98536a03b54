import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright';
import { describe, expect, onTestFinished, test } from 'vitest';
import { keepMadeUpIndex } from '../scripts/made-up-index.mjs';
import { dropFolder } from './lab-held.ts';
import {
  DESKTOP,
  goOnByKey,
  keptOffline,
  lab,
  open,
  openLab,
  openWithoutGpu,
  PHONE,
  seriousFaults,
  until,
} from './lab-pages.ts';

/** The tab of search, with MiniLM and, as another model, checkpoints of random weights. */

openLab();

const field = (page: Page) => page.getByLabel('Search by meaning');
const hits = (page: Page) => page.locator('.search-hit p');
const scores = (page: Page) => page.locator('.search-score').allTextContents();
const ranked = (page: Page, words: RegExp) => page.getByText(words).waitFor();
const sampleRanked = (page: Page) => ranked(page, /^48 passages ranked in/);
const fixture = (name: string) => encodeURIComponent(`${lab.origin}/fixtures/random/${name}/`);

const NOTES = {
  name: 'notes.md',
  mimeType: 'text/markdown',
  buffer: Buffer.from(
    '# Camping\n\nThe tent leaks when it rains. Take the blue one next time.\n\n- gas for the stove\n- two warm blankets\n',
  ),
};
const TABLE = {
  name: 'orders.csv',
  mimeType: 'text/csv',
  buffer: Buffer.from('item,price\n"Lamp, brass",40\nWool blanket,25\n'),
};

/** Gives files to the panel of texts. */
async function giveFiles(page: Page, files: readonly (typeof NOTES)[]): Promise<void> {
  await page.getByRole('button', { name: 'Other texts' }).click();
  await page.locator('.search-new input[type=file]').setInputFiles([...files]);
}

/** What IndexedDB holds of an index: its note, and the spaces of its blocks. */
const kept = (page: Page) =>
  page.evaluate(async () => {
    const db = await new Promise<IDBDatabase>((resolve, reject) => {
      const asked = indexedDB.open('webgpu-bert-lab-search');
      asked.onsuccess = () => resolve(asked.result);
      asked.onerror = () => reject(asked.error);
    });
    const all = (store: string) =>
      new Promise<unknown[]>((resolve, reject) => {
        const asked = db.transaction(store).objectStore(store).getAll();
        asked.onsuccess = () => resolve(asked.result);
        asked.onerror = () => reject(asked.error);
      });
    const [notes, blocks] = await Promise.all([all('notes'), all('blocks')]);
    db.close();
    return {
      notes: notes as { name: string; passages: number; vectors?: { space: string; rows: number } }[],
      spaces: (blocks as { space: string }[]).map(({ space }) => space),
    };
  });

describe('search', () => {
  test('the sample is searched as one types, by meaning, and a link holds the query', async () => {
    const { page, errors } = await open('#search');
    await sampleRanked(page);
    // Python's order and scores: sentence-transformers 6.2 on the same sentences gives 0.4694, 0.4443 and 0.3687.
    expect((await scores(page)).slice(0, 3)).toEqual(['0.47', '0.44', '0.37']);
    expect((await hits(page).allTextContents()).slice(0, 2)).toEqual([
      'Honey bees find their way home by the position of the sun.',
      'Migrating birds learn the pattern of the stars while they are in the nest.',
    ]);
    await field(page).fill('');
    await field(page).pressSequentially('my luggage got broken', { delay: 15 });
    await until(
      () => hits(page).first().textContent(),
      text => text === 'Parcels that come back damaged are replaced without charge.',
    );
    const numbers = (await scores(page)).map(Number);
    expect(numbers).toEqual([...numbers].sort((a, b) => b - a));
    expect(page.url()).toContain('q=my+luggage+got+broken');
    await page.reload();
    await sampleRanked(page);
    expect(await hits(page).first().textContent()).toContain('Parcels');
    expect(errors).toEqual([]);
  });

  test('several files are one index, with names and surroundings; it is kept, renamed and removed', async () => {
    const { page, errors } = await open('#search');
    await giveFiles(page, [NOTES, TABLE]);
    await ranked(page, /^8 passages to search/);
    await field(page).fill('something to keep me warm');
    await ranked(page, /^8 passages ranked in/);
    expect((await hits(page).allTextContents()).slice(0, 2).sort()).toEqual([
      'Wool blanket · 25orders.csv',
      'two warm blanketsnotes.md',
    ]);
    await field(page).fill('water gets into it');
    await until(
      () => page.locator('.search-hit mark').first().textContent(),
      text => text === 'The tent leaks when it rains.',
    );
    expect(await page.locator('.search-context').allTextContents()).toContain(' Take the blue one next time.');
    await until(
      async () => (await kept(page)).notes.find(({ name }) => name.startsWith('notes.md'))?.vectors?.rows,
      rows => rows === 8,
    );
    // Nothing is embedded again after a reload.
    await page.reload();
    await ranked(page, /^8 passages ranked in [^;]+$/);
    await page.getByRole('button', { name: 'Other texts' }).click();
    await page.getByRole('button', { name: /^Rename notes.md/ }).click();
    await page.getByLabel('Name').fill('Packing list');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: /^Packing list/ }).waitFor();
    await page.getByRole('button', { name: /^Remove Packing list/ }).click();
    await page.getByRole('button', { name: /^Remove Packing list for good/ }).click();
    await sampleRanked(page);
    expect((await kept(page)).notes.map(({ name }) => name)).toEqual(['Sample sentences']);
    expect(errors).toEqual([]);
  });

  test('pasted text is searched, and more is added to it', async () => {
    const { page, errors } = await open('#search');
    await page.getByRole('button', { name: 'Other texts' }).click();
    await page.getByLabel(/^Texts of your own/).fill('The cat sleeps on the sofa. Rain falls on the roof.');
    await page.getByRole('button', { name: 'Search in it' }).click();
    await ranked(page, /^2 passages to search/);
    await giveFiles(page, []);
    await page.getByLabel(/^Add to/).check();
    await page.locator('.search-new input[type=file]').setInputFiles(TABLE);
    await ranked(page, /^5 passages to search/);
    await field(page).fill('a napping animal');
    await ranked(page, /^5 passages ranked/);
    expect(await hits(page).first().textContent()).toContain('The cat sleeps');
    expect(errors).toEqual([]);
  });

  test('files without text are named, and what is open stays', async () => {
    const { page, errors } = await open('#search');
    await sampleRanked(page);
    await giveFiles(page, [{ name: 'photo.png', mimeType: 'image/png', buffer: Buffer.from([0, 1, 2]) }]);
    const alert = page.getByRole('alert');
    await alert.waitFor();
    expect(await alert.textContent()).toContain('photo.png');
    expect(await hits(page).count()).toBe(20);
    expect(errors).toEqual([]);
  });

  test('vectors of another model are never compared: they are made anew after a yes', async () => {
    const { page, errors } = await open('#search');
    await sampleRanked(page);
    // The vectors are written after they are shown.
    await until(
      async () => (await kept(page)).spaces.length,
      blocks => blocks > 0,
    );
    const { spaces } = await kept(page);
    await page.getByRole('button', { name: 'Change' }).click();
    await page.getByLabel(/Any other/).fill(`${lab.origin}/fixtures/random/bert-base/`);
    await page.keyboard.press('Enter');
    const again = page.getByRole('button', { name: 'Embed its 48 passages again' });
    await again.waitFor();
    expect(await page.locator('.search-score').count()).toBe(0);
    expect((await kept(page)).spaces).toEqual(spaces);
    await again.click();
    await sampleRanked(page);
    const other = await kept(page);
    expect(other.spaces.length).toBe(1);
    expect(other.spaces).not.toEqual(spaces);
    // And back, by the name of the model that is offered.
    await page.getByRole('button', { name: 'Change' }).click();
    await page.getByRole('button', { name: /all-MiniLM-L6-v2/ }).click();
    await page.getByRole('button', { name: 'Back to bert-base' }).click();
    await sampleRanked(page);
    expect((await kept(page)).spaces).toEqual(other.spaces);
    expect(errors).toEqual([]);
  });

  test('the embedding is stopped, says how far it is, goes on after a reload', async () => {
    const { page, errors } = await open('#search');
    await sampleRanked(page);
    const lines = Array.from({ length: 600 }, (_, i) => `Line ${i} of a long list of things.`).join('\n');
    await giveFiles(page, [{ name: 'list.csv', mimeType: 'text/csv', buffer: Buffer.from(lines) }]);
    // Before there is a vector there is nothing to keep.
    await page.locator('.work', { hasText: /[1-9]\d* of 600/ }).waitFor();
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText(/^Stopped: \d+ of 600 passages can be searched/).waitFor();
    await until(
      async () => (await kept(page)).notes.find(({ passages }) => passages === 600)?.vectors?.rows ?? 0,
      rows => rows > 0 && rows < 600,
    );
    await page.reload();
    await page.locator('.work', { hasText: 'of 600' }).waitFor();
    expect(errors).toEqual([]);
  });

  test('it works offline after the first visit, with the index that was kept', async () => {
    const { page, context } = await open('#search');
    await sampleRanked(page);
    await until(
      async () => (await kept(page)).spaces.length,
      blocks => blocks > 0,
    );
    await keptOffline(page);
    await context.setOffline(true);
    await page.reload();
    await ranked(page, /^48 passages ranked in [^;]+$/);
    await field(page).fill('planets');
    await until(
      () => hits(page).first().textContent(),
      text => text === 'Jupiter has more than ninety known moons.',
    );
  });

  test('a checkpoint with random weights can be searched with, too, in fp16 and q8', async () => {
    for (const dtype of ['fp16', 'q8']) {
      const { page, errors } = await open(`#search?model=${fixture('bert-base')}&model-dtype=${dtype}`);
      await sampleRanked(page);
      expect(errors).toEqual([]);
    }
  });

  test('without WebGPU the texts are there, those of a folder that is dropped, too, and a panel says why they cannot be searched', async () => {
    const { page, errors } = await openWithoutGpu('#search');
    await page.getByRole('alert').getByText('Models do not run in this browser').waitFor();
    await hits(page).nth(19).waitFor();
    expect(await seriousFaults(page)).toEqual([]);
    const folder = mkdtempSync(join(tmpdir(), 'lab-notes-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, NOTES.name), NOTES.buffer);
    // Of some program: it makes the folder no model.
    writeFileSync(join(folder, 'config.json'), '{}');
    await dropFolder(page, folder);
    await hits(page).getByText('The tent leaks when it rains.').waitFor();
    expect(errors).toEqual([]);
  });

  test.each(['light', 'dark'] as const)(
    'axe-core finds nothing serious, %s, with everything open',
    async colorScheme => {
      const { page, errors } = await open('#search', { ...DESKTOP, colorScheme });
      await sampleRanked(page);
      await page.getByRole('button', { name: 'Change' }).click();
      await page.getByRole('button', { name: 'Other texts' }).click();
      expect(await seriousFaults(page)).toEqual([]);
      expect(errors).toEqual([]);
    },
  );

  test('on a phone nothing is wider than the page', async () => {
    const { page, errors } = await open('#search', PHONE);
    await sampleRanked(page);
    await page.getByRole('button', { name: 'I want my money back' }).tap();
    await until(
      () => hits(page).first().textContent(),
      text => text === 'Refunds are paid to the same card within fourteen days.',
    );
    await page.getByRole('button', { name: 'Other texts' }).tap();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
    expect(await seriousFaults(page)).toEqual([]);
    expect(errors).toEqual([]);
  });
});

const mapCanvas = (page: Page) => page.getByRole('application', { name: /^Map of/ });
const chosen = (page: Page) => page.locator('.map-facts strong');
const neighbours = (page: Page) => page.locator('.map-neighbours button');

describe('the map', () => {
  test('is drawn in both layouts; by keyboard every point says its text and its neighbours', async () => {
    const { page, errors } = await open('#search');
    await sampleRanked(page);
    await page.getByText(/^48 passages; two directions, \d+ % of the variance/).waitFor();
    await mapCanvas(page).focus();
    await page.keyboard.press('ArrowRight');
    await chosen(page).waitFor();
    // The first stop is the best passage.
    expect(await chosen(page).textContent()).toBe('Honey bees find their way home by the position of the sun.');
    expect(await neighbours(page).count()).toBe(6);
    const texts = new Set<string | null>();
    for (const key of ['ArrowRight', 'ArrowUp', 'ArrowRight', 'ArrowDown', 'ArrowLeft']) {
      await page.keyboard.press(key);
      texts.add(await chosen(page).textContent());
    }
    expect(texts.size).toBeGreaterThan(2);
    await page.keyboard.press('+');
    await until(() => page.getByRole('button', { name: 'All' }).isEnabled(), Boolean);
    await page.keyboard.press('0');
    await until(() => page.getByRole('button', { name: 'All' }).isDisabled(), Boolean);
    await page.keyboard.press('Escape');
    await until(
      () => chosen(page).count(),
      count => count === 0,
    );
    await page.getByRole('button', { name: 'UMAP' }).click();
    await page.getByText(/^48 passages; neighbours kept together/).waitFor();
    expect(errors).toEqual([]);
  });

  test('a passage that is clicked is chosen, its neighbours lead on, and points of several files have a legend', async () => {
    const { page, errors } = await open('#search');
    await giveFiles(page, [NOTES, TABLE]);
    await ranked(page, /^8 passages to search/);
    await page.getByText(/^8 passages; two directions/).waitFor();
    expect(await page.locator('.map-legend li').allTextContents()).toEqual(['notes.md', 'orders.csv']);
    expect(await page.getByRole('button', { name: 'UMAP' }).isDisabled()).toBe(true);
    await page.locator('.search-hit').nth(1).hover();
    await until(
      () => chosen(page).textContent(),
      text => text === 'The tent leaks when it rains.',
    );
    const next = await neighbours(page).first().locator('span').last().textContent();
    await mapCanvas(page).focus();
    await page.keyboard.press('ArrowDown');
    await neighbours(page).first().waitFor();
    await page.mouse.move(0, 0);
    const named = await neighbours(page).first().locator('span').last().textContent();
    await neighbours(page).first().click();
    await until(
      () => chosen(page).textContent(),
      text => text === named,
    );
    expect(next).not.toBe('');
    expect(errors).toEqual([]);
  });

  test('of ten thousand passages it is drawn, too; UMAP is stopped half way and the map stays', async () => {
    const { page, errors } = await open('#search');
    await sampleRanked(page);
    await until(
      async () => (await kept(page)).spaces.length,
      blocks => blocks > 0,
    );
    await page.evaluate(keepMadeUpIndex, { id: 'large', rows: 10_000, seed: 7 });
    await page.goto(`${lab.origin}/#search?texts=large&q=anything`);
    await ranked(page, /^10,000 passages ranked in/);
    await page.getByText(/^10,000 passages; two directions/).waitFor();
    await page.getByRole('button', { name: 'UMAP' }).click();
    await page.locator('.map-head progress').waitFor();
    await page.locator('.map-head').getByRole('button', { name: 'Stop' }).press('Enter');
    await page.locator('.map-head').getByText('Stopped', { exact: true }).waitFor();
    await page.getByText(/^10,000 passages; two directions/).waitFor();
    await goOnByKey(page, 'Begin again');
    await page.locator('.map-head').getByText('Moving the points').waitFor();
    await page.locator('.map-head').getByRole('button', { name: 'Stop' }).click();
    await page.getByText(/^10,000 passages; moved \d+ of 500 times/).waitFor();
    await mapCanvas(page).focus();
    await page.keyboard.press('ArrowRight');
    await chosen(page).waitFor();
    expect(errors).toEqual([]);
  });

  test('on a phone it is a view of its own, kept in the address, and a tap chooses', async () => {
    const { page, errors } = await open('#search', PHONE);
    await sampleRanked(page);
    await page.getByRole('button', { name: 'Map', exact: true }).tap();
    expect(page.url()).toContain('view=map');
    await page.getByText(/^48 passages; two directions/).waitFor();
    expect(await hits(page).first().isVisible()).toBe(false);
    await mapCanvas(page).evaluate(canvas => canvas.scrollIntoView({ block: 'center' }));
    const { x, y, width, height } = (await mapCanvas(page).boundingBox())!;
    // Somewhere in the map there is a point below a finger. What a tap has chosen is shown in the next frame.
    for (let step = 0; step < 60 && (await chosen(page).count()) === 0; step += 1) {
      await page.touchscreen.tap(
        x + width * (0.2 + 0.06 * (step % 11)),
        y + height * (0.2 + 0.1 * Math.floor(step / 11)),
      );
      // A tap elsewhere, since two in the map would zoom.
      await page.locator('.map-head p').tap();
    }
    expect(await neighbours(page).count()).toBe(6);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
    expect(await seriousFaults(page)).toEqual([]);
    expect(errors).toEqual([]);
  });
});
