import { resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parseSync } from 'vite';
import { at } from './root.mjs';
import { decode, encode } from './source-map.mjs';

/** How often another order is tried: some seconds. */
const TRIES = 1600;

/** @typedef {{ start: number, end: number, keyword: string }} Piece a statement, or one variable of a `var` */
/** @typedef {{ pieces: Piece[], needs: Set<number> }} Part what the bundle has of one module, and the parts that it needs */

/**
 * Puts the modules of the finished bundle into an order that compresses better: gzip looks back 32 kB only, and what is alike in two
 * modules, names of variables too, costs less where they stand close together. As before, a module stands behind all that it imports,
 * so that what it does when it is loaded finds what it found. The search takes the same steps every time.
 * @returns {import('vite').Plugin}
 */
export function moduleOrder() {
  return {
    name: 'module-order',
    apply: 'build',
    enforce: 'post',
    generateBundle(_, bundle) {
      const imports = new Map([...this.getModuleIds()].map(id => [id, this.getModuleInfo(id)?.importedIds ?? []]));
      for (const chunk of Object.values(bundle)) {
        const file = bundle[`${chunk.fileName}.map`];
        if (chunk.type !== 'chunk' || file?.type !== 'asset') continue;
        const map = JSON.parse(String(file.source));
        const ids = map.sources.map((/** @type {string} */ source) => resolve(at('dist'), source));
        const result = reordered(chunk.code, map.mappings, ids, imports);
        if (!result) this.error('the bundle cannot be taken apart by modules: see partsOf in scripts/module-order.mjs');
        chunk.code = result.code;
        file.source = JSON.stringify({ ...map, mappings: result.mappings });
      }
    },
  };
}

/**
 * @param {string} code @param {string} mappings @param {string[]} ids of the map's sources
 * @param {Map<string, readonly string[]>} imports what each module imports
 */
export function reordered(code, mappings, ids, imports) {
  const segments = decode(code, mappings);
  const made = partsOf(code, segments, ids, imports);
  if (!made) return undefined;
  const { parts, from, to } = made;
  const order = search(parts, part => `${joined(code, part.pieces, []).code};`, code.slice(0, from), code.slice(to));
  const edge = (/** @type {number} */ start, /** @type {number} */ end) => ({ start, end, keyword: '' });
  const pieces = order.flatMap(i => parts[i]?.pieces ?? []);
  const result = joined(code, [edge(0, from), ...pieces, edge(to, code.length)], segments);
  return { code: result.code, mappings: encode(result.code, result.segments) };
}

/**
 * The parts of a bundle, in their order, and where they begin and end. Undefined where they cannot be told apart: where one
 * holds code of a module that its own does not import, directly or through others.
 * @param {string} code @param {import('./source-map.mjs').Segment[]} segments @param {string[]} ids of the sources
 * @param {Map<string, readonly string[]>} imports
 */
function partsOf(code, segments, ids, imports) {
  /** @type {Map<string, Set<string>>} */
  const known = new Map();
  const reach = (/** @type {string} */ id) => {
    const found = known.get(id);
    if (found) return found;
    const all = new Set([id]);
    known.set(id, all);
    for (const next of imports.get(id) ?? []) for (const each of reach(next)) all.add(each);
    return all;
  };
  /** @type {Map<string, Piece[]>} */
  const parts = new Map();
  let [from, to, next, id] = [0, code.length, 0, ''];
  const body = /** @type {any[]} */ (parseSync('bundle.js', code).program.body);
  for (const node of body) {
    if (node.type === 'ImportDeclaration') {
      if (parts.size > 0) return undefined;
      from = node.end;
    } else if (node.type.startsWith('Export')) {
      to = Math.min(to, node.start);
    } else {
      if (to < code.length) return undefined;
      const isVariables = node.type === 'VariableDeclaration';
      for (const { start, end } of isVariables ? node.declarations : [node]) {
        /** @type {Set<string>} */
        const own = new Set();
        for (; (segments[next]?.at ?? end) < end; next++) {
          const source = segments[next]?.origin[0];
          if (source !== undefined && (segments[next]?.at ?? 0) >= start) own.add(ids[source] ?? '');
        }
        id = [...own].find(each => [...own].every(other => reach(each).has(other))) ?? (own.size > 0 ? '' : id);
        if (!id) return undefined;
        parts.set(id, [...(parts.get(id) ?? []), { start, end, keyword: isVariables ? node.kind : '' }]);
      }
    }
  }
  const places = [...parts.keys()];
  const made = places.map(each => ({
    pieces: parts.get(each) ?? [],
    needs: new Set(places.flatMap((other, i) => (other !== each && reach(each).has(other) ? [i] : []))),
  }));
  const inOrder = made.every(({ needs }, i) => [...needs].every(other => other < i));
  return inOrder ? { parts: made, from, to } : undefined;
}

/** The code of pieces one behind the other, and the segments where they then are. @param {string} code @param {Piece[]} pieces @param {import('./source-map.mjs').Segment[]} segments */
function joined(code, pieces, segments) {
  let text = '';
  let last = '';
  /** @type {import('./source-map.mjs').Segment[]} */
  const moved = [];
  for (const [i, { start, end, keyword }] of pieces.entries()) {
    const piece = code.slice(start, end);
    if (!piece) continue;
    if (keyword && keyword === last) text += ',';
    else {
      if (last) text += ';';
      if (keyword) text += `${keyword} `;
    }
    last = keyword;
    // The first segment that is not before the piece.
    let [low, high] = [0, segments.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((segments[middle]?.at ?? 0) < start) low = middle + 1;
      else high = middle;
    }
    for (; (segments[low]?.at ?? end) < end; low++) {
      const segment = segments[low];
      if (segment) moved.push({ at: text.length + segment.at - start, origin: segment.origin });
    }
    text += piece;
    // Whatever comes next has to know the end of a statement that has no brace.
    if (!keyword && i < pieces.length - 1 && !/[;}]$/.test(piece)) text += ';';
  }
  return { code: text, segments: moved };
}

/** Numbers in [0, 1), the same every time (mulberry32). */
function random(seed = 1) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Takes a few neighbours and puts them elsewhere, behind what they need and before what needs them; where the whole is smaller
 * then, it stays so.
 * @param {Part[]} parts @param {(part: Part) => string} textOf @param {string} before @param {string} after
 */
function search(parts, textOf, before, after) {
  const texts = parts.map(textOf);
  const size = (/** @type {number[]} */ order) =>
    gzipSync(before + order.map(i => texts[i]).join('') + after, { level: 9 }).length;
  const next = random();
  let order = parts.map((_, i) => i);
  let least = size(order);
  for (let tries = 0; tries < TRIES; tries++) {
    const length = 1 + Math.floor(next() * next() * 6);
    const from = Math.floor(next() * (order.length - length + 1));
    const block = order.slice(from, from + length);
    const rest = order.filter(i => !block.includes(i));
    const first = rest.findLastIndex(other => block.some(i => parts[i]?.needs.has(other))) + 1;
    const user = rest.findIndex(other => block.some(i => parts[other]?.needs.has(i)));
    const place = first + Math.floor(next() * ((user < 0 ? rest.length : user) - first + 1));
    const other = [...rest.slice(0, place), ...block, ...rest.slice(place)];
    const bytes = size(other);
    if (bytes >= least) continue;
    [order, least] = [other, bytes];
  }
  return order;
}
