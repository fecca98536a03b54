import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Download, Page } from 'playwright';
import { describe, expect, onTestFinished, test } from 'vitest';
import { dropFolder } from './lab-held.ts';
import {
  DESKTOP,
  keptOffline,
  lab,
  open,
  openLab,
  PHONE,
  pageWidth,
  seriousFaults,
  until,
  withFixture,
} from './lab-pages.ts';

/** The tab of training: lines, a classifier of them, its files. Mostly on a checkpoint of random weights; MiniLM learns what it should. */

openLab();

const small = (settings: Readonly<Record<string, string>> = {}) =>
  withFixture('training', 'random/bert-base', settings);
const field = (page: Page) => page.getByRole('textbox', { name: 'Your lines' });
const button = (page: Page, name = /^Train( anew)?$/) => page.getByRole('button', { name });
const rows = (page: Page, list: string) => page.getByRole('list', { name: list }).locator('li');
const ready = (page: Page) => page.getByText(/about .* on the GPU$/).waitFor();
const learned = (page: Page) => page.getByText(/^Learned in/).waitFor({ timeout: 120_000 });
const points = (page: Page) => page.locator('.training-chart circle').count();
const percentages = async (page: Page) =>
  (await rows(page, 'Your labels').locator('.score-number').allTextContents()).map(Number.parseFloat);

const FEW = 'red, A rose\nred, A cherry\nred, The blood\nblue, The sky\nblue, A whale\nblue, The sea';

describe('lines', () => {
  test('are counted by class; what is wrong with one is said beside it, and leads to it', async () => {
    const { page, errors } = await open(small());
    await ready(page);
    expect(await rows(page, 'Lines of each class').allTextContents()).toEqual([
      'billing8 lines',
      'delivery8 lines',
      'praise8 lines',
    ]);
    await field(page).fill('red, A rose\nA whale without a label\nred, The blood\nred,');
    expect(await page.getByText('All lines have the label “red”').count()).toBe(1);
    expect(await button(page).isDisabled()).toBe(true);
    await page.getByText('It has no label. Write one before the text, with a comma between.').waitFor();
    expect(await page.locator('.lines-under [data-tag]').count()).toBe(2);
    await page.getByRole('button', { name: 'Line 2' }).click();
    expect(
      await field(page).evaluate((area: HTMLTextAreaElement) =>
        area.value.slice(area.selectionStart, area.selectionEnd),
      ),
    ).toBe('A whale without a label');
    await page.keyboard.type('blue, A whale');
    await page.getByText('It is the only one of “blue”').waitFor();
    expect(await page.getByText('It has no label').count()).toBe(0);
    expect(await button(page).isEnabled()).toBe(true);
    await field(page).fill('');
    await page.getByText('There is no example yet').waitFor();
    expect(await button(page).isDisabled()).toBe(true);
    expect(errors).toEqual([]);
  });

  test('numbers and words stand beside their lines, also where a line is wrapped', async () => {
    const { page } = await open(small(), PHONE);
    const long = `red, ${'a rose is a rose and '.repeat(12)}`;
    await field(page).fill(`${long}\nblue, The sky\n${long.slice(0, 90)}\nnothing`);
    const heights = await page.evaluate(() => {
      const area = document.querySelector<HTMLTextAreaElement>('.lines textarea')!;
      return { shown: area.clientHeight, needed: area.scrollHeight };
    });
    expect(heights.needed).toBeLessThanOrEqual(heights.shown);
    expect(await pageWidth(page)).toBe(360);
  });

  test('are read of a file; the person’s own come back, and are there at the next visit', async () => {
    const { page, context, errors } = await open(small());
    await field(page).fill(FEW);
    const file = (name: string, content: string) => ({ name, mimeType: 'text/csv', buffer: Buffer.from(content) });
    const input = page.locator('.training-sources input[type=file]');
    await input.setInputFiles(
      file('of mine.csv', 'text,label\n"Warm, dry",sun\n"Wet, cold",rain\n"Hot",sun\n"Grey",rain\n'),
    );
    await until(
      () => field(page).inputValue(),
      value => value === 'sun\tWarm, dry\nrain\tWet, cold\nsun\tHot\nrain\tGrey',
    );
    expect(await rows(page, 'Lines of each class').allTextContents()).toEqual(['sun2 lines', 'rain2 lines']);
    await page.getByRole('button', { name: 'Back to my lines' }).click();
    expect(await field(page).inputValue()).toBe(FEW);
    await input.setInputFiles(file('picture.csv', '\0\0'));
    await page.getByText('The file is no text.').waitFor();
    expect(await field(page).inputValue()).toBe(FEW);
    const again = await context.newPage();
    await again.goto(page.url());
    expect(await field(again).inputValue()).toBe(FEW);
    expect(errors).toEqual([]);
  });
});

