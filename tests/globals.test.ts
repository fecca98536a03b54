import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAst } from 'vite';
import { describe, expect, test } from 'vitest';

/**
 * Globals that are missing, or throw at the mere look, where the library must run: Node 20 (no `navigator`), packages that bring
 * WebGPU to Node (no `GPUBufferUsage`), workers (no `document`), frames without storage (`caches` and `localStorage` throw). They
 * are reached through `globalOf` alone.
 */
const FORBIDDEN = [
  'caches',
  'navigator',
  'indexedDB',
  'localStorage',
  'sessionStorage',
  'document',
  'location',
  'window',
  'self',
  'GPUBufferUsage',
  'GPUTextureUsage',
  'GPUMapMode',
  'GPUShaderStage',
];
/** Younger than WebGPU (Chrome 113), so that a browser may have the one and not the other. TypeScript's `lib` keeps out those of ECMAScript. */
const YOUNG = ['URL.canParse', 'URL.parse', 'AbortSignal.any', 'Promise.try', 'Uint8Array.fromBase64', 'Iterator.from'];

interface Node {
  type: string;
  start: number;
  [field: string]: unknown;
}

const isNode = (value: unknown): value is Node => typeof Object(value).type === 'string';
const childrenOf = (node: Node): [field: string, child: Node][] =>
  Object.entries(node).flatMap(([field, value]) =>
    (Array.isArray(value) ? value : [value]).flatMap(each => (isNode(each) ? [[field, each] as [string, Node]] : [])),
  );
const nameOf = (node: unknown) => (isNode(node) && node.type === 'Identifier' ? String(node.name) : undefined);
const isFunction = ({ type }: Node) => /Function|Method/.test(type);

/** The names that a pattern binds: `a`, `{ a, b: [c] = [] }`. */
function bound(pattern: Node): string[] {
  switch (pattern.type) {
    case 'Identifier':
      return [String(pattern.name)];
    case 'Property':
      return bound(pattern.value as Node);
    case 'AssignmentPattern':
      return bound(pattern.left as Node);
    case 'RestElement':
      return bound(pattern.argument as Node);
    case 'TSParameterProperty':
      return bound(pattern.parameter as Node);
    default:
      return childrenOf(pattern).flatMap(([field, child]) =>
        /^(properties|elements)$/.test(field) ? bound(child) : [],
      );
  }
}

/** All that a function, or the file, declares itself, in whatever block. */
function declared(scope: Node): Set<string> {
  const names = new Set<string>();
  const walk = (node: Node): void => {
    for (const [field, child] of childrenOf(node)) {
      const isBinding =
        (node.type === 'VariableDeclarator' && field === 'id') ||
        (node === scope && field === 'params') ||
        (node.type === 'CatchClause' && field === 'param') ||
        (/^Import.*Specifier$/.test(node.type) && field === 'local') ||
        (/^(Function|Class)Declaration$/.test(node.type) && field === 'id');
      if (isBinding) for (const name of bound(child)) names.add(name);
      if (!isFunction(child)) walk(child);
      else if (isNode(child.id)) names.add(String(child.id.name));
    }
  };
  walk(scope);
  return names;
}

/** Every use of a forbidden global, bare or of `globalThis`, and of what is too young; with its line. */
function found(source: string): string[] {
  const uses: string[] = [];
  const note = (what: string, { start }: Node) => uses.push(`${source.slice(0, start).split('\n').length}: ${what}`);
  const walk = (node: Node, scopes: readonly Set<string>[]): void => {
    const inner = isFunction(node) || node.type === 'Program' ? [...scopes, declared(node)] : scopes;
    const isKnown = (name: string) => inner.some(names => names.has(name));
    if (node.type === 'MemberExpression' && !node.computed) {
      const [object, property] = [nameOf(node.object), nameOf(node.property)!];
      if (object === 'globalThis' && FORBIDDEN.includes(property)) note(`globalThis.${property}`, node);
      if (YOUNG.includes(`${object}.${property}`)) note(`${object}.${property}`, node);
    }
    for (const [field, child] of childrenOf(node)) {
      const isName =
        (node.type === 'MemberExpression' && field === 'property' && !node.computed) ||
        (/Property|Definition|Method|Signature/.test(node.type) && field === 'key' && !node.computed) ||
        /^(TSTypeQuery|TSTypeReference|TSQualifiedName|TSTypeParameter|TSNamedTupleMember|LabeledStatement|BreakStatement|ContinueStatement|ImportSpecifier|ExportSpecifier|TSFunctionType|TSMethodSignature|TSConstructorType|TSCallSignatureDeclaration|TSTypePredicate|TSInterfaceDeclaration|TSTypeAliasDeclaration)$/.test(
          node.type,
        );
      const name = nameOf(child);
      if (name !== undefined && !isName && FORBIDDEN.includes(name) && !isKnown(name)) note(name, child);
      walk(child, inner);
    }
  };
  walk(parseAst(source, { lang: 'ts' }) as unknown as Node, []);
  return uses;
}

describe('the search', () => {
  test.each([
    ['caches.open("a")', ['1: caches']],
    ['\nconst a = navigator?.gpu;', ['2: navigator']],
    ['globalThis.caches', ['1: globalThis.caches']],
    ['globalThis.navigator?.userAgent', ['1: globalThis.navigator']],
    ['typeof document === "object"', ['1: document']],
    ['const a = { location };', ['1: location']],
    ['const a = { [location]: 1 };', ['1: location']],
    ['function f() { return window; }', ['1: window']],
    ['const f = (caches: number) => caches; caches;', ['1: caches']],
    ['class A { x = self; }', ['1: self']],
    ['`$' + '{localStorage}`', ['1: localStorage']],
    ['URL.canParse("a")', ['1: URL.canParse']],
    ['AbortSignal.any([])', ['1: AbortSignal.any']],
  ])('finds %s', (source, uses) => {
    expect(found(source)).toEqual(uses);
  });

  test.each([
    'const caches = new Map(); caches.get(1); function f() { return caches; }',
    'for (const window of []) f(window);',
    'a.location; a?.self; const b = { document: 1, "caches": 2 };',
    'const { a: location, document = 1, ...window } = b; f(location, document, window);',
    'const f = ({ navigator }) => navigator; function g(self) { return self; }',
    'interface A { location: string } type B = typeof navigator; type C = (window: number) => void;',
    '// caches\n/* navigator */ "document"; `location`; /self/;',
    '"caches" in globalThis; globalOf("caches");',
    'import { window } from "a"; window(); try {} catch (self) { throw self; }',
    'JSON.parse("1"); Promise.any([]);',
  ])('leaves %s', source => {
    expect(found(source)).toEqual([]);
  });
});

const root = fileURLToPath(new URL('..', import.meta.url));
const files = ['src', 'shaders'].flatMap(folder =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .map(name => join(folder, name)),
);

test('no file of the library looks at a global that may not be there', () => {
  expect(files.length).toBeGreaterThan(80);
  const uses = files.flatMap(file => found(readFileSync(join(root, file), 'utf8')).map(use => `${file}:${use}`));
  expect(uses).toEqual([]);
});
