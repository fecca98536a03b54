import { mkdirSync, writeFileSync } from 'node:fs';
import { inBench } from './packages.mjs';
import { plot } from './plot.mjs';
import { markdown } from './report.mjs';

/** Writes <where>-<adapter>.json, .md and .svg. @param {import('./page/result.ts').BenchResult} result @param {string} where */
export function writeResult(result, where) {
  const slug = result.adapter
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 40)
    .replace(/-$/, '');
  const base = inBench('results', `${where}-${slug}`);
  mkdirSync(inBench('results'), { recursive: true });
  const text = markdown(result);
  const shorter = (/** @type {string} */ _, /** @type {unknown} */ value) =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;
  writeFileSync(`${base}.json`, `${JSON.stringify(result, shorter, 2)}\n`);
  writeFileSync(`${base}.md`, text);
  writeFileSync(`${base}.svg`, plot(result));
  console.log(`\n${text}\nwritten to ${base}.json, .md and .svg`);
}
