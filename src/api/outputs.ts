import type { HeadKind } from '../model/index.ts';
import type { SequenceOutputs } from '../plan/index.ts';
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

/** The outputs of the sequences of one call, each a map that may be changed. */
type CallOutputs = readonly Map<string, Float32Array>[];

/** The outputs of a head, padded as the inputs were. `outputs`: one entry for each row of the inputs. */
export function headOutputs(
  head: HeadKind,
  outputs: CallOutputs,
  { inputs: { rows, width, choices }, vocabSize }: { inputs: UnpaddedInputs; vocabSize: number },
): Partial<ModelOutput> {
  const padded = (name: string) => padTokens(name, outputs, rows, width);
  const vocabularyLogits = () => {
    for (const sequence of outputs) sequence.set('logits', joinSlices(sequence, vocabSize));
    return padded('logits');
  };
  switch (head) {
    case 'MaskedLM':
      return { logits: vocabularyLogits() };
    case 'PreTraining': {
      // BERT has two heads, ELECTRA one: the discriminator.
      const pairs = 'seq_relationship_logits';
      if (outputs[0]!.has(pairs)) return { prediction_logits: vocabularyLogits(), [pairs]: stack(pairs, outputs) };
      const replaced = padded('logits');
      return { logits: replaced.view(...replaced.dims.slice(0, 2)) };
    }
    case 'MultipleChoice':
      return { logits: stack('logits', outputs).view(-1, choices ?? outputs.length) };
    case 'TokenClassification':
      return { logits: padded('logits') };
    case 'QuestionAnswering': {
      // [B, L, 2]
      const spanLogits = padded('logits');
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
  const rows = outputs.map(out => out.get(name)!);
  const columns = rows[0]!.length;
  const data = new Float32Array(rows.length * columns);
  for (const [b, row] of rows.entries()) data.set(row, b * columns);
  return new Tensor('float32', data, [rows.length, columns]);
}

/** One row per token -> [B, width, columns]: every token at the place that it had in its padded row, zeros elsewhere. */
export function padTokens(
  name: string,
  outputs: readonly SequenceOutputs[],
  rows: readonly UnpaddedRow[],
  width: number,
): Tensor<'float32'> {
  const columns = outputs[0]!.get(name)!.length / rows[0]!.places.length;
  const data = new Float32Array(outputs.length * width * columns);
  outputs.forEach((out, b) => {
    const from = out.get(name)!;
    rows[b]!.places.forEach((place, i) => {
      data.set(from.subarray(i * columns, (i + 1) * columns), (b * width + place) * columns);
    });
  });
  return new Tensor('float32', data, [outputs.length, width, columns]);
}

/** [H, L, L] of every sequence -> [B, H, width, width], zeros in the rows and columns of padding. */
export function padPairs(
  name: string,
  outputs: readonly SequenceOutputs[],
  rows: readonly UnpaddedRow[],
  width: number,
): Tensor<'float32'> {
  const heads = outputs[0]!.get(name)!.length / rows[0]!.places.length ** 2;
  const data = new Float32Array(outputs.length * heads * width * width);
  outputs.forEach((out, b) => {
    const from = out.get(name)!;
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

/** The outputs named `{name}.{first}`: what each slice of a vocabulary gave, with the first token of the slice. */
export function slicesOf(out: SequenceOutputs, name: string): { first: number; data: Float32Array }[] {
  return [...out].flatMap(([key, data]) => {
    const [output, first] = key.split('.');
    return output === name ? [{ first: Number(first), data }] : [];
  });
}

/** The slices `logits.{first}` [rows, V_i] of a vocabulary, joined: [rows, V]. */
export function joinSlices(out: SequenceOutputs, vocabSize: number): Float32Array {
  const slices = slicesOf(out, 'logits');
  if (slices.length === 1) return slices[0]!.data;
  const rows = slices.reduce((sum, { data }) => sum + data.length, 0) / vocabSize;
  const logits = new Float32Array(rows * vocabSize);
  for (const { first, data } of slices) {
    const columns = data.length / rows;
    for (let row = 0; row < rows; row++) {
      logits.set(data.subarray(row * columns, (row + 1) * columns), row * vocabSize + first);
    }
  }
  return logits;
}
