/**
 * Regular expressions of tokenizer files, run in time that is linear in the text. Only `text` imports it. It never knows
 * what a match is used for.
 */

export { mayGrowExponentially } from './growth.ts';
export { literal } from './literal.ts';
export { type Finder, finderOf, programFinder } from './matcher.ts';
export { parsePattern } from './oniguruma.ts';
export { compilePattern, type Program } from './program.ts';
export { UnsupportedPattern } from './unsupported.ts';
