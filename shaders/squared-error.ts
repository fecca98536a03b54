import type { Kernel } from './kernel.ts';
import type { RowShape } from './snippets.ts';
import { targetLoss } from './target-loss.ts';

/**
 * The squared error of predictions z and targets t, and its gradient: torch.nn.functional.mse_loss, where scale is 1 / (R N).
 *
 *   loss[r] = scale (sum over n of (z - t)^2), dlogits = 2 scale (z - t)
 *
 * Operands, params and grid: see targetLoss.
 */
export const squaredError = ({ columns }: { readonly columns: number }, shape: RowShape): Kernel =>
  targetLoss({ name: 'squared error', value: '(z - t) * (z - t)', slope: '2.0 * (z - t)' }, columns, shape);
