import { describe, expect, it } from 'vitest';
import { reordered } from '../scripts/module-order.mjs';
import { decode, encode, type Segment } from '../scripts/source-map.mjs';

/** A bundle of statements, each with the place of its module in the list. */
function bundle(statements: [code: string, source: number][]) {
  let code = '';
  const segments: Segment[] = [];
  for (const [text, source] of statements) {
    // As a minifier, which maps the name of a variable and not its `var`.
    const at = code.length + (/^var /.exec(text)?.[0].length ?? 0);
    segments.push({ at, origin: [source, segments.length, 0] });
    code += text;
  }
  return { code, mappings: encode(code, segments) };
}

const imports = new Map([
  ['a', []],
  ['b', []],
  ['c', ['a']],
  ['d', ['b', 'c']],
]);
const ids = ['a', 'b', 'c', 'd'];
const alike = (name: string) => `function ${name}(){return "${'lorem ipsum dolor sit amet '.repeat(4)}".length}`;
const far = Array.from({ length: 12_000 }, (_, i) => ((i * 7919) % 9973).toString(36)).join('');

describe('the order of modules', () => {
  const given = bundle([
    [alike('x'), 0],
    ['var n=x(),', 0],
    [`text=\`${far}\`;`, 1],
    ['var m=n+1;', 2],
    [alike('y'), 2],
    ['globalThis.found=[m,y(),text.length];', 3],
    ['export{m};', 3],
  ]);

  it('puts what is alike together, and users behind what they need', () => {
    const result = reordered(given.code, given.mappings, ids, imports);
    const { code } = result!;
    const places = ['function x', 'n=x()', 'm=n+1', 'globalThis.found', 'export{m}'].map(text => code.indexOf(text));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places).not.toContain(-1);
    expect(Math.abs(code.indexOf('function y') - code.indexOf('function x'))).toBeLessThan(300);
    new Function(code.replace('export{m};', ''))();
    expect(globalThis).toMatchObject({ found: [109, 108, far.length] });
    // Every statement still comes from where it came from.
    const lines = (text: string, mappings: string) =>
      decode(text, mappings).map(({ at, origin }) => [text.slice(at, at + 3), ...origin].join(' '));
    expect(lines(code, result!.mappings).sort()).toEqual(lines(given.code, given.mappings).sort());
  });

  it('is the same every time', () => {
    const [first, second] = [0, 1].map(() => reordered(given.code, given.mappings, ids, imports));
    expect(first).toEqual(second);
  });

  it('is refused where a part holds code of a module that its own does not import', () => {
    const { code, mappings } = bundle([
      ['var n=1;', 0],
      ['for(var m=2,', 1],
      ['k=n;k<9;k++)m+=k;', 2],
    ]);
    expect(reordered(code, mappings, ids, imports)).toBeUndefined();
  });

  it('is refused where modules import each other in a circle', () => {
    const { code, mappings } = bundle([
      ['function n(){}', 0],
      ['function m(){}', 1],
    ]);
    const circle = new Map([
      ['a', ['b']],
      ['b', ['a']],
    ]);
    expect(reordered(code, mappings, ids, circle)).toBeUndefined();
  });
});

describe('source maps', () => {
  it('read and write the same', () => {
    const code = 'one two\nthree\n\nfour';
    const segments = [
      { at: 0, origin: [0, 3, 40] },
      { at: 4, origin: [] },
      { at: 8, origin: [2, 100_000, 0, 7] },
      { at: 15, origin: [1, 0, 2] },
    ];

    expect(decode(code, encode(code, segments))).toEqual(segments);
  });
});
