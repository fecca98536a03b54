import type { Activation } from '../../shaders/activation.ts';
import { type AttentionVariant, attention } from '../../shaders/attention.ts';
import { embed } from '../../shaders/embed.ts';
import { gather } from '../../shaders/gather.ts';
import { type Kernel, WHOLE_GRID } from '../../shaders/kernel.ts';
import { l2Norm } from '../../shaders/l2-norm.ts';
import { layerNorm } from '../../shaders/layer-norm.ts';
import { type LinearVariant, linearParams } from '../../shaders/linear.ts';
import { linearRegister } from '../../shaders/linear-register.ts';
import { linearWorkgroup } from '../../shaders/linear-workgroup.ts';
import { quantize } from '../../shaders/pack.ts';
import { packPoolings, pool } from '../../shaders/pool.ts';
import { topK } from '../../shaders/top-k.ts';
import { unfold } from '../../shaders/unfold.ts';
import type { DeviceOp } from './lower.ts';
import type { AttentionOp, Value } from './op.ts';
import type { Profile } from './profiles.ts';
import { type Argument, checkStep, type InputName, type Step } from './step.ts';
import type { Weight } from './weight.ts';

type Operand = Value | Weight | InputName | Uint32Array<ArrayBuffer>;

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
      return linearRegister(sharedLinears ? shared : variant, tiling, target);
    }
    default:
      return tiling satisfies never;
  }
}

/** The activation that some linears of a plan have. As a rule they all have the same one, and the other linears none. */
export const commonActivation = (ops: readonly DeviceOp[]): Activation | undefined =>
  ops.map(op => (op.op === 'linear' ? op.activation : undefined)).find(activation => activation);

const attentionVariant = ({ heads, headSize, probabilities, bias }: AttentionOp): AttentionVariant => ({
  heads,
  headSize,
  probabilities: !!probabilities,
  relative: bias?.kind === 'buckets',
  ...(bias?.kind === 'disentangled' && {
    distances: {
      keys: !!bias.keys,
      queries: !!bias.queries,
      count: bias.count,
      farthest: (bias.rows.length - 1) / 2,
    },
  }),
});

/** What attention binds of a bias by distance. */
function biasOperands(bias: AttentionOp['bias']): Readonly<Record<string, Operand | undefined>> {
  if (bias?.kind === 'buckets') return { tokens: 'tokens', buckets: bias.buckets, bias: bias.bias };
  if (bias?.kind !== 'disentangled') return {};
  const { rows, keys, queries } = bias;
  return { tokens: 'tokens', distance_rows: rows, distance_keys: keys, distance_queries: queries };
}

/** Queries of one attention work item; the same for all attentions of a plan, because they share one list of tiles. */
export function queryTile(ops: readonly DeviceOp[], { attention }: Profile): number {
  const op = ops.find(({ op }) => op === 'attention') as AttentionOp | undefined;
  if (!op) return 1;
  const { lanes, queries } = attention(op.headSize);
  return lanes * queries;
}

/** The least length by which a row is divided, as in torch.nn.functional.normalize. */
const L2_FLOOR = 1e-12;

/** The kernels that were made for a profile, by what they were made from. */
const madeKernels = new WeakMap<Profile, Map<string, Kernel>>();

/** The kernel of a variant, whose text is written once: the layers of a model, and its plans, have the same few. */
function once<Variant>(
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
      const { words, positions, types, tasks, scales, norm, y } = op;
      const variant = {
        columns: y.columns,
        positions: !!positions,
        types: !!types,
        tasks: !!tasks,
        ...(scales && { scales: true }),
        norm: !!norm,
        format: words.storage.format,
      };
      const kernel = once(profile, variant => embed(variant, profile.norm, profile.target), op.op, variant);
      const { gamma, beta, eps } = norm ?? {};
      const { first, count } = words;
      return step(
        kernel,
        y,
        { tokens: 'tokens', words, positions, types, tasks, scales, gamma, beta, y },
        { rows: 'tokens', first, count, ...(eps !== undefined && { eps }) },
      );
    }
    case 'linear': {
      const { x, weight, bias, residual, activation, y } = op;
      const variant = {
        inner: weight.stride,
        outputs: y.columns,
        format: weight.storage.format,
        bias: !!bias,
        residual: !!residual,
        activation: activation ?? (profile.sharedLinears ? common : undefined),
      };
      const params = { rows: x.rows, ...linearParams(weight.stride, y.columns, !!activation) };
      return step(once(profile, linearKernel, op.op, variant), y, { x, weight, bias, residual, y }, params);
    }
    case 'quantize': {
      const { x, y } = op;
      return step(once(profile, quantize, op.op, { columns: x.columns }), y, { x, y }, { rows: x.rows });
    }
    case 'attention': {
      const { qkv, scale, context, probabilities, bias } = op;
      if (op.keyHeads !== op.heads || op.window !== undefined || bias?.kind === 'slopes') throw new Error('no kernel');
      const variant = attentionVariant(op);
      const make = (variant: AttentionVariant) =>
        attention(variant, profile.attention(variant.headSize), profile.target.texture);
      const kernel = once(profile, make, op.op, variant);
      const operands = { tiles: 'tiles', qkv, ...biasOperands(bias), context, probabilities } as const;
      return step(kernel, context, operands, { tiles: 'tiles', scale, ...WHOLE_GRID });
    }
    case 'rotary':
    case 'queryKeyNorm':
      throw new Error('no kernel');
    case 'norm': {
      const { x, residual, norm, y } = op;
      const { gamma, beta, eps } = norm;
      const variant = { columns: x.columns, residual: !!residual };
      const kernel = once(profile, variant => layerNorm(variant, profile.norm), op.op, variant);
      return step(kernel, y, { x, residual, gamma, beta, y }, { rows: x.rows, eps });
    }
    case 'normalize': {
      const { x, y } = op;
      const kernel = once(profile, variant => l2Norm(variant, profile.norm), op.op, { columns: x.columns });
      return step(kernel, y, { x, y }, { rows: x.rows, floor: L2_FLOOR });
    }
    case 'unfold': {
      const { x, width, y } = op;
      const kernel = unfold({ columns: x.columns, width });
      return step(kernel, y, { tiles: 'tiles', tokens: 'tokens', x, y }, { tiles: 'tiles' });
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
