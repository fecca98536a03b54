import { Op, type Program } from './program.ts';

/** Finds all matches of a pattern in a text, from left to right. No match overlaps another. */
export type Finder = (text: string) => Iterable<readonly [start: number, end: number]>;

/** The matches of a regular expression that is known to be linear. It has the flag g. */
export const finderOf = (regExp: RegExp): Finder =>
  function* (text) {
    for (const { index, 0: match } of text.matchAll(regExp)) yield [index, index + match.length];
  };

/** The matches of a program, in time that grows with the length of the text, whatever the pattern. */
export function programFinder(program: Program): Finder {
  const machine = machineOf(program);
  return text => matches(machine, text);
}

const NO = 1;
const YES = 2;

/** The characters of a class. The answer for a character of 16 bits is computed once. */
class Membership {
  readonly #regExp: RegExp;
  /** By character: 0 where nobody has asked, NO or YES. */
  readonly #answers = new Uint8Array(0x10000);

  constructor(source: string) {
    this.#regExp = new RegExp(source, 'v');
  }

  has(code: number): boolean {
    const answer = this.#answers[code];
    if (answer) return answer === YES;
    const isMember = this.#regExp.test(String.fromCodePoint(code));
    if (code < 0x10000) this.#answers[code] = isMember ? YES : NO;
    return isMember;
  }
}

/** A program in the form in which it is fast. */
interface Machine {
  readonly ops: Uint8Array;
  readonly first: Int32Array;
  readonly second: Int32Array;
  readonly members: readonly Membership[];
  readonly bodies: Program['bodies'];
  /** For each instruction that is a split, its number among the splits. */
  readonly splitOf: Int32Array;
  readonly splits: number;
}

function machineOf({ ops, first, second, classes, bodies }: Program): Machine {
  let splits = 0;
  return {
    ops: Uint8Array.from(ops),
    first: Int32Array.from(first),
    second: Int32Array.from(second),
    members: classes.map(source => new Membership(source)),
    bodies,
    splitOf: Int32Array.from(ops, op => (op === Op.split ? splits++ : -1)),
    splits,
  };
}

/** Rust's tokenizers find nothing in an empty text, and no empty match right behind another match. JavaScript does. */
function* matches(machine: Machine, text: string): Generator<readonly [start: number, end: number]> {
  if (text === '') return;
  const search = new Search(machine, text);
  let lastEnd = -1;
  for (let start = 0; start <= text.length; ) {
    const end = search.run(0, start, 'match');
    if (end > start || (end === start && end !== lastEnd)) {
      yield [start, end];
      lastEnd = end;
    }
    // After an empty match, or none, the next character is tried.
    if (end > start) start = end;
    else start += (text.codePointAt(start) ?? 0) > 0xffff ? 2 : 1;
  }
}

/** What a run is for: a match, an assertion, or an atomic group. */
type Purpose = 'match' | 'look' | 'atomic';

/**
 * All runs of a program in one text.
 *
 * A run tries one way after the other, as JavaScript's own machine does, and turns back where one fails. What comes after an instruction
 * at a place depends on these two alone (there are no references back and no empty rounds: see compilePattern). So a split
 * that has failed at a place fails there again, from whichever start: that is remembered, and it is not tried twice. Between two
 * splits a way is no longer than the program. The ways that do not fail make the matches, which do not overlap. An assertion or an
 * atomic group ends at the next split that once led to its end, which is remembered too. Together that is at most the text's length
 * times the program's.
 */
class Search {
  readonly #machine: Machine;
  readonly #text: string;
  /** A bit for each split at each place: whether it has failed there. */
  readonly #failed: Uint8Array;
  /** The bytes of `#failed` for one place. */
  readonly #row: number;
  /** Where a split at a place leads in an assertion or an atomic group, by place * splits + split. */
  readonly #ends = new Map<number, number>();
  /** Pairs of an instruction and a place: a way still to be tried, or ~split, which has failed once all above it have. */
  #stack = new Int32Array(64);
  #height = 0;

  constructor(machine: Machine, text: string) {
    this.#machine = machine;
    this.#text = text;
    this.#row = (machine.splits + 7) >> 3;
    this.#failed = new Uint8Array((text.length + 1) * this.#row);
  }

  /** Where the match ends that begins at a place with the instruction `entry`; -1 where there is none. */
  run(entry: number, start: number, purpose: Purpose): number {
    const { ops, first, second, members, bodies, splitOf, splits } = this.#machine;
    const text = this.#text;
    const failed = this.#failed;
    const row = this.#row;
    const base = this.#height;
    let pc = entry;
    let place = start;
    for (;;) {
      let isOn = true;
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
          const before = placeBefore(text, place);
          isOn = place > 0 && members[first[pc]!]!.has(text.codePointAt(before)!);
          place = before;
          pc++;
          break;
        }
        case Op.split: {
          const split = splitOf[pc]!;
          isOn = (failed[place * row + (split >> 3)]! & (1 << (split & 7))) === 0;
          if (!isOn) break;
          const end = purpose === 'match' ? undefined : this.#ends.get(place * splits + split);
          if (end !== undefined) return this.#leave(base, end);
          // Below the other way lies what to remember when it has failed as well.
          this.#push(~pc, place);
          this.#push(second[pc]!, place);
          pc = first[pc]!;
          break;
        }
        case Op.jump:
          pc = first[pc]!;
          break;
        case Op.look: {
          const { start: body, isNegative } = bodies[first[pc]!]!;
          isOn = this.run(body, place, 'look') < 0 === isNegative;
          pc++;
          break;
        }
        case Op.atomic: {
          place = this.run(bodies[first[pc]!]!.start, place, 'atomic');
          isOn = place >= 0;
          pc++;
          break;
        }
        default:
          if (purpose !== 'match') return this.#leave(base, place);
          this.#height = base;
          return place;
      }
      // Back to the last split that has another way.
      while (!isOn) {
        if (this.#height === base) return -1;
        place = this.#stack[--this.#height]!;
        pc = this.#stack[--this.#height]!;
        isOn = pc >= 0;
        if (isOn) break;
        const split = splitOf[~pc]!;
        failed[place * row + (split >> 3)]! |= 1 << (split & 7);
      }
    }
  }

  #push(pc: number, place: number): void {
    if (this.#height + 2 > this.#stack.length) {
      const longer = new Int32Array(2 * this.#stack.length);
      longer.set(this.#stack);
      this.#stack = longer;
    }
    this.#stack[this.#height++] = pc;
    this.#stack[this.#height++] = place;
  }

  /** Ends a run, and remembers where the splits lead that it went through. */
  #leave(base: number, end: number): number {
    const { splitOf, splits } = this.#machine;
    for (; this.#height > base; this.#height -= 2) {
      const pc = this.#stack[this.#height - 2]!;
      if (pc >= 0) continue;
      this.#ends.set(this.#stack[this.#height - 1]! * splits + splitOf[~pc]!, end);
    }
    return end;
  }
}

/** Where the character before a place begins. */
function placeBefore(text: string, place: number): number {
  const isPair = place > 1 && text.codePointAt(place - 2)! > 0xffff;
  return place - (isPair ? 2 : 1);
}
