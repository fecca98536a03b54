import { Op, type Program } from './program.ts';

/** Finds all matches of a pattern in a text, from left to right; none overlaps another. */
export type Finder = (text: string) => Iterable<readonly [start: number, end: number]>;

/** The matches of a regular expression that is known to be linear. It is global. */
export const finderOf = (regExp: RegExp): Finder =>
  function* (text) {
    for (const { index, 0: match } of text.matchAll(regExp)) yield [index, index + match.length];
  };

/** The characters of a class; what was asked once is known. */
class Membership {
  readonly #regExp: RegExp;
  /** For each character of 16 bits: 0 where nobody asked, 1 for no, 2 for yes. */
  readonly #known = new Uint8Array(0x10000);

  constructor(source: string) {
    this.#regExp = new RegExp(source, 'v');
  }

  has(code: number): boolean {
    const known = this.#known[code];
    if (known) return known === 2;
    const is = this.#regExp.test(String.fromCodePoint(code));
    if (code < 0x10000) this.#known[code] = is ? 2 : 1;
    return is;
  }
}

/** What is kept of a run's stack; a longer one was one text's. */
const MOST_KEPT = 65_536;

/**
 * The matches of a program, in the order and with the ends that JavaScript's own machine finds (but for one in an empty text, or an
 * empty one right behind another), in time that grows with the length of the text, whatever the pattern.
 *
 * Both try one way after the other and turn back where one fails. What comes after an instruction at a place depends on these
 * two alone (there is no reference back, and no empty round: see compilePattern). So a split that has failed at a place fails there
 * again, from whichever start: it is remembered and not tried twice. Between two splits a way is no longer than the program. The
 * ways that do not fail make the matches, which do not overlap; those of an assertion end at the next split that once led
 * to its end, which is remembered too. Together that is at most the text's length times the program's.
 */
export function programFinder({ classes, looks, ...program }: Program): Finder {
  const ops = Uint8Array.from(program.ops);
  const first = Int32Array.from(program.first);
  const second = Int32Array.from(program.second);
  const members = classes.map(source => new Membership(source));
  /** The number of each split among the splits. */
  const splitOf: number[] = [];
  let splits = 0;
  for (const op of ops) splitOf.push(op === Op.split ? splits++ : -1);
  const hasLooks = looks.length > 0;
  let stack = new Int32Array(64);

  const search = (text: string) => {
    /** A bit for each split at each place, a row for a place: it has failed there, or (in an assertion) led to the end. */
    const row = (splits + 7) >> 3;
    const failed = new Uint8Array((text.length + 1) * row);
    const passed = hasLooks ? new Uint8Array(failed.length) : failed;
    let height = 0;

    const push = (pc: number, place: number) => {
      if (height + 2 > stack.length) {
        const longer = new Int32Array(2 * stack.length);
        longer.set(stack);
        stack = longer;
      }
      stack[height++] = pc;
      stack[height++] = place;
    };

    /** Where the match ends that begins at a place, or -1. */
    const run = (entry: number, start: number, isLook: boolean): number => {
      const base = height;
      let pc = entry;
      let place = start;
      for (;;) {
        let isOn: boolean;
        switch (ops[pc]) {
          case Op.take: {
            isOn = false;
            if (place < text.length) {
              const code = text.codePointAt(place)!;
              isOn = members[first[pc]!]!.has(code);
              place += code > 0xffff ? 2 : 1;
            }
            pc++;
            break;
          }
          case Op.takeBack: {
            const before = previous(text, place);
            isOn = place > 0 && members[first[pc]!]!.has(text.codePointAt(before)!);
            place = before;
            pc++;
            break;
          }
          case Op.split: {
            const split = splitOf[pc]!;
            const byte = place * row + (split >> 3);
            const bit = 1 << (split & 7);
            isOn = (failed[byte]! & bit) === 0;
            if (isOn) {
              if (isLook && (passed[byte]! & bit) !== 0) return leave(base, place);
              // Below the other way, what to remember when it has failed as well.
              push(~pc, place);
              push(second[pc]!, place);
              pc = first[pc]!;
            }
            break;
          }
          case Op.jump:
            pc = first[pc]!;
            isOn = true;
            break;
          case Op.look: {
            const { start: body, isNegative } = looks[first[pc]!]!;
            isOn = run(body, place, true) < 0 === isNegative;
            pc++;
            break;
          }
          default:
            if (isLook) return leave(base, place);
            height = base;
            return place;
        }
        if (isOn) continue;
        for (;;) {
          if (height === base) return -1;
          place = stack[--height]!;
          pc = stack[--height]!;
          if (pc >= 0) break;
          const split = splitOf[~pc]!;
          failed[place * row + (split >> 3)]! |= 1 << (split & 7);
        }
      }
    };

    /** Remembers the splits that led to the end of an assertion. */
    const leave = (base: number, end: number): number => {
      for (; height > base; height -= 2) {
        const pc = stack[height - 2]!;
        if (pc >= 0) continue;
        const split = splitOf[~pc]!;
        passed[stack[height - 1]! * row + (split >> 3)]! |= 1 << (split & 7);
      }
      return end;
    };
    return run;
  };

  return function* (text) {
    const run = search(text);
    let lastEnd = -1;
    // Rust's tokenizers find nothing in an empty text, and no empty match right behind another match, where JavaScript does.
    for (let start = 0; text !== '' && start <= text.length; ) {
      const end = run(0, start, false);
      if (end > start || (end === start && end !== lastEnd)) {
        yield [start, end];
        lastEnd = end;
      }
      // An empty match, or none, goes on with the next character.
      if (end > start) start = end;
      else start += (text.codePointAt(start) ?? 0) > 0xffff ? 2 : 1;
    }
    if (stack.length > MOST_KEPT) stack = new Int32Array(64);
  };
}

/** Where the character before a place begins. */
function previous(text: string, place: number): number {
  const isPair = place > 1 && text.codePointAt(place - 2)! > 0xffff;
  return place - (isPair ? 2 : 1);
}
