import { type AlignedText, transform } from './aligned-text.ts';

export type UnicodeForm = 'NFC' | 'NFD' | 'NFKC' | 'NFKD';

/** A character of a decomposed text, and how it came about: see transform. */
interface Part {
  readonly character: string;
  readonly change: number;
}

/** A Unicode normalisation form (UAX #15), aligned as the Rust crate unicode-normalization-alignments does. */
export function normalizeForm(source: AlignedText, form: UnicodeForm): AlignedText {
  const isLong = longRun.test(source.text);
  if (!isLong && source.text.normalize(form) === source.text) return source;
  const parts = decomposed(source.text, form.includes('K') ? 'NFKD' : 'NFD');
  // Marks that are in order already are normalised in linear time.
  const normal = (isLong ? parts.map(({ character }) => character).join('') : source.text).normalize(form);
  if (normal === source.text) return source;
  const taken = new Uint8Array(parts.length);
  let used = 0;
  // A mark that is composed may stand behind others of its run that are not: the first unused equal one is the right one.
  const take = (character: string): number => {
    let found = used;
    while (taken[found] || parts[found]!.character !== character) found++;
    taken[found] = 1;
    while (taken[used]) used++;
    return parts[found]!.change;
  };
  const characters = [...normal];
  // A character that is composed replaces and swallows what all of its parts did.
  const changes = characters.map(character =>
    parts[used]!.character === character
      ? take(character)
      : Array.from(character.normalize('NFD'), take).reduce((change, swallowed) => change + swallowed - 1),
  );
  return transform(source, characters, changes);
}

/** The characters of a text decomposed, in canonical order; equal marks keep theirs. */
function decomposed(text: string, form: 'NFD' | 'NFKD'): Part[] {
  const parts: Part[] = [];
  /** Where the last run of marks begins, and whether all of it is in order. */
  let start = 0;
  let isOrdered = true;
  const order = () => {
    if (isOrdered) return;
    // The sort is stable and merges runs that are in order, so n marks take n log n looks.
    const run = parts.slice(start).sort((a, b) => orderOf(a.character, b.character));
    for (let i = 0; i < run.length; i++) parts[start + i] = run[i]!;
  };
  for (const original of text) {
    let change = 0;
    for (const character of decomposition(original, form)) {
      const part = { character, change };
      change = 1;
      if (character >= '\u0300' && isReordered(character)) {
        if (parts.length > start && orderOf(parts.at(-1)!.character, character) > 0) isOrdered = false;
        parts.push(part);
      } else {
        order();
        parts.push(part);
        start = parts.length;
        isOrdered = true;
      }
    }
  }
  order();
  return parts;
}

/** What is kept of what characters are, at most: more than a text of a few scripts has. */
const MOST_KEPT = 10_000;

/** A function of characters that remembers what it gave. */
function remembered<T>(of: (character: string) => T): (character: string) => T {
  const known = new Map<string, T>();
  return character => {
    let value = known.get(character);
    if (value === undefined) {
      value = of(character);
      if (known.size >= MOST_KEPT) known.clear();
      known.set(character, value);
    }
    return value;
  };
}

const decompositions = {
  NFD: remembered(character => [...character.normalize('NFD')]),
  NFKD: remembered(character => [...character.normalize('NFKD')]),
};

const decomposition = (character: string, form: 'NFD' | 'NFKD'): readonly string[] =>
  character < '\x80' ? [character] : decompositions[form](character);

/**
 * A run of marks that is long enough for engines to take noticeably longer: they insert a mark that is out of order into
 * its run one by one, which takes the square of the run's length. The two of half width become marks by decomposition.
 */
export const longRun = /[\p{M}\uff9e\uff9f]{64}/u;

/** The marks of the lowest and of the greatest combining class: any mark changes places with one of them. */
const LOWEST = '\u0334';
const GREATEST = '\u0345';

/** Whether two decomposed characters, the first before the second, change places in canonical order. */
const swaps = (first: string, second: string) => (first + second).normalize('NFD') !== first + second;

/** Whether a decomposed character is of a combining class other than 0, so that others may change places with it. */
const isReordered = remembered(character => swaps(character, LOWEST) || swaps(GREATEST, character));

const orders = new Map<number, number>();

/** The order of two marks by their combining class, which JavaScript does not tell: engines swap those that are out of order. */
function orderOf(a: string, b: string): number {
  if (a === b) return 0;
  const pair = a.codePointAt(0)! * 2 ** 21 + b.codePointAt(0)!;
  let known = orders.get(pair);
  if (known === undefined) {
    known = swaps(a, b) ? 1 : swaps(b, a) ? -1 : 0;
    if (orders.size >= MOST_KEPT) orders.clear();
    orders.set(pair, known);
  }
  return known;
}
