import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { renamed } from '../scripts/gzip-names.mjs';

/** What a module's code gives, run as the body of a function. */
const run = (code: string) => new Function(`${code.replace(/export\{.*\};?/, '')}; return globalThis.found;`)();
const size = (code: string) => gzipSync(code, { level: 9 }).length;

describe('names for gzip', () => {
  const alike = [
    'function f(a,b,c){let d=a.map(e=>e.length*b);return c.filter(e=>d.includes(e)).concat(d)}',
    'function g(c,a,b){let e=c.map(d=>d.length*a);return b.filter(d=>e.includes(d)).concat(e)}',
    'function h(z,y,x){let w=z.map(v=>v.length*y);return x.filter(v=>w.includes(v)).concat(w)}',
    'globalThis.found=[f(["a"],2,[2]),g(["a"],2,[2]),h(["é"],3,[1,3])];',
  ].join('');

  it('makes alike what is alike, and moves nothing', () => {
    const code = renamed(alike);
    expect(code.length).toBe(alike.length);
    expect(size(code)).toBeLessThan(size(alike) - 10);
    expect(run(code)).toEqual(run(alike));
    const places = (text: string) => [...text.matchAll(/\.\w+|[^\w.]+/g)].map(({ index }) => index);
    expect(places(code)).toEqual(places(alike));
  });

  it('is the same every time', () => {
    expect(renamed(alike)).toBe(renamed(alike));
  });

  it.each([
    ['shorthands, in objects and patterns', 'let a=1,b={a},{a:c,d}={a:2,d:3};globalThis.found=[b,c,d,{d}];'],
    ['a var in a block, seen around it', 'function f(a){{let b=a;{var c=b+1}}return a+c}globalThis.found=f(1);'],
    ['a var beside a catch', 'function f(){try{throw 1}catch(a){var b=a}return b}globalThis.found=f();'],
    [
      'the two names of a class',
      'let a=class b{static c(){return b===this}};class d{e(){return d.f}static f=4}globalThis.found=[a.c(),new d().e()];',
    ],
    [
      'a catch whose body declares what its parameter might be called',
      'let A=1;function f(){try{g()}catch(a){let b=2;return b+b*b}}function g(){try{g()}catch{let a=2;return a+a*a}}' +
        'function h(){try{g()}catch({a,a:c}){let b=2;return b+b*b}}globalThis.found=[f(),g(),h()];',
    ],
    ['a function that knows its name', 'let a=function b(c){return c?b(c-1)+1:0};globalThis.found=a(3);'],
    [
      'defaults of parameters',
      'let a=1;function f(b=a,c=()=>b){let d=b+1;return[d,c(),a]}globalThis.found=[f(),f(5)];',
    ],
    [
      'loops that close over',
      'let a=[];for(let b=0;b<3;b++)a.push(()=>b);for(let c of[7])a.push(()=>c);globalThis.found=a.map(d=>d());',
    ],
    [
      'labels and globals of one letter',
      'globalThis.$=5;let b=[];a:for(let c of[1,2]){for(let d of[1,2]){if(d>c)continue a;b.push(c*d*$)}}globalThis.found=b;',
    ],
    ['arguments', 'function f(){let a=arguments;return a.length}globalThis.found=f(1,2,3);'],
    [
      'rest, spread and destructuring of destructuring',
      'let f=({a:[b,...c],...d},...e)=>[b,c,d,e];globalThis.found=f({a:[1,2,3],g:4},5);',
    ],
    [
      'private members and computed keys',
      'let k="m";class a{#a=1;[k](){let b=this;return b.#a}}globalThis.found=new a()[k]();',
    ],
  ])('keeps the meaning of %s', (_, code) => {
    expect(run(renamed(code))).toEqual(run(code));
  });

  it('keeps the names of exports', () => {
    const code = 'let a=1,b=2;export{a,b as c};';
    expect(renamed(code)).toMatch(/let a=1,(\w)=2;export\{a,\1 as c\};/);
  });

  it('leaves names that are no Latin letter', () => {
    const code = 'let é=1,b=2;globalThis.found=[é,b];';
    expect(run(renamed(code))).toEqual([1, 2]);
    expect(renamed(code)).toContain('é=1');
  });

  it('refuses exports that are declarations, and what is no program', () => {
    expect(() => renamed('export let a=1;export class b{}')).toThrow('export');
    expect(() => renamed('let a=;')).toThrow();
    expect(() => renamed('let a=1;let a=2;')).toThrow();
  });

  it('refuses code that could see any name', () => {
    expect(() => renamed('let a=1;eval("a")')).toThrow('eval');
  });
});
