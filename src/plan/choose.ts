import type { Activation } from '../../shaders/activation.ts';
import { type AttentionVariant, attention } from '../../shaders/attention.ts';
import { embed } from '../../shaders/embed.ts';
import { gather } from '../../shaders/gather.ts';
import { type Kernel, WHOLE_GRID } from '../../shaders/kernel.ts';
import { layerNorm } from '../../shaders/layer-norm.ts';
import { type LinearVariant, linearParams } from '../../shaders/linear.ts';
import { linearRegister } from '../../shaders/linear-register.ts';
import { linearWorkgroup } from '../../shaders/linear-workgroup.ts';
import { quantize } from '../../shaders/pack.ts';
import { packPoolings, pool } from '../../shaders/pool.ts';
import { topK } from '../../shaders/top-k.ts';
import type { AttentionOp, Op, Value } from './op.ts';
import type { Profile } from './profiles.ts';
import type { Argument, InputName, Step } from './step.ts';
import type { Weight } from './weight.ts';

type Operand = Value | Weight | InputName | Uint32Array<ArrayBuffer> | undefined;

/** The arguments for operands, of which some may be missing. */
const argsOf = (operands: readonly Operand[]): Argument[] =>
  operands.flatMap((operand): Argument[] => {
    if (operand === undefined) return [];
    if (typeof operand === 'string') return [{ kind: 'input', input: operand }];
    if ('parts' in operand) return [{ kind: 'weight', weight: operand }];
    return ['id' in operand ? { kind: 'value', value: operand } : { kind: 'constant', constant: operand }];
  });

/** The kernel of a linear: the only place that decides it. */
export function linearKernel(variant: LinearVariant, { tiling, target, sharedLinears }: Profile): Kernel {
  const text = sharedLinears ? { ...variant, inner: undefined, outputs: undefined } : variant;
  switch (tiling.kind) {
    case 'workgroup':
      return linearWorkgroup(text, tiling, target);
    case 'register':
      return linearRegister(text, tiling, target);
    default:
      return tiling satisfies never;
  }
}

/** The activation that a plan's linears have: most of them none, the others as a rule the same one. */
export const commonActivation = (ops: readonly Op[]): Activation | undefined =>
  ops.map(op => (op.op === 'linear' ? op.activation : undefined)).find(activation => activation);

const attentionVariant = ({ heads, headSize, probabilities, relative }: AttentionOp): AttentionVariant => ({
  heads,
  headSize,
  probabilities: !!probabilities,
  relative: !!relative,
});

/** Queries of one work item; the same for every attention of a plan, because the work list is one. */
export function queryTile(ops: readonly Op[], { attention }: Profile): number {
  const op = ops.find(({ op }) => op === 'attention') as AttentionOp | undefined;
  if (!op) return 1;
  const { lanes, queries } = attention(op.headSize);
  return lanes * queries;
}

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

/** Op -> dispatches: which kernel, which operands, which params. The order of `args` is that of the kernel's bindings. */
export function stepsOf(op: Op, profile: Profile, common?: Activation): Omit<Step, 'work'>[] {
  const step = (kernel: Kernel, { name }: Value, operands: readonly Operand[], params: Step['params']) => ({
    kernel,
    label: name,
    args: argsOf(operands),
    params,
  });
  switch (op.op) {
    case 'embed': {
      const { words, positions, types, tasks, norm, y } = op;
      const variant = {
        columns: y.columns,
        positions: !!positions,
        types: !!types,
        tasks: !!tasks,
        norm: !!norm,
        format: words[0]?.storage.format,
      };
      const kernel = once(profile, variant => embed(variant, profile.norm, profile.target), op.op, variant);
      return words.map(slice =>
        step(kernel, y, ['tokens', slice, positions, types, tasks, norm?.gamma, norm?.beta, y], {
          rows: 'tokens',
          first: slice.first,
          count: slice.count,
          ...(norm && { eps: norm.eps }),
        }),
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
      return [step(once(profile, linearKernel, op.op, variant), y, [x, weight, bias, residual, y], params)];
    }
    case 'quantize': {
      const { x, y } = op;
      return [step(once(profile, quantize, op.op, { columns: x.columns }), y, [x, y], { rows: x.rows })];
    }
    case 'attention': {
      const { qkv, scale, context, probabilities, relative } = op;
      const variant = attentionVariant(op);
      const make = (variant: AttentionVariant) =>
        attention(variant, profile.attention(variant.headSize), profile.target.texture);
      const kernel = once(profile, make, op.op, variant);
      const bias = [relative && 'tokens', relative?.buckets, relative?.bias] as const;
      return [
        step(kernel, context, ['tiles', qkv, ...bias, context, probabilities], {
          tiles: 'tiles',
          scale,
          ...WHOLE_GRID,
        }),
      ];
    }
    case 'layerNorm': {
      const { x, residual, norm, y } = op;
      const variant = { columns: x.columns, residual: !!residual };
      const kernel = once(profile, variant => layerNorm(variant, profile.norm), op.op, variant);
      return [step(kernel, y, [x, residual, norm.gamma, norm.beta, y], { rows: x.rows, eps: norm.eps })];
    }
    case 'pool': {
      const { x, poolings, normalize, y } = op;
      const kernel = pool({ columns: x.columns, poolings: poolings.length, kept: y.columns });
      const [kinds, norm] = [packPoolings(poolings), Number(normalize)];
      const params = { sequences: 'sequences', pooling: kinds, normalize: norm, floor: 1e-12 } as const;
      return [step(kernel, y, ['sequences', x, y], params)];
    }
    case 'gather': {
      const { x, y } = op;
      return [step(gather(x), y, ['masked', x, y], { rows: 'masked' })];
    }
    case 'topK': {
      const { x, k, y } = op;
      return [step(topK({ columns: x.columns, k }), y, [x, y], { rows: x.rows, ...WHOLE_GRID })];
    }
    default:
      return op satisfies never;
  }
}
