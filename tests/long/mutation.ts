/** Seeded damage of the files of a model: of their JSON by its structure, and of their bytes. */
import { withHeader } from '../checkpoint-bytes.ts';

/** A whole number from 0 to below `limit`. */
export type Dice = (limit: number) => number;

/** Places of a JSON text: what may be cut, replaced or swapped. */
export interface JsonMap {
  readonly text: string;
  readonly values: readonly Span[];
  /** Entries of objects with their keys, and elements of lists; those of one container share `container`. */
  readonly members: readonly (Span & { readonly container: number; readonly key: Span | undefined })[];
}

interface Span {
  readonly start: number;
  readonly end: number;
  /** How many containers are around it. */
  readonly depth: number;
}

/** One change of a text, and what it is, for the report. */
interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  readonly what: string;
  /** Whether the JSON still says the same. */
  readonly neutral: boolean;
}

/** The places of a text that is valid JSON. */
export function mapJson(text: string): JsonMap {
  const values: Span[] = [];
  const members: (Span & { container: number; key: Span | undefined })[] = [];
  const tokens = [...text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g)];
  let at = 0;
  let containers = 0;
  const take = () => tokens[at++]!;
  const value = (depth: number): Span => {
    const first = take();
    let end = first.index + first[0].length;
    if (first[0] === '{' || first[0] === '[') {
      const container = containers++;
      const closes = first[0] === '{' ? '}' : ']';
      while (tokens[at]![0] !== closes) {
        if (tokens[at]![0] === ',') at++;
        let key: Span | undefined;
        if (closes === '}') {
          const name = take();
          key = { start: name.index, end: name.index + name[0].length, depth: depth + 1 };
          at++;
        }
        const inner = value(depth + 1);
        members.push({ start: key?.start ?? inner.start, end: inner.end, depth: depth + 1, container, key });
      }
      const last = take();
      end = last.index + 1;
    }
    const span = { start: first.index, end, depth };
    values.push(span);
    return span;
  };
  value(0);
  return { text, values, members };
}

const nested = (depth: number, open: string, close: string) => open.repeat(depth) + close.repeat(depth);

/** JSON, or nearly so, that may stand in the place of any value. */
const EDGES: readonly (string | (() => string))[] = [
  ...[
    '0',
    '-0',
    '-1',
    '1',
    '2',
    '1.5',
    '127',
    '128',
    '255',
    '65536',
    '1e9',
    '1e12',
    '1e15',
    '1e308',
    '1e400',
    '-1e400',
  ],
  ...['2147483647', '2147483648', '4000000000', '4294967295', '4294967296', '67108864', '67108865', '1125899906842624'],
  ...['9007199254740991', '9007199254740993', '18446744073709551615', 'NaN', 'Infinity', '1e-400'],
  ...['null', 'true', 'false', '[]', '{}', '[null]', '[0]', '[[0]]', '{"a":0}', '[1,2,3]'],
  ...[
    '""',
    '"0"',
    '"1"',
    '"12"',
    '"a"',
    '" "',
    '"Sequence"',
    '"\\u0000"',
    '"\\ud800"',
    '"\\udc00x"',
    '"e\\u0301"',
    '"\\u212a"',
  ],
  ...['{"toString":1,"valueOf":2}', '{"__proto__":{"type":"NFC"}}', '{"constructor":null}', '{"length":1e9}'],
  ...['{"type":"Sequence","normalizers":[]}', '{"type":"toString"}', '{"type":"Lowercase"}', '{"type":"Split"}'],
  () => nested(100_000, '[', ']'),
  () => `${'{"a":'.repeat(100_000)}0${'}'.repeat(100_000)}`,
  () => `${'{"type":"Sequence","normalizers":['.repeat(5000)}${']}'.repeat(5000)}`,
  () => `${'{"type":"Sequence","pretokenizers":['.repeat(5000)}${']}'.repeat(5000)}`,
  () => `"${'a'.repeat(100_000)}"`,
  () => `"${'e\\u0301\\u0327'.repeat(10_000)}"`,
  () => `[${'0,'.repeat(150_000)}0]`,
  () => `[${'"a",'.repeat(50_000)}"a"]`,
  () => `{${Array.from({ length: 20_000 }, (_, i) => `"${i}":"L${i}"`).join()}}`,
];
const KEYS = [
  '__proto__',
  'constructor',
  'toString',
  'length',
  '',
  '0',
  '-1',
  '4294967295',
  'type',
  'weight\\u0000',
  '\\u212a',
];

