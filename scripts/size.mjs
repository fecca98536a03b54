import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { at } from './root.mjs';
import { command, say } from './step.mjs';

/**
 * Which module each stretch of the minified file comes from, by the source map (its mappings are base64 VLQ:
 * https://tc39.es/ecma426/).
 * @param {string} code @param {{ sources: string[], mappings: string }} map
 */
function* stretches(code, { sources, mappings }) {
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const rows = mappings.split(';');
  let source = 0;
  for (const [row, text] of code.split('\n').entries()) {
    let [from, column, name] = [0, 0, 'what has no source'];
    for (const segment of rows[row]?.split(',').filter(Boolean) ?? []) {
      const numbers = [0];
      let shift = 0;
      for (const digit of segment) {
        const value = digits.indexOf(digit);
        numbers.push(/** @type {number} */ (numbers.pop()) | ((value & 31) << shift));
        shift += 5;
        if (value >= 32) continue;
        numbers.push(0);
        shift = 0;
      }
      const [columns = 0, files] = numbers.slice(0, -1).map(value => (value & 1 ? -(value >> 1) : value >> 1));
      column += columns;
      yield { name, text: text.slice(from, column) };
      source += files ?? 0;
      name = files === undefined ? 'what has no source' : (sources[source] ?? '');
      from = column;
    }
    yield { name, text: `${text.slice(from)}\n` };
  }
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
