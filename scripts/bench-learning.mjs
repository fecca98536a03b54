import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { buildPages } from '../bench/build-pages.mjs';
import { inFreshPage } from '../bench/fresh-page.mjs';
import { learningData, prepareLearning } from '../bench/learning-data.mjs';
import { benchPackages, inBench } from '../bench/packages.mjs';
import { serveBench } from '../bench/serve.mjs';
import { setup } from './setup.mjs';
import { command, explain, Stop, say, steps } from './step.mjs';

const PARTS = ['step', 'jax', 'spam', 'spam-trainer', 'setfit', 'wordnet'];

/** What jax is measured on: widths of the model, and ways to take the rows of words, of which no browser need run all. */
const WIDTHS = [128, 256];
const LOOKUPS = ['rows', 'product'];

const help = `npm run bench:learning [-- options]
  --browser chromium|firefox   where to learn; firefox unless told
  --part NAME[,NAME]           only these of ${PARTS.join(', ')}
  --seeds N                    seeds of setfit; 5 unless told
  --quick                      a few records and steps: to see that it works; writes nothing`;

/** @typedef {import('../bench/page/learning.ts').LearningFigure} LearningFigure */
/** @typedef {import('../bench/page/learning.ts').StepFigure} StepFigure */
/** @typedef {import('../bench/page/jax/side-by-side.ts').JaxFigure | import('../bench/page/jax/side-by-side.ts').JaxAbsence} JaxResult */

/** @param {JaxResult} result */
function toldJax(result) {
  if ('failure' in result) return `jax-js failed: ${result.failure}`;
  const { oursMs, jaxMs, ratio, lossDifference } = result;
  const losses = `losses of a step differ by ${lossDifference.toExponential(1)} at most`;
  return `${oursMs.toFixed(1)} ms against ${jaxMs.toFixed(1)} ms: ${ratio.toFixed(2)}; ${losses}`;
}

/** @typedef {{ date: string, loadAverage: number, figures: object[] }} PartResult What a part gave, and the load of the machine before it. */

/**
 * The parts that were measured before in this browser on this machine: a run of some parts leaves the others as they are.
 * @param {string} file @param {Record<string, string>} machine @returns {Record<string, PartResult>}
 */
function partsBefore(file, machine) {
  if (!existsSync(file)) return {};
  const { parts, ...found } = JSON.parse(readFileSync(file, 'utf8'));
  return JSON.stringify(found) === JSON.stringify(machine) ? parts : {};
}

await command(async () => {
  const { values } = parseArgs({
    options: {
      browser: { type: 'string', default: 'firefox' },
      part: { type: 'string', default: PARTS.join() },
      seeds: { type: 'string', default: '5' },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(help);
  const { browser: name, quick } = values;
  if (name !== 'chromium' && name !== 'firefox') throw new Stop(`no browser "${name}"`, help);
  const parts = values.part.split(',');
  const unknown = parts.find(part => !PARTS.includes(part));
  if (unknown !== undefined) throw new Stop(`no part "${unknown}"`, help);

  const withPeer = parts.includes('jax');
  const step = steps(5 + parts.length + Number(withPeer));
  await step(...setup.packages);
  await (name === 'chromium' ? step(...setup.chromium) : step(...setup.firefox));
  await step(...setup.model);
  await step('data', 'mails and glosses, of npm, into .cache/bench-learning', prepareLearning);
  if (withPeer) {
    // Without it the part says for each of its figures that there is no jax-js, and the other parts go on.
    await step('peer', 'jax-js, into bench/node_modules', () => benchPackages().catch(explain));
  }
  await step('pages', 'what the browser runs', buildPages);
  const server = await serveBench([['/learning/', learningData]]);
  const { openChromium, openFirefox } = await import('./browsers.mjs');
  const browser = await (name === 'chromium' ? openChromium() : openFirefox());
  /** @param {string} call @param {unknown[]} args */
  const inPage = (call, ...args) => inFreshPage(browser, server.origin, call, ...args);
  /** @type {Record<string, PartResult>} */
  const measured = {};
  /** Measures a part. @param {string} part @param {string} purpose @param {(note: (figure: object) => void) => Promise<void>} measure */
  const measurePart = async (part, purpose, measure) => {
    if (!parts.includes(part)) return;
    // What others do while this is measured; its own work comes into the average as it goes on.
    const loadAverage = loadavg()[0] ?? 0;
    /** @type {object[]} */
    const figures = [];
    await step(part, purpose, () => measure(figure => figures.push(figure)));
    measured[part] = { date: new Date().toISOString().slice(0, 10), loadAverage, figures };
  };
  const told = (/** @type {LearningFigure} */ figure) => {
    const numbers = Object.entries(figure.figures).map(([key, value]) => `${key} ${value.toFixed(4)}`);
    say(`${figure.name}: ${numbers.join(', ')}; ${figure.seconds.toFixed(0)} s to learn`);
    return figure;
  };
  const [train, held] = quick ? [32, 32] : [3000, 1000];
  let adapter = '';
  try {
    adapter = (await inPage('facts')).adapter;
    await measurePart('step', 'a step of all weights beside a forward pass, 8 texts of 32 tokens', async note => {
      const figure = /** @type {StepFigure} */ (await inPage('benchStep', 8, 32, { rounds: quick ? 2 : 12 }));
      note(figure);
      say(`forward ${figure.forwardMs.toFixed(1)} ms, step ${figure.stepMs.toFixed(1)} ms: ${figure.ratio.toFixed(2)}`);
    });
    const peers = 'a step of a BERT of two layers beside the same in jax-js, 8 sequences of 32 tokens';
    await measurePart('jax', peers, async note => {
      for (const columns of quick ? WIDTHS.slice(0, 1) : WIDTHS) {
        for (const lookup of LOOKUPS) {
          const work = { columns, lookup, sequences: 8, tokens: 32 };
          const result = /** @type {JaxResult} */ (await inPage('benchJax', work, { rounds: quick ? 2 : 12 }));
          note(result);
          say(`${columns} columns, words by ${lookup}: ${toldJax(result)}`);
        }
      }
    });
    await measurePart('spam', `${train} mails to learn from, ${held} held out; the head alone`, async note => {
      note(told(await inPage('learnSpamHead', { train, held })));
    });
    await measurePart(
      'spam-trainer',
      `${train} mails to learn from, ${held} held out; the head of a classifier`,
      async note => {
        note(told(await inPage('learnSpam', { train, held })));
      },
    );
    await measurePart('setfit', `8 mails of each kind, ${held} held out`, async note => {
      for (let seed = 0; seed < (quick ? 1 : Number(values.seeds)); seed++) {
        note(told(await inPage('learnFewMails', { shots: quick ? 2 : 8, held, seed })));
      }
    });
    await measurePart('wordnet', 'glosses and words', async note => {
      note(told(await inPage('learnGlosses', quick ? { train: 64, held: 50 } : { train: 3000, held: 500 })));
    });
  } finally {
    await browser.close();
    await server.close();
  }
  if (quick) return;
  const machine = {
    browser: `${browser.name} ${browser.version}`,
    adapter,
    processor: `${cpus()[0]?.model} x ${cpus().length}`,
    model: 'all-MiniLM-L6-v2',
  };
  mkdirSync(inBench('results'), { recursive: true });
  const file = inBench('results', `learning-${name}.json`);
  const result = { ...machine, parts: { ...partsBefore(file, machine), ...measured } };
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  console.log(`\nwritten to ${file}`);
});
