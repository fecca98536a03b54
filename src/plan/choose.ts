import { type Activation, keepsZero } from '../../shaders/activation.ts';
import { type AttentionVariant, attention } from '../../shaders/attention.ts';
import { depthwise, dynamicConvolution } from '../../shaders/convolution.ts';
import { embed } from '../../shaders/embed.ts';
import { gather } from '../../shaders/gather.ts';
import { join } from '../../shaders/join.ts';
import { type Kernel, WHOLE_GRID } from '../../shaders/kernel.ts';
import { l2Norm } from '../../shaders/l2-norm.ts';
import { type LinearVariant, linearParams } from '../../shaders/linear.ts';
import { linearRegister } from '../../shaders/linear-register.ts';
import { linearWorkgroup } from '../../shaders/linear-workgroup.ts';
import { logitsPool } from '../../shaders/logits-pool.ts';
import type { NormVariant } from '../../shaders/norm.ts';
import { quantize } from '../../shaders/pack.ts';
import { packPoolings, pool } from '../../shaders/pool.ts';
import { queryKeyNorm } from '../../shaders/query-key-norm.ts';
import { rotary } from '../../shaders/rotary.ts';
import { rowNorm } from '../../shaders/row-norm.ts';
import { topK } from '../../shaders/top-k.ts';
import { unfold } from '../../shaders/unfold.ts';
import { weigh } from '../../shaders/weigh.ts';
import { attentionVariant, biasOperands, type Operand, rotaryAngles, WIDEST_WINDOW } from './attention-operands.ts';
import type { DeviceOp } from './lower.ts';
import type { AttentionOp, Norm, Value } from './op.ts';
import type { Profile } from './profiles.ts';
import { type Argument, checkStep, type Step } from './step.ts';

function argumentOf(operand: Operand): Argument {
  if (typeof operand === 'string') return { kind: 'input', input: operand };
  if ('parts' in operand) return { kind: 'weight', weight: operand };
  return 'id' in operand ? { kind: 'value', value: operand } : { kind: 'constant', constant: operand };
}

/** Operands by the names of their bindings, without those that are undefined. */
const argumentsOf = (operands: Readonly<Record<string, Operand | undefined>>): Step['args'] =>
  Object.fromEntries(
    Object.entries(operands).flatMap(([name, operand]) => (operand ? [[name, argumentOf(operand)]] : [])),
  );

/** The kernel of a linear: the only place that decides it. */
export function linearKernel(variant: LinearVariant, { tiling, target, sharedLinears }: Profile): Kernel {
  switch (tiling.kind) {
    // Its tiles in workgroup memory are laid out by constants, so each shape has a text of its own.
    case 'workgroup':
      return linearWorkgroup(variant, tiling, target);
    case 'register': {
      const shared = { ...variant, inner: undefined, outputs: undefined };
      // An activation that does not keep zero needs the number of outputs.
      const isShared = sharedLinears && (!variant.activation || keepsZero(variant.activation));
      return linearRegister(isShared ? shared : variant, tiling, target);
    }
    default:
      return tiling satisfies never;
  }
}

/** The activation that some linears of a plan have. As a rule they all have the same one, and the other linears none. */
export const commonActivation = (ops: readonly DeviceOp[]): Activation | undefined =>
  ops.map(op => (op.op === 'linear' ? op.activation : undefined)).find(activation => activation);

const normVariant = ({ kind, beta, unitOffset }: Norm): NormVariant => ({ kind, beta: !!beta, unitOffset });

/** The param `eps`, where a norm divides by anything. */
const epsOf = (norm: Norm | undefined): Step['params'] => (norm && norm.kind !== 'affine' ? { eps: norm.eps } : {});

/** Queries of one attention work item; the same for all attentions of a plan, because they share one list of tiles. */
export function queryTile(ops: readonly DeviceOp[], { attention }: Profile): number {
  const op = ops.find(({ op }) => op === 'attention') as AttentionOp | undefined;
  if (!op) return 1;
  const { lanes, queries } = attention(op.headSize);
  return lanes * queries;
}

/** The least length by which a row is divided, as in torch.nn.functional.normalize. */
const L2_FLOOR = 1e-12;

/** The sequences of a pass and the work items of their tokens, as inputs, and how many there are, as params. */
const SEQUENCES = { tiles: 'tiles', sequences: 'sequences' } as const;

