import { UnsupportedError } from '../errors.ts';
import type { Graph, Norm, Op, Rows, Value } from '../plan/index.ts';
import { type Adapt, adapterOps } from './adapters.ts';
import type { Dropout } from './dropout.ts';
import type { TrainableGraph, TrainingOp } from './op.ts';
import { residualForm } from './residual-form.ts';
import { type ComputedTables, tableForm } from './table-form.ts';
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
  /** Before the dense layer of a classifier. Default: as before its other linears. */
  readonly classifierDense?: number;
  /** Before the linear of starts and ends of answers (DistilBERT). Default: 0. */
  readonly answers?: number;
  /** Before the linear of the order of two sentences (ALBERT). Default: 0. */
  readonly sentenceOrder?: number;
  /** Between a convolution over the tokens and its activation (DeBERTa). Default: 0. */
  readonly convolution?: number;
  /** Of the rows of the table of relative distances, for each layer anew (DeBERTa). Default: 0. */
  readonly distances?: number;
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
const CLASSIFIER_DENSE = 'classifier.dense.weight';
const ANSWERS = 'qa_outputs.weight';
const SENTENCE_ORDER = 'cls.seq_relationship.weight';
const CONVOLUTION = 'encoder.conv.conv.weight';
/** The norm behind a projection of the embeddings, whose dropout is behind it. */
const EMBEDDING_NORM = 'embeddings.LayerNorm.weight';

/**
 * The same forward pass, in the ops that `backward` knows: activations, gates and residuals stand apart from their linears, norms apart
 * from embeddings, residuals before norms (residual-form.ts), the scaling to length 1 apart from poolings; attention notes its statistics; dropout is there, and adapters; `tables`,
 * which the graph reads as weights, are computed of what they are made of.
 */
export function trainableForm(
  graph: Graph,
  rates: DropoutRates = NO_DROPOUT,
  adapt?: Adapt,
  tables: readonly ComputedTables[] = [],
): TrainableGraph {
  const { like } = values(graph.ops);
  const ops: TrainingOp[] = [];
  let sites = 0;
  const site = (probability: number): Dropout => ({ site: sites++, probability });

  function dropped(x: Value, probability: number, rest: { residual?: Value | undefined; y?: Value } = {}): Value {
    const { residual, y = like(x, `${x.name}.dropout`) } = rest;
    ops.push({ op: 'dropout', x, dropout: site(probability), residual, y });
    return y;
  }

  const hasEmbeddingNorm = graph.ops.some(op => op.op === 'norm' && isEmbeddingNorm(op.norm));

  const distancesOf = tableForm(tables, {
    graph,
    like,
    push: op => ops.push(op),
    add: op => add(op),
    dropped: rows => (rates.distances ? dropped(rows, rates.distances) : rows),
  });

  function add(op: Op): void {
    switch (op.op) {
      case 'embed': {
        const { norm, y } = op;
        const isDropped = rates.embeddings > 0 && !hasEmbeddingNorm;
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
        const before = headRate(rates, tensor);
        const x = before > 0 ? dropped(op.x, before) : op.x;
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
        const inner = tensor === CONVOLUTION ? (rates.convolution ?? 0) : 0;
        const base = adaptation?.base ?? weight;
        ops.push({ ...op, x, weight: base, activation: undefined, gate: undefined, residual: own, y: sum });
        if (isAdapted) {
          if (adaptation.dropout > 0) checkDropped(x);
          ops.push(...adapterOps(adaptation, { x, sum, y: u }, { like, site }));
        }
        if (isActivated) {
          const isLast = residual === undefined && !isDropped;
          const activated = isLast ? y : like(y, `${y.name}.activated`);
          ops.push({ op: 'activate', u: inner > 0 ? dropped(u, inner) : u, activation, gate, y: activated });
          if (isDropped) dropped(activated, behind, { residual, y });
          else if (residual) ops.push({ op: 'add', a: activated, b: residual, y });
        } else if (isDropped) {
          dropped(u, behind, { residual, y });
        }
        return;
      }
      case 'attention': {
        const { probabilities: _, asScores: __, context, heads, bias: given, ...attention } = op;
        const isByDistance = given?.kind === 'disentangled';
        const { terms, distances } = isByDistance ? distancesOf(given, op) : { terms: undefined, distances: undefined };
        const bias = isByDistance ? undefined : given;
        const statistics = like({ ...context, columns: 2 * heads }, `${context.name}.statistics`);
        const dropout = rates.attention > 0 ? site(rates.attention) : undefined;
        ops.push({ ...attention, heads, context, bias, terms, distances, op: 'attend', dropout, statistics });
        return;
      }
      case 'norm': {
        if (rates.embeddings === 0 || !isEmbeddingNorm(op.norm)) {
          ops.push(op);
          return;
        }
        const normed = like(op.y, `${op.y.name}.undropped`);
        ops.push({ ...op, y: normed });
        dropped(normed, rates.embeddings, { y: op.y });
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
  return residualForm({ ops, outputs: new Map(graph.outputs.map(({ name, value }) => [name, value])) });
}

const isEmbeddingNorm = ({ gamma }: Norm): boolean => gamma.parts.some(({ tensor }) => tensor === EMBEDDING_NORM);

/** The probability before a linear, which is 0 where it is none of a head. */
function headRate(rates: DropoutRates, tensor: string): number {
  const { classifier, classifierDense = classifier, answers = 0, sentenceOrder = 0 } = rates;
  if (tensor === CLASSIFIER_DENSE) return classifierDense;
  if (tensor === ANSWERS) return answers;
  if (tensor === SENTENCE_ORDER) return sentenceOrder;
  return CLASSIFIER.test(tensor) ? classifier : 0;
}

/** Rows that have keys for dropout: see TrainingBatch. */
const DROPPED: readonly Rows[] = ['tokens', 'sequences', 'distances'];

function checkDropped(x: Value): void {
  if (DROPPED.includes(x.rows)) return;
  throw new UnsupportedError({
    what: 'lora_dropout is not there for a linear that is computed for the masked tokens alone',
    actual: `its input is "${x.name}"`,
    supported: ['linears of the encoder'],
    next: 'Leave the linears of the masked-LM head out of target_modules, or set lora_dropout to 0.',
  });
}
