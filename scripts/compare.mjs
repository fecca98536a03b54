import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { buildPages } from '../bench/build-pages.mjs';
import { benchPackages } from '../bench/packages.mjs';
import { peerModel } from '../bench/peer-model.mjs';
import { table } from '../bench/report.mjs';
import { serveBench } from '../bench/serve.mjs';
import { build } from './build.mjs';
import { at } from './root.mjs';
import { setup } from './setup.mjs';
import { command, Stop, say, steps } from './step.mjs';

const help = `npm run compare [-- options]: the same calls through transformers.js and through us, the import swapped
  --browser chromium|firefox   chromium unless told
  --wasm                       transformers.js computes in WASM instead of WebGPU`;

/** One fixture for every tokenizer that there is. */
function fixtures() {
  const folder = at('tests', 'fixtures', 'random');
  /** @type {Map<string, string>} */
  const byText = new Map();
  for (const name of readdirSync(folder)) {
    const file = `${folder}/${name}/tokenizer.json`;
    if (!existsSync(file)) continue;
    const text = readFileSync(file, 'utf8');
    if (!byText.has(text)) byText.set(text, `fixtures/${name}`);
  }
  return [...byText.values()];
}

/** @param {'chromium' | 'firefox'} browserName @param {boolean} [wasm] @returns {Promise<number>} The exit code. */
export async function compare(browserName, wasm = false) {
  const step = steps(8);
  await step(...setup.packages);
  await (browserName === 'chromium' ? step(...setup.chromium) : step(...setup.firefox));
  await step(...setup.model);
  await step('build', 'dist/webgpu-bert.js', build);
  await step('peer', 'transformers.js with onnxruntime-web, into bench/node_modules', benchPackages);
  await step("peer's model", 'the same weights as ONNX', async () => {
    const { why, words } = await peerModel();
    if (why !== undefined) throw new Stop(words, 'there is nothing to compare with until the file is there.');
    return words;
  });
  await step('pages', 'what the browser runs', buildPages);
  /** @type {import('../bench/page/compare/page.ts').ComparedCall[]} */
  let results = [];
  await step('calls', 'through both', async () => {
    const { openChromium, openFirefox } = await import('./browsers.mjs');
    const browser = await (browserName === 'chromium' ? openChromium() : openFirefox());
    const server = await serveBench();
    try {
      const page = await browser.newPage(`${server.origin}/compare.html`);
      page.onMessage((line, kind) => kind === 'error' && say(`the page: ${line}`));
      const side = wasm ? 'transformers.js wasm' : 'transformers.js webgpu';
      results = await page.evaluate(
        `(async () => {
          while (!globalThis.libraries) await new Promise(resolve => setTimeout(resolve, 20));
          return libraries.compareLibraries(${JSON.stringify(fixtures())}, ${JSON.stringify(side)});
        })()`,
      );
      const picture = at('.cache', `compare-${browserName}.png`);
      await page.screenshot(picture, { width: 1100, height: 400 + 46 * results.length });
      say(picture);
    } finally {
      await browser.close();
      await server.close();
    }
  });
  console.log(
    `\n${table(
      ['call', 'dims', 'largest difference', 'result'],
      results.map(({ call, dims, most, outcome, note }) => [
        call,
        dims,
        most === null ? 'shape' : most === 0 ? '0' : most.toExponential(1),
        note ? `${outcome}: ${note}` : outcome,
      ]),
      [0, 1, 3],
    )}\n`,
  );
  const differing = results.filter(({ outcome }) => outcome === 'different');
  console.log(`${results.length} calls, ${differing.length} differ`);
  return differing.length > 0 || results.length === 0 ? 1 : 0;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await command(async () => {
    const { values } = parseArgs({
      options: {
        browser: { type: 'string', default: 'chromium' },
        wasm: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) return void console.log(help);
    if (values.browser !== 'chromium' && values.browser !== 'firefox')
      throw new Stop(`no browser "${values.browser}"`, help);
    return compare(values.browser, values.wasm);
  });
}
