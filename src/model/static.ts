import { CheckpointError } from '../errors.ts';
import { Fields, type Json } from '../json.ts';
import type { Builder, Sequence, Value } from '../plan/index.ts';
import { readConfig } from './config.ts';
import { CONFIG_FILE } from './config-file.ts';
import type { EncoderConfig, StaticTable } from './encoder-config.ts';
import { MAX_ROWS } from './family.ts';

/** The canonical names of the tensors. */
export const STATIC_ROWS = 'embeddings.word_embeddings';
export const STATIC_WEIGHTS = 'static.weights';
export const STATIC_MAPPING = 'static.mapping';

/** The shapes of the tensors of a file. */
export interface StaticShapes {
  readonly rows: readonly number[];
  readonly weights: readonly number[] | undefined;
  readonly mapping: readonly number[] | undefined;
}

/** How many tokens of a text model2vec reads where config.json does not say. */
const MODEL2VEC_LENGTH = 512;

/**
 * The configuration of a static model, from the shapes of its tensors; of config.json, which only model2vec writes, `max_length` counts
 * (null: no limit). Throws CheckpointError.
 */
export function staticConfig(raw: Json, library: StaticTable['library'], shapes: StaticShapes): EncoderConfig {
  const [rows = 0, columns = 0] = shapes.rows;
  const vocabSize = (shapes.mapping ?? shapes.weights)?.[0] ?? rows;
  const encoder = readConfig({
    model_type: 'bert',
    vocab_size: vocabSize,
    hidden_size: columns,
    num_hidden_layers: 1,
    num_attention_heads: 1,
    intermediate_size: 1,
    max_position_embeddings: 1,
  });
  const fields = new Fields(raw, '', CONFIG_FILE);
  const isLimited = library === 'model2vec' && raw.max_length !== null;
  return {
    ...encoder,
    modelType: 'static',
    headKinds: {},
    layers: 0,
    layerWeights: [],
    attentions: [],
    typeVocabSize: 0,
    sharesOneType: false,
    maxPositions: isLimited
      ? fields.integer('max_length', MODEL2VEC_LENGTH, { min: 1, max: MAX_ROWS })
      : Number.POSITIVE_INFINITY,
    labels: [],
    raw,
    static: { library, rows, hasMapping: shapes.mapping !== undefined, hasWeights: shapes.weights !== undefined },
  };
}

/** The rows of the tokens [T, C]. */
export function staticTokens(b: Builder, { vocabSize, hiddenSize }: EncoderConfig, table: StaticTable): Value {
  return b.embed({
    words: { table: STATIC_ROWS, rows: table.rows },
    scales: table.hasWeights ? { tensor: STATIC_WEIGHTS, rows: vocabSize } : undefined,
    columns: hiddenSize,
  });
}

/** Throws CheckpointError where a token has a row that the table does not have. */
export function checkMapping(mapping: Float32Array, { rows }: StaticTable): void {
  const id = mapping.findIndex(row => !(Number.isInteger(row) && row >= 0 && row < rows));
  if (id < 0) return;
  throw new CheckpointError({
    what: 'the tensor "mapping" names a row that the table does not have',
    actual: `${mapping[id]} for token ${id}`,
    expected: `whole numbers from 0 to ${rows - 1}`,
    next: 'Get the file again.',
    tensor: 'mapping',
  });
}

/** A sequence as the table reads it: its ids are rows, its positions the tokens' ids, by which they have their weights. */
export const staticSequence = (sequence: Sequence, mapping: Float32Array | undefined): Sequence => ({
  ...sequence,
  ids: mapping ? Array.from(sequence.ids, id => mapping[id]!) : sequence.ids,
  positions: sequence.ids,
});
