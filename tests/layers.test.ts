import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { once } from './once.ts';

/**
 * The arrows between the rooms of src/ (docs/architecture.md): text -> tokens -> plan -> GPU buffers -> answer, one way. A room is a
 * folder with a door, its index.ts; other rooms import from the door alone. What may import what stands in one table; `types` are
 * imports that leave nothing in the program.
 */
interface Room {
  /** Rooms, files of src's root, or kernels that a file of this room may import from. Files of its own room it always may. */
  imports: readonly string[];
  types?: readonly string[];
  packages?: readonly string[];
}

const ERRORS = 'src/errors.ts';
const JSON_FIELDS = 'src/json.ts';
const HALVES = 'src/halves.ts';
const RANDOM = 'src/random.ts';

const ROOMS: Readonly<Record<string, Room>> = {
  shaders: { imports: [], packages: ['wgsl-preprocessor/wgsl-preprocessor.js'] },
  'src/errors.ts': { imports: [] },
  'src/json.ts': { imports: [ERRORS] },
  [HALVES]: { imports: [] },
  [RANDOM]: { imports: [ERRORS] },
  'src/runtime': { imports: [] },
  'src/text/pattern': { imports: [] },
  'src/text': { imports: ['src/text/pattern', JSON_FIELDS, ERRORS] },
  'src/checkpoint/source': { imports: ['src/runtime', JSON_FIELDS, ERRORS] },
  'src/checkpoint/file': { imports: ['src/checkpoint/source', HALVES, JSON_FIELDS, ERRORS] },
  'src/plan': { imports: ['shaders', ERRORS] },
  'src/gradients': { imports: ['src/plan', 'shaders', ERRORS] },
  'src/model': { imports: ['src/plan', JSON_FIELDS, ERRORS], types: ['shaders'] },
  // Of the kernels only those that place, look through and pack weights are not in a plan.
  'src/gpu': {
    imports: [
      'src/plan',
      'src/gradients',
      'src/runtime',
      'shaders/inspect.ts',
      'shaders/kernel.ts',
      'shaders/matrix.ts',
      'shaders/max-sim.ts',
      'shaders/pack.ts',
      'shaders/place.ts',
      'shaders/scalars.ts',
      HALVES,
      ERRORS,
    ],
    types: ['shaders'],
  },
  'src/engine': {
    imports: [
      'src/checkpoint/source',
      'src/checkpoint/file',
      'src/model',
      'src/plan',
      'src/gpu',
      'src/runtime',
      RANDOM,
      JSON_FIELDS,
      ERRORS,
    ],
    types: ['shaders'],
  },
  'src/saving': {
    imports: ['src/engine', 'src/model', 'src/checkpoint/source', 'src/checkpoint/file', HALVES, JSON_FIELDS, ERRORS],
  },
  'src/api': {
    imports: [
      'src/saving',
      'src/engine',
      'src/text',
      'src/checkpoint/source',
      'src/model',
      'src/runtime',
      RANDOM,
      JSON_FIELDS,
      ERRORS,
    ],
    types: ['src/plan', 'shaders'],
  },
  'src/tasks': {
    imports: ['src/api', 'src/saving', 'src/model', 'src/plan', 'src/checkpoint/source', JSON_FIELDS, ERRORS],
    types: ['src/engine', 'src/text', 'src/checkpoint/file'],
  },
  'src/class-names.ts': { imports: ['src/api'] },
  'src/type-names.ts': { imports: [], types: ['src/api', 'src/tasks'] },
  'src/pipeline-of-model.ts': {
    imports: ['src/tasks', 'src/api', 'src/saving', 'src/engine', 'src/model', 'src/runtime', ERRORS],
    types: ['src/checkpoint/source'],
  },
  'src/pipeline.ts': {
    imports: [
      'src/pipeline-of-model.ts',
      'src/tasks',
      'src/api',
      'src/saving',
      'src/engine',
      'src/checkpoint/source',
      'src/runtime',
      ERRORS,
    ],
    types: ['src/model'],
  },
  'src/registry': {
    imports: [
      'src/tasks',
      'src/vectors',
      'src/api',
      'src/engine',
      'src/checkpoint/source',
      'src/checkpoint/file',
      'src/model',
      'src/plan',
      'src/gpu',
      ERRORS,
    ],
    types: ['shaders'],
  },
  'src/vectors': {
    imports: [
      'src/tasks',
      'src/api',
      'src/saving',
      'src/engine',
      'src/checkpoint/source',
      'src/checkpoint/file',
      'src/model',
      'src/runtime',
      JSON_FIELDS,
      ERRORS,
    ],
    types: ['src/plan', 'src/text'],
  },
  // Every file that package.json exports is an entry of its own, and nobody imports from the room.
  'src/adapters': {
    imports: ['src/pipeline.ts', 'src/registry', 'src/engine', 'src/runtime', ERRORS],
    types: ['src/tasks', 'src/api', 'src/checkpoint/source'],
  },
  // What training takes on the host. The main entry imports nothing of it.
  'src/training': {
    imports: [
      'src/pipeline.ts',
      'src/tasks',
      'src/saving',
      'src/api',
      'src/engine',
      'src/gpu',
      'src/gradients',
      'src/model',
      'src/plan',
      'src/checkpoint/source',
      'src/checkpoint/file',
      'src/runtime',
      RANDOM,
      HALVES,
      JSON_FIELDS,
      ERRORS,
    ],
    types: ['src/text'],
  },
  'src/worker': {
    imports: ['src/api', 'src/runtime', ERRORS],
    types: ['src/checkpoint/source'],
  },
  // The program of a worker: it hands the library to the room that serves it.
  'src/worker-script.ts': {
    imports: ['src/worker', 'src/pipeline.ts', 'src/vectors', 'src/tasks', 'src/api', 'src/engine'],
  },
  'src/worker.ts': {
    imports: ['src/worker', 'src/registry', 'src/api', ERRORS],
    types: ['src/type-names.ts', 'src/vectors', 'src/tasks', 'src/saving', 'src/engine', 'src/checkpoint/source'],
  },
  'src/train.ts': { imports: ['src/training', 'src/api', ERRORS] },
  // The public surface names what people import, and nothing else.
  'src/index.ts': {
    imports: ['src/class-names.ts', 'src/pipeline.ts', 'src/registry', 'src/vectors', 'src/api', 'src/engine', ERRORS],
    types: ['src/type-names.ts', 'src/tasks', 'src/saving', 'src/checkpoint/source'],
  },
};

