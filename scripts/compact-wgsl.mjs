import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseSync } from 'vite';

/**
 * Makes the WGSL in the shaders' texts short at build, which a minifier leaves alone: comments and white space go, and names that
 * only WGSL knows become short ones. What is renamed, and why nothing else can be:
 *
 * - Names that the WGSL itself declares (`let`, `var`, `const`, `fn`, `struct`, parameters) and nothing else, so no keyword, type
 *   or builtin. A member (`.x`) or an attribute (`@compute`) is no such name wherever it stands.
 * - A name that stands anywhere in a plain string, as those of bindings and params do, is kept: the host knows it.
 * - One table for all files, from old names to new ones that occur nowhere, no two of them equal: so pieces of text agree wherever
 *   they come together, and the WGSL means what it meant. `sum${r}` is `sum` and a number: new names have letters alone, so
 *   that such names too stay apart.
 *
 * Then the directives of wgsl-preprocessor become conditionals of JavaScript, so that the bundle need not carry it: see `resolved`.
 *
 * tests/compact-wgsl.test.ts makes kernels of the texts before and after and holds them against each other, word by word;
 * e2e/suites/kernels.ts compiles and runs the short ones.
 * @param {string} folder the shaders @returns {import('vite').Plugin}
 */
export function compactWgsl(folder) {
  /** @type {Map<string, string>} */
  let names = new Map();
  return {
    name: 'compact-wgsl',
    // Before the types are taken out, for the table is made of the files as they are.
    enforce: 'pre',
    buildStart() {
      const files = readdirSync(folder).filter(name => name.endsWith('.ts') && !name.endsWith('.d.ts'));
      names = shortNames(files.map(name => readFileSync(join(folder, name), 'utf8')));
    },
    transform(code, id) {
      const path = id.replaceAll('\\', '/');
      const isShader = path === `${folder.replaceAll('\\', '/')}/${basename(path)}` && path.endsWith('.ts');
      return isShader ? { code: resolved(compact(code, names)), map: null } : null;
    },
  };
}

/** @typedef {Record<string, any> & { type: string, start: number, end: number }} Node */
/**
 * One string or template: its pieces between two `${}`; what they say; whether it is WGSL, or what a kernel is called or a message.
 * @typedef {{ pieces: { start: number, end: number }[], text: string, isWgsl: boolean, isName: boolean, isTagged: boolean }} Text
 */

/** These stand for a `${}`, and for one in a comment, which goes with it. */
const [HOLE, IN_COMMENT] = ['\uE000', '\uE001'];
const KEYWORDS = new Set(
  `alias break case const continue continuing default diagnostic discard else enable false fn for if let loop override
  requires return struct switch true var while`.split(/\s+/),
);
const DECLARED = /\b(?:let|const|fn|struct|var(?:\s*<[^>]*>)?)\s+([a-z]\w*)|(?<![\w.\uE000])([a-z]\w*)\s*:(?!:)/gi;
const COMMENT = /\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
const WORDS = /[a-z_]\w*/gi;

/**
 * Every string and template of a shader file. A template is WGSL, unless it is what a kernel is called or a message; a string
 * is where it has a character that no name has.
 * @param {string} code @returns {Text[]}
 */
