import { build, type Rolldown } from 'vite';
import { describe, expect, it } from 'vitest';
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { compact, compactWgsl, resolved, shortNames } from '../scripts/compact-wgsl.mjs';
import { at } from '../scripts/root.mjs';
import { attention, attentionShape } from '../shaders/attention.ts';
import { embed } from '../shaders/embed.ts';
import { gather } from '../shaders/gather.ts';
import type { Caps, Kernel } from '../shaders/kernel.ts';
import { layerNorm } from '../shaders/layer-norm.ts';
import { linearRegister } from '../shaders/linear-register.ts';
import { linearWorkgroup } from '../shaders/linear-workgroup.ts';
import { rowShape } from '../shaders/norm.ts';
import { halve, quantize } from '../shaders/pack.ts';
import { place } from '../shaders/place.ts';
import { pool } from '../shaders/pool.ts';
import { topK } from '../shaders/top-k.ts';
import { GPU } from './caps.ts';

const shaders = {
  attention,
  attentionShape,
  embed,
  gather,
  layerNorm,
  linearRegister,
  linearWorkgroup,
  rowShape,
  halve,
  quantize,
  place,
  pool,
  topK,
};
type Shaders = typeof shaders;

const ADAPTERS: Caps[] = [
  GPU,
  { ...GPU, maxInvocations: 128, f16: true, dot4I8: true, subgroup: 32 },
  { ...GPU, adapter: 'swiftshader', subgroup: 4 },
  { ...GPU, adapter: 'swiftshader', subgroup: 4, textures: 'sampled' },
  { ...GPU, adapter: 'llvmpipe', textures: 'storage' },
];
const FORMATS = ['f32', 'f16', 'i8'] as const;
const EITHER = [false, true];

/** A kernel of every text that the shaders can give: each `#if` both ways, each place of a `${}` with each of its texts. */
function kernels(of: Shaders): Kernel[] {
  const found: Kernel[] = [
    of.halve(),
    of.quantize({ columns: 70 }),
    of.gather({ columns: 30 }),
    of.topK({ columns: 90, k: 3 }),
  ];
  for (const stored of ['F32', 'F16', 'BF16'] as const) found.push(of.place(stored));
  for (const kept of [16, 13]) found.push(of.pool({ columns: 16, kept }));
  for (const caps of ADAPTERS) {
    const rows = of.rowShape(caps);
    for (const yes of EITHER) {
      for (const columns of [64, 30]) found.push(of.layerNorm({ columns, residual: yes }, rows));
      for (const headSize of [32, 9, 512]) {
        for (const relative of EITHER) {
          const variant = { heads: 3, headSize, probabilities: yes, relative };
          found.push(of.attention(variant, of.attentionShape(variant, caps)));
        }
      }
      for (const format of FORMATS) {
        for (const norm of EITHER) {
          found.push(of.embed({ columns: 30, positions: yes, types: !yes, tasks: yes, norm, format }, rows, caps));
        }
        for (const activation of [undefined, 'gelu', 'gelu_tanh', 'relu', 'silu', 'tanh'] as const) {
          const sizes = yes ? {} : { inner: 70, outputs: 50 };
          const variant = { ...sizes, bias: yes, residual: !yes, activation, format };
          for (const lanes of [4, 32]) {
            found.push(of.linearRegister(variant, { rows: 32, columns: 8, lanes }, caps));
          }
          found.push(of.linearWorkgroup(variant, { rows: 4, columns: 8, lanes: 16, down: 16 }, caps));
        }
      }
    }
  }
  return found;
}