/** The room of a file: the longest prefix of its path that stands in the table. */
const roomOf = once(
  (file: string): string | undefined =>
    Object.keys(ROOMS)
      .filter(room => file === room || file.startsWith(`${room}/`))
      .sort((a, b) => b.length - a.length)[0],
);

/** Kernels are picked one by one, and no room imports an adapter; any other folder is entered by its door. */
const doorOf = (room: string): string | undefined =>
  room.endsWith('.ts') || room === 'shaders' || room === 'src/adapters' ? undefined : `${room}/index.ts`;

interface Import {
  specifier: string;
  isType: boolean;
}

const importsOf = once((source: string): Import[] => {
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
});

/** Whether a list of rooms and files allows a file of another room. */
const allows = (list: readonly string[], file: string) => list.includes(file) || list.includes(roomOf(file) ?? '');

/** Everything in these files that goes against an arrow: none, one hopes. */
function violations(files: ReadonlyMap<string, string>): string[] {
  const wrong: string[] = [];
  const graph = new Map<string, string[]>();
  for (const [file, source] of files) {
    const room = roomOf(file);
    if (room === undefined) {
      wrong.push(`${file} is in no room`);
      continue;
    }
    const { imports, types = [], packages = [] } = ROOMS[room]!;
    for (const { specifier, isType } of importsOf(source)) {
      if (!specifier.startsWith('.')) {
        if (!packages.includes(specifier)) wrong.push(`${file} imports the package ${specifier}`);
        continue;
      }
      const target = posix.join(posix.dirname(file), specifier);
      graph.set(file, [...(graph.get(file) ?? []), target]);
      if (!files.has(target)) wrong.push(`${file} imports ${target}, which is none of the library's files`);
      const there = roomOf(target);
      if (there === room) {
        if (target === doorOf(room)) wrong.push(`${file} goes out of its room and in again by ${target}`);
        continue;
      }
      const isAllowed = allows(imports, target) || (isType && allows(types, target));
      if (!isAllowed) wrong.push(`${file} imports ${isType ? 'types of ' : ''}${target}`);
      const door = there && doorOf(there);
      if (door && target !== door) wrong.push(`${file} imports ${target} and not ${door}`);
    }
  }
  return [...wrong, ...cycles(graph)];
}

function cycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) found.push(`a circle: ${[...path.slice(at), file].join(' -> ')}`);
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

/** The files of the engine that know WebGPU: the backend that pages use, and the question whether it is there. */
const WEBGPU_FILES = ['src/engine/webgpu-backend.ts', 'src/engine/support.ts', 'src/engine/max-sim.ts'];
/** What else the engine takes from the gpu's room: types, and errors that any backend may report. */
const ERRORS_OF_DEVICES = ['LostDeviceError', 'disposedError'];

/** The values that a file of the engine imports from the gpu's room although another backend could not have them. */
function webGPUValues(file: string, source: string): string[] {
  if (!file.startsWith('src/engine/') || WEBGPU_FILES.includes(file)) return [];
  return [...source.matchAll(/^(?:import|export) (type )?\{([^}]*)\} from '\.\.\/gpu\/index\.ts'/gm)]
    .filter(([, type]) => type === undefined)
    .flatMap(([, , names]) => names!.split(',').map(name => name.trim()))
    .filter(name => name !== '' && !name.startsWith('type ') && !ERRORS_OF_DEVICES.includes(name));
}

/** Every file of the library by its path, with its text. */
const files: ReadonlyMap<string, string> = readTree();

describe('the library', () => {
  it('is there', () => {
    expect(files.size).toBeGreaterThan(40);
    const unused = Object.keys(ROOMS).filter(room => ![...files.keys()].some(file => roomOf(file) === room));
    expect(unused).toEqual([]);
    for (const file of ['src/index.ts', 'src/plan/plan.ts', 'shaders/attention.ts']) expect(files.has(file)).toBe(true);
    const imports = [...files.values()].flatMap(source => importsOf(source));
    expect(imports.length).toBeGreaterThan(100);
    // Every line that looks like an import was read as one.
    for (const [file, source] of files) {
      const lines = source.split('\n').filter(line => /^(import|export) .*from '|^\} from '/.test(line)).length;
      expect([file, importsOf(source).length]).toEqual([file, lines]);
    }
  });

  it('has a door to every room, which opens with what the room is', () => {
    for (const room of Object.keys(ROOMS)) {
      const door = doorOf(room);
      if (door) expect(files.get(door) ?? `no ${door}`).toMatch(/^\/\*\*\n( \*.*\n){2,4} \*\/\n/);
    }
  });

  it('has no import against an arrow, and no circle, not of types either', () => {
    expect(violations(files)).toEqual([]);
  });

  it('knows WebGPU in the engine through its backend alone', () => {
    for (const file of WEBGPU_FILES) expect(files.has(file), file).toBe(true);
    expect([...files].flatMap(([file, source]) => webGPUValues(file, source))).toEqual([]);
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
  const tree = (changed: Record<string, string>) => new Map([...files, ...Object.entries(changed)]);
  const broken: [name: string, file: string, source: string, complaint: RegExp][] = [
    [
      'plan imports gpu',
      'src/plan/new.ts',
      "import { x } from '../gpu/index.ts';",
      /src\/plan\/new.ts imports src\/gpu/,
    ],
    ['even a type', 'src/plan/new.ts', "import type { Gpu } from '../gpu/index.ts';", /imports types of src\/gpu/],
    ['gpu imports a model', 'src/gpu/new.ts', "export { readConfig } from '../model/index.ts';", /imports src\/model/],
    ['gpu picks a kernel', 'src/gpu/new.ts', "import { pool } from '../../shaders/pool.ts';", /imports shaders\/pool/],
    ['tasks run a tokenizer', 'src/tasks/new.ts', "import { cleanUp } from '../text/index.ts';", /imports src\/text/],
    [
      'the engine sees a task',
      'src/engine/new.ts',
      "import type { Crf } from '../tasks/index.ts';",
      /types of src\/tasks/,
    ],
    ['api sees a task', 'src/api/new.ts', "import { count } from '../tasks/index.ts';", /imports src\/tasks/],
    ['text sees the surface', 'src/text/new.ts', "import { env } from '../api/index.ts';", /imports src\/api/],
    ['checkpoint sees a model', 'src/checkpoint/file/new.ts', "import '../../model/index.ts';", /imports src\/model/],
    ['a source looks into a file', 'src/checkpoint/source/new.ts', "import '../file/index.ts';", /checkpoint\/file/],
    [
      'not by the door',
      'src/engine/new.ts',
      "import { x } from '../plan/plan.ts';",
      /plan.ts and not src\/plan\/index.ts/,
    ],
    ['out and in again', 'src/plan/new.ts', "import { plan } from './index.ts';", /goes out of its room/],
    [
      'a model writes WGSL',
      'src/model/new.ts',
      "import {\n  type A,\n  pool,\n} from '../../shaders/pool.ts';",
      /imports shaders/,
    ],
    [
      'a shader sees the plan',
      'shaders/new.ts',
      "import type { Op } from '../src/plan/index.ts';",
      /types of src\/plan/,
    ],
    [
      'WGSL outside of shaders',
      'src/plan/new.ts',
      "import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';",
      /package wgsl/,
    ],
    ['a package', 'src/text/new.ts', "const t = await import('left-pad');", /package left-pad/],
    ['a test', 'src/plan/new.ts', "import { erf } from '../../tests/reference.ts';", /imports tests\/reference/],
    ['a script', 'src/api/new.ts', "import { root } from '../../scripts/root.mjs';", /imports scripts\/root/],
    ['errors import', 'src/errors.ts', "import { Tensor } from './api/index.ts';", /src\/errors.ts imports/],
    ['a loose file', 'src/new.ts', '', /in no room/],
    ['a file in no room', 'lib/new.ts', '', /in no room/],
    ['a file that is not there', 'src/plan/new.ts', "import { x } from './nothing.ts';", /none of the library's files/],
  ];
  it.each(broken)('%s', (_, file, source, complaint) => {
    expect(violations(tree({ [file]: source })).join('\n')).toMatch(complaint);
  });

  it('a circle', () => {
    const a = "import { b } from './b.ts';";
    const b = "import { c } from './c.ts';";
    const found = violations(
      tree({ 'src/plan/a.ts': a, 'src/plan/b.ts': b, 'src/plan/c.ts': "export { a } from './a.ts';" }),
    );
    expect(found).toEqual(['a circle: src/plan/a.ts -> src/plan/b.ts -> src/plan/c.ts -> src/plan/a.ts']);
    const types = violations(
      tree({ 'src/plan/a.ts': a, 'src/plan/b.ts': b, 'src/plan/c.ts': "export type { a } from './a.ts';" }),
    );
    expect(types).toEqual(found);
  });

  it('an engine that opens a GPU itself', () => {
    const source = "import { disposedError, type Gpu, openGpu } from '../gpu/index.ts';\n";
    expect(webGPUValues('src/engine/load.ts', source)).toEqual(['openGpu']);
    expect(webGPUValues('src/engine/support.ts', source)).toEqual([]);
  });

  it('but not for what is allowed, or only spoken of', () => {
    const fine = {
      'src/gpu/new.ts':
        "import { type A, place } from '../../shaders/place.ts';\nimport type { Pooling } from '../../shaders/pool.ts';",
      'src/tasks/new.ts':
        "// import { x } from '../gpu/index.ts';\n/*\nimport '../gpu/index.ts';\n*/\nimport { Tensor } from '../api/index.ts';",
    };
    expect(violations(tree(fine))).toEqual([]);
  });
});
