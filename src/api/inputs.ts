import { describe, InputError, UnsupportedError, wrong } from '../errors.ts';
import { type EncoderConfig, positionsOf, type RawSequence } from '../model/index.ts';
import { Tensor } from './tensor.ts';

type Rows = readonly ArrayLike<number | bigint | boolean>[];
/** [B, choices, L], for multiple choice. */
type Blocks = readonly Rows[];

/** The inputs of a model: the tokenizer's padded tensors [B, L] ([B, choices, L] for multiple choice), or plain lists of any lengths. */
export interface ModelInputs {
  input_ids: Tensor | Rows | Blocks;
  /** 1 for a token, 0 for padding. Default: no padding. */
  attention_mask?: Tensor | Rows | Blocks | null;
  /** Default: 0 for every token. */
  token_type_ids?: Tensor | Rows | Blocks | null;
  /** Default: as in Python, 0, 1, 2, ... from the start of the row; fairseq's models do not count padding. */
  position_ids?: Tensor | Rows | Blocks | null;
}

/** A row without its padding, and the places that its tokens had in the padded row. */
export interface UnpaddedRow extends RawSequence {
  readonly places: readonly number[];
}

export interface UnpaddedInputs {
  rows: UnpaddedRow[];
  /** The length of the longest row, padding included: the L of padded results. */
  width: number;
  /** The number of choices if the inputs were [B, choices, L]: `rows` are then B * choices, those of one item together. */
  choices: number | undefined;
}

/** The inputs that a model reads. */
const NAMES = ['input_ids', 'attention_mask', 'token_type_ids', 'position_ids'];
/** What a tokenizer returns beside them: it is accepted and ignored. */
const TOKENIZER_NAMES = ['offset_mapping', 'special_tokens_mask', 'overflow_to_sample_mapping'];

/**
 * Takes the padding out. `blocks`: whether the model takes [B, choices, L].
 * Throws InputError if the inputs are no rows of numbers or differ in shape, UnsupportedError for an input by any other name.
 */
export function unpadInputs(config: EncoderConfig, inputs: ModelInputs, blocks: boolean): UnpaddedInputs {
  if (inputs?.input_ids === undefined) {
    throw wrong(
      'the input of the model',
      inputs,
      '{ input_ids, attention_mask, … }',
      'Pass what the tokenizer returns.',
    );
  }
  for (const [name, value] of Object.entries(inputs)) {
    if (NAMES.includes(name) || TOKENIZER_NAMES.includes(name) || value === undefined || value === null) continue;
    throw new UnsupportedError({ what: `a model has no input "${name}"`, supported: NAMES });
  }
  const { rows: ids, choices } = rowsOf('input_ids', inputs.input_ids, blocks);
  if (ids.length === 0) throw new InputError({ what: 'input_ids has no rows', actual: '0', expected: 'at least 1' });
  const shapeOf = (rows: readonly number[][]) => JSON.stringify(rows.map(row => row.length));
  const expected = shapeOf(ids);
  const optional = (name: 'attention_mask' | 'token_type_ids' | 'position_ids') => {
    const input = inputs[name];
    if (input === undefined || input === null) return undefined;
    const { rows } = rowsOf(name, input, blocks);
    const actual = shapeOf(rows);
    if (actual === expected) return rows;
    throw new InputError({ what: `${name} has another shape than input_ids`, actual, expected });
  };
  const mask = optional('attention_mask');
  const wrongValue = mask?.flat().find(value => value !== 0 && value !== 1);
  if (wrongValue !== undefined) throw wrong('attention_mask', wrongValue, '0 or 1');
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
  return { rows, width: ids.reduce((longest, row) => Math.max(longest, row.length), 0), choices };
}

const isRow = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));

/** The rows of an input as numbers, those of blocks one after the other. Throws InputError. */
function rowsOf(
  name: string,
  input: Tensor | Rows | Blocks,
  blocks: boolean,
): { rows: number[][]; choices: number | undefined } {
  const nested: unknown = input instanceof Tensor ? input.tolist() : input;
  const expected = `numbers of dims [B, ${blocks ? 'choices, ' : ''}L]`;
  const fail = (actual: string, next?: string) =>
    new InputError({ what: `${name} is not a batch of rows`, actual, expected, next });
  if (!Array.isArray(nested)) throw fail(typeof nested);
  if (nested.length > 0 && !isRow(nested[0])) throw fail('one flat list', 'For a single sequence pass [ids].');
  const isBlock = (value: unknown) => isRow(value) && isRow(value[0]);
  const choices: number | undefined = nested.some(isBlock) ? nested[0].length : undefined;
  if (choices !== undefined) {
    if (!blocks) throw fail('three dims');
    if (!nested.every(block => isBlock(block) && block.length === choices)) throw fail('different numbers of choices');
  }
  const rows: unknown[] = choices === undefined ? nested : nested.flat();
  return {
    choices,
    rows: rows.map(row => {
      if (!isRow(row)) throw fail(`${describe(row)} for a row`);
      return Array.from(row, value => {
        if (/number|bigint|boolean/.test(typeof value)) return Number(value);
        throw fail(`${describe(value)} in a row`);
      });
    }),
  };
}
