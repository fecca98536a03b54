import type { Activation } from '../../shaders/activation.ts';
import { type AttentionVariant, attention, attentionShape } from '../../shaders/attention.ts';
import { embed } from '../../shaders/embed.ts';
import { gather } from '../../shaders/gather.ts';
import { type Caps, type Kernel, WHOLE_GRID } from '../../shaders/kernel.ts';
import { layerNorm } from '../../shaders/layer-norm.ts';
import { type LinearVariant, linearParams } from '../../shaders/linear.ts';
import { linearRegister } from '../../shaders/linear-register.ts';
import { linearWorkgroup } from '../../shaders/linear-workgroup.ts';
import { rowShape } from '../../shaders/norm.ts';
import { quantize } from '../../shaders/pack.ts';
import { packPoolings, pool } from '../../shaders/pool.ts';
import { topK } from '../../shaders/top-k.ts';
import type { AttentionOp, Op, Value } from './op.ts';
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

/**
 * A tiling of the linears is named for its tile: rows x columns of an invocation x lanes, and x lanes down where the operands pass
 * through workgroup memory. All add the products of an output in the same order, so which one runs changes a result by no more
 * than what compilers make of the same sum. These are the defaults; of the software adapters they are measured (docs/performance.md).
 */
const TILINGS: Record<Caps['adapter'], string> = { gpu: '4x4x16x16', swiftshader: '16x16x4', llvmpipe: '16x8x8' };

export const tilingOf = ({ tiling, adapter }: Caps): string => tiling ?? TILINGS[adapter];

/** The tile of a tiling. `down`: only where the operands pass through workgroup memory. */
function tileOf(caps: Caps) {
  const [rows, columns, lanes, down] = tilingOf(caps).split('x').map(Number) as [number, number, number, number?];
  return { rows, columns, lanes, down };
}

/** Rows of outputs that a workgroup of a linear computes, also where there are fewer. */
export function tileRows(caps: Caps): number {
  const { rows, lanes, down = 1 } = tileOf(caps);
  return rows * Math.min(down, Math.floor(caps.maxInvocations / lanes));
}

/**
 * What is worth measuring on an adapter that the table does not know: the default, large, 64 x 64 with few invocations, small,
 * skinny; in registers alone wide and square, and with rows of x that a subgroup shares.
 */
export const tilingsFor = ({ adapter, subgroup }: Caps): string[] => {
  const known = ['4x4x16x16', '8x4x16x16', '8x8x8x8', '4x4x8x8', '2x4x8x8', '4x4x64', '8x8x32'];
  return adapter === 'gpu' ? known.concat(subgroup === 32 ? '32x4x32' : []) : [];
};

/**
 * The kernel of a linear: the only place that decides it. Software adapters compile slowly, one kernel after the other: there one
 * text serves all shapes, and linears with and without the activation.
 */
export function linearKernel(variant: LinearVariant, caps: Caps): Kernel {
  const { rows, columns, lanes, down } = tileOf(caps);
  if (down) return linearWorkgroup(variant, { rows, columns, lanes, down }, caps);
  const shape = caps.adapter === 'gpu' ? {} : { inner: undefined, outputs: undefined };
  return linearRegister({ ...variant, ...shape }, { rows, columns, lanes }, caps);
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
export function queryTile(ops: readonly Op[], caps: Caps): number {
  const op = ops.find(each => each.op === 'attention');
  if (!op) return 1;
  const { lanes, queries } = attentionShape(attentionVariant(op), caps);
  return lanes * queries;
}

/** The kernels of an adapter that were made, by what they were made from. */
const madeKernels = new WeakMap<Caps, Map<string, Kernel>>();

/** The kernel of a variant, whose text is written once: the layers of a model, and its plans, have the same few. */
function once<Variant>(
  caps: Caps,
  make: (variant: Variant, caps: Caps) => Kernel,
  name: string,
  variant: Variant,
): Kernel {
  const made = madeKernels.get(caps) ?? new Map<string, Kernel>();
  madeKernels.set(caps, made);
  const key = `${name} ${JSON.stringify(variant)}`;
  const kernel = made.get(key) ?? make(variant, caps);
  made.set(key, kernel);
  return kernel;
}

/** Op -> dispatches: which kernel, which operands, which params. The order of `args` is that of the kernel's bindings. */
export function stepsOf(op: Op, caps: Caps, common?: Activation): Omit<Step, 'work'>[] {
  const shape = rowShape(caps);
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
      const kernel = once(caps, variant => embed(variant, shape, caps), op.op, variant);
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
        activation: activation ?? (caps.adapter === 'gpu' ? undefined : common),
      };
      const params = { rows: x.rows, ...linearParams(weight.stride, y.columns, !!activation) };
      return [step(once(caps, linearKernel, op.op, variant), y, [x, weight, bias, residual, y], params)];
    }
    case 'quantize': {
      const { x, y } = op;
      return [step(once(caps, quantize, op.op, { columns: x.columns }), y, [x, y], { rows: x.rows })];
    }
    case 'attention': {
      const { qkv, scale, context, probabilities, relative } = op;
      const variant = attentionVariant(op);
      const make = (variant: AttentionVariant) => attention(variant, attentionShape(variant, caps));
      const kernel = once(caps, make, op.op, variant);
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
      const kernel = once(caps, variant => layerNorm(variant, shape), op.op, variant);
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
