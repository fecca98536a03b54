import { Op, type Program } from './program.ts';

/** More than this is not looked into: such a pattern is taken for one that may grow exponentially. */
const MOST_IN_LOOP = 60;
const MOST_PAIRS_OF_CLASSES = 200;

/**
 * Whether a backtracking machine may need time that doubles with every few characters more.
 *
 * The claim, for a program without empty rounds: the number of ways through it for a text of n characters is bounded by a
 * polynomial in n unless some instruction can be left and reached again in two different ways over the same text (Weber and
 * Seidl 1991, "exponential degree of ambiguity"; Weideman et al. 2016 for backtracking). So this looks for two such ways:
 * - two instructions that take characters lie in one loop where each can be reached from the other;
 * - two ways between two of one loop without a character in between are two ways;
 * - else two walkers start from one instruction, take the same characters, part, and meet again: what is looked for in the
 *   pairs of instructions of the loop, with an edge where both can go on with a character that is of both classes.
 *
 * What assertions say is left out: they only take ways away, and the time that each takes is bounded by the same argument, for its
 * own program is looked into as well. So no pattern of exponential growth passes; some others may be refused.
 */
export function mayGrowExponentially(program: Program): boolean {
  const takes = [...program.ops.keys()].filter(pc => isTake(program, pc));
  const next = new Map(takes.map(pc => [pc, reached(program, pc + 1)]));
  for (const loop of loopsOf(takes, next)) {
    const inside = new Set(loop);
    const edges = new Map(loop.map(pc => [pc, [...next.get(pc)!].filter(([to]) => inside.has(to))] as const));
    if ([...edges.values()].some(targets => targets.some(([, ways]) => ways > 1))) return true;
    if (loop.length > MOST_IN_LOOP || partsAndMeets(program, loop, edges)) return true;
  }
  return false;
}

type Edges = ReadonlyMap<number, readonly (readonly [to: number, ways: number])[]>;

const isTake = ({ ops }: Program, pc: number) => ops[pc] === Op.take || ops[pc] === Op.takeBack;

/** Which takes are reached from an instruction without taking a character, and in how many ways: 1, or 2 for more. */
function reached(program: Program, start: number): Map<number, number> {
  const { ops, first, second } = program;
  const after = (pc: number): number[] => {
    if (isTake(program, pc) || ops[pc] === Op.match) return [];
    if (ops[pc] === Op.split) return [first[pc]!, second[pc]!];
    return [ops[pc] === Op.jump ? first[pc]! : pc + 1];
  };
  // Without empty rounds there is no circle, so an order in which all ways to an instruction come before those from it.
  const order: number[] = [];
  const seen = new Set<number>();
  const open: { pc: number; left: number[] }[] = [{ pc: start, left: after(start) }];
  seen.add(start);
  while (open.length > 0) {
    const { pc, left } = open.at(-1)!;
    const to = left.pop();
    if (to === undefined) {
      order.push(pc);
      open.pop();
    } else if (!seen.has(to)) {
      seen.add(to);
      open.push({ pc: to, left: after(to) });
    }
  }
  const ways = new Map([[start, 1]]);
  for (const pc of order.reverse()) {
    for (const to of after(pc)) ways.set(to, Math.min(2, (ways.get(to) ?? 0) + ways.get(pc)!));
  }
  return new Map([...ways].filter(([pc]) => isTake(program, pc)));
}

/** The sets of takes that are reached from each other; one alone where it is reached from itself. */
function loopsOf(takes: readonly number[], next: ReadonlyMap<number, ReadonlyMap<number, number>>): number[][] {
  const before = new Map(takes.map(pc => [pc, [] as number[]]));
  for (const pc of takes) for (const to of next.get(pc)!.keys()) before.get(to)!.push(pc);
  const walk = (start: number, of: (pc: number) => Iterable<number>) => {
    const found = new Set<number>();
    const open = [start];
    for (let pc = open.pop(); pc !== undefined; pc = open.pop()) {
      for (const to of of(pc)) {
        if (found.has(to)) continue;
        found.add(to);
        open.push(to);
      }
    }
    return found;
  };
  const loops: number[][] = [];
  const done = new Set<number>();
  for (const pc of takes) {
    if (done.has(pc)) continue;
    const forwards = walk(pc, from => next.get(from)!.keys());
    if (!forwards.has(pc)) continue;
    const backwards = walk(pc, from => before.get(from)!);
    const loop = [...forwards].filter(other => backwards.has(other));
    for (const other of loop) done.add(other);
    loops.push(loop);
  }
  return loops;
}

/** Whether two walkers of a loop may part and meet again; true also where that is not found out. */
function partsAndMeets(program: Program, loop: readonly number[], edges: Edges): boolean {
  const classOf = (pc: number) => program.classes[program.first[pc]!]!;
  const overlaps = new Map<string, boolean>();
  let isUnknown = false;
  const overlap = (a: string, b: string): boolean => {
    if (a === b) return true;
    const key = [a, b].sort().join('\n');
    let known = overlaps.get(key);
    if (known === undefined) {
      if (overlaps.size >= MOST_PAIRS_OF_CLASSES) isUnknown = true;
      known = isUnknown || haveCommon(a, b);
      overlaps.set(key, known);
    }
    return known;
  };
  /** The pairs that walkers reach who start together: key -> the pairs they come from. */
  const cameFrom = new Map<string, Set<string>>();
  const open = loop.map(pc => [pc, pc] as const);
  const seen = new Set(loop.map(pc => `${pc},${pc}`));
  const isTogether = (pair: string) => {
    const [a, b] = pair.split(',');
    return a === b;
  };
  for (let pair = open.pop(); pair !== undefined; pair = open.pop()) {
    for (const [a] of edges.get(pair[0])!) {
      for (const [b] of edges.get(pair[1])!) {
        if (a !== b && !overlap(classOf(a), classOf(b))) continue;
        const key = `${a},${b}`;
        const sources = cameFrom.get(key) ?? new Set();
        cameFrom.set(key, sources.add(`${pair[0]},${pair[1]}`));
        if (seen.has(key)) continue;
        seen.add(key);
        open.push([a, b]);
      }
    }
  }
  if (isUnknown) return true;
  // From a pair that is together, back to those who were apart.
  return loop.some(pc => [...(cameFrom.get(`${pc},${pc}`) ?? [])].some(pair => !isTogether(pair)));
}

/** Whether some character is of both classes. */
function haveCommon(a: string, b: string): boolean {
  const both = new RegExp(`[${a}&&${b}]`, 'v');
  return blocks().some(block => both.test(block));
}

/** All characters, in parts. */
function blocks(): readonly string[] {
  const size = 4096;
  all ??= Array.from({ length: 0x110000 / size }, (_, block) =>
    String.fromCodePoint(...Array.from({ length: size }, (_, i) => block * size + i)),
  );
  return all;
}
let all: readonly string[] | undefined;