function textsOf(code) {
  /** @type {Text[]} */
  const texts = [];
  const textOf = (/** @type {Text['pieces']} */ pieces) =>
    pieces.map(({ start, end }) => code.slice(start, end)).join(HOLE);
  /** @param {unknown} value @param {boolean} isName @param {boolean} isTagged */
  const visit = (value, isName, isTagged = false) => {
    if (Array.isArray(value)) for (const item of value) visit(item, isName);
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return;
    const node = /** @type {Node} */ (value);
    if (['ImportDeclaration', 'ExportAllDeclaration'].includes(node.type)) return;
    if (node.type === 'TemplateLiteral') {
      const pieces = /** @type {Node[]} */ (node.quasis).map(({ start, end }) => ({ start, end }));
      texts.push({ pieces, text: textOf(pieces), isWgsl: !isName, isName, isTagged });
    } else if (node.type === 'Literal' && typeof node.value === 'string') {
      const pieces = [{ start: node.start + 1, end: node.end - 1 }];
      const text = textOf(pieces);
      texts.push({ pieces, text, isWgsl: !isName && /[([;+.]/.test(text), isName, isTagged: false });
    }
    const isLabel = node.type === 'Property' && node.key.name === 'name' && node.value.type === 'TemplateLiteral';
    const named = isName || isLabel || node.type === 'ThrowStatement';
    for (const key of Object.keys(node)) {
      visit(node[key], named, node.type === 'TaggedTemplateExpression' && key === 'quasi' && node.tag.name === 'wgsl');
    }
  };
  visit(parseSync('shader.ts', code, { astType: 'js' }).program, false);
  return texts;
}

/** The short name of every name that may have one. @param {string[]} sources of all shader files @returns {Map<string, string>} */
export function shortNames(sources) {
  const texts = sources.flatMap(textsOf).map(each => ({ ...each, text: each.text.replace(COMMENT, ' ') }));
  const wgsl = texts.filter(each => each.isWgsl).map(each => each.text);
  const declared = new Set(wgsl.flatMap(text => [...text.matchAll(DECLARED)].map(match => match[1] ?? match[2] ?? '')));
  const functions = new Set(wgsl.flatMap(text => [...text.matchAll(/\bfn\s+(\w+)/g)].map(match => match[1])));
  for (const text of wgsl) {
    // What is called and declared as something else is a builtin somewhere.
    for (const [, name = ''] of text.matchAll(/\b(\w+)\s*\(/g)) if (!functions.has(name)) declared.delete(name);
    for (const [, name = ''] of text.matchAll(/@\s*(\w+)/g)) declared.delete(name);
  }
  // The entry point is asked for by its name.
  for (const name of [...KEYWORDS, 'main']) declared.delete(name);
  for (const { text, isWgsl, isName } of texts) {
    if (!isWgsl && !isName) for (const [word] of text.matchAll(WORDS)) declared.delete(word);
  }
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const [word] of wgsl.join('\n').matchAll(WORDS)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const wanted = [...declared]
    .filter(name => name.length > 1)
    .sort((a, b) => (counts.get(b) ?? 0) - (counts.get(a) ?? 0) || (a < b ? -1 : 1));
  const taken = [...counts.keys(), ...texts.flatMap(({ text }) => text.match(WORDS) ?? [])];
  /** A short name followed by a number must be no other name either. @param {string} short */
  const isFree = short => !taken.some(name => name.startsWith(short) && /^\d*$/.test(name.slice(short.length)));
  const letters = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'];
  // Two letters of which the second is a capital are no word of WGSL.
  const pairs = letters.slice(0, 26).flatMap(first => letters.slice(26).map(second => first + second));
  /** @type {Map<string, string>} */
  const names = new Map();
  for (const name of wanted) {
    const own = [...name].filter(letter => letters.includes(letter));
    const short = [...own, ...letters, ...pairs].find(isFree);
    if (!short || short.length >= name.length) continue;
    names.set(name, short);
    taken.push(short);
  }
  return names;
}

/** @param {string} code a shader file @param {Map<string, string>} names @returns {string} the file with short texts */
export function compact(code, names) {
  /** @type {{ start: number, end: number, text: string }[]} */
  const edits = [];
  for (const { pieces, text, isWgsl, isTagged } of textsOf(code)) {
    if (!isWgsl) continue;
    if (text.includes('\\')) throw new Error(`an escape in WGSL is not understood: ${text}`);
    let i = 0;
    for (const short of shorten(text, names, isTagged).split(HOLE)) {
      // A `${}` in a comment goes with it, and with whatever would have been shortened in it.
      const dropped = short.split(IN_COMMENT).length - 1;
      const [start, end] = [pieces[i]?.start ?? 0, pieces[i + dropped]?.end ?? 0];
      edits.push({ start, end, text: short.replaceAll(IN_COMMENT, '') });
      i += dropped + 1;
    }
  }
  let [result, at] = ['', 0];
  for (const { start, end, text } of edits.sort((a, b) => a.start - b.start)) {
    if (start < at) continue;
    result += code.slice(at, start) + text;
    at = end;
  }
  return result + code.slice(at);
}

const PREPROCESSOR = 'wgsl-preprocessor/wgsl-preprocessor.js';
/** A directive, and the rest of its line: in a short text a break is written as `\n`. */
const DIRECTIVE = /#([^\s\\]*)((?: |\\n)*)/g;

/**
 * A shader file that needs no preprocessor: of every template with its tag a plain one is made, in which
 *
 *   #if ${a}          ${(a)?`
 *   one               one
 *   #elif ${b}        `:(b)?`
 *   two               two
 *   #else             `:`
 *   three             three
 *   #endif            `}
 *
 * Only the lines of the directives go, so each has to be alone on its line. @param {string} code a shader file with short texts @returns {string}
 */
export function resolved(code) {
  /** @type {Node[]} */
  const found = [];
  const visit = (/** @type {unknown} */ value) => {
    if (typeof value !== 'object' || value === null) return;
    const node = /** @type {Node} */ (value);
    if (node.type === 'ImportDeclaration' && node.source.value === PREPROCESSOR) found.push(node);
    const isTagged = node.type === 'TaggedTemplateExpression' && node.tag.name === 'wgsl';
    if (isTagged) found.push(node);
    if (node.type === 'Identifier' && node.name === 'wgsl')
      throw new Error('wgsl is used as something else than a tag');
    if (node.type === 'ImportDeclaration') return;
    for (const child of Object.values(isTagged ? node.quasi : node)) visit(child);
  };
  visit(parseSync('shader.ts', code, { astType: 'js' }).program);
  found.sort((a, b) => a.start - b.start);
  /** The code from `start` to `end`, without what is found in it. @param {number} start @param {number} end @returns {string} */
  const made = (start, end) => {
    let [result, at] = ['', start];
    for (const node of found) {
      if (node.start < at || node.end > end) continue;
      result += code.slice(at, node.start);
      if (node.quasi) result += conditionals(code, node.quasi, made);
      at = node.end;
    }
    return result + code.slice(at, end);
  };
  return made(0, code.length);
}

/** @param {string} code @param {Node} template @param {(start: number, end: number) => string} made what becomes of an expression's code */
function conditionals(code, { quasis, expressions }, made) {
  /** For every #if that is open, whether its #else has been. @type {boolean[]} */
  const open = [];
  let result = '';
  /** Whether a directive ended with the expression before: then the rest of its line comes first. */
  let isLineEnd = false;
  const refuse = (/** @type {string} */ text) => {
    throw new Error(`a directive that wgsl-preprocessor would not take, or that is not alone on its line: ${text}`);
  };
  quasis.forEach((/** @type {Node} */ quasi, /** @type {number} */ i) => {
    const text = code.slice(quasi.start, quasi.end);
    const [end = ''] = (isLineEnd && /^(?: |\\n)*/.exec(text)) || [];
    if (isLineEnd && !end.includes('\\n')) refuse(text);
    let at = end.length;
    let isLineStart = isLineEnd || i === 0;
    isLineEnd = false;
    const expression = expressions[i];
    const hole = expression && made(expression.start, expression.end);
    for (const match of text.matchAll(DIRECTIVE)) {
      const [line, name = ''] = match;
      const before = text.slice(at, match.index);
      result += before;
      at = match.index + line.length;
      const isLast = at === text.length;
      const isCondition = name === 'if' || name === 'elif';
      const fits = isCondition ? isLast && hole !== undefined : ['else', 'endif'].includes(name);
      const continues = name === 'if' || (open.length > 0 && (name === 'endif' || !open.at(-1)));
      const begins = /\\n *$/.test(before) || (isLineStart && /^ *$/.test(before));
      const ends = isCondition || line.includes('\\n') || (isLast && hole === undefined);
      if (!fits || !continues || !begins || !ends) refuse(text);
      isLineStart = true;
      if (isCondition) {
        isLineEnd = true;
        result += `${name === 'if' ? '${' : '`:'}(${hole})?\``;
        if (name === 'if') open.push(false);
      } else if (name === 'else') {
        open[open.length - 1] = true;
        result += '`:`';
      } else result += open.pop() ? '`}' : '`:``}';
    }
    result += text.slice(at);
    if (hole !== undefined && !isLineEnd) result += `\${${hole}}`;
  });
  if (open.length > 0) throw new Error(`an #if without its #endif: ${code.slice(quasis[0].start, quasis.at(-1).end)}`);
  return `\`${result}\``;
}

/** What two neighbouring characters must not become. */
const JOINED = new Set('&& || -- ++ == != >= <= -> >> << += -= *= /= %= &= |= ^= // /*'.split(' '));

/** @param {string} text @param {Map<string, string>} names @param {boolean} isWhole whether nothing is put before it */
function shorten(text, names, isWhole) {
  const bare = text.replace(COMMENT, comment => {
    if (comment.includes('#')) throw new Error(`wgsl-preprocessor reads the "#" of a comment: ${comment}`);
    return comment.replace(/[^\uE000\n]/g, ' ').replaceAll(HOLE, IN_COMMENT);
  });
  const renamed = bare.replace(/(?<![\w.\uE000@])[a-z_]\w*/gi, word => names.get(word) ?? word);
  return renamed.replace(/[\s\uE001]+/g, (space, at) => {
    const dropped = space.replace(/\s/g, '');
    const before = renamed[at - 1];
    const after = renamed[at + space.length];
    return dropped + separator(before, after, space.includes('\n'), space.length, renamed.slice(0, at), isWhole);
  });
}

/**
 * What stays of the white space between two characters. Lines stay, for the error of a kernel that does not compile shows one.
 * @param {string | undefined} before @param {string | undefined} after @param {boolean} isBreak @param {number} length
 * @param {string} left @param {boolean} isWhole
 */
function separator(before, after, isBreak, length, left, isWhole) {
  const kept = isBreak ? '\\n' : ' ';
  // Two and more are indentation.
  if (before === undefined) return isWhole || length > 1 ? '' : kept;
  if (isBreak) return kept;
  if (after === undefined || after === '#' || /#\w+(\s*\uE000)?$/.test(left)) return kept;
  if (before === HOLE && after === HOLE) return kept;
  if (before === HOLE) return /\w/.test(after) ? kept : '';
  if (after === HOLE) return /\w|-/.test(before) ? kept : '';
  if (/\w/.test(before) && /\w/.test(after)) return kept;
  return JOINED.has(before + after) ? kept : '';
}
