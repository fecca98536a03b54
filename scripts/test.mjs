import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { at } from './root.mjs';
import { run } from './run.mjs';
import { setup } from './setup.mjs';
import { explain, Stop, say, seconds } from './step.mjs';

const help = `npm test [-- options]
  --unit                              types, lint and unit tests only
  --browser chromium|firefox|none     only this browser's tests, or none
  --runtime node|deno|none            only this runtime's tests, or none; none where --browser or --suite is given
  --suite NAME[,NAME]                 only these suites of e2e/suites
  --thorough                          on GPUs also the cases that say little beside others and take long

WEBGPU_BERT_SUITES=NAME[,NAME] is another way to say --suite. WEBGPU_BERT_FIXTURES names folders of more
checkpoints with expected.json (tests/given-fixtures.ts), which the suites families, pipelines, heads, folders and reports
run too; WEBGPU_BERT_NOTES names a file that the notes of these tests are added to.`;

/** What the last line counts. Set-up counts only where it fails. */
const count = { passed: 0, failed: 0 };
/** @type {string[]} */
const failures = [];
/** @type {string[]} */
const skipped = [];

/** @param {string} what */
function fail(what) {
  count.failed += 1;
  failures.push(what);
}

/**
 * Runs one stage; whatever happens in it, the ones after it run too.
 * @param {string} name @param {string} purpose @param {() => Promise<string | void>} body @returns {Promise<boolean>}
 */
async function stage(name, purpose, body) {
  console.log(`\n── ${name}: ${purpose}`);
  const began = performance.now();
  try {
    const words = await body();
    say(`${words ? `${words}, ` : ''}${seconds(performance.now() - began)}`);
    return true;
  } catch (error) {
    fail(`${name}: ${error instanceof Error ? error.message.split('\n')[0] : error}`);
    say(`${explain(error)}\n${seconds(performance.now() - began)}`);
    return false;
  }
}

/** A stage that is one check: it passes or it fails. @param {Parameters<typeof stage>} stageArguments */
async function check(...stageArguments) {
  if (await stage(...stageArguments)) count.passed += 1;
}

/** @param {string[]} args @param {string} next */
async function program(args, next) {
  const { ok, code } = await run(process.execPath, args, { show: true });
  if (!ok) throw new Stop(`${args[0]?.split(/[\\/]/).at(-1)} ended with ${code ?? 'a signal'}`, next);
}

/** @typedef {{ status: string, fullName: string, failureMessages?: string[] }} Assertion */
/** @typedef {{ name: string, status: string, message?: string, assertionResults: Assertion[] }} TestFile */

/**
 * One vitest project, counted from its JSON report. A test file that could not be loaded counts as one failure, and so
 * does a run that ends badly without a failed test.
 * @param {string} project @param {readonly string[]} files All, where it is empty. @param {Record<string, string | undefined>} [env]
 */
async function vitest(project, files, env) {
  const report = at('.cache', `${project}-tests.json`);
  mkdirSync(at('.cache'), { recursive: true });
  rmSync(report, { force: true });
  const reporters = ['--reporter=verbose', '--reporter=json', `--outputFile.json=${report}`];
  const { ok, code } = await run(
    process.execPath,
    [at('node_modules', 'vitest', 'vitest.mjs'), 'run', '--project', project, ...reporters, ...files],
    { show: true, env },
  );
  if (!existsSync(report)) throw new Stop(`vitest ended with ${code ?? 'a signal'} and left no report`, 'see above.');
  /** @type {{ testResults: TestFile[] }} */
  const { testResults } = JSON.parse(readFileSync(report, 'utf8'));
  const before = { ...count };
  for (const { name, status, assertionResults } of testResults) {
    for (const { status: outcome, fullName } of assertionResults) {
      if (outcome === 'passed') count.passed += 1;
      else if (outcome === 'failed') fail(fullName);
      else skipped.push(fullName);
    }
    const isExplained = assertionResults.some(result => result.status === 'failed');
    if (status === 'failed' && !isExplained) fail(`${name} could not be run`);
  }
  const [passed, failed] = [count.passed - before.passed, count.failed - before.failed];
  if (passed + failed === 0) throw new Stop('no test ran', 'see above.');
  if (!ok && failed === 0)
    throw new Stop(`vitest ended with ${code ?? 'a signal'}, though no test failed`, 'see above.');
  return `${passed} of ${passed + failed} tests passed`;
}

