import type { PatternId } from './patterns.ts';

export type Rgb = readonly [red: number, green: number, blue: number];

/** The colours that a canvas needs, read from the element's style: canvases know no custom properties. */
export interface Colours {
  readonly ink: Rgb;
  readonly paper: Rgb;
  readonly more: Rgb;
  readonly less: Rgb;
  pattern(id: PatternId | undefined): Rgb;
}

/** @param probe an element in the shadow tree, never seen; its computed colour resolves custom properties and light-dark() */
export function readColours(probe: HTMLElement): Colours {
  const cache = new Map<string, Rgb>();
  const colour = (name: string): Rgb => {
    const known = cache.get(name);
    if (known) return known;
    probe.style.color = `var(--ba-${name})`;
    const [red = 0, green = 0, blue = 0] = (getComputedStyle(probe).color.match(/[\d.]+/g) ?? []).map(Number);
    const rgb: Rgb = [red, green, blue];
    cache.set(name, rgb);
    return rgb;
  };
  return {
    ink: colour('ink'),
    paper: colour('paper'),
    more: colour('more'),
    less: colour('less'),
    pattern: id => colour(id ?? 'none'),
  };
}

export const css = ([red, green, blue]: Rgb, opacity = 1): string => `rgb(${red} ${green} ${blue} / ${opacity})`;
