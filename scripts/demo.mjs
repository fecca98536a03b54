import { readFileSync } from 'node:fs';
import { modelsFolder } from '../weights/fetch.mjs';
import { at } from './root.mjs';
import { setup } from './setup.mjs';
import { command, progressBar, Stop, say, seconds, steps } from './step.mjs';

/**
 * @typedef {object} Findings What the page (scripts/demo/page.js) answers.
 * @property {number[]} scores The cosine between the question and each line.
 * @property {number} tokens In all lines together.
 * @property {number} firstMs From the call of pipeline() to the first embedding.
 * @property {number} warmMs All lines once more.
 * @property {string} adapter
 *
 * @typedef {{ question: string, lines: { text: string, number: number }[], isOwn: boolean }} Job
 */

const shown = 10;

/** Adapters that compute on the CPU. */
const isSoftware = (/** @type {string} */ adapter) => /swiftshader|llvmpipe|lavapipe|basic render/i.test(adapter);

/** @returns {Job} */
function job() {
  const [question = 'How do animals navigate?', file] = process.argv.slice(2);
  if (question.trim() === '') throw new Stop('the question is empty', 'npm run demo -- "my question" file.txt');
  let text = '';
  try {
    text = readFileSync(file ?? at('scripts', 'demo', 'corpus.txt'), 'utf8');
  } catch (error) {
    throw new Stop(
      `${file} cannot be read: ${error instanceof Error ? error.message : error}`,
      'name a text file with one sentence on each line: npm run demo -- "my question" file.txt',
    );
  }
  if (text.includes('\0')) throw new Stop(`${file} is not a text file`, 'save its words as plain text, in UTF-8.');
  const lines = text
    .replace(/^\uFEFF/, '')
    .split(/\r\n|[\r\n]/)
    .map((line, index) => ({ text: line.trim(), number: index + 1 }))
    .filter(line => line.text !== '');
  if (lines.length === 0) throw new Stop(`${file} has no line with text`, 'write one sentence on each line.');
  return { question, lines, isOwn: file !== undefined };
}

/** The longest lines would break the table. @param {string} text @param {number} width */
const cut = (text, width) => (text.length <= width ? text : `${text.slice(0, width - 1).trimEnd()}…`);

/** @param {Job} job @param {Findings} findings */
function table({ question, lines, isOwn }, { scores }) {
  const ranked = lines.map((line, index) => ({ ...line, score: scores[index] ?? Number.NaN }));
  ranked.sort((a, b) => b.score - a.score);
  const digits = String(lines.length > 0 ? Math.max(...lines.map(line => line.number)) : 0).length;
  const width = Math.max(40, (process.stdout.columns || 110) - 14 - digits);
  console.log(`\n  ${question}\n`);
  for (const { score, number, text } of ranked.slice(0, shown)) {
    const bar = '▪'.repeat(Math.max(0, Math.round(score * 5))).padEnd(5);
    const where = isOwn ? `${String(number).padStart(digits)}  ` : '';
    console.log(`  ${score.toFixed(3).padStart(6)}  ${bar}  ${where}${cut(text, width)}`);
  }
  if (ranked.length > shown) console.log(`\n  the best ${shown} of ${ranked.length} lines`);
}

/** @param {Job} job @returns {Promise<Findings & { browser: string }>} */
async function search({ question, lines }) {
  // These come with the packages, which the first step has only just installed.
  const [{ openChromium }, { serve }] = await Promise.all([import('./browsers.mjs'), import('./serve.mjs')]);
  const server = await serve({
    '/': at('scripts', 'demo', 'index.html'),
    '/page.js': at('scripts', 'demo', 'page.js'),
    '/dist/': at('dist'),
    '/models/': modelsFolder,
  });
  const browser = await openChromium({ adapter: 'auto' });
  /** @type {string[]} */
  const messages = [];
  try {
    const page = await browser.newPage();
    const bar = progressBar('model.safetensors');
    page.onMessage((line, kind) => {
      if (!line.startsWith('progress ')) return messages.push(`${kind}: ${line}`);
      const { status, file, loaded, total } = JSON.parse(line.slice('progress '.length));
      if (status === 'progress' && file === 'model.safetensors') bar(loaded, total);
    });
    await page.goto(`${server.origin}/`);
    const texts = lines.map(line => line.text);
    const call = `globalThis.search(${JSON.stringify(question)}, ${JSON.stringify(texts)})`;
    const findings = /** @type {Findings} */ (await page.evaluate(call));
    return { ...findings, browser: `Chromium ${browser.version}` };
  } catch (error) {
    const said = messages.length > 0 ? `\nthe page said:\n${messages.join('\n')}` : '';
    // The stack of the page is of one minified line.
    const [what = ''] = (error instanceof Error ? error.message : String(error)).split(/\n\s+at /);
    throw new Stop(
      `the page: ${what.replace(/^page\.evaluate: /, '')}${said}`,
      what.includes('DeviceError')
        ? 'WEBGPU_BERT_ADAPTER=swiftshader npm run demo, or another browser with WEBGPU_BERT_CHROME.'
        : 'npm run setup looks after the browser and the model; then npm run demo again.',
    );
  } finally {
    await browser.close();
    await server.close();
  }
}

await command(async () => {
  const wanted = job();
  const step = steps(5);
  await step(...setup.packages);
  await step(...setup.chromium);
  await step(...setup.model);
  await step('build', 'dist/webgpu-bert.js', async () => (await import('./build.mjs')).build());
  const count = wanted.lines.length;
  const findings = await step('search', `the question and ${count} lines, in a headless browser`, async () => {
    const found = await search(wanted);
    say(`${found.browser}, ${found.adapter}`);
    return found;
  });
  table(wanted, findings);
  const { firstMs, warmMs, tokens, adapter } = findings;
  const rate = Math.round((tokens / warmMs) * 1000).toLocaleString('en');
  console.log(`\n  adapter  ${adapter || 'the browser does not name it'}`);
  console.log(`  load     ${seconds(firstMs)} from nothing to the first embedding`);
  console.log(`  warm     ${seconds(warmMs)} for ${count} lines, ${tokens} tokens: ${rate} tokens per second`);
  if (isSoftware(adapter)) {
    console.log(
      '\n  This adapter computes on the CPU: the headless browser reached no GPU. npm start opens the lab in your own.',
    );
  }
});
