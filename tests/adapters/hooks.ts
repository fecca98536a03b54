/**
 * The three hooks of React that the code of docs/recipes.md uses, for one component at a time that shows nothing: a state that is set
 * renders it again, at once.
 */

type Cleanup = (() => void) | undefined;

export interface Mounted<T> {
  /** What the component's function gave last. */
  readonly value: T;
  readonly isUnmounted: boolean;
  unmount(): void;
}

let cells: { value: unknown }[] = [];
let next = 0;
let effects: (() => Cleanup)[] = [];
let render: () => void = () => undefined;

const cell = <T>(value: T): { value: T } => {
  cells[next] ??= { value };
  return cells[next++] as { value: T };
};

export const useRef = <T>(initial: T): { current: T } => cell({ current: initial }).value;

export function useState<T>(initial: T): [state: T, set: (value: T) => void] {
  const own = cell(initial);
  const again = render;
  const set = (value: T) => {
    own.value = value;
    again();
  };
  return [own.value, set];
}

/** The effect runs once: components here are given the same inputs for as long as they are mounted. */
export function useEffect(effect: () => Cleanup, _inputs: readonly unknown[]): void {
  const own = cell(false);
  if (!own.value) effects.push(effect);
  own.value = true;
}

export function mounted<T>(component: () => T): Mounted<T> {
  const own: typeof cells = [];
  let value: T;
  let isUnmounted = false;
  const again = () => {
    if (isUnmounted) return;
    [cells, next, effects, render] = [own, 0, [], again];
    value = component();
  };
  again();
  const cleanups = effects.map(effect => effect());
  return {
    get value() {
      return value;
    },
    get isUnmounted() {
      return isUnmounted;
    },
    unmount() {
      for (const cleanup of cleanups) cleanup?.();
      isUnmounted = true;
    },
  };
}
