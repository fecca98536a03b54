import type { Value, Weight } from '../plan/index.ts';
import type { AttendOp } from './attention-op.ts';
import { type LossSpec, lossOp } from './losses.ts';
import type { ActivateOp, TrainableGraph, TrainingGraph, TrainingOp } from './op.ts';
import { noRule } from './refusal.ts';
import { values } from './values.ts';

export interface BackwardOptions {
  readonly losses: readonly LossSpec[];
  /** Whether a tensor is trained, by its canonical name. A weight of several tensors has a gradient where any of them is. */
  readonly trainable: (tensor: string) => boolean;
  /** The rows of tables that stand for padding. They have no gradient as embeddings, but do have one in a decoder. Default: none. */
  readonly padding?: { readonly words?: number | undefined; readonly positions?: number | undefined };
}

/**
 * The whole step of a graph: its forward pass, the losses on its outputs, and the gradients of its trainable weights by the chain rule, one
 * op after the other from the last to the first (reverse accumulation: Linnainmaa, 1970). A pure function from a graph to a graph. Where
 * nothing below an op is trained, nothing is computed for what is below. Gradients of weights are added to what is there, so that
 * micro-batches, layers that share a weight, and a word table that is the decoder, too, all add up.
 *
 * Throws UnsupportedError for an op that has no rule.
 */
