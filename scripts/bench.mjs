import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildPages } from '../bench/build-pages.mjs';
import { inFreshPage } from '../bench/fresh-page.mjs';
import { benchPackages, inBench } from '../bench/packages.mjs';
import { peerModel } from '../bench/peer-model.mjs';
import { markdown, peers } from '../bench/report.mjs';
import { serveBench } from '../bench/serve.mjs';
import { lists } from '../bench/work.mjs';
import { writeResult } from '../bench/write.mjs';
import { build } from './build.mjs';
import { at } from './root.mjs';
import { setup } from './setup.mjs';
import { command, Stop, say, steps } from './step.mjs';

const help = `npm run bench [-- options]
  --browser chromium|firefox   where to measure; chromium unless told
  --part NAME[,NAME]           only these of load, warm, sweep, kernels, long, worker
  --work NAME[,NAME]           only these of ${Object.keys(lists).join(', ')}
  --against NAME[,NAME]        only these of ${peers.join(', ')}
  --ours                       without transformers.js
  --before FILE                beside another build of this library, FILE being its webgpu-bert.js: what a change costs; writes nothing
  --runs N                     counted runs of every warm call; 9 unless told
  --seconds N                  fewer runs (but three) of calls that would take longer together; 60 unless told
  --loads N                    loads of either kind, cold and cached; 3 unless told
  --texts N                    texts of the part worker; 2000 unless told
  --most-tokens N              where the sweep of list lengths ends; 8192 unless told
  --quick                      2 runs, 1 load, 10 seconds, up to 512 tokens, 100 texts: to see that it works
  --compare                    no times: are the results the same? (npm run compare)`;

/** @param {string} name @param {string} text */
function count(name, text) {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new Stop(`--${name} is "${text}"`, 'give a whole number of at least 1.');
}

const parts = ['load', 'warm', 'sweep', 'kernels', 'long', 'worker'];

/** Tokens of the single sequences of the part `long`. */
const longTexts = [512, 2048, 8192];

