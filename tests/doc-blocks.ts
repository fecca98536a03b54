import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { at } from '../scripts/root.mjs';

/**
 * The fenced blocks of code of a Markdown page. Those of JavaScript belong together: a later one may use the names of those before it, and
 * may take them anew, because each stands in a scope inside the one before. Those of TypeScript and HTML stand alone. What a block needs that no page would show stands in a
 * comment before it, or in several, which no reader of the page sees:
 *
 *   <!-- given: const documents = ['It rains.']; -->
 */

export interface Block {
  readonly page: string;
  /** `docs/start.md: Install`, with `, 2` for the second block below a heading. */
  readonly name: string;
  readonly language: string;
  readonly code: string;
  /** What is given before it. */
  readonly given: string;
}

/** The script of a page of HTML; the page's own copy of the library is the package. */
function scriptOf(html: string): string {
  const [, script = ''] = html.split('<script type="module">', 2);
  return script.split('</script>', 1)[0]!.replaceAll("'./webgpu-bert.js'", "'webgpu-bert'");
}

export function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  let [heading, given] = ['', ''];
  let open: { language: string; lines: string[] } | undefined;
  const counts = new Map<string, number>();
  for (const line of readFileSync(at(page), 'utf8').split('\n')) {
    if (open && line.startsWith('```')) {
      const count = (counts.get(heading) ?? 0) + 1;
      counts.set(heading, count);
      const name = `${page}: ${heading}${count > 1 ? `, ${count}` : ''}`;
      const text = open.lines.join('\n');
      const code = open.language === 'html' ? scriptOf(text) : text;
      blocks.push({ page, name, language: open.language, code, given });
      [open, given] = [undefined, ''];
    } else if (open) open.lines.push(line);
    else if (line.startsWith('```')) open = { language: line.slice(3).trim(), lines: [] };
    else if (line.startsWith('#')) heading = line.replace(/^#+ /, '');
    else if (line.startsWith('<!-- given: ')) {
      given += `${line.slice('<!-- given: '.length).replace(/ -->$/, '')}\n`;
    }
  }
  return blocks;
}

const IMPORT = /^import (type )?([^']*) from '([^']+)';$/;

/** One import of each name, however many blocks have it. */
function joined(statements: readonly string[]): string[] {
  const names = new Map<string, Set<string>>();
  for (const statement of statements) {
    const [, type = '', list = '', module = ''] = IMPORT.exec(statement)!;
    const known = names.get(type + module) ?? names.set(type + module, new Set()).get(type + module)!;
    const named = list.startsWith('{') ? list.slice(1, -1) : `default as ${list}`;
    for (const name of named.split(',')) if (name.trim()) known.add(name.trim());
  }
  return [...names].map(([key, list]) => {
    const type = key.startsWith('type ') ? 'type ' : '';
    return `import ${type}{ ${[...list].join(', ')} } from '${key.slice(type.length)}';`;
  });
}

/** A statement of an import whose file, where it names one, is found from anywhere. */
const placed = (statement: string, page: string): string =>
  statement.replace(" from './", ` from '${at(dirname(page))}/`);

/** The line without its export: in a scope there is none. */
const unexported = (line: string): string =>
  line.replace(/^export default (?!function|class)/, 'const exported = ').replace(/^export (default )?/, '');

/** The code of blocks in scopes, each inside the one before, and the imports of all of them. */
export function chained(blocks: readonly Block[]): { imports: string[]; code: string } {
  const imports: string[] = [];
  const lines: string[] = [];
  for (const { code, given, page } of blocks) {
    lines.push('{');
    for (const line of `${given}${code}`.split('\n')) {
      if (IMPORT.test(line.trim())) imports.push(placed(line.trim(), page));
      else lines.push(unexported(line));
    }
  }
  lines.push('}'.repeat(blocks.length));
  return { imports: joined(imports), code: lines.join('\n') };
}

/** The import as a statement that takes the names from `modules`, where it is no import of types. */
export function taken(statement: string): string {
  const [, type, names = '', module = ''] = IMPORT.exec(statement)!;
  if (type) return '';
  return `const ${names.replaceAll(' as ', ': ')} = await modules(${JSON.stringify(module)});`;
}

const LITERAL = /^(-?\d[\d.]*|true|false|'[^']*'|\[[\d, .-]*\])(?:$|[ ,:;.])/;

/**
 * The code with a call of `stated(value, literal, line)` in place of every statement of an expression behind which a comment states its
 * value: a number, a string, a list of numbers. Words may follow it.
 */
export function withAnswers(code: string): string {
  return code
    .split('\n')
    .map(line => {
      const at = line.indexOf('; // ');
      const literal = LITERAL.exec(line.slice(at + 5))?.[1];
      const statement = line.slice(0, at).trim();
      if (at < 0 || literal === undefined || /^(const|let|return|if|for|})\b/.test(statement)) return line;
      return `stated(${statement}, ${literal}, ${JSON.stringify(line.trim())});`;
    })
    .join('\n');
}