export function backward({ ops: forward, outputs }: TrainableGraph, options: BackwardOptions): TrainingGraph {
  const { like } = values(forward);
  const isTrained = (weight: Weight | undefined): weight is Weight =>
    weight?.parts.some(({ tensor }) => options.trainable(tensor)) === true;
  /** The weight, where it is trained. */
  const trained = (weight: Weight | undefined) => (isTrained(weight) ? weight : undefined);

  const needed = neededValues(forward, isTrained);
  const ops: TrainingOp[] = [...forward];
  const losses: Value[] = [];
  /** What the loss changes by with each number of a value; values of which nothing is known are 0 everywhere. */
  const gradients = new Map<Value, Value>();

  /** Adds a gradient of a value to those that were found before. */
  function give(value: Value | undefined, gradient: Value): void {
    if (!value || !needed.has(value)) return;
    const earlier = gradients.get(value);
    if (!earlier) {
      gradients.set(value, gradient);
      return;
    }
    const y = like(value, `${value.name}.gradient`);
    ops.push({ op: 'add', a: earlier, b: gradient, y });
    gradients.set(value, y);
  }

  /** A value for the gradient of `of`, where it needs one. */
  const gradientOf = (of: Value) => like(of, `${of.name}.gradient`);

  for (const spec of options.losses) {
    const logits = outputs.get(spec.output);
    if (!logits) throw new Error(`graph: no output "${spec.output}" for a loss`);
    const op = lossOp(spec, logits, like);
    ops.push(op);
    losses.push(op.loss);
    give(logits, op.dlogits);
  }

  /** By the value that they write: activations are computed again where only the backward pass still reads them. */
  const activations = new Map<Value, ActivateOp>();
  for (const op of forward) if (op.op === 'activate') activations.set(op.y, op);

  /** x again, where it is an activation: it is four times as wide as what it is computed from is kept for anyway. */
  function again(x: Value): Value {
    const made = activations.get(x);
    if (!made || x.rows !== 'tokens') return x;
    const y = like(x, `${x.name}.again`);
    ops.push({ ...made, y });
    return y;
  }

  function rule(op: TrainingOp): void {
    switch (op.op) {
      case 'embed': {
        const dy = gradients.get(op.y);
        if (!dy) return;
        if (op.scales) throw noRule('embeddings times factors of their tokens', op.y);
        for (const table of ['words', 'positions', 'types', 'tasks'] as const) {
          const gradient = trained(op[table]);
          const padding = table === 'words' || table === 'positions' ? options.padding?.[table] : undefined;
          if (gradient) ops.push({ op: 'embedBackward', table, forward: op, padding, dy, gradient });
        }
        return;
      }
      case 'linear': {
        const { x, y, weight, bias, residual } = op;
        const dy = gradients.get(y);
        if (!dy) return;
        give(residual, dy);
        const [gradient, biasGradient] = [trained(weight), trained(bias)];
        if (gradient || biasGradient) {
          ops.push({ op: 'linearWeight', dy, x: gradient ? again(x) : x, gradient, biasGradient });
        }
        if (!needed.has(x)) return;
        const dx = gradientOf(x);
        ops.push({ op: 'linearInput', dy, weight, residual: gradients.get(x), dx });
        gradients.set(x, dx);
        return;
      }
      case 'activate': {
        const { u, activation, gate, y } = op;
        const dy = gradients.get(y);
        if (!dy) return;
        const du = gradientOf(u);
        const dgate = gate && gradientOf(gate);
        ops.push({ op: 'activateBackward', u, activation, gate, dy, du, dgate });
        give(u, du);
        if (dgate) give(gate, dgate);
        return;
      }
      case 'dropout': {
        const { x, dropout, residual, y } = op;
        const dy = gradients.get(y);
        if (!dy) return;
        give(residual, dy);
        if (!needed.has(x)) return;
        const dx = gradientOf(x);
        ops.push({ op: 'dropout', x: dy, dropout, residual: undefined, y: dx });
        give(x, dx);
        return;
      }
      case 'add': {
        const dy = gradients.get(op.y);
        if (!dy) return;
        give(op.a, dy);
        give(op.b, dy);
        return;
      }
      case 'scale': {
        const { x, factor, y } = op;
        const dy = gradients.get(y);
        if (!dy || !needed.has(x)) return;
        const dx = gradientOf(x);
        ops.push({ op: 'scale', x: dy, factor, y: dx });
        give(x, dx);
        return;
      }
      case 'attend':
        attention(op);
        return;
      case 'tableRows': {
        const dy = gradients.get(op.y);
        const gradient = trained(op.table);
        if (dy && gradient) ops.push({ op: 'tableRowsBackward', dy, gradient });
        return;
      }
      case 'distanceTable': {
        const dy = gradients.get(op.y);
        if (dy) give(op.x, dy);
        return;
      }
      case 'norm': {
        const { x, residual, norm, addend, y } = op;
        const dy = gradients.get(y);
        if (!dy) return;
        give(addend, dy);
        const isRead = needed.has(x) || (residual !== undefined && needed.has(residual));
        const dx = isRead ? gradientOf(x) : undefined;
        // One kernel computes both. Of a frozen one the update makes no use.
        const isAnyTrained = isTrained(norm.gamma) || isTrained(norm.beta);
        const [gammaGradient, betaGradient] = isAnyTrained ? [norm.gamma, norm.beta] : [];
        if (!dx && !isAnyTrained) return;
        ops.push({ op: 'normBackward', x, residual, norm, dy, dx, gammaGradient, betaGradient });
        if (!dx) return;
        give(x, dx);
        give(residual, dx);
        return;
      }
      case 'rotary': {
        const dy = gradients.get(op.y);
        if (!dy || !needed.has(op.qkv)) return;
        const dx = gradientOf(op.qkv);
        ops.push({ op: 'rotaryBackward', forward: op, dy, dx });
        give(op.qkv, dx);
        return;
      }
      case 'join': {
        const { a, b, y } = op;
        const dy = gradients.get(y);
        if (!dy) return;
        for (const [value, first] of [
          [a, 0],
          [b, a.columns],
        ] as const) {
          if (!needed.has(value)) continue;
          const part = gradientOf(value);
          ops.push({ op: 'columns', x: dy, first, y: part });
          give(value, part);
        }
        return;
      }
      case 'columns': {
        const { x, first, y } = op;
        const dy = gradients.get(y);
        if (!dy || !needed.has(x)) return;
        const dx = gradientOf(x);
        ops.push({ op: 'columnsBackward', dy, first, residual: gradients.get(x), dx });
        gradients.set(x, dx);
        return;
      }
      case 'normalize':
      case 'pool':
      case 'gather': {
        const { x, y } = op;
        const dy = gradients.get(y);
        if (!dy || !needed.has(x)) return;
        const dx = gradientOf(x);
        if (op.op === 'normalize') ops.push({ op: 'normalizeBackward', x, dy, dx });
        else if (op.op === 'gather') ops.push({ op: 'gatherBackward', dy, dx });
        else ops.push({ op: 'poolBackward', x, poolings: op.poolings, dy, dx });
        give(x, dx);
        return;
      }
      case 'unfold': {
        const { x, width, order, y } = op;
        const dy = gradients.get(y);
        if (!dy || !needed.has(x)) return;
        const dx = gradientOf(x);
        ops.push({ op: 'unfoldBackward', width, order, dy, dx });
        give(x, dx);
        return;
      }
      case 'queryKeyNorm': {
        const { qkv, queryNorm, keyNorm, y } = op;
        const dy = gradients.get(y);
        const isAnyTrained = weightsOf(op).some(isTrained);
        if (!dy || !(isAnyTrained || needed.has(qkv))) return;
        const dx = gradientOf(qkv);
        // One kernel computes all. Of a frozen one the update makes no use.
        const sums = isAnyTrained
          ? { queryGamma: queryNorm.gamma, queryBeta: queryNorm.beta, keyGamma: keyNorm.gamma, keyBeta: keyNorm.beta }
          : undefined;
        ops.push({ op: 'queryKeyNormBackward', forward: op, dy, dx, gradients: sums });
        give(qkv, dx);
        return;
      }
      case 'depthwise': {
        const { x, weight, y } = op;
        const dy = gradients.get(y);
        if (!dy) return;
        const gradient = trained(weight);
        if (gradient) ops.push({ op: 'depthwiseWeight', dy, x, gradient });
        if (!needed.has(x)) return;
        const dx = gradientOf(x);
        ops.push({ op: 'depthwiseInput', dy, weight, dx });
        give(x, dx);
        return;
      }
      case 'dynamicConvolution': {
        const { x, scores, y } = op;
        const dy = gradients.get(y);
        if (!dy || !(needed.has(x) || needed.has(scores))) return;
        const [dx, dscores] = [gradientOf(x), gradientOf(scores)];
        ops.push({ op: 'dynamicConvolutionBackward', forward: op, dy, dx, dscores });
        give(x, dx);
        give(scores, dscores);
        return;
      }
      case 'weigh':
      case 'vocabularyPool':
      case 'topK':
        if (gradients.has(op.y)) throw noRule(op.op, op.y);
        return;
      // What a forward pass in trainable form does not have.
      case 'attention':
      case 'activateBackward':
      case 'attentionDelta':
      case 'attentionBackward':
      case 'biasBackward':
      case 'tableRowsBackward':
      case 'distancesBackward':
      case 'columnsBackward':
      case 'linearInput':
      case 'linearWeight':
      case 'normBackward':
      case 'embedBackward':
      case 'rotaryBackward':
      case 'queryKeyNormBackward':
      case 'normalizeBackward':
      case 'poolBackward':
      case 'gatherBackward':
      case 'unfoldBackward':
      case 'depthwiseInput':
      case 'depthwiseWeight':
      case 'dynamicConvolutionBackward':
      case 'crossEntropy':
      case 'binaryCrossEntropy':
      case 'squaredError':
      case 'spanCrossEntropy':
      case 'ranking':
      case 'cosineError':
      case 'cosent':
        throw new Error(`graph: a forward pass with the op "${op.op}"`);
      default:
        op satisfies never;
    }
  }

  function attention(forward: AttendOp): void {
    const { context, qkv, heads, keyHeads, headSize, bias, distances } = forward;
    const dcontext = gradients.get(context);
    const table = bias?.kind === 'buckets' ? trained(bias.bias) : undefined;
    const isLearned = distances !== undefined && needed.has(distances);
    if (!dcontext || (!table && !isLearned && !needed.has(qkv))) return;
    const statistics = distances && forward.statistics;
    const delta = like({ rows: context.rows, columns: (statistics ? 4 : 1) * heads }, `${context.name}.delta`);
    ops.push({ op: 'attentionDelta', heads, keyHeads, headSize, context, statistics, dcontext, delta });
    if (isLearned) {
      const dtables = gradientOf(distances);
      ops.push({ op: 'distancesBackward', forward, dcontext, delta, dtables });
      give(distances, dtables);
    }
    if (table) ops.push({ op: 'biasBackward', forward, dcontext, delta, gradient: table });
    if (!needed.has(qkv)) return;
    const dqkv = gradientOf(qkv);
    for (const part of ['queries', 'keys'] as const) {
      ops.push({ op: 'attentionBackward', part, forward, dcontext, delta, dqkv });
    }
    give(qkv, dqkv);
  }

  for (const op of [...forward].reverse()) rule(op);
  const written = new Set(ops.flatMap(gradientsOf));
  return { ops, losses, gradients: [...new Set(forward.flatMap(weightsOf))].filter(weight => written.has(weight)) };
}