async function main() {
  const { values } = parseArgs({
    options: {
      unit: { type: 'boolean', default: false },
      browser: { type: 'string', default: 'all' },
      runtime: { type: 'string' },
      suite: { type: 'string' },
      thorough: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const { unit, browser, suite } = values;
  const runtime = values.runtime ?? (browser === 'all' && !suite ? 'all' : 'none');
  if (values.help) return void console.log(help);
  if (!['all', 'chromium', 'firefox', 'none'].includes(browser)) {
    throw new Stop(`--browser ${browser} is not known`, `\n${help}`);
  }
  if (!['all', 'node', 'deno', 'none'].includes(runtime)) {
    throw new Stop(`--runtime ${runtime} is not known`, `\n${help}`);
  }
  const runtimes = unit || runtime === 'none' ? [] : runtime === 'all' ? ['node', 'deno'] : [runtime];
  const browsers = unit || browser === 'none' ? [] : browser === 'all' ? ['chromium', 'firefox'] : [browser];

  const isReady = await stage(...setup.packages);
  if (!isReady) return;
  if (!unit) {
    if (browsers.includes('chromium')) await stage(...setup.chromium);
    if (browsers.includes('firefox')) await stage(...setup.firefox);
    if (browsers.length + runtimes.length > 0) await stage(...setup.model);
    await check('build', 'dist/webgpu-bert.js and its types', async () => (await import('./build.mjs')).build());
  }
  const bin = (/** @type {string[]} */ ...parts) => at('node_modules', ...parts);
  await check('types', 'tsc, strict', () =>
    program([bin('typescript', 'bin', 'tsc'), '-p', at('tsconfig.json')], 'mend the errors above.'),
  );
  await check('lint', 'Biome', () =>
    program(
      [bin('@biomejs', 'biome', 'bin', 'biome'), 'check', '.'],
      'mend the errors above; npx biome check --write . does what a program can.',
    ),
  );
  if (!unit) {
    await check('package', 'what npm would publish, as a stranger gets it', async () =>
      (await import('./package.mjs')).checkPackage(),
    );
  }
  if (!unit) {
    await stage('adapters', 'the packages that the adapters are for, and the examples', async () => {
      const { prepareAdapters } = await import('./adapters.mjs');
      const { why } = await prepareAdapters();
      if (why === undefined) return vitest('adapters', []);
      skipped.push(`adapters: ${why}`);
      return `skipped: ${why}`;
    });
  }
  if (!unit && !suite) {
    await stage('docs', 'the site that npm run docs makes of docs/', async () => {
      const { skipped: reason, words } = await (await import('./docs.mjs')).checkDocs();
      if (reason === undefined) count.passed += 1;
      else skipped.push(reason);
      return words;
    });
  }
  await stage('unit tests', 'vitest, tests/', () => vitest('unit', []));
  if (browsers.includes('chromium') && !suite) {
    await stage('lab', 'the page of npm start, in Chromium', () => vitest('lab', []));
    await stage('installed', "the package in other people's projects, beside transformers.js, and in two tabs", () =>
      vitest('installed', []),
    );
  }
  const places = [...browsers, ...runtimes];
  if (runtimes.length > 1) {
    // The files of both run at the same time, and would install them at once.
    await stage('runtimes', 'Dawn for Node, and Deno', async () => {
      const why = await (await import('../e2e/runtimes/runtimes.mjs')).packages();
      return why && `not installed: ${why}`;
    });
  }
  if (places.length > 0) {
    await stage('on a GPU', `${places.join(', ')}: the suites of e2e/suites`, () =>
      vitest(
        'e2e',
        places.map(place => `e2e/${place}.e2e.ts`),
        {
          WEBGPU_BERT_SUITES: suite ?? process.env.WEBGPU_BERT_SUITES,
          WEBGPU_BERT_THOROUGH: values.thorough ? '1' : process.env.WEBGPU_BERT_THOROUGH,
        },
      ),
    );
  }
}

try {
  await main();
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
  console.error(explain(error));
}
if (skipped.length > 0) console.log(`\nskipped:\n${skipped.map(name => `  ${name}`).join('\n')}`);
if (failures.length > 0) console.log(`\nfailed:\n${failures.map(name => `  ${name}`).join('\n')}`);
console.log(`\n${count.passed} passed, ${count.failed} failed`);
process.exitCode = count.failed > 0 || count.passed === 0 ? 1 : 0;
