import { isEmptyLast, isNullable, type Syntax } from './syntax.ts';

const TOO_LONG = 'it is too long when its repetitions are written out';

/** What an instruction of a program does; `first` and `second` are its operands. */
export const Op = {
  /** Takes a character of the class `first`, and goes on with the next instruction. */
  take: 0,
  /** As `take`, the character before the place: in what looks behind. */
  takeBack: 1,
  /** Goes on at `first`, and at `second` where that does not lead to a match. */
  split: 2,
  /** Goes on at `first`. */
  jump: 3,
  /** Goes on with the next instruction where what is to be looked for (`looks[first]`) is there. */
  look: 4,
  match: 5,
} as const;

export interface Program {
  readonly ops: readonly number[];
  readonly first: readonly number[];
  readonly second: readonly number[];
  /** The sources of classes. */
  readonly classes: readonly string[];
  /** Where the program of an assertion begins, and whether it must not match. */
  readonly looks: readonly { readonly start: number; readonly isNegative: boolean }[];
}

/** More instructions than any tokenizer's pattern needs; the memory of a run is one bit for each and for each character. */
const MOST_INSTRUCTIONS = 2_000;

/**
 * A pattern as a program for a backtracking machine; where it has alternatives they are tried in the order of JavaScript's.
 * A repetition of what may be empty is told in other words (or not at all): JavaScript breaks off an empty round, which depends on
 * where the round began, and what a program does at a place must depend on nothing but the place.
 * @throws RangeError for a pattern that has no program
 */
export function compilePattern(pattern: Syntax): Program {
  const ops: number[] = [];
  const first: number[] = [];
  const second: number[] = [];
  const classes = new Map<string, number>();
  const looks: { start: number; isNegative: boolean }[] = [];
  const bodies: (() => void)[] = [];

  const emit = (op: number, a = 0, b = 0): number => {
    if (ops.length >= MOST_INSTRUCTIONS) throw new RangeError(TOO_LONG);
    first.push(a);
    second.push(b);
    return ops.push(op) - 1;
  };
  /** A split whose preferred way begins behind it; the function returned sets where the other one goes. */
  const fork = (isLazy: boolean) => {
    const at = emit(Op.split);
    (isLazy ? second : first)[at] = at + 1;
    return (other: number) => {
      (isLazy ? first : second)[at] = other;
    };
  };

  let written = 0;
  const write = (node: Syntax, isBack: boolean): void => {
    // What is empty has no instructions, and may be repeated all the same.
    if (written++ > 10 * MOST_INSTRUCTIONS) throw new RangeError(TOO_LONG);
    switch (node.kind) {
      case 'class': {
        const index = classes.get(node.source) ?? classes.size;
        classes.set(node.source, index);
        emit(isBack ? Op.takeBack : Op.take, index);
        return;
      }
      case 'sequence':
        for (const part of isBack ? [...node.parts].reverse() : node.parts) write(part, isBack);
        return;
      case 'choice': {
        const ends: number[] = [];
        node.options.forEach((option, i) => {
          const isLast = i === node.options.length - 1;
          const otherwise = isLast ? undefined : fork(false);
          write(option, isBack);
          if (!isLast) ends.push(emit(Op.jump));
          otherwise?.(ops.length);
        });
        for (const end of ends) first[end] = ops.length;
        return;
      }
      case 'look': {
        const { body, isBehind, isNegative } = node;
        const look = { start: -1, isNegative };
        emit(Op.look, looks.push(look) - 1);
        bodies.push(() => {
          look.start = ops.length;
          write(body, isBehind);
          emit(Op.match);
        });
        return;
      }
      case 'repeat':
        repeat(node, isBack);
    }
  };

  const repeat = ({ body, least, most, isLazy }: Syntax & { kind: 'repeat' }, isBack: boolean): void => {
    if (least < most && isNullable(body) && (most === Number.POSITIVE_INFINITY || isLazy || !isEmptyLast(body))) {
      throw new RangeError('it repeats what may be empty');
    }
    if (most === Number.POSITIVE_INFINITY && least > 0) {
      for (let i = 1; i < least; i++) write(body, isBack);
      const start = ops.length;
      write(body, isBack);
      fork(!isLazy)(start);
    } else if (most === Number.POSITIVE_INFINITY) {
      const start = ops.length;
      const leave = fork(isLazy);
      write(body, isBack);
      emit(Op.jump, start);
      leave(ops.length);
    } else {
      // What is repeated without an instruction would go on for as long as a number says.
      if (most > MOST_INSTRUCTIONS) throw new RangeError(TOO_LONG);
      for (let i = 0; i < least; i++) write(body, isBack);
      const leaves: ((other: number) => void)[] = [];
      for (let i = least; i < most; i++) {
        leaves.push(fork(isLazy));
        write(body, isBack);
      }
      for (const leave of leaves) leave(ops.length);
    }
  };

  write(pattern, false);
  emit(Op.match);
  // A body may add bodies.
  for (let i = 0; i < bodies.length; i++) bodies[i]!();
  return { ops, first, second, classes: [...classes.keys()], looks };
}
