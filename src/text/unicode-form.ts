import type { AlignedText } from './aligned-text.ts';

export type UnicodeForm = 'NFC' | 'NFD' | 'NFKC' | 'NFKD';

/** How a character of the new text came about: see AlignedText.transform. */
interface Change {
  character: string;
  change: number;
}

/** A Unicode normalisation form (UAX #15), aligned as the Rust crate unicode-normalization-alignments does. */
export function normalizeForm(source: AlignedText, form: UnicodeForm): AlignedText {
  const normal = source.text.normalize(form);
  if (normal === source.text) return source;
  const changes = decompose(source.text, form.includes('K') ? 'NFKD' : 'NFD');
  const result = form.endsWith('C') ? compose(changes) : changes;
  return source.transform(
    result.map(({ character }) => character),
    result.map(({ change }) => change),
  );
}

/** Every character's decomposition, then the canonical order of marks, each keeping how it came about. */
function decompose(text: string, form: 'NFD' | 'NFKD'): Change[] {
  const parts: Change[] = [];
  for (const original of text) {
    let change = 0;
    for (const character of original.normalize(form)) {
      parts.push({ character, change });
      change = 1;
    }
  }
  // The order of the whole text is known; equal marks keep theirs, so the first unused equal one is the right one.
  let index = 0;
  for (const character of text.normalize(form)) {
    let found = index;
    while (parts[found]!.character !== character) found++;
    if (found > index) parts.splice(index, 0, ...parts.splice(found, 1));
    index++;
  }
  return parts;
}

/** The canonical composition algorithm over decomposed text; without tables, by asking String.normalize about pairs. */
function compose(parts: readonly Change[]): Change[] {
  const result: Change[] = [];
  let starter: Change | undefined;
  let pending: Change[] = [];
  const flush = () => {
    if (starter !== undefined) result.push(starter, ...pending);
    pending = [];
  };
  for (const part of parts) {
    const isStarter = !hasCombiningClass(part.character);
    const mark = pending.at(-1);
    const blocked = mark !== undefined && (isStarter || haveSameClass(mark.character, part.character));
    const composed = starter && !blocked ? composePair(starter.character, part.character) : undefined;
    if (starter !== undefined && composed !== undefined) {
      starter = { character: composed, change: starter.change + part.change - 1 };
    } else if (isStarter) {
      flush();
      starter = part;
    } else if (starter === undefined) {
      result.push(part);
    } else {
      pending.push(part);
    }
  }
  flush();
  return result;
}

/** Whether the combining class is other than 0: such marks change places with one of class 240 or of class 1. */
function hasCombiningClass(character: string): boolean {
  if (character < '\u0300' || !/\p{M}/u.test(character)) return false;
  return [`\u0345${character}`, `${character}\u0334`].some(pair => pair.normalize('NFD') !== pair);
}

/** Whether two marks that stand in canonical order are of one combining class. */
function haveSameClass(first: string, second: string): boolean {
  return (second + first).normalize('NFD') === second + first;
}

function composePair(first: string, second: string): string | undefined {
  if (second < '\u0300') return undefined;
  const pair = (first + second).normalize('NFC');
  return pair.length === String.fromCodePoint(pair.codePointAt(0)!).length ? pair : undefined;
}
