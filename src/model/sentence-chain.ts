import type { Activation } from '../../shaders/activation.ts';
import type { Pooling } from '../../shaders/pool.ts';
import { CheckpointError } from '../errors.ts';
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
      /** K, where a file says it. */
      readonly inputs?: number;
      readonly outputs: number;
      readonly bias: boolean;
      readonly activation: Activation | undefined;
      readonly residual: 'none' | 'identity' | 'projected';
    }
  /** torch.nn.LayerNorm */
  | { readonly step: 'layerNorm'; readonly from: string }
  /** In place of x: the mean of the hidden states from `first` on, each times its number in `${from}.layer_weights`. */
  | { readonly step: 'weightedLayers'; readonly from: string; readonly first: number }
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

/** The hidden states of an encoder: the embeddings, then the layers; a part of a graph. */
type States = readonly Value[];

/** Rows [R, K] after steps -> [R, N]. */
export function addSteps(b: Builder, x: Value, steps: readonly ChainStep[], states: States = []): Value {
  return steps.reduce((row, step) => addStep(b, row, step, states), x);
}

function addStep(b: Builder, x: Value, step: ChainStep, states: States): Value {
  switch (step.step) {
    case 'dense': {
      const { from, inputs = x.columns, outputs, bias, activation, residual } = step;
      if (inputs !== x.columns) throw otherInputs(inputs, x.columns);
      const residuals = {
        none: () => undefined,
        identity: () => x,
        projected: () => b.linear(x, { from: `${from}.residual`, outputs, bias: false }),
      };
      return b.linear(x, { from: `${from}.linear`, outputs, bias, activation, residual: residuals[residual]() });
    }
    case 'layerNorm':
      return b.norm(x, { from: `${step.from}.norm`, eps: TORCH_EPS });
    case 'weightedLayers':
      return weightedLayers(b, states, step);
    case 'normalize':
      return b.normalize(x);
    default:
      return step satisfies never;
  }
}

function otherInputs(inputs: number, columns: number): CheckpointError {
  return new CheckpointError({
    what: 'a Dense module of this checkpoint reads rows of another size than it is given',
    actual: `"in_features": ${inputs}`,
    expected: String(columns),
    next: 'Check that the module, the modules before it and the encoder belong together.',
  });
}

function weightedLayers(b: Builder, states: States, { from, first }: { from: string; first: number }): Value {
  const kept = states.slice(first);
  if (kept.length > 0) return b.weightedMean(kept, `${from}.layer_weights`);
  throw new CheckpointError({
    what: 'the WeightedLayerPooling of this checkpoint reads layers that its encoder does not have',
    actual: `"layer_start": ${first}`,
    expected: `a number from 0 to ${states.length - 1}, the layers of config.json`,
    next: 'Check that the module and the encoder belong together.',
  });
}

/** The embeddings [B, N] of sequences, from their tokens x [T, C]. */
export function addEmbedding(b: Builder, x: Value, request: PoolRequest, states: States = []): Value {
  const { pooling, normalize, tokenSteps = [], rowSteps = [] } = request;
  const steps: readonly ChainStep[] = normalize ? [...rowSteps, { step: 'normalize' }] : rowSteps;
  // The kernel that pools can scale the row, too.
  const isScaled = steps[0]?.step === 'normalize';
  const row = b.pool(addSteps(b, x, tokenSteps, states), { pooling, normalize: isScaled, name: 'embedding' });
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
