/** A process of scripts/test-long.mjs: runs mutations by number, and says which one it is at, as it may not come to its end. */
import { writeSync } from 'node:fs';
import { fuzzer } from './fuzz.ts';

const [folder, first, last] = process.argv.slice(2);
const fuzz = fuzzer(folder!);
/** One line of JSON for each mutation, before it (its number) and after it (what it came to). */
const say = (line: unknown) => writeSync(1, `${JSON.stringify(line)}\n`);
for (let seed = Number(first); seed <= Number(last); seed++) {
  say(seed);
  say(await fuzz(seed));
}
