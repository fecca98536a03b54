import { allCharacters } from './all-characters.ts';
import { compilePattern, Op, type Program } from './program.ts';
import { type Syntax, withoutAtomic } from './syntax.ts';

/** What is larger is not analysed: such a pattern is taken for one that may grow exponentially. */
const MAX_LOOP = 60;
const MAX_CLASS_PAIRS = 200;

/**
 * Whether a backtracking machine may need time that doubles with every few characters more.
 *
 * The claim, for a program without empty rounds: the number of ways through it for a text of n characters is bounded by a
 * polynomial in n unless some instruction can be left and reached again in two different ways over the same text (Weber and
 * Seidl 1991, "exponential degree of ambiguity"; Weideman et al. 2016 for backtracking). So this looks for two such ways:
 * - two instructions that take characters lie in one loop, where each can be reached from the other;
 * - they are ambiguous if two ways lead from one to the other without a character in between;
 * - or if two walkers that start from one instruction and take the same characters can part and meet again. That is looked for in
 *   the pairs of instructions of the loop, with an edge where both can go on with a character that is of both classes.
 *
 * Assertions are treated as if they always held: they only take ways away, and the time that each takes itself is bounded by the
 * same argument, for its own program is analysed as well. Atomic groups are treated as plain ones, which have more ways. So no
 * pattern of exponential growth passes; some others may be refused.
 * @throws UnsupportedPattern for a pattern that has no program
 */
export function mayGrowExponentially(pattern: Syntax): boolean {
  const program = compilePattern(withoutAtomic(pattern));
  const takes = [...program.ops.keys()].filter(pc => isTake(program, pc));
  const next = new Map(takes.map(pc => [pc, takesAfter(program, pc + 1)]));
  for (const loop of loopsOf(takes, next)) {
    const inside = new Set(loop);
    const edges = new Map(loop.map(pc => [pc, [...next.get(pc)!].filter(([to]) => inside.has(to))] as const));
    if ([...edges.values()].some(targets => targets.some(([, ways]) => ways > 1))) return true;
    if (loop.length > MAX_LOOP || partsAndMeets(program, loop, edges)) return true;
  }
  return false;
}

type Edges = ReadonlyMap<number, readonly (readonly [to: number, ways: number])[]>;

const isTake = ({ ops }: Program, pc: number) => ops[pc] === Op.take || ops[pc] === Op.takeBack;

/** The takes that are reached from an instruction without taking a character, and in how many ways: 1, or 2 for more. */
function takesAfter(program: Program, start: number): Map<number, number> {
  const { ops, first, second } = program;
  const after = (pc: number): number[] => {
    if (isTake(program, pc) || ops[pc] === Op.match) return [];
    if (ops[pc] === Op.split) return [first[pc]!, second[pc]!];
    return [ops[pc] === Op.jump ? first[pc]! : pc + 1];
  };
  // Without empty rounds there is no circle. So there is an order (topological) in which every instruction stands behind those
  // that lead to it: the reverse of the order in which a depth-first walk is done with them.
  const finished: number[] = [];
  const seen = new Set<number>([start]);
  const path: { pc: number; unvisited: number[] }[] = [{ pc: start, unvisited: after(start) }];
  while (path.length > 0) {
    const { pc, unvisited } = path.at(-1)!;
    const to = unvisited.pop();
    if (to === undefined) {
      finished.push(pc);
      path.pop();
    } else if (!seen.has(to)) {
      seen.add(to);
      path.push({ pc: to, unvisited: after(to) });
    }
  }
  const ways = new Map([[start, 1]]);
  for (const pc of finished.reverse()) {
    for (const to of after(pc)) ways.set(to, Math.min(2, (ways.get(to) ?? 0) + ways.get(pc)!));
  }
  return new Map([...ways].filter(([pc]) => isTake(program, pc)));
}

/** The sets of takes that are reached from each other (strongly connected components); one alone only if it is reached from itself. */
function loopsOf(takes: readonly number[], next: ReadonlyMap<number, ReadonlyMap<number, number>>): number[][] {
  const before = new Map(takes.map(pc => [pc, [] as number[]]));
  for (const pc of takes) for (const to of next.get(pc)!.keys()) before.get(to)!.push(pc);
  const reachedFrom = (start: number, neighbours: (pc: number) => Iterable<number>) => {
    const reached = new Set<number>();
    const open = [start];
    for (let pc = open.pop(); pc !== undefined; pc = open.pop()) {
      for (const to of neighbours(pc)) {
        if (reached.has(to)) continue;
        reached.add(to);
        open.push(to);
      }
    }
    return reached;
  };
  const loops: number[][] = [];
  const done = new Set<number>();
  for (const pc of takes) {
    if (done.has(pc)) continue;
    const forwards = reachedFrom(pc, from => next.get(from)!.keys());
    if (!forwards.has(pc)) continue;
    const backwards = reachedFrom(pc, from => before.get(from)!);
    const loop = [...forwards].filter(other => backwards.has(other));
    for (const other of loop) done.add(other);
    loops.push(loop);
  }
  return loops;
}

/** Whether two walkers of a loop may part and meet again; true also where there are too many classes to find that out. */
function partsAndMeets(program: Program, loop: readonly number[], edges: Edges): boolean {
  const classOf = (pc: number) => program.classes[program.first[pc]!]!;
  const overlaps = new Map<string, boolean>();
  const overlap = (a: string, b: string): boolean | undefined => {
    if (a === b) return true;
    const key = [a, b].sort().join('\n');
    if (!overlaps.has(key)) {
      if (overlaps.size >= MAX_CLASS_PAIRS) return undefined;
      overlaps.set(key, haveCommon(a, b));
    }
    return overlaps.get(key);
  };
  // The pairs of instructions at which two walkers can stand that have started together.
  const seen = new Set<string>();
  const open: (readonly [a: number, b: number])[] = [];
  const add = (a: number, b: number) => {
    const key = `${a},${b}`;
    if (seen.has(key)) return;
    seen.add(key);
    open.push([a, b]);
  };
  for (const pc of loop) add(pc, pc);
  for (let pair = open.pop(); pair !== undefined; pair = open.pop()) {
    const areApart = pair[0] !== pair[1];
    for (const [a] of edges.get(pair[0])!) {
      for (const [b] of edges.get(pair[1])!) {
        const isCommon = a === b || overlap(classOf(a), classOf(b));
        if (isCommon === undefined) return true;
        if (!isCommon) continue;
        if (a === b && areApart) return true;
        add(a, b);
      }
    }
  }
  return false;
}

/** Whether some character is of both classes. */
function haveCommon(a: string, b: string): boolean {
  const both = new RegExp(`[${a}&&${b}]`, 'v');
  return allCharacters().some(block => both.test(block));
}
