import { isEmptyLast, isNullable, type Repeat, type Syntax } from './syntax.ts';
import { UnsupportedPattern } from './unsupported.ts';

/** What an instruction of a program does; `first` and `second` are its operands. */
export const Op = {
  /** Takes a character of the class `first`, and goes on with the next instruction. */
  take: 0,
  /** As `take`, but of the character before the place: for lookbehinds. */
  takeBack: 1,
  /** Goes on at `first`, and at `second` where that does not lead to a match. */
  split: 2,
  /** Goes on at `first`. */
  jump: 3,
  /** Goes on with the next instruction, at the same place, where the assertion `bodies[first]` holds. */
  look: 4,
  /** Goes on with the next instruction where the atomic group `bodies[first]` ends. */
  atomic: 5,
  match: 6,
} as const;

export interface Program {
  readonly ops: readonly number[];
  readonly first: readonly number[];
  readonly second: readonly number[];
  /** The sources of the classes. */
  readonly classes: readonly string[];
  /** Assertions and atomic groups: where the program of each begins, and whether it must not match. */
  readonly bodies: readonly { readonly start: number; readonly isNegative: boolean }[];
}

/** More instructions than any tokenizer's pattern needs. A run has one bit of memory for each of them at each character. */
const MAX_INSTRUCTIONS = 2_000;

/**
 * A pattern as a program for a backtracking machine. Alternatives are tried in the order in which Oniguruma tries them.
 *
 * Where a repetition takes nothing in a round, Oniguruma leaves it, which depends on where the round began. What a program does at a
 * place must depend on the place alone. So a repetition of what may be empty is written out in other words, or refused.
 * @throws UnsupportedPattern for a pattern that has no program
 */
export function compilePattern(pattern: Syntax): Program {
  return new Compiler().compile(pattern);
}

/** A part of a pattern that has a program of its own. */
interface Pending {
  readonly index: number;
  readonly node: Syntax;
  readonly isBack: boolean;
}

class Compiler {
  readonly #ops: number[] = [];
  readonly #first: number[] = [];
  readonly #second: number[] = [];
  readonly #classes = new Map<string, number>();
  readonly #bodies: { start: number; isNegative: boolean }[] = [];
  readonly #pending: Pending[] = [];
  #nodes = 0;

  compile(pattern: Syntax): Program {
    this.#write(pattern, false);
    this.#emit(Op.match);
    // The list grows while it is read: a body may hold bodies.
    for (const { index, node, isBack } of this.#pending) {
      this.#bodies[index]!.start = this.#end;
      this.#write(node, isBack);
      this.#emit(Op.match);
    }
    return {
      ops: this.#ops,
      first: this.#first,
      second: this.#second,
      classes: [...this.#classes.keys()],
      bodies: this.#bodies,
    };
  }

  get #end(): number {
    return this.#ops.length;
  }

  /** Adds an instruction and gives its index. */
  #emit(op: number, first = 0, second = 0): number {
    if (this.#end >= MAX_INSTRUCTIONS) throw tooLong();
    this.#first.push(first);
    this.#second.push(second);
    return this.#ops.push(op) - 1;
  }

  /** Adds a split whose preferred way begins right behind it. The function returned sets where the other way begins. */
  #fork(isLazy: boolean): (other: number) => void {
    const split = this.#emit(Op.split);
    const [preferred, other] = isLazy ? [this.#second, this.#first] : [this.#first, this.#second];
    preferred[split] = split + 1;
    return start => {
      other[split] = start;
    };
  }

  /** Adds an assertion or an atomic group, whose own program is written later. */
  #call(op: number, body: Omit<Pending, 'index'>, isNegative = false): void {
    const index = this.#bodies.push({ start: -1, isNegative }) - 1;
    this.#pending.push({ ...body, index });
    this.#emit(op, index);
  }

  /** @param isBack whether the node is matched from its end to its start, as in a lookbehind */
  #write(node: Syntax, isBack: boolean): void {
    // Nodes that add no instruction count as well: they may be repeated.
    if (this.#nodes++ > 10 * MAX_INSTRUCTIONS) throw tooLong();
    switch (node.kind) {
      case 'class': {
        const index = this.#classes.get(node.source) ?? this.#classes.size;
        this.#classes.set(node.source, index);
        this.#emit(isBack ? Op.takeBack : Op.take, index);
        return;
      }
      case 'sequence':
        for (const part of isBack ? node.parts.toReversed() : node.parts) this.#write(part, isBack);
        return;
      case 'choice':
        this.#choice(node.options, isBack);
        return;
      case 'repeat':
        this.#repeat(node, isBack);
        return;
      case 'look':
        this.#call(Op.look, { node: node.body, isBack: node.isBehind }, node.isNegative);
        return;
      case 'atomic':
        this.#call(Op.atomic, { node: node.body, isBack });
    }
  }

  #choice(options: readonly Syntax[], isBack: boolean): void {
    const jumps: number[] = [];
    for (const option of options.slice(0, -1)) {
      const setOther = this.#fork(false);
      this.#write(option, isBack);
      jumps.push(this.#emit(Op.jump));
      setOther(this.#end);
    }
    this.#write(options.at(-1)!, isBack);
    for (const jump of jumps) this.#first[jump] = this.#end;
  }

  #repeat({ body, min, max, isLazy }: Repeat, isBack: boolean): void {
    const isEndless = max === Number.POSITIVE_INFINITY;
    if (min < max && isNullable(body) && (isEndless || isLazy || !isEmptyLast(body))) {
      throw new UnsupportedPattern('a repetition of what may be empty', {
        expected: 'one of what takes a character in every round',
        next: 'Write it so that what is repeated is never empty, as a* for (a*)*.',
      });
    }
    if (isEndless && min > 0) {
      for (let i = 1; i < min; i++) this.#write(body, isBack);
      const start = this.#end;
      this.#write(body, isBack);
      this.#fork(!isLazy)(start);
    } else if (isEndless) {
      const start = this.#end;
      const setExit = this.#fork(isLazy);
      this.#write(body, isBack);
      this.#emit(Op.jump, start);
      setExit(this.#end);
    } else {
      // Rounds without an instruction would be written out as often as the number says.
      if (max > MAX_INSTRUCTIONS) throw tooLong();
      for (let i = 0; i < min; i++) this.#write(body, isBack);
      const setExits: ((other: number) => void)[] = [];
      for (let i = min; i < max; i++) {
        setExits.push(this.#fork(isLazy));
        this.#write(body, isBack);
      }
      for (const setExit of setExits) setExit(this.#end);
    }
  }
}

const tooLong = () =>
  new UnsupportedPattern('a pattern that is too long when its repetitions are written out', {
    expected: `at most ${MAX_INSTRUCTIONS} characters and alternatives`,
    next: 'Write it with smaller numbers in its repetitions, or as several patterns in a Sequence.',
  });