const pick = <T>(dice: Dice, list: readonly T[]): T => list[dice(list.length)]!;

/** A place, as often near the top as anywhere: a vocabulary has most of them. */
function place<T extends Span>(dice: Dice, spans: readonly T[]): T {
  if (dice(2) === 0) return pick(dice, spans);
  const top = spans.filter(({ depth }) => depth > 0 && depth < 3);
  const few = top.filter((_, i) => i % Math.ceil(top.length / 64) === 0);
  return pick(dice, few.length > 0 ? few : spans);
}

/** `other` is a map of a file of the same kind, from which values are taken. */
function editJson(dice: Dice, { text, values, members }: JsonMap, other: JsonMap): Edit {
  const value = place(dice, values);
  const old = text.slice(value.start, value.end);
  const at = (span: Span, by: string, what: string, neutral = false): Edit => ({
    ...span,
    text: by,
    what: `${what} at ${span.start}: ${text.slice(span.start, span.end).slice(0, 40)} -> ${by.slice(0, 40)}`,
    neutral,
  });
  const edge = () => {
    const chosen = pick(dice, EDGES);
    return typeof chosen === 'string' ? chosen : chosen();
  };
  const member = members.length > 0 ? place(dice, members) : undefined;
  switch (dice(14)) {
    case 0:
    case 1:
    case 2:
      return at(value, edge(), 'edge value');
    case 3: {
      // A number that is another one; what is no number gets its text as a string.
      const number = Number(old);
      if (Number.isNaN(number)) return at(value, JSON.stringify(old.slice(0, 1000)), 'as a string');
      return at(
        value,
        String(pick(dice, [number + 1, number - 1, 2 * number, -number, number / 3, 10 ** dice(20)])),
        'number',
      );
    }
    case 4: {
      const from = pick(dice, other.values);
      return at(value, other.text.slice(from.start, Math.min(from.end, from.start + 50_000)), 'value of another place');
    }
    case 5:
      if (!member) return at(value, 'null', 'null');
      // With the comma before or behind it.
      if (text[member.end] === ',') return at({ ...member, end: member.end + 1 }, '', 'deleted');
      return at({ ...member, start: text.lastIndexOf(',', member.start) + 1 || member.start }, '', 'deleted');
    case 6:
      if (!member) return at(value, `[${old}]`, 'in a list');
      return at({ ...member, start: member.end }, `,${text.slice(member.start, member.end)}`, 'twice');
    case 7:
      if (!member?.key) return at(value, `[${old}]`, 'in a list');
      return at(member.key, `"${pick(dice, KEYS)}"`, 'key');
    case 8: {
      const key = member?.key && pick(dice, members).key;
      if (!member?.key || !key) return at(value, `{"a":${old}}`, 'in an object');
      return at(member.key, text.slice(key.start, key.end), 'key of another place');
    }
    case 9: {
      if (old[0] !== '"' || old.length < 3) return at(value, edge(), 'edge value');
      const cut = 1 + dice(old.length - 2);
      const odd = pick(dice, [
        '\\u0301',
        '\\u200b',
        '\\ud83d',
        '\\u0000',
        ' ',
        '\\\\',
        'a'.repeat(1000),
        '\\ufeff',
        '(',
        '[',
        '\\u2581',
      ]);
      return at(value, `${old.slice(0, cut)}${odd}${old.slice(cut)}`, 'in a string');
    }
    case 10: {
      // Two neighbours change places: of an object this says the same.
      const i = dice(Math.max(1, members.length - 1));
      const [a, b] = [members[i], members[i + 1]];
      if (!a?.key || !b?.key || a.container !== b.container || a.end > b.start)
        return at(value, ` ${old}\n`, 'space', true);
      const between = text.slice(a.end, b.start);
      const by = text.slice(b.start, b.end) + between + text.slice(a.start, a.end);
      return at({ ...a, end: b.end }, by, 'neighbours', true);
    }
    case 11: {
      if (!/^"[ -!#-[\]-~]+"$/.test(old)) return at(value, `\t${old} `, 'space', true);
      const escaped = Array.from(old.slice(1, -1), c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
      return at(value, `"${escaped}"`, 'escapes', true);
    }
    case 12: {
      const start = dice(text.length);
      return { start, end: text.length, text: '', what: `truncated at ${start}`, neutral: false };
    }
    default: {
      const start = dice(text.length);
      const end = Math.min(text.length, start + dice(4));
      const by = Array.from({ length: dice(4) }, () => String.fromCharCode(dice(128))).join('');
      return at({ start, end, depth: 0 }, by, 'characters');
    }
  }
}

export interface Mutated {
  readonly text: string;
  readonly neutral: boolean;
  readonly what: readonly string[];
}

/** A JSON text with a few edits that do not overlap. */
export function mutateJson(dice: Dice, map: JsonMap, other: JsonMap): Mutated {
  const edits: Edit[] = [];
  for (let left = 1 + dice(3) * dice(2); left > 0; left--) {
    const edit = editJson(dice, map, other);
    if (edits.every(({ start, end }) => edit.end <= start || edit.start >= end)) edits.push(edit);
  }
  edits.sort((a, b) => b.start - a.start);
  const text = edits.reduce((done, { start, end, text }) => done.slice(0, start) + text + done.slice(end), map.text);
  return { text, neutral: edits.every(({ neutral }) => neutral), what: edits.map(({ what }) => what) };
}

const LENGTHS = [
  0n,
  1n,
  7n,
  8n,
  100_000_000n,
  100_000_001n,
  1n << 31n,
  1n << 32n,
  1n << 50n,
  (1n << 53n) - 1n,
  1n << 53n,
  1n << 63n,
  (1n << 64n) - 1n,
];

/** A safetensors file with another header, length or body. */
export function mutateSafetensors(dice: Dice, header: JsonMap, body: Uint8Array, other: JsonMap) {
  const bytes = (by: Uint8Array, what: string, neutral = false) => ({ bytes: by, what: [what], neutral });
  const whole = () => withHeader(header.text, body);
  switch (dice(8)) {
    case 0: {
      const file = whole();
      const length = pick(dice, [
        ...LENGTHS,
        BigInt(header.text.length + dice(40) - 20),
        BigInt(file.length - dice(20)),
      ]);
      const real = new DataView(file.buffer).getBigUint64(0, true);
      new DataView(file.buffer).setBigUint64(0, length < 0n ? 0n : length, true);
      return bytes(file, `length of the header ${length}`, length === real);
    }
    case 1: {
      const file = whole();
      const length = dice(file.length);
      return bytes(file.slice(0, length), `the first ${length} bytes`);
    }
    case 2:
      return bytes(Buffer.concat([whole(), Uint8Array.of(dice(256))]), 'a byte more');
    case 3: {
      const file = whole();
      const places = Array.from({ length: 1 + dice(4) }, () => dice(Math.min(file.length, 8 + header.text.length)));
      for (const at of places) file[at]! ^= 1 << dice(8);
      return bytes(file, `bits of the bytes ${places}`);
    }
    case 4:
      return bytes(withHeader(`${header.text}${' '.repeat(dice(100))}`, body), 'padding', true);
    default: {
      const { text, neutral, what } = mutateJson(dice, header, other);
      return { bytes: withHeader(text, body), what, neutral };
    }
  }
}

/** Any bytes: some flipped, cut out, or put in from elsewhere. */
export function mutateBytes(dice: Dice, bytes: Uint8Array, other: Uint8Array) {
  const at = dice(bytes.length);
  const length = 1 + dice(64);
  switch (dice(3)) {
    case 0: {
      const flipped = bytes.slice();
      for (let left = 1 + dice(8); left > 0; left--) flipped[dice(flipped.length)] = dice(256);
      return { bytes: flipped, what: ['bytes changed'] };
    }
    case 1:
      return {
        bytes: Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]),
        what: [`${length} bytes cut out at ${at}`],
      };
    default: {
      const from = dice(other.length);
      const parts = [bytes.subarray(0, at), other.subarray(from, from + length), bytes.subarray(at)];
      return { bytes: Buffer.concat(parts), what: [`${length} bytes put in at ${at}`] };
    }
  }
}
