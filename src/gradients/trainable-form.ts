import { UnsupportedError } from '../errors.ts';
import type { Graph, Op, Rows, Value } from '../plan/index.ts';
import { type Adapt, adapterOps } from './adapters.ts';
import type { Dropout, TrainableGraph, TrainingOp } from './op.ts';
import { values } from './values.ts';

/** The probabilities of dropout, by where it is applied. 0: none. */
export interface DropoutRates {
  /** Behind the embeddings. */
  readonly embeddings: number;
  /** Of the probabilities of attention. */
  readonly attention: number;
  /** Behind the output projection of attention. */
  readonly attentionOutput: number;
  /** Behind the output projection of the feed-forward layer. */
  readonly output: number;
  /** Before each linear of a classifier. */
  readonly classifier: number;
}

export const NO_DROPOUT: DropoutRates = {
  embeddings: 0,
  attention: 0,
  attentionOutput: 0,
  output: 0,
  classifier: 0,
};

/** The linears behind which a layer has dropout, and those before which a classifier has it, by the canonical names of their weights. */
const ATTENTION_OUTPUT = /^encoder\.layer\.\d+\.attention\.output\.dense\.weight$/;
const LAYER_OUTPUT = /^encoder\.layer\.\d+\.output\.dense\.weight$/;
const CLASSIFIER = /^classifier\.(dense\.|out_proj\.)?weight$/;

/**
 * The same forward pass, in the ops that `backward` knows: activations, gates and residuals stand apart from their linears, norms apart
 * from embeddings, the scaling to length 1 apart from poolings; attention notes its statistics; dropout is there, and adapters.
 */
export function trainableForm(graph: Graph, rates: DropoutRates = NO_DROPOUT, adapt?: Adapt): TrainableGraph {
  const { like } = values(graph.ops);
  const ops: TrainingOp[] = [];
  let sites = 0;
  const site = (probability: number): Dropout => ({ site: sites++, probability });

  function dropped(x: Value, probability: number, rest: { residual?: Value | undefined; y?: Value } = {}): Value {
    const { residual, y = like(x, `${x.name}.dropout`) } = rest;
    ops.push({ op: 'dropout', x, dropout: site(probability), residual, y });
    return y;
  }

  function add(op: Op): void {
    switch (op.op) {
      case 'embed': {
        const { norm, y } = op;
        const isDropped = rates.embeddings > 0;
        const normed = isDropped ? like(y, `${y.name}.undropped`) : y;
        const sum = norm ? like(y, `${y.name}.sum`) : normed;
        ops.push({ ...op, norm: undefined, y: sum });
        if (norm) ops.push({ op: 'norm', x: sum, residual: undefined, norm, addend: undefined, y: normed });
        if (isDropped) dropped(normed, rates.embeddings, { y });
        return;
      }
      case 'linear': {
        const { activation, gate, residual, y, weight } = op;
        const [{ tensor }] = weight.parts as [(typeof weight.parts)[0]];
        const x = rates.classifier > 0 && CLASSIFIER.test(tensor) ? dropped(op.x, rates.classifier) : op.x;
        const behind = ATTENTION_OUTPUT.test(tensor)
          ? rates.attentionOutput
          : LAYER_OUTPUT.test(tensor)
            ? rates.output
            : 0;
        const isDropped = behind > 0;
        const isActivated = activation !== undefined || gate !== undefined;
        // The residual stays in the linear where nothing comes between the two.
        const own = isActivated || isDropped ? undefined : residual;
        const u = isActivated || isDropped ? like(y, `${y.name}.linear`) : y;
        const adaptation = adapt?.(weight);
        const isAdapted = adaptation !== undefined && adaptation.adapters.length > 0;
        const sum = isAdapted ? like(u, `${u.name}.base`) : u;
        const base = adaptation?.base ?? weight;
        ops.push({ ...op, x, weight: base, activation: undefined, gate: undefined, residual: own, y: sum });
        if (isAdapted) {
          if (adaptation.dropout > 0) checkDropped(x);
          ops.push(...adapterOps(adaptation, { x, sum, y: u }, { like, site }));
        }
        if (isActivated) {
          const isLast = residual === undefined && !isDropped;
          const activated = isLast ? y : like(y, `${y.name}.activated`);
          ops.push({ op: 'activate', u, activation, gate, y: activated });
          if (isDropped) dropped(activated, behind, { residual, y });
          else if (residual) ops.push({ op: 'add', a: activated, b: residual, y });
        } else if (isDropped) {
          dropped(u, behind, { residual, y });
        }
        return;
      }
      case 'attention': {
        const { probabilities: _, asScores: __, context, heads, ...attention } = op;
        const statistics = like({ ...context, columns: 2 * heads }, `${context.name}.statistics`);
        const dropout = rates.attention > 0 ? site(rates.attention) : undefined;
        ops.push({ ...attention, heads, context, op: 'attend', dropout, statistics });
        return;
      }
      case 'pool': {
        const { normalize, y } = op;
        const pooled = normalize ? like(y, `${y.name}.pooled`) : y;
        ops.push({ ...op, normalize: false, y: pooled });
        if (normalize) ops.push({ op: 'normalize', x: pooled, y });
        return;
      }
      default:
        ops.push(op);
    }
  }

  for (const op of graph.ops) add(op);
  return { ops, outputs: new Map(graph.outputs.map(({ name, value }) => [name, value])) };
}

/** Rows that have keys for dropout: see TrainingBatch. */
const DROPPED: readonly Rows[] = ['tokens', 'sequences'];

function checkDropped(x: Value): void {
  if (DROPPED.includes(x.rows)) return;
  throw new UnsupportedError({
    what: 'lora_dropout is not there for a linear that is computed for the masked tokens alone',
    actual: `its input is "${x.name}"`,
    supported: ['linears of the encoder'],
    next: 'Leave the linears of the masked-LM head out of target_modules, or set lora_dropout to 0.',
  });
}
