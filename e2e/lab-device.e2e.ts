import type { Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import { DESKTOP, keptOffline, lab, open, openLab, openWithoutGpu, PHONE, seriousFaults } from './lab-pages.ts';

/** The tab of the device. It measures checkpoints of random weights: nothing here looks at how long anything takes. */

openLab();

const small = () => encodeURIComponent(`${lab.origin}/fixtures/random/bert-base/`);
const measured = (page: Page) => page.locator('.device-table tbody tr');
const button = (page: Page) => page.getByRole('button', { name: 'Measure this device' });

describe('this device', () => {
  test('says what the browser tells before anything is measured', async () => {
    const { page, errors } = await open('#device');
    await page.getByText('maxStorageBufferBindingSize').waitFor();
    await page.getByText(/^ready in/).waitFor();
    expect(await button(page).isEnabled()).toBe(true);
    expect(errors).toEqual([]);
  });

  test('measures the kinds of weights that are chosen, offline, too; the report is copied as Markdown and JSON', async () => {
    const { page, context, errors } = await open(`#device?model=${small()}`);
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    const copied = () => page.evaluate(() => navigator.clipboard.readText());
    await page.getByLabel(/^q8/).check();
    expect(page.url()).toContain('dtypes=fp32%2Cq8');
    await button(page).click();
    await page.locator('.device-rates li').nth(1).waitFor();
    expect(await measured(page).count()).toBe(6);
    expect(await page.locator('.device-table thead th').allTextContents()).toEqual(['One call', 'fp32', 'q8']);
    expect(await measured(page).first().textContent()).toMatch(/1 × 16 tokens[\d.]+ ms \([\d.]+ to [\d.]+\)/);
    await page.getByRole('button', { name: 'Copy as Markdown' }).click();
    await page.getByText('Markdown copied').waitFor();
    expect(await copied()).toContain('| 8 × 32 tokens |');
    await page.getByRole('button', { name: 'Copy as JSON' }).click();
    await page.getByText('JSON copied').waitFor();
    const report = JSON.parse(await copied());
    expect(report.results.map(({ dtype }: { dtype: string }) => dtype)).toEqual(['fp32', 'q8']);
    expect(report.results[0].measured[1].tokens).toBe(256);
    expect(await seriousFaults(page)).toEqual([]);
    expect(errors).toEqual([]);
    await keptOffline(page);
    await context.setOffline(true);
    await page.reload();
    await button(page).click();
    await page.locator('.device-rates li').first().waitFor();
  });

  test('it is stopped at once, and begun again', async () => {
    const { page, errors } = await open('#device');
    await page.getByText(/^ready in/).waitFor();
    await button(page).click();
    await page.locator('.device-status').getByRole('button', { name: 'Stop' }).click();
    await page.locator('.device-status progress').waitFor({ state: 'detached' });
    expect(await measured(page).count()).toBe(0);
    expect(await button(page).isEnabled()).toBe(true);
    expect(errors).toEqual([]);
  });

  test('without WebGPU a panel says why, and nothing can be begun', async () => {
    const { page, errors } = await openWithoutGpu('#device');
    await page.getByRole('alert').getByText('Models do not run in this browser').waitFor();
    await page.getByText('The browser names no graphics adapter.').waitFor();
    expect(await button(page).isDisabled()).toBe(true);
    expect(await seriousFaults(page)).toEqual([]);
    expect(errors).toEqual([]);
  });

  test.each([
    ['a phone', { ...PHONE, colorScheme: 'dark' }],
    ['a desktop', { ...DESKTOP, colorScheme: 'dark' }],
  ] as const)('on %s, dark, nothing is wider than the page, and axe-core finds nothing serious', async (_, options) => {
    const { page, errors } = await open(`#device?model=${small()}`, options);
    await page.getByText(/^ready in/).waitFor();
    await button(page).click();
    await page.locator('.device-rates li').first().waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(options.viewport.width);
    expect(await seriousFaults(page)).toEqual([]);
    expect(errors).toEqual([]);
  });
});
