import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { inBench } from './packages.mjs';
import { plot } from './plot.mjs';
import { markdown } from './report.mjs';

/** @typedef {import('./page/result.ts').BenchResult} Result */

/**
 * Writes <where>-<adapter>.json, .md and .svg. `measured` is whole, or the part `worker` alone, which takes its place beside the parts
 * of an earlier run.
 * @param {Result} measured @param {string} where
 */
export function writeResult(measured, where) {
  const base = baseOf(measured, where);
  const { load, warm, sweep, kernels, long, worker } = measured;
  const isAlone = worker && !kernels && !long && load.length + warm.length + sweep.length === 0;
  /** @type {Result | undefined} */
  const earlier = existsSync(`${base}.json`) ? JSON.parse(readFileSync(`${base}.json`, 'utf8')) : undefined;
  const result = isAlone && earlier ? { ...earlier, worker } : { ...measured, worker: worker ?? earlier?.worker };
  mkdirSync(inBench('results'), { recursive: true });
  const text = markdown(result);
  const shorter = (/** @type {string} */ _, /** @type {unknown} */ value) =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;
  writeFileSync(`${base}.json`, `${JSON.stringify(result, shorter, 2)}\n`);
  writeFileSync(`${base}.md`, text);
  writeFileSync(`${base}.svg`, plot(result));
  console.log(`\n${text}\nwritten to ${base}.json, .md and .svg`);
}

/** The path of a result without the ending. @param {Result} result @param {string} where */
function baseOf({ adapter }, where) {
  const slug = adapter
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 40)
    .replace(/-$/, '');
  return inBench('results', `${where}-${slug}`);
}