describe('a classifier', () => {
  test('is learned, with its loss in view, held-out lines, and labels of a text as one types', async () => {
    const { page, errors } = await open(small({ epochs: '4' }));
    await ready(page);
    expect(await page.getByText('18 lines to learn from, 6 held out · 12 steps').count()).toBe(1);
    await button(page).click();
    await learned(page);
    await ready(page);
    // A point for each step, and one of the lines held out for each round.
    expect(await points(page)).toBe(12 + 4);
    expect(await page.getByRole('region', { name: 'Held out' }).textContent()).toMatch(/\d of 6 named right/);
    await until(
      () => percentages(page),
      all => all.length === 3 && Math.abs(all.reduce((a, b) => a + b, 0) - 100) < 0.3,
    );
    const before = await percentages(page);
    await page.getByLabel('A text', { exact: true }).fill('My parcel is late.');
    await until(
      () => percentages(page),
      all => all.join() !== before.join(),
    );
    expect(page.url()).toContain('text=My+parcel');
    expect(errors).toEqual([]);
  });

  test('is stopped at a step and kept as it was then; it goes on, and is learned anew', async () => {
    const { page, errors } = await open(small({ epochs: '300', part: 'head' }));
    await ready(page);
    await button(page).click();
    await page.locator('.work .number', { hasText: /^([4-9]|\d\d+) of 900$/ }).waitFor();
    await page.locator('.work').getByRole('button', { name: 'Stop' }).click();
    const outcome = page.getByText(/^Stopped after \d+ of 900 steps/);
    await outcome.waitFor();
    const done = Number((await outcome.textContent())!.match(/\d+/)![0]);
    expect(done).toBeGreaterThan(2);
    expect(done).toBeLessThan(900);
    await rows(page, 'Your labels').nth(2).waitFor();
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByRole('progressbar', { name: /Learning/ }).waitFor();
    await page.locator('.work').getByRole('button', { name: 'Stop' }).click();
    await outcome.waitFor();
    expect(Number((await outcome.textContent())!.match(/\d+/)![0])).toBeGreaterThanOrEqual(done);
    await field(page).fill(FEW);
    await page.getByLabel('A text', { exact: true }).fill('The blue sea');
    await button(page).click();
    await page.locator('.work .number', { hasText: 'of 300' }).waitFor();
    await rows(page, 'Your labels').nth(1).waitFor();
    await until(
      async () => (await rows(page, 'Your labels').locator('.score-label').allTextContents()).sort().join(),
      labels => labels === 'blue,red',
    );
    expect(errors).toEqual([]);
  });

  test('stays when the tab is left, and goes on being learned', async () => {
    const { page, errors } = await open(small({ epochs: '40' }));
    await ready(page);
    await button(page).click();
    await until(
      () => points(page),
      count => count > 1,
    );
    await page.getByRole('link', { name: 'Fill-mask' }).click();
    await page.getByRole('heading', { name: 'Fill-mask' }).waitFor();
    await page.getByRole('link', { name: 'Training' }).click();
    await learned(page);
    await rows(page, 'Your labels').nth(2).waitFor();
    expect(errors).toEqual([]);
  });

  test('is saved as files that the tab of classification reads, with the same answer', async () => {
    const { page, errors } = await open(small({ epochs: '2', part: 'all', text: 'The driver was kind.' }));
    await ready(page);
    await button(page).click();
    await learned(page);
    await rows(page, 'Your labels').nth(2).waitFor();
    const downloads: Download[] = [];
    page.on('download', download => downloads.push(download));
    await page.getByRole('button', { name: 'Download the files' }).click();
    await until(
      async () => downloads.length,
      count => count === 4,
    );
    expect(downloads.map(download => download.suggestedFilename()).sort()).toEqual([
      'config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    expect(await rows(page, 'Files').count()).toBe(4);
    const answer = await rows(page, 'Your labels').allTextContents();
    const folder = mkdtempSync(join(tmpdir(), 'lab-training-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const saved = join(folder, 'letters');
    for (const download of downloads) await download.saveAs(join(saved, download.suggestedFilename()));
    const { page: other, errors: others } = await open(
      `#classification?${new URLSearchParams({ model: `${lab.origin}/none/`, text: 'The driver was kind.' })}`,
    );
    await other.getByRole('alert').waitFor();
    await dropFolder(other, saved);
    await rows(other, 'Labels').nth(2).waitFor();
    expect(await rows(other, 'Labels').allTextContents()).toEqual(answer);
    expect([...errors, ...others]).toEqual([]);
  });

  test('of MiniLM knows a text that none of its lines has', async () => {
    const { page, errors } = await open('#training?part=last&epochs=4&held=0');
    await page.getByRole('button', { name: 'Now or later' }).click();
    await ready(page);
    await button(page).click();
    await page.getByText(/^Learned in 12 steps/).waitFor({ timeout: 120_000 });
    await until(
      async () => (await rows(page, 'Your labels').first().textContent()) ?? '',
      first => first.startsWith('now'),
    );
    expect(errors).toEqual([]);
  });

  test.each([
    ['a phone', { ...PHONE, colorScheme: 'dark' }],
    ['a desktop', { ...DESKTOP, colorScheme: 'dark' }],
    ['a desktop', { ...DESKTOP, colorScheme: 'light' }],
  ] as const)('on %s nothing is wider than the page, and axe-core finds nothing serious', async (_, options) => {
    const { page, errors } = await open(small({ epochs: '2', held: '30', text: 'The red sky' }), options);
    await ready(page);
    await field(page).fill(`${FEW}\nno label`);
    await page.getByText('It has no label').waitFor();
    await page.getByText('More', { exact: true }).click();
    expect(await seriousFaults(page)).toEqual([]);
    await button(page).click();
    await learned(page);
    await rows(page, 'Your labels').nth(1).waitFor();
    expect(await pageWidth(page)).toBe(options.viewport.width);
    // The names of both curves end within the drawing.
    const chart = await page.locator('.training-chart svg').boundingBox();
    const name = await page.locator('.training-chart text', { hasText: 'evaluation loss' }).boundingBox();
    expect(name!.x + name!.width).toBeLessThanOrEqual(chart!.x + chart!.width);
    expect(await seriousFaults(page)).toEqual([]);
    expect(errors).toEqual([]);
  });

  test('by keyboard alone, and once more offline', async () => {
    const { page, context, errors } = await open(small({ epochs: '2' }));
    await ready(page);
    await page.getByRole('radio', { name: 'Usual: last two layers' }).focus();
    await page.keyboard.press('ArrowUp');
    expect(page.url()).toContain('part=head');
    await button(page).focus();
    await page.keyboard.press('Enter');
    await learned(page);
    expect(errors).toEqual([]);
    await keptOffline(page);
    await context.setOffline(true);
    await page.reload();
    await ready(page);
    await button(page).click();
    await learned(page);
  });
});
