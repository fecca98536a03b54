import type { Kernel } from './kernel.ts';
import type { RowShape } from './snippets.ts';
import { targetLoss } from './target-loss.ts';

/**
 * The binary cross-entropy of logits z and targets t (0 to 1), and its gradient: torch.nn.functional.binary_cross_entropy_with_logits.
 *
 *   loss[r] = scale (sum over n of max(z, 0) - z t + log(1 + exp(-|z|))), dlogits = scale (sigmoid(z) - t)
 *
 * Operands, params and grid: see targetLoss.
 */
export const binaryCrossEntropy = ({ columns }: { readonly columns: number }, shape: RowShape): Kernel =>
  targetLoss(
    {
      name: 'binary cross-entropy',
      value: 'max(z, vec4f()) - z * t + log(1.0 + exp(-abs(z)))',
      // 1 / (1 + exp(-z)), and for z < 0 exp(z) / (1 + exp(z)): exp sees no positive number.
      slope: 'select(exp(-abs(z)), vec4f(1.0), z >= vec4f()) / (1.0 + exp(-abs(z))) - t',
    },
    columns,
    shape,
  );
