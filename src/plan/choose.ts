import type { Activation } from '../../shaders/activation.ts';
import { type AttentionVariant, attention, attentionShape } from '../../shaders/attention.ts';
import { embed } from '../../shaders/embed.ts';
import { gather } from '../../shaders/gather.ts';
import type { Caps, Kernel } from '../../shaders/kernel.ts';
import { layerNorm } from '../../shaders/layer-norm.ts';
import { type LinearVariant, linearParams } from '../../shaders/linear.ts';
import { linearRegister } from '../../shaders/linear-register.ts';
import { linearWorkgroup } from '../../shaders/linear-workgroup.ts';
import { rowShape } from '../../shaders/norm.ts';
import { quantize } from '../../shaders/pack.ts';
import { POOLINGS, pool } from '../../shaders/pool.ts';
import { topK } from '../../shaders/top-k.ts';
import type { AttentionOp, Op, Value } from './op.ts';
import type { Argument, InputName, Step } from './step.ts';
import type { Weight } from './weight.ts';

const value = (v: Value): Argument => ({ kind: 'value', value: v });
const weight = (w: Weight): Argument => ({ kind: 'weight', weight: w });
const input = (name: InputName): Argument => ({ kind: 'input', input: name });
/** The argument of an operand that may be missing: none, or one. */
const maybe = <T>(operand: T | undefined, argument: (operand: T) => Argument): Argument[] =>
  operand === undefined ? [] : [argument(operand)];

/**
 * A tiling of the linears is named for its tile: rows x columns of an invocation x lanes, and x lanes down where the operands pass
 * through workgroup memory. All add the products of an output in the same order, so which one runs changes a result by no more
 * than what compilers make of the same sum. These are the defaults; of the software adapters they are measured (docs/performance.md).
 */
const TILINGS: Record<Caps['adapter'], string> = { gpu: '4x4x16x16', swiftshader: '16x16x4', llvmpipe: '16x8x8' };

export const tilingOf = ({ tiling, adapter }: Caps): string => tiling ?? TILINGS[adapter];

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
  const numbers = tilingOf(caps).split('x').map(Number);
  const [rows, columns, lanes, down] = numbers as [number, number, number, number?];
  if (down) return linearWorkgroup(variant, { rows, columns, lanes, down }, caps);
  const shape = caps.adapter === 'gpu' ? {} : { inner: undefined, outputs: undefined };
  return linearRegister({ ...variant, ...shape }, { rows, columns, lanes }, caps);
}

/** The activation that a plan's linears have: most of them none, the others as a rule the same one. */
export const commonActivation = (ops: readonly Op[]): Activation | undefined =>
  ops.flatMap(op => (op.op === 'linear' && op.activation ? [op.activation] : []))[0];

const attentionVariant = ({ heads, headSize, probabilities, relative }: AttentionOp): AttentionVariant => ({
  heads,
  headSize,
  probabilities: probabilities !== undefined,
  relative: relative !== undefined,
});

/** Queries of one work item; the same for every attention of a plan, because the work list is one. */
export function queryTile(ops: readonly Op[], caps: Caps): number {
  const sizes = ops.flatMap(op => {
    if (op.op !== 'attention') return [];
    const { lanes, queries } = attentionShape(attentionVariant(op), caps);
    return [lanes * queries];
  });
  return sizes[0] ?? 1;
}

/** Op -> dispatches: which kernel, which operands, which params. The order of `args` is that of the kernel's bindings. */
export function stepsOf(op: Op, caps: Caps, common?: Activation): Step[] {
  const shape = rowShape(caps);
  switch (op.op) {
    case 'embed': {
      const { words, positions, types, tasks, norm, y } = op;
      const kernel = embed(
        {
          columns: y.columns,
          positions: positions !== undefined,
          types: types !== undefined,
          tasks: tasks !== undefined,
          norm: norm !== undefined,
          format: words[0]?.storage.format,
        },
        shape,
        caps,
      );
      return words.map(slice => ({
        kernel,
        label: y.name,
        args: [
          input('tokens'),
          weight(slice),
          ...maybe(positions, weight),
          ...maybe(types, weight),
          ...maybe(tasks, weight),
          ...maybe(norm?.gamma, weight),
          ...maybe(norm?.beta, weight),
          value(y),
        ],
        params: { rows: 'tokens', first: slice.first, count: slice.count, ...(norm && { eps: norm.eps }) },
      }));
    }
    case 'linear': {
      const { x, bias, residual, activation, y } = op;
      const kernel = linearKernel(
        {
          inner: op.weight.stride,
          outputs: y.columns,
          format: op.weight.storage.format,
          bias: bias !== undefined,
          residual: residual !== undefined,
          activation: activation ?? (caps.adapter === 'gpu' ? undefined : common),
        },
        caps,
      );
      const shape = linearParams(op.weight.stride, y.columns, activation !== undefined);
      const args = [value(x), weight(op.weight), ...maybe(bias, weight), ...maybe(residual, value), value(y)];
      return [{ kernel, label: y.name, args, params: { rows: x.rows, ...shape } }];
    }
    case 'quantize': {
      const { x, y } = op;
      const args = [value(x), value(y)];
      return [{ kernel: quantize({ columns: x.columns }), label: y.name, args, params: { rows: x.rows } }];
    }
    case 'attention': {
      const { qkv, scale, context, probabilities, relative } = op;
      const variant = attentionVariant(op);
      const kernel = attention(variant, attentionShape(variant, caps));
      const bias: Argument[] = relative
        ? [input('tokens'), { kind: 'constant', constant: relative.buckets }, weight(relative.bias)]
        : [];
      const args = [input('tiles'), value(qkv), ...bias, value(context), ...maybe(probabilities, value)];
      return [{ kernel, label: context.name, args, params: { tiles: 'tiles', scale } }];
    }
    case 'layerNorm': {
      const { x, residual, norm, y } = op;
      const kernel = layerNorm({ columns: x.columns, residual: residual !== undefined }, shape);
      const args = [value(x), ...maybe(residual, value), weight(norm.gamma), weight(norm.beta), value(y)];
      return [{ kernel, label: y.name, args, params: { rows: x.rows, eps: norm.eps } }];
    }
    case 'pool': {
      const { x, pooling, normalize, y } = op;
      const params = {
        sequences: 'sequences',
        pooling: POOLINGS[pooling],
        normalize: Number(normalize),
        floor: 1e-12,
      } as const;
      const kernel = pool({ columns: x.columns, kept: y.columns });
      return [{ kernel, label: y.name, args: [input('sequences'), value(x), value(y)], params }];
    }
    case 'gather': {
      const { x, y } = op;
      const kernel = gather({ columns: x.columns });
      return [{ kernel, label: y.name, args: [input('masked'), value(x), value(y)], params: { rows: 'masked' } }];
    }
    case 'topK': {
      const { x, k, y } = op;
      const kernel = topK({ columns: x.columns, k });
      return [{ kernel, label: y.name, args: [value(x), value(y)], params: { rows: x.rows } }];
    }
    default:
      return op satisfies never;
  }
}
