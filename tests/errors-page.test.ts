import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAst } from 'vite';
import { describe, expect, test } from 'vitest';
import { at } from '../scripts/root.mjs';

/** docs/errors.md says what src/ throws, all of it: the classes, and the messages in the first columns of its tables. */

interface Node {
  type: string;
  [field: string]: unknown;
}

const isNode = (value: unknown): value is Node => typeof Object(value).type === 'string';
const childrenOf = (node: Node): Node[] => Object.values(node).flatMap(value => [value].flat().filter(isNode));

/** A text of the source, with … for what is filled in; undefined for what is no text. */
function textOf({ type, value, quasis }: Node): string | undefined {
  if (type === 'Literal') return typeof value === 'string' ? value : undefined;
  if (type !== 'TemplateLiteral') return undefined;
  return (quasis as { value: { cooked: string } }[]).map(quasi => quasi.value.cooked).join('…');
}

/** Every text of src/, and of which class of error it is, where it stands in `new …Error({ … })`. */
const messages = new Map<string, Set<string>>();
/** The messages that are one text where they are thrown: what `what` says. */
const said = new Set<string>();
/** The parent of every class of src/. */
const parents = new Map<string, string>();

function look(node: Node, error?: string): void {
  const text = textOf(node);
  if (text !== undefined) {
    const thrownAs = messages.get(text) ?? new Set();
    if (error) thrownAs.add(error);
    messages.set(text, thrownAs);
  }
  const called = node.type === 'NewExpression' ? String((node.callee as Node).name) : undefined;
  const inside = called?.endsWith('Error') ? called : error;
  if (inside && node.type === 'Property' && (node.key as Node).name === 'what') {
    const what = textOf(node.value as Node);
    if (what !== undefined) said.add(what);
  }
  for (const child of childrenOf(node)) look(child, inside);
  if (node.type !== 'ClassDeclaration' || !isNode(node.superClass)) return;
  parents.set(String((node.id as Node).name), String(node.superClass.name));
}

for (const file of readdirSync(at('src'), { recursive: true, encoding: 'utf8' })) {
  if (!file.endsWith('.ts')) continue;
  look(parseAst(readFileSync(at('src', file), 'utf8'), { lang: 'ts' }, join('src', file)) as unknown as Node);
}

/** Whether a class is the base of all errors that are thrown on purpose, or comes of it. */
const isOurs = (name: string | undefined): boolean =>
  name !== undefined && (name === 'WebGPUBertError' || isOurs(parents.get(name)));

const page = readFileSync(at('docs', 'errors.md'), 'utf8');
const sections = page
  .split(/^## /m)
  .slice(1)
  .map(section => [section.split('\n', 1)[0]!, section] as const);
/** The messages in the first column of a section's table. */
const named = sections.flatMap(([error, section]) =>
  section
    .split('\n')
    .filter(line => line.startsWith('| `'))
    .flatMap(line => [...line.split(' | ', 1)[0]!.matchAll(/`([^`]+)`/g)].map(([, what]) => [what!, error] as const))
    .filter(([what]) => what !== 'error.what'),
);

/** The class of a device that was lost is thrown as a DeviceError: people see its parent alone. */
const NOT_EXPORTED = ['LostDeviceError'];

describe('docs/errors.md', () => {
  test('has a row for every message', () => {
    const rows = new Set(named.map(([what]) => what));
    expect(said.size).toBeGreaterThan(200);
    expect([...said].filter(what => !rows.has(what))).toEqual([]);
  });

  test('has a section for every class of error, and no other', () => {
    const thrown = [...parents.keys()].filter(name => isOurs(name) && !NOT_EXPORTED.includes(name));
    expect(sections.map(([error]) => error).sort()).toEqual(thrown.sort());
  });

  test.each(named)('names a message of the sources: %s', (what, error) => {
    expect([...messages.keys()]).toContain(what);
    const thrownAs = [...messages.get(what)!].map(name => (NOT_EXPORTED.includes(name) ? 'DeviceError' : name));
    if (thrownAs.length > 0) expect(thrownAs).toContain(error);
  });
});
