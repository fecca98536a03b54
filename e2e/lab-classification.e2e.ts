import type { Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import { keptOffline, lab, open, openLab, PHONE, pageWidth, seriousFaults, until, withFixture } from './lab-pages.ts';

/** The tab of classification on checkpoints of random weights: labels of the checkpoint, labels of the person, reranking. */

openLab();

type Settings = Readonly<Record<string, string>>;
const at = (mode: string, param: string, name: string, settings: Settings = {}) =>
  `#classification?${new URLSearchParams({ mode, [param]: `${lab.origin}/fixtures/random/${name}/`, ...settings })}`;
const zeroShot = (settings?: Settings) => at('zero-shot', 'zero-model', 'bert-sequence', settings);
const reranker = (settings?: Settings) => at('rank', 'rank-model', 'bert-rerank', settings);

const rows = (page: Page, list: string) => page.getByRole('list', { name: list }).locator('li');
const labels = (page: Page, list: string) => rows(page, list).locator('.score-label').allTextContents();
const numbers = async (page: Page, list: string) =>
  (await rows(page, list).locator('.score-number').allTextContents()).map(Number.parseFloat);
const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);

describe('labels of the checkpoint', () => {
  test('all labels, the likeliest first, as one types; a second text makes a pair; a link holds both', async () => {
    const { page, errors } = await open(withFixture('classification', 'random/bert-sequence'));
    await rows(page, 'Labels').nth(2).waitFor();
    expect((await labels(page, 'Labels')).sort()).toEqual(['NEG', 'NEU', 'POS']);
    const before = await numbers(page, 'Labels');
    expect(before).toEqual([...before].sort((a, b) => b - a));
    expect(sum(before)).toBeCloseTo(100, 0);
    await page.getByLabel('Text', { exact: true }).fill('It rains.');
    await page.getByLabel(/^Second text/).fill('The street is wet.');
    await until(
      () => page.locator('.answers[aria-busy=false]').count(),
      count => count === 1,
    );
    const after = await numbers(page, 'Labels');
    expect(after).not.toEqual(before);
    await page.reload();
    await rows(page, 'Labels').nth(2).waitFor();
    expect(await numbers(page, 'Labels')).toEqual(after);
    await page.getByLabel('Text', { exact: true }).fill('');
    await page.getByText('Nothing is written yet.').waitFor();
    expect(errors).toEqual([]);
  });

  test('labels that may hold at once need not make a whole', async () => {
    const { page } = await open(withFixture('classification', 'random/bert-multilabel'));
    await rows(page, 'Labels').nth(2).waitFor();
    expect(Math.abs(sum(await numbers(page, 'Labels')) - 100)).toBeGreaterThan(1);
  });

  test('each way offers a model of its own, chosen by keyboard', async () => {
    const { page, errors } = await open('#classification');
    await page.getByRole('button', { name: 'Download 268 MB' }).waitFor();
    await page.getByRole('radio', { name: 'Its labels' }).focus();
    await page.keyboard.press('ArrowRight');
    await page.getByRole('button', { name: 'Download 283 MB' }).waitFor();
    await page.keyboard.press('ArrowRight');
    await page.getByRole('button', { name: 'Download 91 MB' }).waitFor();
    expect(await seriousFaults(page)).toEqual([]);
    expect(errors).toEqual([]);
  });
});

describe('labels of the person', () => {
  test('a checkpoint whose labels have other names is asked about; then labels are judged, one whole or each alone', async () => {
    const { page, errors } = await open(zeroShot({ labels: 'rain, sun, snow' }));
    await page.getByText('Its model card does').waitFor();
    await page.getByLabel(/^The checkpoint.s label/).selectOption('POS');
    await rows(page, 'Your labels').nth(2).waitFor();
    expect(sum(await numbers(page, 'Your labels'))).toBeCloseTo(100, 0);
    await page.getByLabel('Several labels may hold at once').check();
    await until(
      () => numbers(page, 'Your labels'),
      list => Math.abs(sum(list) - 100) > 1,
    );
    const alone = await numbers(page, 'Your labels');
    await page.getByLabel(/^The sentence that is judged/).fill('It is about {}.');
    await until(
      () => numbers(page, 'Your labels'),
      list => list.join() !== alone.join(),
    );
    await page.getByLabel(/^The sentence that is judged/).fill('It is about rain.');
    await page.getByText('The sentence needs {}').waitFor();
    await page.getByLabel(/^The sentence that is judged/).fill('It is about {}.');
    await page.getByRole('textbox', { name: /^Your labels/ }).fill('rain, rain, wind');
    await until(
      async () => (await labels(page, 'Your labels')).sort().join(),
      list => list === 'rain,wind',
    );
    await page.reload();
    await rows(page, 'Your labels').nth(1).waitFor();
    expect(await page.getByLabel('Several labels may hold at once').isChecked()).toBe(true);
    expect(errors).toEqual([]);
  });
});

describe('reranking', () => {
  test('documents by their scores, with the line that each had', async () => {
    const { page, errors } = await open(reranker());
    await rows(page, 'Documents, the best first').nth(3).waitFor();
    const scores = await numbers(page, 'Documents, the best first');
    expect(scores).toEqual([...scores].sort((a, b) => b - a));
    await page.getByLabel('Documents, one a line').fill('One.\n\n  Two is longer.\nThree, three.');
    await until(
      async () => (await labels(page, 'Documents, the best first')).sort(),
      list => list.join('|') === 'One. line 1|Three, three. line 3|Two is longer. line 2',
    );
    await page.getByLabel('Query', { exact: true }).fill('');
    await page.getByText('A query is needed').waitFor();
    expect(errors).toEqual([]);
  });

  test('a model with several labels says that it ranks nothing', async () => {
    const { page } = await open(at('rank', 'rank-model', 'bert-sequence'));
    await page.getByRole('alert').waitFor();
    expect(await page.getByRole('alert').textContent()).toContain('one label');
  });
});

describe('everywhere', () => {
  test.each(['light', 'dark'] as const)(
    'on a phone, %s: nothing is wider than the page; axe-core',
    async colorScheme => {
      const options = { ...PHONE, colorScheme };
      const { page, errors } = await open(reranker(), options);
      await rows(page, 'Documents, the best first').first().waitFor();
      expect(await pageWidth(page)).toBe(360);
      expect(await seriousFaults(page)).toEqual([]);
      await page.getByText('Your labels', { exact: true }).tap();
      await page.getByRole('button', { name: 'Download 283 MB' }).waitFor();
      expect(await pageWidth(page)).toBe(360);
      expect(await seriousFaults(page)).toEqual([]);
      expect(errors).toEqual([]);
    },
  );

  test('offline after the first visit', async () => {
    const { page, context, errors } = await open(withFixture('classification', 'random/bert-sequence'));
    await rows(page, 'Labels').nth(2).waitFor();
    await keptOffline(page);
    await context.setOffline(true);
    await page.reload();
    await rows(page, 'Labels').nth(2).waitFor();
    expect(errors).toEqual([]);
  });
});
