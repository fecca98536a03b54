import type { Value } from '../plan/index.ts';
import type { LabelName, LossOp } from './op.ts';

/** What a model is trained for: a loss on one of its outputs. */
export interface LossSpec {
  readonly kind: 'crossEntropy' | 'binaryCrossEntropy' | 'squaredError' | 'spanCrossEntropy';
  /** The output of the graph. */
  readonly output: string;
  /** Default: 'labels'. */
  readonly labels?: LabelName;
  /** Of cross-entropy. Default: 0. */
  readonly smoothing?: number;
}

/** The op of a loss on these logits. */
export function lossOp(
  { kind, labels = 'labels', smoothing = 0 }: LossSpec,
  logits: Value,
  like: (of: Pick<Value, 'rows' | 'columns'>, name: string) => Value,
): LossOp {
  const rows = kind === 'spanCrossEntropy' ? 'sequences' : logits.rows;
  // Number by number: a sum reads it so.
  const loss = { ...like({ rows, columns: 1 }, `${logits.name}.loss`), stride: 1 };
  const dlogits = like(logits, `${logits.name}.gradient`);
  const common = { logits, loss, dlogits, labels };
  switch (kind) {
    case 'crossEntropy':
      return { op: kind, ...common, smoothing };
    case 'binaryCrossEntropy':
    case 'squaredError':
      return { op: kind, ...common };
    case 'spanCrossEntropy':
      return { op: kind, logits, loss, dlogits };
    default:
      return kind satisfies never;
  }
}
