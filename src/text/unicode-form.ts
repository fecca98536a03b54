import { type AlignedText, transform } from './aligned-text.ts';

export type UnicodeForm = 'NFC' | 'NFD' | 'NFKC' | 'NFKD';

/** A character of a decomposed text, and its `change` as `transform` takes it. */
interface Part {
  readonly character: string;
  readonly change: number;
}

/** A Unicode normalisation form (UAX #15), aligned as the Rust crate unicode-normalization-alignments does. */
export function normalizeForm(source: AlignedText, form: UnicodeForm): AlignedText {
  const isLong = longRun.test(source.text);
  if (!isLong && source.text.normalize(form) === source.text) return source;
  const parts = decomposed(source.text, form.includes('K') ? 'NFKD' : 'NFD');
  // Engines normalise marks that are in order already in linear time.
  const normal = (isLong ? parts.map(({ character }) => character).join('') : source.text).normalize(form);
  if (normal === source.text) return source;
  const taken = new Uint8Array(parts.length);
  let firstFree = 0;
  // A mark that is composed may stand behind other marks that are not. So the first equal one that is not taken yet is the right one.
  const take = (character: string): number => {
    let index = firstFree;
    while (taken[index] || parts[index]!.character !== character) index++;
    taken[index] = 1;
    while (taken[firstFree]) firstFree++;
    return parts[index]!.change;
  };
  const characters = [...normal];
  // A composed character replaces and swallows all that its parts did.
  const changes = characters.map(character =>
    parts[firstFree]!.character === character
      ? take(character)
      : Array.from(character.normalize('NFD'), take).reduce((change, swallowed) => change + swallowed - 1),
  );
  return transform(source, characters, changes);
}

/** The characters of a text decomposed, in canonical order. Equal marks keep their order. */
function decomposed(text: string, form: 'NFD' | 'NFKD'): Part[] {
  const parts: Part[] = [];
  /** Where the last run of marks begins. */
  let start = 0;
  /** Whether the last run is in canonical order. */
  let isOrdered = true;
  const orderRun = () => {
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
        orderRun();
        parts.push(part);
        start = parts.length;
        isOrdered = true;
      }
    }
  }
  orderRun();
  return parts;
}

/** The size of each cache: more characters than a text in a few scripts has. */
const CACHE_SIZE = 10_000;

/** A function of characters with a cache of its results. */
function cached<T>(compute: (character: string) => T): (character: string) => T {
  const cache = new Map<string, T>();
  return character => {
    let value = cache.get(character);
    if (value === undefined) {
      value = compute(character);
      if (cache.size >= CACHE_SIZE) cache.clear();
      cache.set(character, value);
    }
    return value;
  };
}

const decompositions = {
  NFD: cached(character => [...character.normalize('NFD')]),
  NFKD: cached(character => [...character.normalize('NFKD')]),
};

const decomposition = (character: string, form: 'NFD' | 'NFKD'): readonly string[] =>
  character < '\x80' ? [character] : decompositions[form](character);

/**
 * A run of marks that is so long that engines get slow: they insert each mark that is out of order into its run, which takes the square
 * of the run's length. U+FF9E and U+FF9F become marks when they are decomposed.
 */
export const longRun = /[\p{M}\uff9e\uff9f]{64}/u;

/** The marks of the lowest and of the greatest combining class. Every other mark changes places with one of them. */
const LOWEST = '\u0334';
const GREATEST = '\u0345';

/** Whether two decomposed characters, written one behind the other, change places in canonical order. */
const swaps = (first: string, second: string) => (first + second).normalize('NFD') !== first + second;

/** Whether a decomposed character is of a combining class other than 0, so that others may change places with it. */
const isReordered = cached(character => swaps(character, LOWEST) || swaps(GREATEST, character));

/** The results of orderOf by pairs of code points: a * 2^21 + b. */
const orders = new Map<number, number>();

/**
 * Compares two marks by their combining class. JavaScript does not give the class, but its engines swap marks that are out of order.
 */
function orderOf(a: string, b: string): number {
  if (a === b) return 0;
  const pair = a.codePointAt(0)! * 2 ** 21 + b.codePointAt(0)!;
  let order = orders.get(pair);
  if (order === undefined) {
    order = swaps(a, b) ? 1 : swaps(b, a) ? -1 : 0;
    if (orders.size >= CACHE_SIZE) orders.clear();
    orders.set(pair, order);
  }
  return order;
}
