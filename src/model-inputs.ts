import { InputError } from './errors.ts';
import type { EncoderConfig } from './model/config.ts';
import { positionsOf, type RawSequence } from './model/input.ts';
import { Tensor } from './tensor.ts';

type Rows = readonly (readonly (number | bigint)[])[];
/** [B, choices, L], for multiple choice. */
type Blocks = readonly Rows[];

/** What a model takes: the tokenizer's padded tensors [B, L], or plain lists of any lengths. */
export interface ModelInputs {
  input_ids: Tensor | Rows | Blocks;
  /** 0 where a token is padding. Default: no padding. */
  attention_mask?: Tensor | Rows | Blocks | null;
  /** Default: 0 for every token. */
  token_type_ids?: Tensor | Rows | Blocks | null;
  /** Default: as in Python, 0, 1, 2, ... from the start of the row; fairseq's models do not count padding. */
  position_ids?: Tensor | Rows | Blocks | null;
}

/** A row without its padding, and where in the row its tokens stood. */
export interface UnpaddedRow extends RawSequence {
  readonly places: readonly number[];
}

export interface UnpaddedInputs {
  rows: UnpaddedRow[];
  /** The longest row with its padding: the L of padded results. */
  width: number;
  /** Where the inputs were [B, choices, L]; their rows come one behind the other. */
  choices: number | undefined;
}

/** Takes the padding out. Throws InputError where the inputs are no rows, or of different shapes. */
export function unpadInputs(config: EncoderConfig, inputs: ModelInputs): UnpaddedInputs {
  if (typeof inputs !== 'object' || inputs === null || inputs.input_ids === undefined) {
    throw new InputError({
      what: 'a model was called without input_ids',
      actual: inputs === null ? 'null' : typeof inputs,
      expected: '{ input_ids, attention_mask, token_type_ids }',
      next: 'Pass what the tokenizer returns.',
    });
  }
  const { rows: ids, choices } = rowsOf('input_ids', inputs.input_ids);
  if (ids.length === 0) throw new InputError({ what: 'input_ids has no rows', actual: '0', expected: 'at least 1' });
  const optional = (name: 'attention_mask' | 'token_type_ids' | 'position_ids') => {
    const given = inputs[name];
    if (given === undefined || given === null) return undefined;
    const { rows } = rowsOf(name, given);
    if (rows.length === ids.length && rows.every((row, b) => row.length === ids[b]!.length)) return rows;
    throw new InputError({
      what: `${name} has another shape than input_ids`,
      actual: JSON.stringify(rows.map(row => row.length)),
      expected: JSON.stringify(ids.map(row => row.length)),
    });
  };
  const mask = optional('attention_mask');
  const types = optional('token_type_ids');
  const positions = optional('position_ids');
  const rows = ids.map((row, b) => {
    const places = [...row.keys()].filter(i => mask === undefined || mask[b]![i] !== 0);
    const pick = (from: readonly number[]) => places.map(i => from[i]!);
    return {
      places,
      ids: pick(row),
      types: types && pick(types[b]!),
      positions: pick(positions?.[b] ?? positionsOf(config, row)),
    };
  });
  return { rows, width: Math.max(...ids.map(row => row.length)), choices };
}

function rowsOf(name: string, given: Tensor | Rows | Blocks): { rows: number[][]; choices: number | undefined } {
  const nested: unknown = given instanceof Tensor ? given.tolist() : given;
  const flat = Array.isArray(nested) && nested.length > 0 && !Array.isArray(nested[0]);
  if (!Array.isArray(nested) || flat || !nested.every(Array.isArray)) {
    throw new InputError({
      what: `${name} is not a batch of rows`,
      actual:
        given instanceof Tensor ? `a tensor of dims [${given.dims.join(', ')}]` : flat ? 'one flat list' : typeof given,
      expected: 'a Tensor of dims [B, L], or a list of lists of numbers ([B, choices, L] for multiple choice)',
      next: flat ? 'For a single sequence pass [ids].' : '',
    });
  }
  const isBlocks = nested.length > 0 && nested.every(block => block.length > 0 && block.every(Array.isArray));
  const rows: (number | bigint)[][] = isBlocks ? nested.flat() : nested;
  return { rows: rows.map(row => row.map(Number)), choices: isBlocks ? nested[0]?.length : undefined };
}
