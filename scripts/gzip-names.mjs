import { gzipSync } from 'node:zlib';
import { analyze } from 'eslint-scope';
import { minifySync, parseSync } from 'vite';

/** Rounds that are guided by counts of what repeats: a second or two each. */
const ROUNDS = 4;
/** Rounds after them in which gzip has the last word. */
const GZIP_ROUNDS = 2;
/** What gzip is not asked about: of moves that lose as much by the counts, one in a hundred was good. */
const HOPELESS = -6;
const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_$';
/** The most variables that give way to one at once. */
const GIVE_WAY = 4;

/**
 * Gives the variables of the finished bundle names that compress better. A minifier hands out the shortest names by how often a
 * variable is used, so two functions that do alike things rarely read alike. Here variables with a name of one letter take
 * another, or exchange theirs, so that more of the text repeats. The search takes the same steps every time, nothing in the file moves,
 * and in the end it is proved to be the same program.
 * @returns {import('vite').Plugin}
 */
export function gzipNames() {
  return {
    name: 'gzip-names',
    apply: 'build',
    enforce: 'post',
    generateBundle(_, bundle) {
      for (const chunk of Object.values(bundle)) if (chunk.type === 'chunk') chunk.code = renamed(chunk.code);
    },
  };
}

/** @param {string} code of a module @returns {string} the same, with other names of variables */
export function renamed(code) {
  const found = variablesOf(code);
  const bytes = Buffer.from(code);
  const search = createSearch(bytes, choicesOf(code, found));
  for (let round = 0; round < ROUNDS; round++) search.byCounts();
  for (let round = 0; round < GZIP_ROUNDS; round++) search.byGzip();
  const result = bytes.toString();
  if (nameless(result) !== nameless(code)) throw new Error('gzip-names: a name does not mean what it meant');
  return result;
}

/**
 * What is the same for programs that differ in the names of their variables alone: their code with the names that rolldown's minifier
 * gives, which knows nothing of the analysis below. @param {string} code
 */
function nameless(code) {
  // Without this the parser takes two declarations of one name.
  const { errors } = parseSync('bundle.js', code, { showSemanticErrors: true });
  if (errors[0]) throw new Error(`gzip-names: ${errors[0].message}`);
  return minifySync('bundle.js', code, { module: true, compress: false, mangle: { toplevel: true } }).code;
}

/**
 * @typedef {object} Variable
 * @property {string} name
 * @property {Set<number>} places where it stands in the text
 * @property {Set<number>} home the scopes that declare it: a class declares its name twice
 * @property {Set<number>} reach the scopes in which it must be seen: from each of its places up to its home
 */

/**
 * The variables of a module, and for each name that it does not declare (a global) the scopes in which that must be seen.
 * @param {string} code
 */
function variablesOf(code) {
  const program = /** @type {any} */ (parseSync('bundle.js', code, { range: true }).program);
  const { scopes } = analyze(program, { ecmaVersion: 2022, sourceType: 'module' });
  const numbers = new Map(scopes.map((scope, i) => [scope, i]));
  const number = (/** @type {import('eslint-scope').Scope} */ scope) => numbers.get(scope) ?? -1;
  /** @param {Set<number>} reach @param {import('eslint-scope').Scope | undefined} from @param {import('eslint-scope').Scope | null} to */
  const widen = (reach, from, to) => {
    for (let scope = from ?? null; scope; scope = scope === to ? null : scope.upper) reach.add(number(scope));
  };
  const startOf = (/** @type {any} */ node) => /** @type {number} */ (node.range[0]);
  /** @type {Map<string, Set<number>>} */
  const globals = new Map();
  /** @type {Map<number, Variable>} */
  const byPlace = new Map();
  for (const scope of scopes) {
    for (const { identifier, resolved } of scope.references) {
      if (resolved) continue;
      const reach = globals.get(identifier.name) ?? new Set();
      globals.set(identifier.name, reach);
      widen(reach, scope, null);
    }
    // Nobody declares `arguments`.
    for (const { name, identifiers, references, defs } of scope.variables.filter(each => each.identifiers.length > 0)) {
      const places = [...identifiers, ...references.map(({ identifier }) => identifier)].map(startOf);
      const known = places.map(place => byPlace.get(place)).find(Boolean);
      const variable = known ?? { name, places: new Set(), home: new Set(), reach: new Set() };
      variable.home.add(number(scope));
      widen(variable.reach, scope, scope);
      for (const { from } of references) widen(variable.reach, from, scope);
      if (scope.type === 'catch') {
        // What a catch declares for its parameter, its body must not declare again.
        for (const inner of scope.childScopes)
          if (inner.block === /** @type {any} */ (scope.block).body) variable.reach.add(number(inner));
      }
      for (const { type, name: node, parent } of defs) {
        if (type !== 'Variable' || parent?.kind !== 'var') continue;
        // A `var` in a block is seen in the blocks around it, too.
        const place = startOf(node);
        const around = scopes.findLast(({ block: { range } }) => range && range[0] <= place && place < range[1]);
        widen(variable.reach, around, scope);
      }
      for (const place of places) {
        variable.places.add(place);
        byPlace.set(place, variable);
      }
    }
  }
  if (globals.has('eval')) throw new Error('gzip-names: eval could see any name');
  return { variables: [...new Set(byPlace.values())], globals, shorthands: shorthandsOf(program) };
}

