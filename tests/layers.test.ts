import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/**
 * The arrows between the folders (docs/architecture.md): text -> tokens -> plan -> GPU buffers -> answer, one way. What may
 * import what stands in one table; `types` are imports that leave nothing in the program.
 */
interface Layer {
  /** Prefixes of paths from the root. */
  imports: readonly string[];
  types?: readonly string[];
  packages?: readonly string[];
}

const ERRORS = 'src/errors.ts';
const FIELDS = 'src/fields.ts';
const TENSOR = 'src/tensor.ts';
const GLOBALS = 'src/globals.ts';
const INTERRUPT = 'src/interrupt.ts';

const LAYERS: Readonly<Record<string, Layer>> = {
  'shaders/': { imports: ['shaders/'], packages: ['wgsl-preprocessor/wgsl-preprocessor.js'] },
  'src/errors.ts': { imports: [] },
  'src/fields.ts': { imports: [ERRORS] },
  'src/callable.ts': { imports: [] },
  'src/interrupt.ts': { imports: [] },
  'src/globals.ts': { imports: [] },
  'src/tensor.ts': { imports: [ERRORS] },
  'src/text/': { imports: ['src/text/', FIELDS, ERRORS] },
  'src/checkpoint/': { imports: ['src/checkpoint/', FIELDS, GLOBALS, INTERRUPT, ERRORS] },
  'src/plan/': { imports: ['src/plan/', 'shaders/', ERRORS] },
  'src/model/': { imports: ['src/model/', 'src/plan/', FIELDS, ERRORS], types: ['shaders/'] },
  // Of the kernels only those that place, look through and pack weights are not in a plan.
  'src/gpu/': {
    imports: [
      'src/gpu/',
      'src/plan/',
      'shaders/inspect.ts',
      'shaders/kernel.ts',
      'shaders/matrix.ts',
      'shaders/pack.ts',
      'shaders/place.ts',
      GLOBALS,
      ERRORS,
    ],
    types: ['shaders/'],
  },
  'src/tasks/': { imports: ['src/tasks/', FIELDS, ERRORS, TENSOR], types: ['src/text/'] },
  'src/env.ts': { imports: ['src/checkpoint/environment.ts'] },
  'src/options.ts': { imports: [ERRORS], types: ['src/checkpoint/', 'shaders/'] },
  'src/model-inputs.ts': { imports: ['src/model/', ERRORS, TENSOR] },
  'src/tokenizer.ts': { imports: ['src/text/', 'src/callable.ts', ERRORS, TENSOR] },
  'src/upload.ts': { imports: ['src/checkpoint/', ERRORS], types: ['src/gpu/'] },
  'src/sentence.ts': {
    imports: ['src/checkpoint/folder.ts', FIELDS, ERRORS],
    types: ['src/checkpoint/', 'src/model/', 'shaders/'],
  },
  'src/scheduler.ts': { imports: ['src/plan/'], types: ['src/gpu/', 'shaders/'] },
  'src/tune.ts': { imports: ['src/gpu/', 'src/plan/', INTERRUPT, GLOBALS, 'shaders/linear.ts'], types: ['shaders/'] },
  'src/support.ts': { imports: ['src/gpu/', GLOBALS] },
  'src/device-model.ts': { imports: ['src/gpu/', 'src/model/', 'src/plan/'], types: ['shaders/', ERRORS] },
  'src/load.ts': {
    imports: [
      'src/checkpoint/',
      'src/gpu/',
      'src/model/',
      'src/plan/',
      'src/device-model.ts',
      INTERRUPT,
      'src/tune.ts',
      'src/upload.ts',
      ERRORS,
    ],
    types: ['src/sentence.ts', 'shaders/'],
  },
  'src/engine.ts': {
    imports: ['src/gpu/', 'src/model/', 'src/load.ts', 'src/scheduler.ts', ERRORS],
    types: ['src/checkpoint/', 'src/plan/', 'src/device-model.ts'],
  },
  // What is left in src/ is the public surface, which knows every folder.
  'src/': { imports: ['src/'], types: ['shaders/'] },
};

