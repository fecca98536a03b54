import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { at } from './root.mjs';
import { run } from './run.mjs';
import { setup } from './setup.mjs';
import { command, Stop, say, steps } from './step.mjs';

/**
 * Runs the browser tests of every head of every family in every dtype (e2e/suites/heads.ts), and writes what they found: docs/families.md,
 * and the table of families in docs/models.md.
 */

const help = `npm run families [-- options]
  --browser chromium|firefox   only this browser; both unless told
  --notes FILE                 no tests: make the tables of the notes of a run (WEBGPU_BERT_NOTES=FILE npm test)`;

/** @typedef {{ browser: string, family: string, cls: string, fp32: number, fp16?: number, q8?: number }} Figures A dtype that was not tried has none. */

const DTYPES = /** @type {const} */ (['fp32', 'fp16', 'q8']);

/** The heads in the order of the table, by the suffix of their Python classes. */
const HEADS = /** @type {const} */ ([
  ['Model', 'AutoModel'],
  ['ForMaskedLM', 'MaskedLM'],
  ['ForSequenceClassification', 'SequenceClassification'],
  ['ForTokenClassification', 'TokenClassification'],
  ['ForQuestionAnswering', 'QuestionAnswering'],
  ['ForMultipleChoice', 'MultipleChoice'],
  ['ForNextSentencePrediction', 'NextSentencePrediction'],
  ['ForPreTraining', 'PreTraining'],
]);

/** Well-known checkpoints of each family, three at most. @type {Record<string, string[]>} */
const checkpoints = JSON.parse(readFileSync(at('docs', 'checkpoints.json'), 'utf8'));

/** @param {string} cls */
const suffixOf = cls => /For[A-Z]\w*$/.exec(cls)?.[0] ?? 'Model';

/** @param {readonly string[]} head @param {readonly (readonly string[])[]} rows */
const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`).join('\n');

/** The notes of the suite's cases. @param {readonly string[]} browsers @returns {Promise<Figures[]>} */
async function figuresOf(browsers) {
  const notes = at('.cache', 'families.jsonl');
  rmSync(notes, { force: true });
  const files = browsers.map(browser => at('e2e', `${browser}.e2e.ts`));
  const args = [at('node_modules', 'vitest', 'vitest.mjs'), 'run', '--project', 'e2e', ...files];
  const env = { WEBGPU_BERT_SUITES: 'heads', WEBGPU_BERT_THOROUGH: '1', WEBGPU_BERT_NOTES: notes };
  const { ok } = await run(process.execPath, args, { show: true, env });
  if (!ok) throw new Stop('a test of the suite "heads" failed', 'mend it: the table says only what the tests show.');
  return readNotes(notes);
}

/**
 * The figures in the notes of the suite `heads`, on devices that refuse nothing more than the usual. Throws Stop for a file that is not
 * there, or has other lines than such notes, or none of this suite.
 * @param {string} file @returns {Figures[]}
 */
function readNotes(file) {
  const next = 'name a file that a run of the browser tests wrote (WEBGPU_BERT_NOTES=FILE npm test -- --suite heads).';
  if (!existsSync(file)) throw new Stop(`there is no file ${file}`, next);
  const lines = readFileSync(file, 'utf8').split('\n');
  const figures = lines.flatMap((line, i) => {
    if (line.trim() === '') return [];
    const figuresOfCase = figuresIn(line);
    if (!figuresOfCase) throw new Stop(`line ${i + 1} of ${file} is no note of the browser tests`, next);
    return figuresOfCase;
  });
  if (figures.length === 0) throw new Stop(`${file} has no note of the suite "heads"`, next);
  return figures;
}

/** The figures in a line of notes: none where it is of another suite; undefined where it is no such line. @param {string} line @returns {Figures[] | undefined} */
function figuresIn(line) {
  const note = parsed(line);
  const { browser, suite, limits, notes } = note ?? {};
  if (typeof browser !== 'string' || typeof suite !== 'string' || !Array.isArray(notes)) return undefined;
  if (suite !== 'heads' || limits === 'small') return [];
  const figures = notes.map(word => parsed(word));
  const isFigures = (/** @type {Record<string, unknown> | undefined} */ one) =>
    typeof one?.family === 'string' &&
    typeof one.cls === 'string' &&
    Number.isFinite(one.fp32) &&
    DTYPES.every(dtype => one[dtype] === undefined || Number.isFinite(one[dtype]));
  if (!figures.every(isFigures)) return undefined;
  return figures.map(one => /** @type {Figures} */ ({ browser, ...one }));
}

/** The object that a JSON text says; undefined where it says none. @param {unknown} text @returns {Record<string, unknown> | undefined} */
function parsed(text) {
  try {
    const value = JSON.parse(String(text));
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** @param {readonly Figures[]} figures @param {'fp32' | 'fp16' | 'q8'} dtype */
function worst(figures, dtype) {
  const values = figures.flatMap(figure => figure[dtype] ?? []);
  if (values.length === 0) return 'not run';
  return dtype === 'fp32' ? Math.max(...values).toExponential(0) : Math.min(...values).toFixed(5);
}

/** @param {readonly Figures[]} figures */
function document(figures) {
  const browsers = [...new Set(figures.map(({ browser }) => browser))];
  const families = [...new Set(figures.map(({ family }) => family))].sort();
  const rows = families.flatMap(family =>
    HEADS.flatMap(([suffix, name]) => {
      const some = figures.filter(figure => figure.family === family && suffixOf(figure.cls) === suffix);
      if (some.length === 0) return [];
      const cells = browsers.flatMap(browser => {
        const here = some.filter(figure => figure.browser === browser);
        return DTYPES.map(dtype => worst(here, dtype));
      });
      return [[family, name, ...cells]];
    }),
  );
  const head = ['family', 'head', ...browsers.flatMap(browser => DTYPES.map(dtype => `${browser} ${dtype}`))];
  return `# Families, heads and dtypes

