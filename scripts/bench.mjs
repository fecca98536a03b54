import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { at, root } from './root.mjs';
import { files } from './serve.mjs';
import { setup } from './setup.mjs';
import { command, Stop, say, steps } from './step.mjs';

const help = `npm run bench [-- options]
  --browser chromium|firefox   where to measure; chromium unless told
  --runs N                     counted runs of every warm call; 9 unless told`;

const model = '/models/sentence-transformers/all-MiniLM-L6-v2/';
/** Twelve texts of 5 to 64 tokens, in no order. */
const ragged = [37, 5, 64, 12, 23, 9, 51, 16, 30, 7, 44, 19];
const lists = { '1x16': [16], '8x32': Array(8).fill(32), 'ragged 12': ragged };

/** @returns {Promise<{ origin: string, close(): Promise<void> }>} The sources as modules, the build, and the model. */
async function serveBench() {
  const { createServer } = await import('vite');
  const server = await createServer({
    root,
    configFile: false,
    logLevel: 'warn',
    appType: 'mpa',
    cacheDir: at('.cache', 'vite-bench'),
    optimizeDeps: { noDiscovery: true, include: [] },
    server: { host: '127.0.0.1', port: 0, hmr: false, ws: false, watch: null, fs: { strict: true, allow: [root] } },
    plugins: [
      {
        name: 'files',
        configureServer({ middlewares }) {
          middlewares.use(
            files({
              '/dist/': at('dist'),
              '/models/': at('.cache', 'models'),
            }),
          );
        },
      },
    ],
  });
  await server.listen();
  const address = server.httpServer?.address();
  if (!address || typeof address === 'string') throw new Error('the benchmark server has no port');
  return { origin: `http://127.0.0.1:${address.port}`, close: () => server.close() };
}

/** @param {number} value @param {number} [digits] */
const round = (value, digits = 1) => Number(value.toFixed(digits));

await command(async () => {
  const { values } = parseArgs({
    options: {
      browser: { type: 'string', default: 'chromium' },
      runs: { type: 'string', default: '9' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) return console.log(help);
  if (values.browser !== 'chromium' && values.browser !== 'firefox')
    throw new Stop(`no browser "${values.browser}"`, help);
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1)
    throw new Stop(`--runs is "${values.runs}"`, 'give a whole number of at least 1.');

  const step = steps(6);
  await step(...setup.packages);
  await (values.browser === 'firefox' ? step(...setup.firefox) : step(...setup.chromium));
  await step(...setup.model);
  await step('build', 'dist/webgpu-bert.js', build);
  const { openChromium, openFirefox } = await import('../e2e/browsers.mjs');
  const browser = await (values.browser === 'chromium' ? openChromium() : openFirefox());
  const server = await serveBench();
  /** @type {import('../bench/page/ours.ts').OursReport | undefined} */
  let ours;
  /** @type {import('../bench/page/kernels.ts').KernelReport | undefined} */
  let kernels;
  try {
    /** @template R @param {string} expression @returns {Promise<R>} */
    const inPage = async expression => {
      const page = await browser.newPage();
      page.onMessage((line, kind) => kind === 'error' && say(`the page: ${line}`));
      await page.goto(`${server.origin}/bench/page/index.html`);
      await page.evaluate(
        'new Promise((resolve, reject) => { const began = Date.now(); (function wait() { if (globalThis.bench) return resolve(); if (Date.now() - began > 60000) return reject(new Error("the page did not load")); setTimeout(wait, 20); })(); })',
      );
      const result = /** @type {R} */ (await page.evaluate(expression));
      await page.close();
      return result;
    };
    await step('calls', 'a blank page to the first embedding, then warm calls', async () => {
      ours = await inPage(
        `bench.benchOurs(location.origin + ${JSON.stringify(model)}, ${JSON.stringify(lists)}, ${runs})`,
      );
    });
    await step('kernels', 'each alone, beside the multiply-add peak', async () => {
      kernels = await inPage(
        `bench.benchKernels(location.origin + ${JSON.stringify(model)}, ${JSON.stringify(lists)})`,
      );
    });
  } finally {
    await browser.close();
    await server.close();
  }
  if (!ours || !kernels) throw new Error('the benchmark gave nothing');

  const { warm } = ours;
  const result = {
    date: new Date().toISOString().slice(0, 10),
    version: JSON.parse(readFileSync(at('package.json'), 'utf8')).version,
    browser: `${browser.name} ${browser.version}`,
    adapter: ours.adapter,
    processor: `${cpus()[0]?.model} x ${cpus().length}`,
    model: 'sentence-transformers/all-MiniLM-L6-v2, fp32',
    firstEmbeddingMs: round(ours.firstEmbeddingMs),
    loadMs: round(ours.loadMs),
    gpuBytes: ours.gpuBytes,
    pipelines: kernels.pipelines,
    warm: warm.map(figure => {
      const pass = kernels?.passes.find(({ name }) => name === figure.name);
      return {
        ...figure,
        medianMs: round(figure.medianMs),
        minMs: round(figure.minMs),
        maxMs: round(figure.maxMs),
        tokensPerSecond: round(figure.tokensPerSecond),
        // Kernels measured alone can come out a little slower than in their pass: then the share is 100 %.
        kernelShare: pass && round(Math.min(1, pass.ms / figure.medianMs), 3),
      };
    }),
    peakGflops: round(kernels.peakGflops, 2),
    kernels: kernels.passes.map(pass => ({
      ...pass,
      ms: round(pass.ms, 2),
      kernels: pass.kernels.map(k => ({ ...k, ms: round(k.ms, 3), ...(k.gflops && { gflops: round(k.gflops, 2) }) })),
    })),
  };
  mkdirSync(at('bench', 'results'), { recursive: true });
  const slug = ours.adapter
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 40)
    .replace(/-$/, '');
  const file = at('bench', 'results', `${browser.name}-${slug}.json`);
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);

  console.log(`\n${result.browser}, ${result.adapter}, ${result.processor}`);
  console.log(
    `blank page to first embedding ${result.firstEmbeddingMs} ms, of which loading ${result.loadMs} ms; ${result.pipelines} pipelines`,
  );
  for (const w of result.warm) {
    console.log(
      `${w.name.padEnd(10)} ${String(w.medianMs).padStart(8)} ms (${w.minMs} to ${w.maxMs})  ${w.tokensPerSecond} tokens/s  kernels ${round(100 * (w.kernelShare ?? 0))} %`,
    );
  }
  console.log(`multiply-add peak ${result.peakGflops} GFLOP/s`);
  for (const pass of result.kernels) {
    console.log(`\n${pass.name}: ${pass.tokens} tokens, ${pass.ms} ms of kernels`);
    for (const k of pass.kernels) {
      const rate = k.gflops
        ? `${k.gflops.toFixed(2)} GFLOP/s  ${Math.round((100 * k.gflops) / result.peakGflops)} % of peak`
        : '';
      console.log(
        `  ${k.kernel.padEnd(44)} ${String(k.dispatches).padStart(2)} x ${k.ms.toFixed(3).padStart(9)} ms  ${rate}`,
      );
    }
  }
  console.log(`\nwritten to ${file}`);
});
