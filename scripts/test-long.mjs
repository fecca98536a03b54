import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { at, root } from './root.mjs';
import { command, Stop, say, seconds } from './step.mjs';

const help = `npm run test:long [-- options]: tests that take minutes; no browser and no model is needed
  --mutations N   how many mutated models are loaded; 100,000 unless told
  --seed N        the number of the first; with --mutations 1 one is run again, and all about it is printed`;

/** The heap that a process gets. A mutant is some 300 kB, so what needs more has run away. */
const HEAP_MB = 512;
/** A mutation that has not come to its end after so long never will. */
const HANG_MS = 60_000;
/** Mutations of one process. */
const PROCESS_MUTATIONS = 2500;

/** @typedef {import('../tests/long/fuzz.ts').Outcome} Outcome */

/** What a long test found; each has told its failures. @typedef {{ passed: number, failures: number }} Found */

/** The TypeScript of tests/long as a program for Node. @param {string} name @returns {Promise<string>} */
async function bundled(name) {
  const { build } = await import('vite');
  const outDir = at('.cache', 'test-long');
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    build: {
      target: 'node20',
      outDir,
      emptyOutDir: true,
      minify: false,
      reportCompressedSize: false,
      lib: {
        entry: { [name]: at('tests', 'long', `${name}.ts`) },
        formats: ['es'],
        fileName: (_, entry) => `${entry}.mjs`,
      },
      rolldownOptions: { external: [/^node:/] },
    },
  });
  return `${outDir}/${name}.mjs`;
}

/**
 * Runs mutations in a process of their own until all are done, or one ends the process or its time.
 * @param {string} program @param {number} first @param {number} last @param {(outcome: Outcome) => void} done
 * @returns {Promise<number>} the number of the next to run
 */
function mutations(program, first, last, done) {
  const child = spawn(
    process.execPath,
    [`--max-old-space-size=${HEAP_MB}`, program, at('tests', 'fixtures', 'random'), `${first}`, `${last}`],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let words = '';
  child.stderr.on('data', data => {
    words = `${words}${data}`.slice(-1000);
  });
  let next = first;
  let hangs = false;
  /** @type {NodeJS.Timeout | undefined} */
  let watch;
  createInterface({ input: child.stdout }).on('line', line => {
    clearTimeout(watch);
    const said = JSON.parse(line);
    if (typeof said === 'number') {
      watch = setTimeout(() => {
        hangs = true;
        child.kill('SIGKILL');
      }, HANG_MS);
      return;
    }
    next = said.seed + 1;
    done(said);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(watch);
      if (next > last) return resolve(next);
      const result = hangs ? 'hangs' : 'ends the process';
      done({ seed: next, model: '', what: [], result, failed: true, message: words, ms: 0, bytes: 0 });
      resolve(next + 1);
    });
  });
}

/** @param {Outcome} outcome */
const inWords = ({ seed, model, what, result, message }) =>
  `seed ${seed} (${model}; ${what.join('; ')}): ${result}: ${message}`;

/** @param {number} first @param {number} count @returns {Promise<Found>} */
async function mutatedModels(first, count) {
  const program = await bundled('fuzz-child');
  const began = performance.now();
  /** @type {Map<string, number>} */
  const results = new Map();
  /** @type {Outcome[]} */
  const failed = [];
  /** @type {Outcome | undefined} */
  let slowest;
  /** @type {Outcome | undefined} */
  let largest;
  let done = 0;
  const take = (/** @type {Outcome} */ outcome) => {
    results.set(outcome.result, (results.get(outcome.result) ?? 0) + 1);
    if (outcome.failed) {
      failed.push(outcome);
      say(`failed: ${inWords(outcome)}`.slice(0, 2000));
    }
    if (outcome.ms > (slowest?.ms ?? -1)) slowest = outcome;
    if (outcome.bytes > (largest?.bytes ?? -1)) largest = outcome;
    done += 1;
    if (done % 10_000 === 0) say(`${done} of ${count}, ${seconds(performance.now() - began)}`);
    if (count === 1) say(JSON.stringify(outcome, null, 1));
  };
  const writeReport = () => {
    const elapsed = Math.round((performance.now() - began) / 1000);
    const found = {
      first,
      done,
      count,
      seconds: elapsed,
      results: Object.fromEntries(results),
      slowest,
      largest,
      failed,
    };
    mkdirSync(at('.cache'), { recursive: true });
    writeFileSync(at('.cache', 'test-long.json'), `${JSON.stringify(found, null, 1)}\n`);
  };
  const end = first + count;
  let begun = first;
  // In many processes, one after the other, so that the peak of memory of one says something about its mutations.
  const worker = async () => {
    while (begun < end) {
      const last = Math.min(begun + PROCESS_MUTATIONS, end) - 1;
      let next = begun;
      begun = last + 1;
      while (next <= last) next = await mutations(program, next, last, take);
      writeReport();
    }
  };
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, worker));
  for (const [result, number] of [...results].sort((a, b) => b[1] - a[1]))
    say(`${String(number).padStart(7)}  ${result}`);
  if (slowest) say(`slowest: ${slowest.ms.toFixed(0)} ms, seed ${slowest.seed} (${slowest.what.join('; ')})`);
  if (largest)
    say(`largest: ${(largest.bytes / 1e6).toFixed(0)} MB, seed ${largest.seed} (${largest.what.join('; ')})`);
  say('all of it: .cache/test-long.json');
  return { passed: done - failed.length, failures: failed.length };
}

await command(async () => {
  const { values } = parseArgs({
    options: {
      mutations: { type: 'string', default: '100000' },
      seed: { type: 'string', default: '1' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return void console.log(help);
  const [count, seed] = [Number(values.mutations), Number(values.seed)];
  if (!Number.isInteger(count) || count < 1 || !Number.isInteger(seed))
    throw new Stop('the options are no numbers', help);

  /** @type {[name: string, run: () => Promise<Found>][]} */
  const tests = [['mutated models: a typed error or a right load', () => mutatedModels(seed, count)]];
  let [passed, failed] = [0, 0];
  for (const [name, run] of tests) {
    console.log(`\n── ${name}`);
    const found = await run();
    passed += found.passed;
    failed += found.failures;
  }
  console.log(`\n${passed} passed, ${failed} failed`);
  return failed > 0 ? 1 : 0;
});