/** The kernels that were made for a profile, by what they were made from. */
const madeKernels = new WeakMap<Profile, Map<string, Kernel>>();

/** The kernel of a variant, whose text is written once: the layers of a model, and its plans, have the same few. */
export function once<Variant>(
  profile: Profile,
  make: (variant: Variant, profile: Profile) => Kernel,
  name: string,
  variant: Variant,
): Kernel {
  const made = madeKernels.get(profile) ?? new Map<string, Kernel>();
  madeKernels.set(profile, made);
  const key = `${name} ${JSON.stringify(variant)}`;
  const kernel = made.get(key) ?? make(variant, profile);
  made.set(key, kernel);
  return kernel;
}

/**
 * The dispatch of an op: its kernel, and the operands and params that it gives to it, each by the name that the kernel declares.
 * Throws where they are not those of the kernel.
 */
export function stepOf(op: DeviceOp, profile: Profile, common?: Activation): Omit<Step, 'rowCosts'> {
  const step = (
    kernel: Kernel,
    { name }: Value,
    operands: Readonly<Record<string, Operand | undefined>>,
    params: Step['params'],
  ) => {
    const made = { kernel, label: name, args: argumentsOf(operands), params };
    checkStep(made);
    return made;
  };
  switch (op.op) {
    case 'embed': {
      const { words, positions, types, tasks, scales, dropout, factor, norm, y } = op;
      const variant = {
        columns: y.columns,
        positions: !!positions,
        types: !!types,
        tasks: !!tasks,
        ...(dropout && { wordFactors: true }),
        ...(scales && { scales: true }),
        ...(factor !== 1 && { factor: true }),
        norm: norm && normVariant(norm),
        ...(words ? { format: words.storage.format } : { words: false }),
      };
      const kernel = once(profile, variant => embed(variant, profile.norm, profile.target), op.op, variant);
      const { gamma, beta } = norm ?? {};
      const slice = words && { first: words.first, count: words.count };
      return step(
        kernel,
        y,
        { tokens: 'tokens', words, positions, types, tasks, scales, gamma, beta, y },
        { rows: 'tokens', ...slice, ...(factor !== 1 && { factor }), ...epsOf(norm) },
      );
    }
    case 'linear': {
      const { x, weight, bias, gate, residual, activation, y } = op;
      const variant = {
        inner: weight.stride,
        outputs: y.columns,
        format: weight.storage.format,
        bias: !!bias,
        gate: !!gate,
        residual: !!residual,
        activation: activation ?? (profile.sharedLinears ? common : undefined),
      };
      const params = { rows: x.rows, ...linearParams(weight.stride, y.columns, !!activation) };
      return step(once(profile, linearKernel, op.op, variant), y, { x, weight, bias, gate, residual, y }, params);
    }
    case 'linearSlice': {
      const { x, weight, bias, from, y } = op;
      const format = weight.storage.format;
      const variant = {
        inner: weight.stride,
        outputs: weight.count,
        format,
        bias: !!bias,
        residual: false,
        sliced: true,
      };
      const params = {
        rows: x.rows,
        ...linearParams(weight.stride, weight.count, false),
        from4: from / 4,
        slice4: y.stride / 4,
      };
      return step(once(profile, linearKernel, op.op, variant), y, { x, weight, bias, y }, params);
    }
    case 'logitsPool': {
      const { x, first, pooling, logarithms, y } = op;
      const params = { sequences: 'sequences', from4: first / 4, slice4: x.stride / 4, row4: y.stride / 4 } as const;
      return step(logitsPool({ pooling, logarithms }), y, { sequences: 'sequences', x, y }, params);
    }
    case 'quantize': {
      const { x, y } = op;
      return step(once(profile, quantize, op.op, { columns: x.columns }), y, { x, y }, { rows: x.rows });
    }
    case 'attention': {
      const { qkv, scale, context, probabilities, window } = op;
      const variant = attentionVariant(op);
      const make = (variant: AttentionVariant) =>
        attention(variant, profile.attention(variant.headSize), profile.target.texture);
      const kernel = once(profile, make, op.op, variant);
      const operands = { tiles: 'tiles', qkv, ...biasOperands(op), context, probabilities } as const;
      return step(kernel, context, operands, {
        tiles: 'tiles',
        scale,
        ...(window !== undefined && { window: Math.min(window, WIDEST_WINDOW) }),
        ...WHOLE_GRID,
      });
    }
    case 'rotary': {
      const { qkv, heads, keyHeads, headSize, frequencies, interleaved, turnsValues, y } = op;
      const { source, operand } = rotaryAngles(op);
      const variant = {
        heads,
        keyHeads,
        headSize,
        pairs: frequencies.length,
        interleaved,
        turnsValues,
        angles: source,
      };
      const operands = { tokens: source === 'phases' ? undefined : ('tokens' as const), [source]: operand, qkv, y };
      return step(once(profile, rotary, op.op, variant), y, operands, { rows: y.rows });
    }
    case 'queryKeyNorm': {
      const { qkv, heads, keyHeads, headSize, span, queryNorm, keyNorm, y } = op;
      const { kind, unitOffset, beta } = queryNorm;
      if (kind === 'affine') throw new Error('q and k have no norm without a division');
      const variant = { heads, keyHeads, headSize, span, kind, unitOffset, beta: !!beta };
      const operands = {
        qkv,
        query_gamma: queryNorm.gamma,
        query_beta: queryNorm.beta,
        key_gamma: keyNorm.gamma,
        key_beta: keyNorm.beta,
        y,
      };
      const params = { rows: y.rows, query_eps: queryNorm.eps, key_eps: keyNorm.eps };
      const kernel = once(profile, variant => queryKeyNorm(variant, profile.norm), op.op, variant);
      return step(kernel, y, operands, params);
    }
    case 'norm': {
      const { x, residual, norm, addend, y } = op;
      const { gamma, beta } = norm;
      const variant = { columns: x.columns, norm: normVariant(norm), residual: !!residual, addend: !!addend };
      const kernel = once(profile, variant => rowNorm(variant, profile.norm), op.op, variant);
      return step(kernel, y, { x, residual, gamma, beta, addend, y }, { rows: x.rows, ...epsOf(norm) });
    }
    case 'normalize': {
      const { x, y } = op;
      const kernel = once(profile, variant => l2Norm(variant, profile.norm), op.op, { columns: x.columns });
      return step(kernel, y, { x, y }, { rows: x.rows, floor: L2_FLOOR });
    }
    case 'weigh': {
      const { x, sum, factors, index, y } = op;
      const variant = { columns: x.columns, count: factors.count, sum: !!sum };
      const kernel = once(profile, variant => weigh(variant, profile.norm), op.op, variant);
      return step(kernel, y, { x, sum, factors, y }, { rows: x.rows, index });
    }
    case 'join': {
      const { a, b, y } = op;
      return step(join({ left: a.columns, right: b.columns }), y, { a, b, y }, { rows: y.rows });
    }
    case 'unfold': {
      const { x, width, order, y } = op;
      const kernel = unfold({ columns: x.columns, width, order });
      return step(kernel, y, { ...SEQUENCES, tokens: 'tokens', x, y }, SEQUENCES);
    }
    case 'depthwise': {
      const { x, weight, y } = op;
      const kernel = depthwise({ columns: x.columns, width: weight.columns });
      return step(kernel, y, { ...SEQUENCES, tokens: 'tokens', x, weight, y }, SEQUENCES);
    }
    case 'dynamicConvolution': {
      const { x, scores, heads, width, y } = op;
      const kernel = dynamicConvolution({ heads, columns: x.columns / heads, width });
      return step(kernel, y, { ...SEQUENCES, tokens: 'tokens', x, scores, y }, SEQUENCES);
    }
    case 'pool': {
      const { x, poolings, normalize, y } = op;
      const kernel = pool({ columns: x.columns, poolings: poolings.length, kept: y.columns });
      const params = {
        sequences: 'sequences',
        pooling: packPoolings(poolings),
        normalize: Number(normalize),
        floor: L2_FLOOR,
      } as const;
      return step(kernel, y, { sequences: 'sequences', x, y }, params);
    }
    case 'gather': {
      const { x, y } = op;
      return step(gather(x), y, { masked: 'masked', x, y }, { rows: 'masked' });
    }
    case 'topK': {
      const { x, k, y } = op;
      return step(topK({ columns: x.columns, k }), y, { x, y }, { rows: x.rows, ...WHOLE_GRID });
    }
    default:
      return op satisfies never;
  }
}
