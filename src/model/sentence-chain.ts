import type { Activation } from '../../shaders/activation.ts';
import type { Pooling } from '../../shaders/pool.ts';
import type { Builder, Value } from '../plan/index.ts';

/**
 * A step from rows [R, K] to rows [R, N], each row by itself: a module of sentence-transformers. `from` is the prefix of its tensors:
 * `${from}.linear.weight` is the tensor `linear.weight` in the file of the module.
 */
export type ChainStep =
  /** activation(x weight^T + bias), and with a residual + x, or + x residual^T where `outputs` is not the number of inputs. */
  | {
      readonly step: 'dense';
      readonly from: string;
      readonly outputs: number;
      readonly bias: boolean;
      readonly activation: Activation | undefined;
      readonly residual: 'none' | 'identity' | 'projected';
    }
  /** torch.nn.LayerNorm */
  | { readonly step: 'layerNorm'; readonly from: string }
  /** x / max(|x|, 1e-12) */
  | { readonly step: 'normalize' };

/** How one row is made of a text's tokens [L, C]. */
export interface PoolRequest {
  /** One or several, whose results stand side by side. */
  readonly pooling: Pooling | readonly Pooling[];
  /** Whether the row ends scaled to length 1. */
  readonly normalize: boolean;
  /** On the rows of tokens, before the pooling. Default: none. */
  readonly tokenSteps?: readonly ChainStep[] | undefined;
  /** On the pooled row. Default: none. */
  readonly rowSteps?: readonly ChainStep[] | undefined;
}

/** The epsilon of torch.nn.LayerNorm, which sentence-transformers does not change. */
const TORCH_EPS = 1e-5;

/** Rows [R, K] after steps -> [R, N]. */
export function addSteps(b: Builder, x: Value, steps: readonly ChainStep[]): Value {
  return steps.reduce((row, step) => addStep(b, row, step), x);
}

function addStep(b: Builder, x: Value, step: ChainStep): Value {
  switch (step.step) {
    case 'dense': {
      const { from, outputs, bias, activation, residual } = step;
      const residuals = {
        none: () => undefined,
        identity: () => x,
        projected: () => b.linear(x, { from: `${from}.residual`, outputs, bias: false }),
      };
      return b.linear(x, { from: `${from}.linear`, outputs, bias, activation, residual: residuals[residual]() });
    }
    case 'layerNorm':
      return b.norm(x, { from: `${step.from}.norm`, eps: TORCH_EPS });
    case 'normalize':
      return b.normalize(x);
    default:
      return step satisfies never;
  }
}

/** The embeddings [B, N] of sequences, from their tokens x [T, C]. */
export function addEmbedding(b: Builder, x: Value, request: PoolRequest): Value {
  const { pooling, normalize, tokenSteps = [], rowSteps = [] } = request;
  const steps: readonly ChainStep[] = normalize ? [...rowSteps, { step: 'normalize' }] : rowSteps;
  // The kernel that pools can scale the row, too.
  const isScaled = steps[0]?.step === 'normalize';
  const row = b.pool(addSteps(b, x, tokenSteps), { pooling, normalize: isScaled, name: 'embedding' });
  return addSteps(b, row, steps.slice(Number(isScaled)));
}

/** N: the columns of an embedding of tokens with C columns. */
export function embeddingColumns(columns: number, { pooling, tokenSteps = [], rowSteps = [] }: PoolRequest): number {
  const after = (steps: readonly ChainStep[], before: number) =>
    steps.reduce((count, step) => (step.step === 'dense' ? step.outputs : count), before);
  return after(rowSteps, after(tokenSteps, columns) * [pooling].flat().length);
}

/** The form that equal requests share. */
export const canonicalPool = ({ pooling, normalize, tokenSteps, rowSteps }: PoolRequest): PoolRequest => ({
  pooling: [pooling].flat(),
  normalize,
  tokenSteps: tokenSteps ?? [],
  rowSteps: rowSteps ?? [],
});
