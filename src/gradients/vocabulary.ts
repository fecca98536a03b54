import { padded } from '../../shaders/kernel.ts';
import { rowSlice, type Value, type Weight } from '../plan/index.ts';
import type { DeviceTrainingOp } from './device-op.ts';
import type { CrossEntropyOp } from './loss-op.ts';
import type { LinearInputOp, LinearWeightOp, TrainingOp } from './op.ts';
import { values, valuesIn } from './values.ts';

/**
 * How many columns of the logits [R, V] of a vocabulary are there at once. Of a vocabulary that is no larger, and of other classes, all of
 * them are. With 15 % of the tokens masked, 16,384 columns are 2,458 numbers a token: fewer than the inner layer of BERT-base has.
 */
export const VOCABULARY_COLUMNS = 16384;

/** Columns of a tile are a multiple of what any tiling computes in a workgroup. */
const COLUMN_STEP = 64;

export interface VocabularyOptions {
  /** Default: VOCABULARY_COLUMNS. */
  readonly columns?: number;
  /** A matrix as the device keeps it: itself in its storage, or where no binding holds it its slices. */
  readonly slicesOf: (weight: Weight) => readonly Weight[];
}

/** A part of the columns of the logits. */
interface Tile {
  readonly slice: Weight;
  /** The first row in the slice, and in the whole matrix. */
  readonly from: number;
  readonly first: number;
  readonly columns: number;
}

/** A loss, the linear whose outputs it reads, and the ops of its gradients: what is computed in tiles. */
export interface Vocabulary {
  readonly loss: CrossEntropyOp;
  readonly decoder: Extract<TrainingOp, { op: 'linear' }>;
  readonly input: LinearInputOp | undefined;
  readonly weight: LinearWeightOp | undefined;
}

/**
 * The cross-entropy of a linear with very many outputs, in tiles of them: neither the logits [R, V] nor their gradient are ever there as a
 * whole. Gives what takes the place of each op that is computed otherwise.
 *
 *   forward    every tile of logits from the first to the last, for the maximum, the sum and the label's logit of each row
 *   backward   every tile from the last to the first: its logits once more (but for the last, which are still there), their gradient in
 *              the same place, and what it adds to the gradients of the input, of the matrix and of the bias
 *
 * So a sum over the vocabulary is one over tiles, in one order. The gradient of a matrix that is the embeddings' table, too, has these
 * sums first and those of the tokens after them, as without tiles.
 */
export function vocabularyTiles(
  ops: readonly TrainingOp[],
  { slicesOf, columns = VOCABULARY_COLUMNS }: VocabularyOptions,
): ReadonlyMap<TrainingOp, readonly DeviceTrainingOp[]> {
  const { like } = values(ops);
  const replaced = new Map<TrainingOp, readonly DeviceTrainingOp[]>();
  for (const found of vocabularies(ops)) {
    const { decoder, input, weight, loss } = found;
    const tiles = tilesOf(slicesOf(decoder.weight), columns);
    if (tiles.length === 1) continue;
    const { forward, backward } = tiled(found, tiles, like);
    replaced.set(decoder, []);
    replaced.set(loss, forward);
    // At the later of the two, all that both read is there.
    const rules = ops.filter(op => op === input || op === weight);
    for (const rule of rules) replaced.set(rule, rule === rules.at(-1) ? backward : []);
  }
  return replaced;
}

/** The losses of a graph that can be computed in tiles. */
export const vocabularies = (ops: readonly TrainingOp[]): Vocabulary[] =>
  ops.flatMap(op => (op.op === 'crossEntropy' ? (vocabularyOf(op, ops) ?? []) : []));

/** The rows of a weight that go with those of a slice: of a gradient, or of a bias. */
export const rowsOf = (weight: Weight, { first, count }: Weight): Weight =>
  count === weight.count ? weight : rowSlice(weight, first, count);

