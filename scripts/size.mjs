import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { at } from './root.mjs';
import { decode } from './source-map.mjs';
import { command, say } from './step.mjs';

/**
 * Which module each stretch of the minified file comes from, by the source map.
 * @param {string} code @param {{ sources: string[], mappings: string }} map
 */
function* stretches(code, { sources, mappings }) {
  let [from, name] = [0, 'what has no source'];
  for (const { at, origin } of decode(code, mappings)) {
    yield { name, text: code.slice(from, at) };
    [from, name] = [at, sources[origin[0] ?? -1] ?? 'what has no source'];
  }
  yield { name, text: code.slice(from) };
}

const gzipped = (/** @type {string} */ text) => gzipSync(text, { level: 9 }).length;

await command(async () => {
  const code = readFileSync(at('dist', 'webgpu-bert.js'), 'utf8');
  const map = JSON.parse(readFileSync(at('dist', 'webgpu-bert.js.map'), 'utf8'));
  const parts = [...stretches(code, map)];
  const without = (/** @type {string} */ left) => parts.map(({ name, text }) => (name === left ? '' : text)).join('');
  const rows = [...new Set(parts.map(({ name }) => name))].map(name => {
    const rest = without(name);
    return {
      name: name.replace(/^(\.\.\/)+/, ''),
      bytes: code.length - rest.length,
      saves: gzipped(code) - gzipped(rest),
    };
  });
  say('bytes minified, and how many gzipped bytes fewer the file would be without them:');
  for (const { name, bytes, saves } of rows.sort((a, b) => b.saves - a.saves)) {
    say(`${String(bytes).padStart(7)} ${String(saves).padStart(6)}  ${name}`);
  }
});