/** Where a variable's name is the name of a property or of an export, too. @param {any} program */
function shorthandsOf(program) {
  /** @type {Set<number>} */
  const places = new Set();
  const walk = (/** @type {any} */ node) => {
    if (typeof node !== 'object' || node === null) return;
    if (node.type === 'Property' && node.shorthand) places.add(node.range[0]);
    if (/^(Im|Ex)portSpecifier$/.test(node.type)) {
      if ((node.imported ?? node.exported).range[0] === node.local.range[0]) places.add(node.local.range[0]);
    }
    if (node.type === 'ExportNamedDeclaration' && node.declaration) {
      throw new Error('gzip-names: an export is declared where it is exported, not listed at the end');
    }
    for (const child of Object.values(node)) walk(child);
  };
  walk(program);
  return places;
}

/**
 * @typedef {object} Choice a variable that may be renamed
 * @property {string} name that it has now
 * @property {number[]} places in order, in bytes
 * @property {Set<Choice>} apart the variables that must not have its name
 * @property {Set<string>} taken names that it must not have
 */

/**
 * The variables whose names have one letter: of longer ones there is little to gain, and it takes long.
 * @param {string} code @param {ReturnType<typeof variablesOf>} found @returns {Choice[]} the most used first
 */
function choicesOf(code, { variables, globals, shorthands }) {
  /** @type {Map<Variable, Choice>} */
  const choices = new Map();
  for (const variable of variables) {
    const { name, places } = variable;
    if (name.length > 1 || !LETTERS.includes(name) || [...places].some(place => shorthands.has(place))) continue;
    const bytes = [...places].sort((a, b) => a - b).map(place => Buffer.byteLength(code.slice(0, place)));
    choices.set(variable, { name, places: bytes, apart: new Set(), taken: new Set() });
  }
  /** @type {Map<number, Variable[]>} */
  const seenIn = new Map();
  for (const variable of variables) {
    for (const scope of variable.reach) seenIn.set(scope, [...(seenIn.get(scope) ?? []), variable]);
  }
  for (const variable of variables) {
    const choice = choices.get(variable);
    // Who is seen where this one is declared would mean this one, if they had one name.
    for (const other of [...variable.home].flatMap(scope => seenIn.get(scope) ?? [])) {
      if (other === variable) continue;
      const one = choices.get(other);
      if (choice && one) {
        choice.apart.add(one);
        one.apart.add(choice);
      } else {
        choice?.taken.add(other.name);
        one?.taken.add(variable.name);
      }
    }
    for (const [name, reach] of globals) {
      if ([...variable.home].some(scope => reach.has(scope))) choice?.taken.add(name);
    }
  }
  return [...choices.values()].sort(
    (a, b) => b.places.length - a.places.length || (a.places[0] ?? 0) - (b.places[0] ?? 0),
  );
}

/** Lengths of the stretches of text that are counted. */
const LENGTHS = [3, 4, 5, 6, 7, 8];
/** As many entries has the table of each length. */
const TABLE = 1 << 20;

/**
 * How often each stretch of 3 to 8 bytes stands in a text. What gzip saves is what repeats, so a name is good where the stretches
 * around its places stand elsewhere, too.
 * @param {Uint8Array} text which may change where its stretches are not counted
 */
