import type { AttentionVariant } from '../../shaders/attention.ts';
import type { DistanceTerms } from '../../shaders/attention-distances.ts';
import { type AngleSource, rotarySteps } from '../../shaders/rotary.ts';
import type { AttentionOp, DisentangledBias, RotaryOp, Value } from './op.ts';
import type { InputName } from './step.ts';
import type { Weight } from './weight.ts';

/** What is given to a binding of a kernel. */
export type Operand = Value | Weight | InputName | Uint32Array<ArrayBuffer>;

/** The variant of the kernel of attention. */
export const attentionVariant = (op: AttentionOp): AttentionVariant => ({
  heads: op.heads,
  keyHeads: op.keyHeads,
  headSize: op.headSize,
  probabilities: !!op.probabilities,
  relative: op.bias?.kind === 'buckets',
  slopes: op.bias?.kind === 'slopes',
  window: op.window !== undefined,
  ...(op.probabilities && op.asScores && { asScores: true }),
  ...(op.bias?.kind === 'disentangled' && { distances: distanceTerms(op.bias) }),
});

const distanceTerms = ({ keys, queries, count, rows }: DisentangledBias): DistanceTerms => ({
  keys: !!keys,
  queries: !!queries,
  count,
  farthest: (rows.length - 1) / 2,
});

/** A window that no sequence is longer than: distances are signed numbers of 32 bits. */
export const WIDEST_WINDOW = 2 ** 30;

/** What the kernel of attention reads for its window and its bias. */
export function biasOperands({ bias, window }: AttentionOp): Readonly<Record<string, Operand | undefined>> {
  const tokens = { tokens: 'tokens' } as const;
  switch (bias?.kind) {
    case undefined:
      return window === undefined ? {} : tokens;
    case 'buckets':
      return { ...tokens, buckets: bias.buckets, bias: bias.bias };
    case 'slopes':
      return { ...tokens, slopes: new Uint32Array(Float32Array.from(bias.slopes).buffer) };
    case 'disentangled':
      return { ...tokens, distance_rows: bias.rows, distance_keys: bias.keys, distance_queries: bias.queries };
    default:
      return bias satisfies never;
  }
}

/** The angles that the kernel of rotary positions reads, under the name of their source. */
export function rotaryAngles({ frequencies, stored, stretch }: RotaryOp): { source: AngleSource; operand: Operand } {
  if (stretch) return { source: 'phases', operand: 'phases' };
  if (stored) return { source: stored.kind, operand: stored.weight };
  return { source: 'steps', operand: rotarySteps(frequencies) };
}
