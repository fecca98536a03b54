import { describe, InputError, UnsupportedError, wrong } from '../errors.ts';
import { type EncoderConfig, positionsOf, type RawSequence } from '../model/index.ts';
import { Tensor } from './tensor.ts';

type Rows = readonly ArrayLike<number | bigint | boolean>[];
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

/** What a model reads; and what a tokenizer gives beside it, which is let pass. */
const NAMES = ['input_ids', 'attention_mask', 'token_type_ids', 'position_ids'];
const TOKENIZER_NAMES = ['offset_mapping', 'special_tokens_mask', 'overflow_to_sample_mapping'];

/**
 * Takes the padding out. `blocks`: whether the model takes [B, choices, L].
 * Throws InputError where the inputs are no rows of numbers, or of different shapes; UnsupportedError for an input by another name.
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
    const given = inputs[name];
    if (given === undefined || given === null) return undefined;
    const { rows } = rowsOf(name, given, blocks);
    const actual = shapeOf(rows);
    if (actual === expected) return rows;
    throw new InputError({ what: `${name} has another shape than input_ids`, actual, expected });
  };
  const mask = optional('attention_mask');
  const odd = mask?.flat().find(value => value !== 0 && value !== 1);
  if (odd !== undefined) throw wrong('attention_mask', odd, '0 or 1');
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
  return { rows, width: ids.reduce((most, row) => Math.max(most, row.length), 0), choices };
}

const isRow = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));

function rowsOf(
  name: string,
  given: Tensor | Rows | Blocks,
  blocks: boolean,
): { rows: number[][]; choices: number | undefined } {
  const nested: unknown = given instanceof Tensor ? given.tolist() : given;
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
