import type { Value } from '../plan/index.ts';
import type { LabelName, LossOp } from './loss-op.ts';

/** A loss on one of the outputs of a graph. */
export type LossSpec = RowLossSpec | RecordLossSpec;

/** A loss of each row of logits by itself. */
export interface RowLossSpec {
  readonly kind: 'crossEntropy' | 'binaryCrossEntropy' | 'squaredError' | 'spanCrossEntropy';
  /** The output of the graph. */
  readonly output: string;
  /** Default: 'labels'. */
  readonly labels?: LabelName;
  /** Of cross-entropy. Default: 0. */
  readonly smoothing?: number;
  /** Of cross-entropy: the weights of the classes. Default: 1. */
  readonly classWeights?: readonly number[] | undefined;
}

/** A loss of the embeddings of texts in the columns of records: see LossOfRecords. */
export interface RecordLossSpec {
  readonly kind: 'ranking' | 'cosineError' | 'cosent';
  readonly output: string;
  /** How many texts a record has. */
  readonly texts: number;
  /** Of ranking and CoSENT: what similarities are multiplied by. Default: 1. */
  readonly factor?: number;
  /** What the loss is multiplied by. Default: 1. */
  readonly weight?: number;
}

/** The op of a loss on these logits. */
export function lossOp(
  spec: LossSpec,
  logits: Value,
  like: (of: Pick<Value, 'rows' | 'columns'>, name: string) => Value,
): LossOp {
  const rows = spec.kind === 'spanCrossEntropy' ? 'sequences' : logits.rows;
  // Number by number: a sum reads it so.
  const loss = { ...like({ rows, columns: 1 }, `${logits.name}.loss`), stride: 1 };
  const dlogits = like(logits, `${logits.name}.gradient`);
  const common = { logits, loss, dlogits };
  switch (spec.kind) {
    case 'crossEntropy':
      return {
        op: spec.kind,
        ...common,
        labels: spec.labels ?? 'labels',
        smoothing: spec.smoothing ?? 0,
        classWeights: spec.classWeights,
      };
    case 'binaryCrossEntropy':
    case 'squaredError':
      return { op: spec.kind, ...common, labels: spec.labels ?? 'labels' };
    case 'spanCrossEntropy':
      return { op: spec.kind, ...common };
    case 'ranking':
    case 'cosent': {
      const { kind, texts, factor = 1, weight = 1 } = spec;
      return { op: kind, ...common, texts, factor, weight };
    }
    case 'cosineError':
      return { op: spec.kind, ...common, texts: spec.texts, weight: spec.weight ?? 1 };
    default:
      return spec satisfies never;
  }
}