/**
 * The linear whose outputs a loss reads, and the ops of its gradients; undefined where anything else reads logits or their gradient, or where
 * the classes have weights, which no vocabulary has.
 */
function vocabularyOf(loss: CrossEntropyOp, ops: readonly TrainingOp[]): Vocabulary | undefined {
  if (loss.classWeights) return undefined;
  const decoder = ops.find(op => op.op === 'linear' && op.y === loss.logits);
  if (decoder?.op !== 'linear' || decoder.residual || decoder.gate || decoder.activation) return undefined;
  const input = ops.find(op => op.op === 'linearInput' && op.dy === loss.dlogits) as LinearInputOp | undefined;
  const weight = ops.find(op => op.op === 'linearWeight' && op.dy === loss.dlogits) as LinearWeightOp | undefined;
  const own: readonly unknown[] = [decoder, loss, input, weight];
  const others = ops.filter(op => !own.includes(op)).flatMap(valuesIn);
  return others.includes(loss.logits) || others.includes(loss.dlogits) ? undefined : { loss, decoder, input, weight };
}

/** The rows of slices in as few parts as have at most so many, all of a slice about equal. */
function tilesOf(slices: readonly Weight[], most: number): Tile[] {
  return slices.flatMap(slice => {
    const parts = Math.ceil(slice.count / most);
    const columns = Math.ceil(slice.count / parts / COLUMN_STEP) * COLUMN_STEP;
    return Array.from({ length: Math.ceil(slice.count / columns) }, (_, i) => {
      const from = i * columns;
      return { slice, from, first: slice.first + from, columns: Math.min(columns, slice.count - from) };
    });
  });
}

function tiled(
  { loss, decoder, input, weight }: Vocabulary,
  tiles: readonly Tile[],
  like: (of: Pick<Value, 'rows' | 'columns'>, name: string) => Value,
): { forward: DeviceTrainingOp[]; backward: DeviceTrainingOp[] } {
  const { x, bias, y } = decoder;
  const { rows } = y;
  const forward: DeviceTrainingOp[] = [];
  const backward: DeviceTrainingOp[] = [];
  const statistics = like({ rows, columns: 4 }, `${y.name}.statistics`);
  const part = (weight: Weight | undefined, { slice }: Tile) => weight && rowsOf(weight, slice);

  /** The logits of a tile as a value of its own, computed where `ops` end. */
  function logits(ops: DeviceTrainingOp[], tile: Tile, of: string): Value {
    const { first, columns, slice, from } = tile;
    const made = { ...like({ rows, columns }, `${of}[${first}..${first + columns}]`), stride: padded(columns) };
    ops.push({ op: 'linearSlice', x, weight: slice, bias: part(bias, tile), from, y: made });
    return made;
  }

  let last: Value | undefined;
  for (const tile of tiles) {
    last = logits(forward, tile, y.name);
    forward.push({ op: 'softmaxStatistics', of: loss, logits: last, first: tile.first, statistics });
  }
  /** The gradient of the input so far. */
  let dx = input?.residual;
  for (const tile of [...tiles].reverse()) {
    const { slice, from, first } = tile;
    const dy = tile === tiles.at(-1) ? last! : logits(backward, tile, loss.dlogits.name);
    backward.push({ op: 'softmaxGradient', of: loss, dlogits: dy, first, statistics });
    if (weight) {
      const { gradient, biasGradient } = weight;
      const sums = { gradient: part(gradient, tile), biasGradient: part(biasGradient, tile) };
      backward.push({ op: 'linearWeightSlice', dy, x: weight.x, from, ...sums });
    }
    if (input) {
      const next = tile === tiles[0] ? input.dx : like(input.dx, `${input.dx.name}[${first}..]`);
      backward.push({ op: 'linearInputSlice', dy, weight: slice, from, residual: dx, dx: next });
      dx = next;
    }
  }
  return { forward, backward };
}
