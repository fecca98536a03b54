import { readdirSync, readFileSync } from 'node:fs';
import { analyse } from 'scslre';
import { parseAst } from 'vite';
import { describe, expect, it } from 'vitest';
import { PUNCTUATION, WHITESPACE, WORD } from '../src/text/characters.ts';

/** The constants that regular expressions are put together from. */
const constants: Record<string, string> = {
  PUNCTUATION,
  WHITESPACE,
  WORD,
};

/** What is put together from texts of a file, and why that is linear. */
const proved: Record<string, string> = {
  "new RegExp(literal(text), 'gv')": 'a fixed text',
  "new RegExp(literal(replacement), 'gv')": 'one character',
  "new RegExp(literal(delimiter), 'gv')": 'one character',
  "new RegExp(`\\\\p{sc=${script}}`, 'u')": 'one class, asked of one character',
  "new RegExp(source, 'v')": 'one class, asked of one character',
  "new RegExp(`[${a}&&${b}]`, 'v')": 'one class',
  "new RegExp(`[${members}]`, 'v')": 'one class',
  "new RegExp(`[${members}]`, 'giv')": 'one class',
  "new RegExp(`\\\\p{${name}}`, 'u')": 'only built, to see whether the property is known',
  "new RegExp(`(${escaped.join('|')})`)": 'special tokens, literally: no repetition',
  'new RegExp(`^${pattern}(?<file>.+)$`)': 'parts of an address between its slashes',
  'new RegExp(source)': "the program's own, for names of its weights",
  "new RegExp(trainable.source, trainable.flags.replace(/[gy]/g, ''))": "the program's own, for names of its weights",
  'new RegExp(`^(?:${source})$`)': "the program's own, for names of its layers; that of a loaded adapter is never run",
};

interface Found {
  readonly place: string;
  /** Undefined where it is put together from what only a run knows. */
  readonly regExp?: RegExp;
  readonly code: string;
}

/** Every regular expression of some code: literals, and what is given to RegExp. */
function regularExpressions(code: string, file: string): Found[] {
  const found: Found[] = [];
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    if (Array.isArray(node)) {
      for (const each of node) visit(each);
      return;
    }
    const { type, start, end, ...rest } = node as Record<string, unknown> & { start: number; end: number };
    const text = code.slice(start, end);
    const place = `${file}:${code.slice(0, start).split('\n').length}`;
    const {
      regex,
      callee,
      arguments: given,
    } = rest as {
      regex?: { pattern: string; flags: string };
      callee?: { name?: string };
      arguments?: Argument[];
    };
    if (type === 'Literal' && regex) found.push({ place, code: text, regExp: new RegExp(regex.pattern, regex.flags) });
    if ((type === 'NewExpression' || type === 'CallExpression') && callee?.name === 'RegExp') {
      const [source, flags] = given!.map(textOf);
      const regExp = source === undefined ? undefined : new RegExp(source, flags);
      found.push({ place, code: text, ...(regExp && { regExp }) });
    }
    for (const value of Object.values(rest)) visit(value);
  };
  visit(parseAst(code, { lang: 'ts' }).body);
  return found;
}

interface Argument {
  readonly type: string;
  readonly value?: unknown;
  readonly quasis?: readonly { readonly value: { readonly cooked: string } }[];
  readonly expressions?: readonly { readonly name?: string }[];
}

/** The text of a literal or of a template of constants. */
function textOf({ type, value, quasis = [], expressions = [] }: Argument): string | undefined {
  if (type === 'Literal') return String(value);
  if (type !== 'TemplateLiteral' || expressions.some(({ name }) => !Object.hasOwn(constants, name ?? '')))
    return undefined;
  return quasis.map(({ value: { cooked } }, i) => cooked + (constants[expressions[i]?.name ?? ''] ?? '')).join('');
}

/** What is wrong with a regular expression. */
const faults = (regExp: RegExp): string[] =>
  analyse(regExp).reports.map(({ type, exponential }) => `${type}, ${exponential ? 'exponential' : 'quadratic'}`);

const root = new URL('../', import.meta.url);
const files = ['src', 'shaders'].flatMap(folder =>
  readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .map(name => `${folder}/${name}`),
);
const all = files.flatMap(file => regularExpressions(readFileSync(new URL(file, root), 'utf8'), file));

describe('every regular expression of the sources is linear', () => {
  it('and all are found', () => {
    expect(all.length).toBeGreaterThan(45);
  });

  it.each(all.map(({ place, code, regExp }) => [place, code, regExp] as const))('%s %s', (_, code, regExp) => {
    if (regExp) expect(faults(regExp)).toEqual([]);
    else expect(Object.keys(proved)).toContain(code);
  });
});

describe('what looks for them finds', () => {
  it.each([
    ['strings with a key or not', String.raw`/("(?:[^"\\]+|\\.)*")\s*:|"(?:[^"\\]+|\\.)*"|[{}]/g`, 'exponential'],
    ['white space at the end', String.raw`/\p{White_Space}+$/gu`, 'quadratic'],
    ['what is built', "new RegExp('(a+)+$')", 'exponential'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is the source.
    ['what is built of constants', 'RegExp(`[${WORD}]*$`, "u")', 'quadratic'],
  ])('%s', (_, code, growth) => {
    const [found] = regularExpressions(`const x: number = f(${code});`, 'a.ts');
    expect(faults(found!.regExp!).join()).toContain(growth);
  });

  it('what is built of anything else', () => {
    expect(regularExpressions('new RegExp(foreign)', 'a.ts')[0]!.regExp).toBeUndefined();
  });
});