function createCounts(text) {
  const counts = LENGTHS.map(() => new Int16Array(TABLE));
  const worth = Float64Array.from({ length: 1024 }, (_, count) => (count > 0 ? 1 + Math.log2(count) / 4 : 0));
  // A stretch's hash is a polynomial of its bytes, so the next one's follows from it.
  const FACTOR = 0x01000193;
  const leading = LENGTHS.map(length =>
    Array.from({ length }).reduce((/** @type {number} */ p) => Math.imul(p, FACTOR), 1),
  );
  /**
   * What the stretches that hold any of the places are worth, each once; then counts them in (1) or out (-1).
   * @param {readonly number[]} places in order @param {-1 | 0 | 1} [change]
   */
  return function around(places, change = 0) {
    let sum = 0;
    for (let i = 0; i < LENGTHS.length; i++) {
      const length = /** @type {number} */ (LENGTHS[i]);
      const table = /** @type {Int16Array} */ (counts[i]);
      const lead = /** @type {number} */ (leading[i]);
      let next = 0;
      for (const place of places) {
        const last = Math.min(place, text.length - length);
        const first = Math.max(place - length + 1, next);
        if (first > last) continue;
        let hash = 0;
        for (let j = 0; j < length; j++) hash = (Math.imul(hash, FACTOR) + /** @type {number} */ (text[first + j])) | 0;
        for (let at = first; ; at++) {
          const mixed = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
          const entry = (mixed ^ (mixed >>> 13)) & (TABLE - 1);
          const count = /** @type {number} */ (table[entry]);
          sum += /** @type {number} */ (worth[Math.min(count, 1023)]);
          table[entry] = count + change;
          if (at === last) break;
          const gone = /** @type {number} */ (text[at]);
          const come = /** @type {number} */ (text[at + length]);
          hash = (Math.imul(hash, FACTOR) + come - Math.imul(lead, gone)) | 0;
        }
        next = last + 1;
      }
    }
    return sum;
  };
}

/** @typedef {{ choice: Choice, to: string, others: Choice[], places: number[] }} Move the others get the name that `choice` has */

/** @param {Buffer} text which it changes @param {Choice[]} choices */
function createSearch(text, choices) {
  const around = createCounts(text);
  around([...text.keys()], 1);
  /** @param {Choice} choice @param {string} name */
  function write(choice, name) {
    for (const place of choice.places) text[place] = name.charCodeAt(0);
    choice.name = name;
  }

  /** @param {Move} move @returns {Move} the way back */
  function make({ choice, to, others, places }) {
    const from = choice.name;
    write(choice, to);
    for (const other of others) write(other, from);
    return { choice, to: from, others, places };
  }

  /** @param {Choice} choice @returns {Move[]} */
  function movesOf(choice) {
    const from = choice.name;
    /** @type {Map<string, Choice[]>} */
    const holders = new Map();
    for (const other of choice.apart) holders.set(other.name, [...(holders.get(other.name) ?? []), other]);
    return [...LETTERS].flatMap(to => {
      if (to === from || choice.taken.has(to)) return [];
      const others = holders.get(to) ?? [];
      const mayTake = (/** @type {Choice} */ { taken, apart }) =>
        !taken.has(from) && [...apart].every(each => each.name !== from || each === choice || others.includes(each));
      if (others.length > GIVE_WAY || !others.every(mayTake)) return [];
      const places = [choice, ...others].flatMap(each => each.places);
      return [{ choice, to, others, places: others.length > 0 ? places.sort((a, b) => a - b) : places }];
    });
  }

  /** How much more the repeats around each place of the move are worth after it. @param {Move} move @param {number} before */
  function gain(move, before) {
    const back = make(move);
    const after = around(move.places);
    make(back);
    return (after - before) / move.places.length;
  }

  /** The best move by the counts, and its gain. @param {Choice} choice */
  function best(choice) {
    const moves = movesOf(choice);
    around(choice.places, -1);
    const before = around(choice.places);
    const alone = moves.filter(({ others }) => others.length === 0).map(move => ({ move, gain: gain(move, before) }));
    around(choice.places, 1);
    const together = moves.filter(({ others }) => others.length > 0);
    const all = alone.concat(
      together.map(move => {
        around(move.places, -1);
        const result = { move, gain: gain(move, around(move.places)) };
        around(move.places, 1);
        return result;
      }),
    );
    return all.length > 0 ? all.reduce((a, b) => (b.gain > a.gain ? b : a)) : undefined;
  }

  /** @param {Move} move */
  function keep(move) {
    around(move.places, -1);
    const back = make(move);
    around(move.places, 1);
    return back;
  }

  return {
    byCounts() {
      for (const choice of choices) {
        const found = best(choice);
        if (found && found.gain > 0) keep(found.move);
      }
    },
    byGzip() {
      const size = () => gzipSync(text, { level: 9 }).length;
      let least = size();
      for (const choice of choices) {
        const found = best(choice);
        if (!found || found.gain < HOPELESS) continue;
        const back = keep(found.move);
        const bytes = size();
        if (bytes < least) least = bytes;
        else keep(back);
      }
    },
  };
}