Made by \`npm run families\` of what the tests found (\`e2e/suites/heads.ts\`): tiny checkpoints of every head, whose outputs Python
computed from the same weights in float64. fp32: the largest |difference| of any output, relative to 1 + |x|. fp16 and q8: the least
cosine of any output with Python's; such small rows show the rounding more than those of real models.

${table(head, rows)}
`;
}

/** The table of docs/models.md. @param {readonly Figures[]} figures */
function summary(figures) {
  const families = [...new Set(figures.map(({ family }) => family))].sort();
  const rows = families.map(family => {
    const some = figures.filter(figure => figure.family === family);
    const heads = HEADS.filter(([suffix]) => some.some(({ cls }) => suffixOf(cls) === suffix)).map(([, name]) => name);
    const classesOf = (/** @type {readonly Figures[]} */ list) => new Set(list.map(({ cls }) => cls)).size;
    const dtypes = DTYPES.filter(
      dtype => classesOf(some.filter(figure => figure[dtype] !== undefined)) === classesOf(some),
    );
    return [
      `\`${family}\``,
      heads.filter(name => name !== 'AutoModel').join(', ') || 'embeddings only',
      dtypes.join(', '),
      (checkpoints[family] ?? []).map(id => `\`${id}\``).join(', '),
    ];
  });
  return table(['`model_type`', 'heads', 'dtypes', 'for example'], rows);
}

/** Puts text between two marks of a file. @param {string} file @param {string} text */
function putInto(file, text) {
  const [begin, end] = ['<!-- families: made by npm run families -->', '<!-- end of families -->'];
  const whole = readFileSync(file, 'utf8');
  const [from, to] = [whole.indexOf(begin), whole.indexOf(end)];
  if (from < 0 || to < from) throw new Stop(`${file} has no marks for the table`, `write "${begin}" and "${end}".`);
  writeFileSync(file, `${whole.slice(0, from + begin.length)}\n\n${text}\n\n${whole.slice(to)}`);
}

await command(async () => {
  const { values } = parseArgs({
    options: { browser: { type: 'string' }, notes: { type: 'string' }, help: { type: 'boolean', default: false } },
  });
  if (values.help) return console.log(help);
  const browsers = values.browser === undefined ? ['chromium', 'firefox'] : [values.browser];
  const write = (/** @type {readonly Figures[]} */ figures) => {
    writeFileSync(at('docs', 'families.md'), document(figures));
    putInto(at('docs/models.md'), summary(figures));
    say(`docs/families.md and docs/models.md: ${figures.length} heads`);
  };
  if (values.notes !== undefined) return write(readNotes(values.notes));
  const step = steps(5);
  await step(...setup.packages);
  await step(...setup.chromium);
  await step(...setup.firefox);
  await step('build', 'dist/webgpu-bert.js', build);
  await step('tests', `every head, in ${browsers.join(' and ')}`, async () => {
    write(await figuresOf(browsers));
  });
});