/** The shaders as the build makes them. */
async function built(): Promise<Shaders> {
  const files = ['attention', 'embed', 'gather', 'layer-norm', 'linear-register', 'linear-workgroup', 'norm', 'pack'];
  const entry = [...files, 'place', 'pool', 'top-k'].map(name => `export * from '/shaders/${name}.ts';`).join('\n');
  const results = await build({
    root: at(),
    configFile: false,
    publicDir: false,
    logLevel: 'silent',
    plugins: [
      compactWgsl(at('shaders')),
      {
        name: 'all',
        resolveId: id => (/\ball$/.test(id) ? '\0all' : null),
        load: id => (id === '\0all' ? entry : null),
      },
    ],
    build: { write: false, minify: false, lib: { entry: 'all', formats: ['es'], fileName: 'all' } },
  });
  const [{ output }] = [results].flat() as [Rolldown.RolldownOutput];
  return import(/* @vite-ignore */ `data:text/javascript,${encodeURIComponent(output[0].code)}`);
}

/** The words of a WGSL text; an operator is one. */
const wordsOf = (code: string): string[] =>
  code
    .replace(/\/\/[^\n]*|\/\*[\s\S]*?\*\//g, ' ')
    .match(/[A-Za-z_]\w*|\d[\w.]*|&&|\|\||--|\+\+|->|<<=?|>>=|[-+*/%&|^=!<>]=|[^\s\w]/g) ?? [];

const isName = (word: string | undefined): boolean => /^[A-Za-z_]/.test(word ?? '');

/** Whether each name has one other name and no two have the same; all else, builtins and members too, must be as it was. */
function expectSame(short: Kernel, long: Kernel): void {
  const [words, originals] = [wordsOf(short.code), wordsOf(long.code)];
  const declared = new Set(
    [...originals.join(' ').matchAll(/\b(?:let|const|fn|struct|var(?: < [^>]*>)?) (\w+)|(\w+) :/g)].map(
      match => match[1] ?? match[2],
    ),
  );
  expect(words.length, long.name).toBe(originals.length);
  const [there, back] = [new Map<string, string>(), new Map<string, string>()];
  originals.forEach((original, i) => {
    const word = words[i]!;
    const mayChange = isName(original) && declared.has(original) && !['.', '@'].includes(originals[i - 1] ?? '');
    if (!mayChange && word !== original) throw new Error(`${long.name}: ${original} has become ${word}`);
    if (!isName(original) || ['.', '@'].includes(originals[i - 1] ?? '')) return;
    const known = [there.get(original) ?? word, back.get(word) ?? original];
    if (known[0] !== word || known[1] !== original) {
      throw new Error(`${long.name}: ${original} is ${word}, and also ${known.join(', ')}`);
    }
    there.set(original, word);
    back.set(word, original);
  });
}

describe('the short texts of the build', () => {
  it('are the same kernels under other names', async () => {
    const short = kernels(await built());
    const long = kernels(shaders);
    expect(short.length).toBe(long.length);
    long.forEach((kernel, i) => {
      const { code: _, ...rest } = short[i]!;
      const { code: __, ...wanted } = kernel;
      expect(JSON.stringify(rest)).toBe(JSON.stringify(wanted));
      const params = Object.fromEntries(kernel.params.map(({ name }, j) => [name, 1000 + j]));
      expect(rest.workgroups(params)).toEqual(kernel.workgroups(params));
      expectSame(short[i]!, kernel);
      expect(short[i]!.code.length, kernel.name).toBeLessThan(kernel.code.length);
    });
  });

  /** The text of a place in a template. */
  const hole = (code: string) => `$\{${code}}`;
  const shortened = (source: string) => compact(source, shortNames([source]));

  it('have short names where WGSL alone knows them', () => {
    const source = `const a = wgsl\`
  let total = params.rows + 1u; // all ${hole('n')}
  y[total] = ${hole("x('z', `total - 1u`)")} - -2.0;
\`;`;
    const wanted = `const a = wgsl\`let t=params.rows+1u;\\ny[t]=${hole("x('z', `t-1u`)")}- -2.0;\\n\`;`;
    expect(shortened(source)).toBe(wanted);
  });

  it('keep what the host calls by its name, members, builtins and keywords', () => {
    expect(shortened('const a = wgsl`let total = params.total;`;')).toContain('let t=params.total;');
    expect(shortened("const a = [read('total'), wgsl`let total = 1;`];")).toContain('let total=1;');
    expect(shortened('const a = wgsl`let distance = 1; let b = distance(c, d);`;')).toContain('let distance=1;');
    expect(shortened(`const a = { name: \`total ${hole('n')}\`, code: wgsl\`let total = 1;\` };`)).toContain('`total ');
  });

  it('leave the numbers of made names apart from other names', () => {
    const result = shortened(`const a = wgsl\`let under${hole('i')}: u32 = 2;\`;`);
    expect(result).toMatch(/let [a-tv-z]\$/);
  });

  it('refuse a directive in a comment, and an escape', () => {
    expect(() => shortened('const a = wgsl`let total\\n= 1;`;')).toThrow(/escape/);
    expect(() => shortened('const a = wgsl`// #if\n let total = 1;`;')).toThrow(/comment/);
  });

  it('leave files without WGSL as they are', () => {
    const source = `import { x } from './total.ts';\nthrow new Error(\`param ${hole('x')} has no value\`);\n`;
    expect(shortened(source)).toBe(source);
  });

  describe('without the preprocessor', () => {
    const line = (...lines: string[]) => lines.join('\\n');
    /** The lines that a text has, for each of the eight conditions. */
    const lines = (expression: string, tag?: typeof wgsl) => {
      const text = new Function('wgsl', 'a', 'b', 'c', `return ${expression}`);
      return Array.from({ length: 8 }, (_, i) =>
        String(text(tag, i & 1, i & 2, i & 4))
          .split('\n')
          .map(each => each.trim())
          .filter(Boolean),
      );
    };

    it.each([
      ['an #if', line('x', `#if ${hole('a')}`, 'y', '#endif', 'z')],
      ['an #else', line(`#if ${hole('a')}`, 'y', '#else', `z ${hole('b')}`, '#endif')],
      ['an #elif', line(`#if ${hole('a')}`, '1', `#elif ${hole('b')}`, '2', `#elif ${hole('c')}`, '3', '#endif', 'z')],
      [
        'all of them in one another',
        line(
          hole('a'),
          `#if ${hole('a ? b : c')}`,
          `#if ${hole('(a, b)')}`,
          `1${hole('a')}2`,
          '#else',
          `#if ${hole('c')}`,
          '3',
          '#endif',
          '#endif',
          `#elif ${hole('a || b')}`,
          hole('b'),
          '#else',
          '4',
          '#endif',
          hole('c'),
        ),
      ],
      [
        'texts in texts',
        line(`#if ${hole('a')}`, hole(`wgsl\`${line(`#if ${hole('b')}`, '1', '#endif', '2')}\``), '#endif'),
      ],
    ])('%s gives the same lines', (_, text) => {
      const source = `wgsl\`${text}\``;
      const result = resolved(source);
      expect(result).not.toMatch(/wgsl|#/);
      expect(lines(result)).toEqual(lines(source, wgsl));
    });

    it.each([
      ['an #if without an #endif', `#if ${hole('a')}\\n1`],
      ['an #endif alone', '1\\n#endif'],
      ['an #else after an #else', `#if ${hole('a')}\\n#else\\n#else\\n#endif`],
      ['a condition that is no expression', '#if a\\n#endif'],
      ['an unknown directive', '#define a'],
      ['an #if behind something', `let v#if ${hole('a')}\\n1;\\n#endif`],
      ['a condition before something', `#if ${hole('a')} + z\\n#endif`],
      ['an #endif before something', `#if ${hole('a')}\\nx\\n#endif;`],
      ['an #else before a value', `#if ${hole('a')}\\nx\\n#else ${hole('b')}\\n#endif`],
      ['an #if behind a value', `${hole('a')} #if ${hole('a')}\\nx\\n#endif`],
    ])('%s is refused', (_, text) => {
      expect(() => resolved(`wgsl\`${text}\``)).toThrow(/directive|#if/);
    });

    it('the tag under another name is refused', () => {
      expect(() => resolved('const other = wgsl;')).toThrow('tag');
    });

    it('the import goes', () => {
      expect(resolved("import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';\nconst a = wgsl`b`;")).toBe(
        '\nconst a = `b`;',
      );
    });
  });
});
