import type { Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import {
  keptOffline,
  lab,
  open,
  openLab,
  openWithoutGpu,
  PHONE,
  pageWidth,
  seriousFaults,
  until,
} from './lab-pages.ts';

/** The tab of sentence pairs: similarity by MiniLM, the next sentence on a checkpoint of random weights. */

openLab();

const sentence = (page: Page, letter: string) => page.getByLabel(`Sentence ${letter}`, { exact: true });
const cosine = (page: Page) => page.locator('.pair-number');
const cells = (page: Page) => page.locator('.matrix tbody td');
const nextAddress = (settings: Readonly<Record<string, string>> = {}) =>
  `#pairs?${new URLSearchParams({ mode: 'next', 'next-model': `${lab.origin}/fixtures/random/bert-pretraining/`, ...settings })}`;
const shares = async (page: Page) =>
  (await page.getByRole('list', { name: 'Next sentence' }).locator('.score-number').allTextContents()).map(
    Number.parseFloat,
  );

/** Presses Enter, and tells which field has the focus when the next key may come: a task later, before the next picture. */
async function enterAndNextTask(): Promise<string | null | undefined> {
  document.activeElement?.dispatchEvent(
    new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }),
  );
  await new Promise(resolve => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = resolve;
    port2.postMessage(undefined);
  });
  return document.activeElement?.getAttribute('aria-label');
}

describe('similarity', () => {
  test('two sentences have a number that follows the typing; a third makes a matrix; a link holds them', async () => {
    const { page, errors } = await open('#pairs');
    await cosine(page).waitFor();
    await sentence(page, 'B').fill('');
    await sentence(page, 'B').pressSequentially('The cat sleeps on the sofa.', { delay: 10 });
    await until(
      () => cosine(page).textContent(),
      text => text === '1.00',
    );
    expect(await page.evaluate(enterAndNextTask)).toBe('Sentence C');
    await page.keyboard.type('Bread is baked in the morning.');
    await until(
      () => cells(page).count(),
      count => count === 9,
    );
    await until(
      () => cells(page).allTextContents(),
      all => all[0] === '1.00' && all[1] === '1.00' && all[2] === all[6] && Number(all[2]) < 0.4,
    );
    expect(await page.getByRole('list', { name: 'Nearest pairs' }).locator('li').first().textContent()).toContain(
      'A B',
    );
    await page.reload();
    await cells(page).nth(8).waitFor();
    expect(await sentence(page, 'C').inputValue()).toBe('Bread is baked in the morning.');
    await page.getByRole('button', { name: 'Remove sentence B' }).click();
    await cosine(page).waitFor();
    expect(errors).toEqual([]);
  });

  test('several lines that are pasted are several sentences', async () => {
    const { page, errors } = await open('#pairs');
    await cosine(page).waitFor();
    await sentence(page, 'B').focus();
    await sentence(page, 'B').evaluate(field => {
      const data = new DataTransfer();
      data.setData('text/plain', 'One.\nTwo.\n\nThree.');
      field.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
    });
    await cells(page).nth(24).waitFor();
    expect(await sentence(page, 'E').inputValue()).toBe('Three.');
    expect(errors).toEqual([]);
  });

  test.each(['light', 'dark'] as const)(
    'on a phone, %s: nothing is wider than the page; axe-core',
    async colorScheme => {
      const lines = Array.from({ length: 12 }, (_, i) => `This is sentence number ${i + 1} of the list.`);
      const { page, errors } = await open(`#pairs?${new URLSearchParams({ text: lines.join('\n') })}`, {
        ...PHONE,
        colorScheme,
      });
      await cells(page).nth(143).waitFor();
      expect(await pageWidth(page)).toBe(360);
      expect(await seriousFaults(page)).toEqual([]);
      await page.getByRole('button', { name: 'The same in other words' }).tap();
      await cosine(page).waitFor();
      expect(errors).toEqual([]);
    },
  );

  test('offline after the first visit', async () => {
    const { page, context, errors } = await open('#pairs');
    await cosine(page).waitFor();
    await keptOffline(page);
    await context.setOffline(true);
    await page.reload();
    await cosine(page).waitFor();
    // What is not at hand is offered calmly, and can be brought in a folder.
    await page.getByText('Next sentence', { exact: true }).click();
    await page.getByText('This device is offline now').waitFor();
    expect(await page.getByRole('alert').count()).toBe(0);
    // Chromium writes a line for every request that finds no network.
    expect(errors.filter(line => !line.includes('ERR_INTERNET_DISCONNECTED'))).toEqual([]);
  });

  test('without WebGPU a panel says why', async () => {
    const { page, errors } = await openWithoutGpu('#pairs');
    await page.getByRole('alert').getByText('Models do not run in this browser').waitFor();
    expect(await seriousFaults(page)).toEqual([]);
    expect(errors).toEqual([]);
  });
});

describe('next sentence', () => {
  test('the other way is chosen by keyboard, its model is offered, and a link holds it', async () => {
    const { page, errors } = await open('#pairs');
    await page.getByRole('radio', { name: 'Similarity' }).focus();
    await page.keyboard.press('ArrowRight');
    await page.getByRole('button', { name: 'Download 440 MB' }).waitFor();
    expect(page.url()).toContain('mode=next');
    await page.reload();
    await page.getByRole('button', { name: 'Download 440 MB' }).waitFor();
    expect(await seriousFaults(page)).toEqual([]);
    expect(errors).toEqual([]);
  });

  test('both probabilities make a whole, and change with the order of the sentences', async () => {
    const { page, errors } = await open(nextAddress({ first: 'It rains.', second: 'The street is wet.' }));
    await until(
      () => shares(page),
      all => all.length === 2 && Math.abs(all[0]! + all[1]! - 100) < 0.11,
    );
    const before = await shares(page);
    await page.getByRole('button', { name: 'Swap them' }).click();
    expect(await page.getByLabel('First sentence').inputValue()).toBe('The street is wet.');
    await until(
      () => shares(page),
      all => all[0] !== before[0],
    );
    await page.getByLabel('Second sentence').fill('');
    await page.getByText('Both sentences are needed.').waitFor();
    expect(errors).toEqual([]);
  });
});
