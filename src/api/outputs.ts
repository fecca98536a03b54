import type { HeadKind } from '../model/index.ts';
import type { SequenceOutput, SequenceOutputs } from '../plan/index.ts';
import type { UnpaddedInputs, UnpaddedRow } from './inputs.ts';
import { Tensor } from './tensor.ts';

/**
 * What a model gives, under the names of Python's model outputs. B sequences of at most L tokens, C hidden columns, H heads, V tokens in
 * the vocabulary. All are float32; every value of padding is zero.
 */
export interface ModelOutput {
  /** [B, L, C], from models without a head. */
  last_hidden_state: Tensor<'float32'>;
  /** [B, C], from models without a head whose checkpoint has a pooler. */
  pooler_output?: Tensor<'float32'>;
  /** [B, L, C] each: the embeddings, then the output of every layer; or those that the call names. */
  hidden_states?: Tensor<'float32'>[];
  /** [B, H, L, L] each, one for every layer; or those that the call names. */
  attentions?: Tensor<'float32'>[];
  /** Masked LM [B, L, V]; sequences [B, labels]; tokens [B, L, labels]; choices [B, choices]; replaced tokens [B, L]. */
  logits: Tensor<'float32'>;
  /** [B, L] */
  start_logits: Tensor<'float32'>;
  /** [B, L] */
  end_logits: Tensor<'float32'>;
  /** [B, L, V] */
  prediction_logits: Tensor<'float32'>;
  /** [B, 2] */
  seq_relationship_logits: Tensor<'float32'>;
}

export type OutputName = keyof ModelOutput;

/** Which output of the sequences, and the places of their tokens in the padded rows. */
export interface PaddedOutput {
  readonly name: string;
  readonly layer?: number | undefined;
  readonly rows: readonly UnpaddedRow[];
  /** The length of the padded rows. */
  readonly width: number;
}

/** The outputs of a head, padded as the inputs were. `outputs`: one entry for each row of the inputs. */
export function headOutputs(
  head: HeadKind,
  outputs: readonly SequenceOutputs[],
  { rows, width, choices }: UnpaddedInputs,
): Partial<ModelOutput> {
  const paddedLogits = () => padTokens(outputs, { name: 'logits', rows, width });
  switch (head) {
    case 'MaskedLM':
    case 'TokenClassification':
      return { logits: paddedLogits() };
    case 'PreTraining': {
      // BERT has two heads; ELECTRA has one, the discriminator.
      const pairs = 'seq_relationship_logits';
      const hasPairs = slicesOf(outputs[0]!, pairs).length > 0;
      if (hasPairs) return { prediction_logits: paddedLogits(), [pairs]: stack(pairs, outputs) };
      const replaced = paddedLogits();
      return { logits: replaced.view(...replaced.dims.slice(0, 2)) };
    }
    case 'MultipleChoice':
      return { logits: stack('logits', outputs).view(-1, choices ?? outputs.length) };
    case 'QuestionAnswering': {
      // [B, L, 2]
      const spanLogits = paddedLogits();
      return { start_logits: spanLogits.slice(null, null, 0), end_logits: spanLogits.slice(null, null, 1) };
    }
    case 'SequenceClassification':
    case 'NextSentencePrediction':
      return { logits: stack('logits', outputs) };
    default:
      return head satisfies never;
  }
}

/** One row per sequence -> [B, columns] */
export function stack(name: string, outputs: readonly SequenceOutputs[]): Tensor<'float32'> {
  const rows = outputs.map(output => outputOf(output, name));
  const columns = rows[0]!.length;
  const data = new Float32Array(rows.length * columns);
  for (const [b, row] of rows.entries()) data.set(row, b * columns);
  return new Tensor('float32', data, [rows.length, columns]);
}

/** One row per token -> [B, width, columns]: every token at the place that it had in its padded row, zeros elsewhere. */
export function padTokens(
  outputs: readonly SequenceOutputs[],
  { name, layer, rows, width }: PaddedOutput,
): Tensor<'float32'> {
  const columns = columnsOf(slicesOf(outputs[0]!, name, layer));
  const data = new Float32Array(outputs.length * width * columns);
  outputs.forEach((output, b) => {
    const from = outputOf(output, name, layer);
    rows[b]!.places.forEach((place, i) => {
      data.set(from.subarray(i * columns, (i + 1) * columns), (b * width + place) * columns);
    });
  });
  return new Tensor('float32', data, [outputs.length, width, columns]);
}

/** Python's score of a key that is not seen: the lowest float32, which any score is lost in. */
export const LOWEST_SCORE = -(2 - 2 ** -23) * 2 ** 127;

/** [H, L, L] of every sequence -> [B, H, width, width], with `missing` in the rows and columns of padding. */
export function padPairs(
  outputs: readonly SequenceOutputs[],
  { name, layer, rows, width }: PaddedOutput,
  missing: number,
): Tensor<'float32'> {
  const heads = columnsOf(slicesOf(outputs[0]!, name, layer));
  const data = new Float32Array(outputs.length * heads * width * width).fill(missing);
  outputs.forEach((output, b) => {
    const from = outputOf(output, name, layer);
    const { places } = rows[b]!;
    const L = places.length;
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < L; i++) {
        const to = ((b * heads + h) * width + places[i]!) * width;
        for (let j = 0; j < L; j++) data[to + places[j]!] = from[(h * L + i) * L + j]!;
      }
    }
  });
  return new Tensor('float32', data, [outputs.length, heads, width, width]);
}

/** The slices of an output, in the order of their columns; a single one if it was computed whole. */
export const slicesOf = (outputs: SequenceOutputs, name: string, layer?: number): SequenceOutput[] =>
  outputs.filter(output => output.name === name && output.layer === layer);

const columnsOf = (slices: readonly SequenceOutput[]): number => slices.reduce((sum, { columns }) => sum + columns, 0);

/** An output [rows, columns] that the request asked for. Its slices are joined by columns. */
export function outputOf(outputs: SequenceOutputs, name: string, layer?: number): Float32Array {
  const slices = slicesOf(outputs, name, layer);
  const [whole] = slices;
  if (!whole) throw new Error(`a pass gave no ${name}${layer === undefined ? '' : ` of layer ${layer}`}`);
  if (slices.length === 1) return whole.data;
  const width = columnsOf(slices);
  const rows = whole.data.length / whole.columns;
  const data = new Float32Array(rows * width);
  for (const { first, columns, data: slice } of slices) {
    for (let row = 0; row < rows; row++) {
      data.set(slice.subarray(row * columns, (row + 1) * columns), row * width + first);
    }
  }
  return data;
}
