import { say } from '../scripts/step.mjs';

/**
 * Evaluates a call of globalThis.bench in a page that has loaded nothing else.
 * @param {import('../scripts/browsers.mjs').Browser} browser @param {string} origin @param {string} call @param {unknown[]} args
 */
export async function inFreshPage(browser, origin, call, ...args) {
  const page = await browser.newPage();
  page.onMessage((line, kind) => kind === 'error' && say(`the page: ${line}`));
  await page.goto(`${origin}/`);
  const given = args.map(value => JSON.stringify(value)).join(', ');
  const result = await page.evaluate(`(async () => {
    for (let began = Date.now(); !globalThis.bench; await new Promise(resolve => setTimeout(resolve, 20)))
      if (Date.now() - began > 60000) throw new Error('the page did not load');
    return bench.${call}(${given});
  })()`);
  await page.close();
  return /** @type {any} */ (result);
}
