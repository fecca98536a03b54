/**
 * The numbers of a step that stay on the GPU, one array<f32>: where each lies. Counts are floats, which are exact up to 2^24.
 *
 *   norm               the length of the gradient of all weights, before it is clipped          clip.ts writes it, every step
 *   factor             what every gradient is multiplied by: min(1, max_norm / (norm + 1e-6))   clip.ts
 *   finite             1, or 0 where the norm is NaN or infinite: then the step changes nothing  clip.ts
 *   consecutiveSkips   steps in a row, up to this one, that changed nothing                     clip.ts
 *   skips              all of them                                                              clip.ts
 *   longestSkips       the most steps in a row that changed nothing                             clip.ts
 *   droppedLosses      steps whose loss is not in `loss`                                        clip.ts
 *   loss               the sum of the losses of all other steps                                 clip.ts
 *   sums               from here on: the losses of the step under way, one a loss               sum-rows.ts adds, clip.ts clears
 *   correction1, 2     1 - beta^t, t the steps so far that changed something                    clip.ts, every such step
 *
 * `longestSkips`, `droppedLosses` and `loss` count since they were last read: whoever reads them clears them, and all behind them.
 */
export const SCALARS = {
  norm: 0,
  factor: 1,
  finite: 2,
  consecutiveSkips: 3,
  skips: 4,
  longestSkips: 5,
  droppedLosses: 6,
  loss: 7,
  sums: 8,
  correction1: 14,
  correction2: 15,
} as const;

/** Losses that have a sum of their own. */
export const LOSS_SUMS = 6;

/** Floats of the array. */
export const SCALARS_FLOATS = 16;