/** No file of a folder may import these, whatever its row of the table says. */
const SURFACE = /^src\/[^/]+\.ts$/;

interface Import {
  specifier: string;
  isType: boolean;
}

function importsOf(source: string): Import[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const found: Import[] = [];
  for (const [, type, names = '', specifier] of code.matchAll(
    /^\s*(?:import|export)\s+(type\s+)?(?:([^'";]*?)\s+from\s+)?['"]([^'"]+)['"]/gm,
  )) {
    const list =
      /^\{([\s\S]*)\}$/
        .exec(names.trim())?.[1]
        ?.split(',')
        .filter(name => name.trim() !== '') ?? [];
    const isType = type !== undefined || (list.length > 0 && list.every(name => /^\s*type\s/.test(name)));
    found.push({ specifier: specifier!, isType });
  }
  for (const [, specifier] of code.matchAll(/\bimport\s*\(\s*['"]([^'"]+)['"]/g)) {
    found.push({ specifier: specifier!, isType: false });
  }
  return found;
}

const startsWith = (prefixes: readonly string[], path: string) => prefixes.some(prefix => path.startsWith(prefix));

/** Everything in these files that goes against an arrow: none, one hopes. */
function violations(files: ReadonlyMap<string, string>): string[] {
  const wrong: string[] = [];
  const values = new Map<string, string[]>();
  for (const [file, source] of files) {
    const row = Object.keys(LAYERS)
      .filter(prefix => file.startsWith(prefix))
      .sort((a, b) => b.length - a.length)[0];
    if (row === undefined) {
      wrong.push(`${file} is in no layer`);
      continue;
    }
    const { imports, types = [], packages = [] } = LAYERS[row]!;
    for (const { specifier, isType } of importsOf(source)) {
      if (!specifier.startsWith('.')) {
        if (!packages.includes(specifier)) wrong.push(`${file} imports the package ${specifier}`);
        continue;
      }
      const target = posix.join(posix.dirname(file), specifier);
      if (!files.has(target)) wrong.push(`${file} imports ${target}, which is none of the library's files`);
      const isAllowed = startsWith(imports, target) || (isType && startsWith(types, target));
      const isFolder = row.endsWith('/') && row !== 'src/';
      const isOutOfFolder = isFolder && SURFACE.test(target) && !imports.includes(target);
      if (!isAllowed || isOutOfFolder) wrong.push(`${file} imports ${isType ? 'types of ' : ''}${target}`);
      if (!isType) values.set(file, [...(values.get(file) ?? []), target]);
    }
  }
  return [...wrong, ...cycles(values)];
}

function cycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) found.push(`a cycle: ${[...path.slice(at), file].join(' -> ')}`);
    if (at >= 0 || done.has(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  return found;
}

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
function readTree(): Map<string, string> {
  const files = new Map<string, string>();
  for (const folder of ['src', 'shaders']) {
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/(?<!\.d)\.ts$/.test(entry.name)) continue;
      const path = join(entry.parentPath, entry.name);
      files.set(path.slice(root.length + 1).replaceAll('\\', '/'), readFileSync(path, 'utf8'));
    }
  }
  return files;
}

describe('the library', () => {
  const files = readTree();

  it('is there', () => {
    expect(files.size).toBeGreaterThan(40);
    for (const file of ['src/index.ts', 'src/plan/plan.ts', 'shaders/attention.ts']) expect(files.has(file)).toBe(true);
    const imports = [...files.values()].flatMap(importsOf);
    expect(imports.length).toBeGreaterThan(100);
    // Every line that looks like an import was read as one.
    for (const [file, source] of files) {
      const lines = source.split('\n').filter(line => /^(import|export) .*from '|^\} from '/.test(line)).length;
      expect([file, importsOf(source).length]).toEqual([file, lines]);
    }
  });

  it('has no import against an arrow, and no cycle', () => {
    expect(violations(files)).toEqual([]);
  });

  it('imports with the extension', () => {
    for (const [file, source] of files) {
      for (const { specifier } of importsOf(source)) {
        if (specifier.startsWith('.')) expect(`${file}: ${specifier}`).toMatch(/\.ts$/);
      }
    }
  });
});

describe('the rules can fail', () => {
  const tree = (changed: Record<string, string>) => new Map([...readTree(), ...Object.entries(changed)]);
  const broken: [name: string, file: string, source: string, complaint: RegExp][] = [
    [
      'plan imports gpu',
      'src/plan/new.ts',
      "import { x } from '../gpu/device.ts';",
      /src\/plan\/new.ts imports src\/gpu/,
    ],
    ['even a type', 'src/plan/new.ts', "import type { Gpu } from '../gpu/device.ts';", /imports types of src\/gpu/],
    ['gpu imports a model', 'src/gpu/new.ts', "export { readConfig } from '../model/config.ts';", /imports src\/model/],
    ['gpu picks a kernel', 'src/gpu/new.ts', "import { pool } from '../../shaders/pool.ts';", /imports shaders\/pool/],
    ['tasks run a tokenizer', 'src/tasks/new.ts', "import { cleanUp } from '../text/decoder.ts';", /imports src\/text/],
    ['tasks see the engine', 'src/tasks/new.ts', "import type { Engine } from '../engine.ts';", /src\/engine/],
    ['text sees the surface', 'src/text/new.ts', "import { env } from '../env.ts';", /src\/env/],
    ['checkpoint sees a model', 'src/checkpoint/new.ts', "import '../model/config.ts';", /imports src\/model/],
    [
      'a model writes WGSL',
      'src/model/new.ts',
      "import {\n  type A,\n  pool,\n} from '../../shaders/pool.ts';",
      /imports shaders/,
    ],
    ['a shader sees the plan', 'shaders/new.ts', "import type { Op } from '../src/plan/op.ts';", /types of src\/plan/],
    [
      'WGSL outside of shaders',
      'src/plan/new.ts',
      "import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';",
      /package wgsl/,
    ],
    ['a package', 'src/text/new.ts', "const t = await import('left-pad');", /package left-pad/],
    ['a test', 'src/plan/new.ts', "import { erf } from '../../tests/reference.ts';", /imports tests\/reference/],
    ['a script', 'src/new.ts', "import { root } from '../scripts/root.mjs';", /imports scripts\/root/],
    ['errors import', 'src/errors.ts', "import { Tensor } from './tensor.ts';", /src\/errors.ts imports/],
    ['a file in no layer', 'lib/new.ts', '', /in no layer/],
    ['a file that is not there', 'src/plan/new.ts', "import { x } from './nothing.ts';", /none of the library's files/],
  ];
  it.each(broken)('%s', (_, file, source, complaint) => {
    expect(violations(tree({ [file]: source })).join('\n')).toMatch(complaint);
  });

  it('a cycle', () => {
    const a = "import { b } from './b.ts';";
    const b = "import { c } from './c.ts';";
    const found = violations(
      tree({ 'src/plan/a.ts': a, 'src/plan/b.ts': b, 'src/plan/c.ts': "export { a } from './a.ts';" }),
    );
    expect(found).toEqual(['a cycle: src/plan/a.ts -> src/plan/b.ts -> src/plan/c.ts -> src/plan/a.ts']);
    const types = violations(
      tree({ 'src/plan/a.ts': a, 'src/plan/b.ts': b, 'src/plan/c.ts': "export type { a } from './a.ts';" }),
    );
    expect(types).toEqual([]);
  });

  it('but not for what is allowed, or only spoken of', () => {
    const fine = {
      'src/gpu/new.ts':
        "import { type A, place } from '../../shaders/place.ts';\nimport type { Pooling } from '../../shaders/pool.ts';",
      'src/tasks/new.ts':
        "// import { x } from '../gpu/device.ts';\n/*\nimport '../gpu/device.ts';\n*/\nimport { Tensor } from '../tensor.ts';",
    };
    expect(violations(tree(fine))).toEqual([]);
  });
});
