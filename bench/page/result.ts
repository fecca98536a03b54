import type { KernelReport } from './kernels.ts';
import type { LoadFigure } from './load.ts';
import type { LongFigure } from './long.ts';
import type { Side } from './sides.ts';
import type { SweepFigure } from './sweep.ts';
import type { ThreadReport } from './thread.ts';
import type { TilingFigure } from './tilings.ts';
import type { WarmFigure } from './warm.ts';

/** Loads of one side: every run of it, in a fresh profile (cold) and then in a fresh page of the same profile (warm cache). */
export interface LoadRuns {
  side: Side;
  cold: (LoadFigure & { bytes: number })[];
  cached: (LoadFigure & { bytes: number })[];
}

/** What one run of `npm run bench` writes. */
export interface BenchResult {
  date: string;
  version: string;
  browser: string;
  adapter: string;
  processor: string;
  model: string;
  peer: string;
  /** Milliseconds between a submit of nothing and the news that it is done; above 20 the browser polls, and says so here. */
  floorMs: number;
  polls: boolean;
  load: LoadRuns[];
  warm: WarmFigure[];
  sweep: SweepFigure[];
  kernels?: KernelReport;
  long?: LongFigure[];
  /** How long the page is held, with either entry. */
  worker?: ThreadReport;
  /** Of a graphics card, by `npm run bench:node`. */
  tilings?: TilingFigure[];
}
