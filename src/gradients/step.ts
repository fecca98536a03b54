import type { Kernel, TexelFormat } from '../../shaders/kernel.ts';
import { type Argument, type RowCost, type Sizes, type TexelOperand, texelOperands, texelsOf } from '../plan/index.ts';

/**
 * What a step binds: what steps of a forward pass bind; a state, a buffer that outlives the passes; or data, an array that comes with a
 * batch beside its inputs.
 */
export type TrainingArgument =
  | Argument
  | { readonly kind: 'state'; readonly name: string }
  | { readonly kind: 'data'; readonly name: DataName };

/**
 * The arrays of a batch that only training has:
 *   labels, next_sentence_labels    u32, a class for each row of logits; IGNORED where a row has none
 *   targets                         f32, a row of padded columns for each sequence; of records for their first texts alone
 *   spans                           vec4u for each sequence: first and last token of the answer, counted from its first token
 *   keys                            vec4u for each token, sequence and distance: x is the key of its row for dropout
 *   *_segments, *_order             what the gradient of a table of embeddings adds up: see shaders/segment-sum.ts
 */
export const DATA = [
  'labels',
  'next_sentence_labels',
  'targets',
  'spans',
  'token_keys',
  'sequence_keys',
  'distances_keys',
  'words_segments',
  'words_order',
  'positions_segments',
  'positions_order',
  'types_segments',
  'types_order',
  'tasks_segments',
  'tasks_order',
] as const;
export type DataName = (typeof DATA)[number];

/** The number of a step that is 0 in its first micro-batch, whose gradients may be written over what is there, and 1 in all others. */
export const ADDS = 'adds';

/** The value of a param: a number, the name of a number of the step or of a size of the pass, or so many times that. */
export type TrainingParam = number | string | { readonly number: string; readonly times: number };

/** One dispatch of a training step. */
export interface TrainingStep {
  readonly kernel: Kernel;
  readonly label: string;
  readonly args: Readonly<Record<string, TrainingArgument>>;
  readonly params: Readonly<Record<string, TrainingParam>>;
  readonly rowCosts: readonly RowCost[];
}

/** The values of the params of a step. Throws where a number has no value, which is a mistake in a plan. */
export function paramValues(
  { kernel, params }: TrainingStep,
  numbers: Readonly<Record<string, number>>,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(params).map(([name, param]) => {
      const { number, times } = typeof param === 'object' ? param : { number: param, times: 1 };
      const value = typeof number === 'number' ? number : numbers[number];
      if (value === undefined) throw new Error(`plan: "${kernel.name}" got no number for "${name}"`);
      return [name, value * times];
    }),
  );
}

/** A texture that steps copy values to, before they read them. */
export interface OperandTexture {
  readonly format: TexelFormat;
  readonly texels: number;
}

/** The values that a step reads as textures, each with the name of its texture: a step may read two, which must not share one. */
export const operandTextures = (step: TrainingStep): { operand: TexelOperand; texture: string }[] =>
  texelOperands(step).map((operand, i) => ({ operand, texture: `${operand.format} ${i}` }));

/** All such textures of a pass of these sizes, by name. */
export function texturesOf(steps: readonly TrainingStep[], sizes: Sizes): Map<string, OperandTexture> {
  const textures = new Map<string, OperandTexture>();
  for (const { operand, texture } of steps.flatMap(operandTextures)) {
    const texels = Math.max(textures.get(texture)?.texels ?? 0, texelsOf(operand, sizes));
    textures.set(texture, { format: operand.format, texels });
  }
  return textures;
}
