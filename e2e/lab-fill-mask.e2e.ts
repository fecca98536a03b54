import { readdirSync } from 'node:fs';
import type { Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import { at } from '../scripts/root.mjs';
import {
  DESKTOP,
  keptOffline,
  open,
  openLab,
  PHONE,
  pageWidth,
  seriousFaults,
  until,
  withFixture,
} from './lab-pages.ts';

/** The way between tabs, and the tab of fill-mask on checkpoints of random weights. */

openLab();

const BERT = 'random/bert-masked-lm';
const withBert = (settings?: Readonly<Record<string, string>>) => withFixture('fill-mask', BERT, settings);
const guesses = (page: Page, gap = 'In the gap') => page.getByRole('list', { name: gap }).getByRole('button');
const text = (page: Page) => page.getByLabel('Text', { exact: true });
const percents = async (page: Page, gap?: string) =>
  (await guesses(page, gap).locator('.score-number').allTextContents()).map(Number.parseFloat);

describe('the way between tabs', () => {
  test('a strip where the page is wide', async () => {
    const { page, errors } = await open('');
    await page.getByRole('link', { name: 'Fill-mask' }).click();
    await page.getByRole('heading', { name: 'Fill-mask' }).waitFor();
    expect(await page.title()).toContain('Fill-mask');
    const strip = page.locator('.tab-strip');
    expect(await strip.evaluate(element => element.scrollWidth <= element.clientWidth)).toBe(true);
    expect(errors).toEqual([]);
  });

  test('on a phone a list of all tabs, by touch and by keyboard', async () => {
    const { page, errors } = await open('#fill-mask', PHONE);
    const menu = page.locator('.tab-menu-button');
    await menu.tap();
    const link = page.getByRole('link', { name: /^Attention/ });
    await link.waitFor();
    expect(await seriousFaults(page)).toEqual([]);
    await page.keyboard.press('Escape');
    await link.waitFor({ state: 'hidden' });
    expect(await menu.evaluate(element => element === document.activeElement)).toBe(true);
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.locator('bert-attention').waitFor();
    await link.waitFor({ state: 'hidden' });
    expect(await pageWidth(page)).toBe(360);
    expect(errors).toEqual([]);
  });
});

describe('fill-mask', () => {
  test('the model is offered with its size and licence, and the hub is asked for nothing before a yes', async () => {
    const { page, context, errors } = await open('icon.svg');
    const asked: string[] = [];
    await context.route('https://huggingface.co/**', route => {
      asked.push(route.request().url());
      return route.abort();
    });
    await page.goto(`${new URL(page.url()).origin}/#fill-mask`);
    await page.getByRole('button', { name: 'Download 268 MB' }).waitFor();
    await page.getByText('still has its masked-LM head').waitFor();
    await page.getByText('Licence: Apache-2.0').waitFor();
    expect(asked).toEqual([]);
    await page.getByRole('button', { name: 'Another model' }).click();
    await page.getByRole('button', { name: /roberta-base/ }).waitFor();
    expect(errors).toEqual([]);
  });

  test('guesses follow the text, the newest wins; their number and the words are chosen, and a link holds it all', async () => {
    const { page, errors } = await open(withBert());
    await guesses(page).nth(4).waitFor();
    const shares = await percents(page);
    expect(shares).toEqual([...shares].sort((a, b) => b - a));
    await text(page).fill('');
    await text(page).pressSequentially('It is a [MASK] and a [MASK].', { delay: 10 });
    await guesses(page, 'Gap 2').nth(4).waitFor();
    await page.getByLabel('How many').selectOption('10');
    await guesses(page, 'Gap 1').nth(9).waitFor();
    await page.getByLabel('Only these words').fill('the, from');
    await until(
      () => guesses(page, 'Gap 1').locator('.score-label').allTextContents(),
      all => [...all].sort().join() === 'Put in from,Put in the',
    );
    await page.reload();
    await until(
      () => guesses(page, 'Gap 2').count(),
      count => count === 2,
    );
    expect(await text(page).inputValue()).toBe('It is a [MASK] and a [MASK].');
    expect(errors).toEqual([]);
  });

  test('a guess that is chosen stands in the text, by mouse and by keyboard, and can be taken back', async () => {
    const { page, errors } = await open(withBert({ text: 'The [MASK] and the [MASK].' }));
    const first = guesses(page, 'Gap 2').nth(1);
    const word = (await first.locator('.score-label').textContent())!.replace(/^Put in …?/, '');
    await first.click();
    expect(await text(page).inputValue()).toMatch(/^The \[MASK\] and the/);
    expect(await text(page).inputValue()).toContain(`${word}.`);
    await guesses(page).first().waitFor();
    await page.getByRole('button', { name: 'Take it back' }).click();
    expect(await text(page).inputValue()).toBe('The [MASK] and the [MASK].');
    await guesses(page, 'Gap 1').first().focus();
    await page.keyboard.press('Enter');
    expect(await text(page).inputValue()).not.toContain('The [MASK]');
    expect(await text(page).evaluate(element => element === document.activeElement)).toBe(true);
    expect(errors).toEqual([]);
  });

  test('the button writes the mask of the model over what is selected', async () => {
    const { page, errors } = await open(
      withFixture('fill-mask', 'random/roberta-masked-lm', { text: 'A dog sleeps.' }),
    );
    await page.getByText('No gap is left').waitFor();
    await page.getByRole('button', { name: 'Insert <mask>' }).waitFor();
    await text(page).evaluate((field: HTMLTextAreaElement) => field.setSelectionRange(2, 5));
    await page.getByRole('button', { name: 'Insert <mask>' }).click();
    expect(await text(page).inputValue()).toBe('A <mask> sleeps.');
    await guesses(page).nth(4).waitFor();
    // Another model writes its masks in another way.
    await page.getByRole('button', { name: 'Change' }).click();
    await page.getByLabel(/Any other/).fill(`${new URL(page.url()).origin}/fixtures/${BERT}/`);
    await page.keyboard.press('Enter');
    await until(
      () => text(page).inputValue(),
      value => value === 'A [MASK] sleeps.',
    );
    await guesses(page).nth(4).waitFor();
    expect(errors).toEqual([]);
  });

  test('a folder from this device', async () => {
    const { page, errors } = await open('#fill-mask');
    await page.getByRole('button', { name: 'Change' }).click();
    const folder = at('tests', 'fixtures', 'random', 'distilbert-masked-lm');
    expect(readdirSync(folder)).toContain('model.safetensors');
    await page.locator('.picker input[type=file]').setInputFiles(folder);
    await guesses(page).nth(4).waitFor();
    expect(errors).toEqual([]);
  });

  test('a checkpoint without the head says so', async () => {
    const { page } = await open('#fill-mask?model=sentence-transformers/all-MiniLM-L6-v2');
    await page.getByRole('alert').waitFor();
    expect(await page.getByRole('alert').textContent()).toMatch(/cls\.predictions|MaskedLM|head/);
  });

  test.each(['light', 'dark'] as const)(
    'on a phone, %s: nothing is wider than the page; axe-core',
    async colorScheme => {
      const { page, errors } = await open(withBert({ text: 'The [MASK] and the [MASK].' }), { ...PHONE, colorScheme });
      await guesses(page, 'Gap 1').nth(2).tap();
      await guesses(page).nth(2).waitFor();
      expect(await pageWidth(page)).toBe(360);
      expect(await seriousFaults(page)).toEqual([]);
      expect(errors).toEqual([]);
    },
  );

  test('axe-core at a desktop; and offline after the first visit', async () => {
    const { page, context, errors } = await open(withBert(), { ...DESKTOP, colorScheme: 'dark' });
    await guesses(page).nth(4).waitFor();
    expect(await seriousFaults(page)).toEqual([]);
    await keptOffline(page);
    await context.setOffline(true);
    await page.reload();
    await guesses(page).nth(4).waitFor();
    await page.getByRole('link', { name: 'Fill-mask' }).waitFor();
    expect(errors).toEqual([]);
  });
});