/** The weights that an op of a forward pass reads and that may be trained. */
function weightsOf(op: TrainingOp): Weight[] {
  const of = (...list: (Weight | undefined)[]) => list.filter(weight => weight !== undefined);
  switch (op.op) {
    case 'embed':
      return of(op.words, op.positions, op.types, op.tasks);
    case 'linear':
      return of(op.weight, op.bias);
    case 'norm':
      return of(op.norm.gamma, op.norm.beta);
    case 'depthwise':
      return [op.weight];
    case 'queryKeyNorm':
      return of(op.queryNorm.gamma, op.queryNorm.beta, op.keyNorm.gamma, op.keyNorm.beta);
    case 'attend':
      return op.bias?.kind === 'buckets' ? [op.bias.bias] : [];
    case 'tableRows':
      return [op.table];
    default:
      return [];
  }
}

/** The weights whose gradients an op adds to. */
function gradientsOf(op: TrainingOp): Weight[] {
  const of = (...list: (Weight | undefined)[]) => list.filter(weight => weight !== undefined);
  switch (op.op) {
    case 'linearWeight':
      return of(op.gradient, op.biasGradient);
    case 'normBackward':
      return of(op.gammaGradient, op.betaGradient);
    case 'queryKeyNormBackward':
      return of(...Object.values(op.gradients ?? {}));
    case 'embedBackward':
    case 'biasBackward':
    case 'tableRowsBackward':
    case 'depthwiseWeight':
      return [op.gradient];
    default:
      return [];
  }
}

/** The values on which a trained weight has an influence. */
function neededValues(ops: readonly TrainingOp[], isTrained: (weight: Weight) => boolean): Set<Value> {
  const needed = new Set<Value>();
  for (const op of ops) {
    const reads = readsOf(op);
    if (weightsOf(op).some(isTrained) || reads.some(value => needed.has(value))) needed.add(writeOf(op));
  }
  return needed;
}

/** What an op of a forward pass writes, as far as its result depends on what it reads. */
const writeOf = (op: TrainingOp): Value =>
  op.op === 'attend' || op.op === 'attention' ? op.context : (op as { readonly y: Value }).y;

/** The values that an op of a forward pass reads. */
function readsOf(op: TrainingOp): Value[] {
  const written = writeOf(op);
  return Object.entries(op).flatMap(([name, field]) =>
    name !== 'statistics' &&
    field !== written &&
    typeof field === 'object' &&
    field &&
    'stride' in field &&
    'rows' in field
      ? [field as Value]
      : [],
  );
}
