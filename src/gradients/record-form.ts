import type { TrainableGraph, TrainingOp } from './op.ts';
import { values } from './values.ts';

export interface RecordFormOptions {
  /** The output of the graph that is the embedding [B, C] of each text. */
  readonly output: string;
  /** For each loss how many of the first columns it reads; undefined: all. */
  readonly columns: readonly (number | undefined)[];
  /** Whether the rows that a loss reads are scaled to length 1. */
  readonly normalize: boolean;
}

/**
 * The same forward pass, with an output more for each loss of records: the first columns of the embedding, scaled to length 1 as cosines need
 * them (Matryoshka representation learning: Kusupati et al., arXiv 2205.13147). `names` are those of the outputs.
 */
export function recordForm(
  { ops: forward, outputs }: TrainableGraph,
  { output, columns, normalize }: RecordFormOptions,
): { graph: TrainableGraph; names: readonly string[] } {
  const { like } = values(forward);
  const embedding = outputs.get(output);
  if (!embedding) throw new Error(`graph: no output "${output}" for a loss`);
  const ops: TrainingOp[] = [...forward];
  const all = new Map(outputs);
  const names = columns.map(count => {
    let x = embedding;
    if (count !== undefined && count !== x.columns) {
      const y = like({ rows: x.rows, columns: count }, `${x.name}.first${count}`);
      ops.push({ op: 'columns', x, first: 0, y });
      x = y;
    }
    if (normalize) {
      const y = like(x, `${x.name}.cosine`);
      ops.push({ op: 'normalize', x, y });
      x = y;
    }
    const name = `${output} ${count ?? 'whole'}`;
    all.set(name, x);
    return name;
  });
  return { graph: { ops, outputs: all }, names };
}