function options() {
  const { values } = parseArgs({
    options: {
      browser: { type: 'string', default: 'chromium' },
      part: { type: 'string', default: parts.join() },
      work: { type: 'string', default: Object.keys(lists).join() },
      against: { type: 'string', default: peers.join() },
      ours: { type: 'boolean', default: false },
      before: { type: 'string' },
      quick: { type: 'boolean', default: false },
      compare: { type: 'boolean', default: false },
      runs: { type: 'string' },
      loads: { type: 'string' },
      seconds: { type: 'string' },
      'most-tokens': { type: 'string' },
      texts: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const { browser, quick } = values;
  if (browser !== 'chromium' && browser !== 'firefox') throw new Stop(`no browser "${browser}"`, help);
  const wanted = values.part.split(',');
  const unknown = wanted.find(part => !parts.includes(part));
  if (unknown !== undefined) throw new Stop(`no part "${unknown}"`, help);
  const works = values.work.split(',');
  const chosen = Object.fromEntries(Object.entries(lists).filter(([name]) => works.includes(name)));
  if (Object.keys(chosen).length !== works.length) throw new Stop(`--work is "${values.work}"`, help);
  if (values.before !== undefined && !(values.before.endsWith('/webgpu-bert.js') && existsSync(values.before))) {
    throw new Stop(
      `--before is "${values.before}"`,
      'name the webgpu-bert.js of another build, as PATH/dist/webgpu-bert.js.',
    );
  }
  const sides = /** @type {Side[]} */ (values.against.split(','));
  if (!sides.every(side => peers.includes(side))) throw new Stop(`--against is "${values.against}"`, help);
  return {
    ...values,
    ours: values.ours || values.before !== undefined,
    sides,
    works: chosen,
    browser: /** @type {'chromium' | 'firefox'} */ (browser),
    wants: (/** @type {string} */ part) => wanted.includes(part),
    runs: count('runs', values.runs ?? (quick ? '2' : '9')),
    loads: count('loads', values.loads ?? (quick ? '1' : '3')),
    leastRuns: quick ? 1 : 3,
    budgetMs: 1000 * count('seconds', values.seconds ?? (quick ? '10' : '60')),
    texts: count('texts', values.texts ?? (quick ? '100' : '2000')),
    mostTokens: count('most-tokens', values['most-tokens'] ?? (quick ? '512' : '8192')),
  };
}

/** @typedef {import('../bench/page/result.ts').BenchResult} Result */
/** @typedef {import('../bench/page/sides.ts').Side} Side */

/** A browser with a profile of its own, which `close` removes. @param {'chromium' | 'firefox'} name */
async function openFresh(name) {
  const { openChromium, openFirefox } = await import('./browsers.mjs');
  // Without a folder Chromium keeps its HTTP cache in memory, where 90 MB do not fit. Firefox's driver makes a profile itself.
  const userDataDir = name === 'chromium' ? mkdtempSync(join(tmpdir(), 'webgpu-bert-bench-')) : undefined;
  const browser = await (userDataDir === undefined ? openFirefox() : openChromium({ userDataDir }));
  return {
    ...browser,
    async close() {
      await browser.close();
      if (userDataDir !== undefined) rmSync(userDataDir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** @param {ReturnType<typeof options>} chosen */
async function measure(chosen) {
  const { browser: browserName, wants, runs, loads, leastRuns, budgetMs, mostTokens, texts, works } = chosen;
  const step = steps(7 + parts.filter(wants).length - (chosen.ours ? 2 : 0));
  await step(...setup.packages);
  await (browserName === 'chromium' ? step(...setup.chromium) : step(...setup.firefox));
  await step(...setup.model);
  await step('build', 'dist/webgpu-bert.js', build);
  let hasPeer = false;
  if (!chosen.ours) {
    await step('peer', 'transformers.js with onnxruntime-web, into bench/node_modules', benchPackages);
    const { why } = await step(
      "peer's model",
      'the same weights as ONNX, fused: one file for WASM, one for WebGPU',
      async () => {
        const made = await peerModel();
        say(made.words);
        return made;
      },
    );
    hasPeer = why === undefined;
    if (!hasPeer) say('transformers.js is not measured: what follows has no ratios.');
  }
  await step('pages', 'what the browser runs', buildPages);

  const server = await serveBench(chosen.before === undefined ? [] : [['/before/', dirname(chosen.before)]]);
  /** @type {Side[]} */
  const against = chosen.before !== undefined ? ['another build'] : hasPeer ? chosen.sides : [];
  /** @type {Result} */
  const result = {
    date: new Date().toISOString().slice(0, 10),
    version: JSON.parse(readFileSync(at('package.json'), 'utf8')).version,
    browser: browserName,
    adapter: '',
    processor: `${cpus()[0]?.model} x ${cpus().length}`,
    model: 'all-MiniLM-L6-v2 in fp32',
    peer: hasPeer ? peerName() : (chosen.before ?? 'nothing'),
    floorMs: 0,
    polls: false,
    load: [],
    warm: [],
    sweep: [],
  };
  let browser = await openFresh(browserName);
  try {
    result.browser = `${browser.name} ${browser.version}`;
    const facts = await inFreshPage(browser, server.origin, 'facts');
    Object.assign(result, facts, { polls: facts.floorMs > 20 });
    say(`${result.adapter}; a submit of nothing takes ${facts.floorMs.toFixed(1)} ms`);

    if (wants('load')) {
      await step('load', `a blank page to the first embedding, ${loads} x cold and cached`, async () => {
        result.load = /** @type {Side[]} */ (['ours', ...against]).map(side => ({ side, cold: [], cached: [] }));
        for (let run = 0; run < loads; run++) {
          for (const { side, cold, cached } of result.load) {
            await browser.close();
            browser = await openFresh(browserName);
            for (const list of [cold, cached]) {
              server.taken();
              const figure = await inFreshPage(browser, server.origin, 'benchLoad', side);
              list.push({ ...figure, bytes: server.taken().bytes });
            }
            say(
              `${side}: ${[cold, cached].map(list => `${Math.round(list.at(-1)?.firstEmbeddingMs ?? 0)} ms`).join(', cached ')}`,
            );
          }
        }
      });
    }
    if (wants('warm')) {
      await step('warm', 'calls in turns, one page for each pair', async () => {
        const pairs = against.length > 0 ? against.map(side => ['ours', side]) : [['ours']];
        for (const pair of pairs) {
          say(pair.join(' and '));
          // Where the browser polls, one call's time says little: there eight are under way at once, too.
          for (const inFlight of result.polls ? [1, 8] : [1]) {
            result.warm.push(
              ...(await inFreshPage(
                browser,
                server.origin,
                'benchWarm',
                pair,
                works,
                { runs, leastRuns, budgetMs },
                inFlight,
              )),
            );
          }
        }
      });
    }
    if (wants('sweep')) {
      await step('sweep', `lists of 16 to ${mostTokens} tokens`, async () => {
        result.sweep = await inFreshPage(browser, server.origin, 'benchSweep', mostTokens, Math.min(runs, 3));
      });
    }
    if (wants('kernels')) {
      await step('kernels', 'each alone, beside the multiply-add peak', async () => {
        result.kernels = await inFreshPage(browser, server.origin, 'benchKernels', works);
      });
    }
    if (wants('long')) {
      await step('long', `ModernBERT on one text of ${longTexts.join(', ')} tokens, kernel by kernel`, async () => {
        result.long = await inFreshPage(browser, server.origin, 'benchLong', longTexts);
      });
    }
    if (wants('worker')) {
      await step('worker', `how long the page is held by ${texts} texts, with either entry`, async () => {
        const loadAverage = loadavg()[0] ?? 0;
        const own = await inFreshPage(browser, server.origin, 'benchOwnShare', texts);
        const figures = [];
        for (const entry of ['webgpu-bert', 'webgpu-bert/worker']) {
          figures.push(await inFreshPage(browser, server.origin, 'benchThread', entry, texts));
          const { load, call } = figures.at(-1);
          say(`${entry}: load ${Math.round(load.longestMs)} ms, call ${Math.round(call.longestMs)} ms`);
        }
        const floor = await inFreshPage(browser, server.origin, 'benchThreadFloor', chosen.quick ? 2 : 20);
        say(`no library, every core busy: ${Math.round(floor.longestMs)} ms`);
        const { date, browser: name, adapter, processor } = result;
        result.worker = { date, browser: name, adapter, processor, loadAverage, own, figures, floor };
      });
    }
  } finally {
    await browser.close();
    await server.close();
  }
  // A build of some commit is no system that others have: its figures are for whoever asked.
  if (chosen.before !== undefined) console.log(`\n${markdown(result)}`);
  else writeResult(result, browserName);
}

function peerName() {
  const version = (/** @type {string[]} */ ...path) =>
    JSON.parse(readFileSync(inBench('node_modules', ...path, 'package.json'), 'utf8')).version;
  return `transformers.js ${version('@huggingface', 'transformers')}, onnxruntime-web ${version('onnxruntime-web')}`;
}

await command(async () => {
  const chosen = options();
  if (chosen.help) return console.log(help);
  if (chosen.compare) return (await import('./compare.mjs')).compare(chosen.browser);
  await measure(chosen);
});
