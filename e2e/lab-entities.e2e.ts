import type { Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import { keptOffline, lab, open, openLab, PHONE, pageWidth, seriousFaults, until, withFixture } from './lab-pages.ts';

/** The tab of entities and answers on checkpoints of random weights. */

openLab();

type Settings = Readonly<Record<string, string>>;
const tokens = (settings?: Settings) => withFixture('entities', 'random/bert-token', settings);
const answering = (settings: Settings = {}) =>
  `#entities?${new URLSearchParams({ mode: 'answers', 'answer-model': `${lab.origin}/fixtures/random/bert-qa/`, ...settings })}`;
const marks = (page: Page) => page.locator('mark.entity');
const table = (page: Page) => page.locator('.entity-list tbody tr');
const answers = (page: Page) => page.getByRole('list', { name: 'Answers' }).getByRole('button');

/** The text of the reading line without the names of labels. */
const read = (page: Page) =>
  page.locator('.reading').evaluate(element => {
    const copy = element.cloneNode(true) as Element;
    for (const label of copy.querySelectorAll('.entity-label')) label.remove();
    return copy.textContent;
  });

describe('entities', () => {
  test('are marked where they stand, with a legend and a list; the text stays as it is; a link holds the strategy', async () => {
    const { page, errors } = await open(tokens());
    await marks(page).first().waitFor();
    const text = await page.getByLabel('Text', { exact: true }).inputValue();
    expect(await read(page)).toBe(text);
    const rows = await table(page).count();
    for (let i = 0; i < rows; i++) {
      const [word, , , place] = await table(page).nth(i).locator('td').allTextContents();
      const [start, end] = place!.split('–').map(Number);
      expect(text.slice(start, end)).toBe(word);
    }
    const total = (await page.getByRole('list', { name: 'Labels' }).locator('.number').allTextContents()).map(Number);
    expect(total.reduce((a, b) => a + b, 0)).toBe(rows);
    await page.getByLabel('Tokens are joined by').selectOption('none');
    await until(
      () => table(page).count(),
      count => count > rows,
    );
    expect(await marks(page).first().locator('.entity-label').textContent()).toMatch(/^[BI]-/);
    expect(await read(page)).toBe(text);
    await page.reload();
    await marks(page).first().waitFor();
    expect(await page.getByLabel('Tokens are joined by').inputValue()).toBe('none');
    await page.getByLabel('Text', { exact: true }).fill('');
    await page.getByText('Nothing is written yet.').waitFor();
    expect(errors).toEqual([]);
  });

  test('characters of two units are cut where they are', async () => {
    const { page, errors } = await open(tokens({ text: 'Zoë 🙂 went to Köln 🎡 with 李.' }));
    await marks(page).first().waitFor();
    expect(await read(page)).toBe('Zoë 🙂 went to Köln 🎡 with 李.');
    expect(errors).toEqual([]);
  });

  test.each(['light', 'dark'] as const)(
    'on a phone, %s: nothing is wider than the page; axe-core',
    async colorScheme => {
      const { page, errors } = await open(tokens(), { ...PHONE, colorScheme });
      await marks(page).first().waitFor();
      expect(await pageWidth(page)).toBe(360);
      expect(await seriousFaults(page)).toEqual([]);
      expect(errors).toEqual([]);
    },
  );
});

describe('answers', () => {
  test('stand in the text by their places, several by score, one is shown by keyboard, and there may be none', async () => {
    const { page, errors } = await open(answering());
    await answers(page).nth(2).waitFor();
    const context = await page.getByLabel('Text', { exact: true }).inputValue();
    expect(await read(page)).toBe(context);
    const scores = (await answers(page).locator('.score-number').allTextContents()).map(Number.parseFloat);
    expect(scores).toEqual([...scores].sort((a, b) => b - a));
    const third = (await answers(page).nth(2).locator('.score-label').textContent())!.replace(/^Show /, '');
    await answers(page).nth(2).focus();
    await page.keyboard.press('Enter');
    await until(
      async () => (await page.locator('.found.is-strong').allTextContents()).join(''),
      text => text === third,
    );
    await page.getByRole('combobox', { name: 'Answers' }).selectOption('1');
    await until(
      () => answers(page).count(),
      count => count === 1,
    );
    await page.getByLabel('The text may have no answer').check();
    await until(async () => page.url().includes('none=1'), Boolean);
    await page.reload();
    await answers(page).first().waitFor();
    expect(await page.getByLabel('The text may have no answer').isChecked()).toBe(true);
    await page.getByLabel('Question', { exact: true }).fill('');
    await page.getByText('A question is needed').waitFor();
    expect(errors).toEqual([]);
  });

  test('on a phone: nothing is wider than the page; axe-core; offline after the first visit', async () => {
    const { page, context, errors } = await open(answering(), { ...PHONE, colorScheme: 'dark' });
    await answers(page).first().waitFor();
    expect(await pageWidth(page)).toBe(360);
    expect(await seriousFaults(page)).toEqual([]);
    await keptOffline(page);
    await context.setOffline(true);
    await page.reload();
    await answers(page).first().waitFor();
    expect(errors.filter(line => !line.includes('ERR_INTERNET_DISCONNECTED'))).toEqual([]);
  });

  test('each way offers a model of its own', async () => {
    const { page, errors } = await open('#entities');
    await page.getByRole('button', { name: 'Download 261 MB' }).waitFor();
    await page.getByText('Answers', { exact: true }).click();
    await page.getByRole('button', { name: 'Download 265 MB' }).waitFor();
    expect(await seriousFaults(page)).toEqual([]);
    expect(errors).toEqual([]);
  });
});
