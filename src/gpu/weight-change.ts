import type { Kernel, Workgroups } from '../../shaders/kernel.ts';
import { type Dispatch, submitsOf } from '../plan/index.ts';
import { type BoundKernel, encodeDispatch, type ParamValues, type UniformBlocks } from './dispatch.ts';
import type { Pacer } from './measured-pace.ts';
import { copyToArrayTexture } from './textures.ts';

/** A buffer of rows that a texture gets. */
export interface RowsCopy {
  readonly from: GPUBuffer;
  readonly to: GPUTexture;
  readonly elements: number;
}

/** A dispatch that changes weights, or computes what others change them by. */
export interface WeightDispatch {
  readonly kernel: Kernel;
  readonly bound: BoundKernel;
  readonly groups: Workgroups;
  /** Its params, and the block that they are kept in. */
  readonly params: ParamValues;
  readonly uniforms: UniformBlocks;
  readonly block: number;
  /** The most that it may cost, in multiply-adds of a linear. */
  readonly work: number;
  /** Whether it costs that much each time: otherwise its time says nothing about the speed of the device. */
  readonly isSteady: boolean;
  /** What is copied after it. */
  readonly copies?: readonly RowsCopy[];
}

interface WeightChange {
  readonly device: GPUDevice;
  readonly dispatches: readonly WeightDispatch[];
  readonly pacer: Pacer;
  /** Records what comes before the first dispatch. */
  readonly before?: (encoder: GPUCommandEncoder) => void;
}

/**
 * Changes weights, in submits that are no larger than the budget. All are handed over before this returns: a call of the model whose submits
 * came between them would compute with weights of which some are changed and others are not, and so would one after an abort. The
 * params of the dispatches must have been written. Resolves when the GPU is done. Runs inside the error scopes of the caller.
 */
export function submitWeightChange({ device, dispatches, pacer, before }: WeightChange): Promise<void> {
  const grids = dispatches.map(({ groups }) => groups);
  let isFirst = true;
  let done = Promise.resolve();
  for (const part of submitsOf(dispatches, grids, pacer.budget)) {
    const encoder = device.createCommandEncoder({ label: 'weights.change' });
    if (isFirst) before?.(encoder);
    isFirst = false;
    const cut = part.dispatches.find(({ first }) => first);
    const cutDispatch = cut && dispatches[cut.step]!;
    if (cutDispatch) writeParams(cutDispatch, { ...cutDispatch.params, ...cut.first });
    encode(
      encoder,
      part.dispatches.map(dispatch => {
        const { copies = [], ...whole } = dispatches[dispatch.step]!;
        return { ...whole, groups: dispatch.groups, copies: isEnd(dispatch, whole.groups) ? copies : [] };
      }),
    );
    const isSteady = part.dispatches.every(({ step }) => dispatches[step]!.isSteady);
    const ended = pacer.begin(isSteady ? part.work : undefined);
    device.queue.submit([encoder.finish()]);
    if (cutDispatch) writeParams(cutDispatch, cutDispatch.params);
    done = device.queue.onSubmittedWorkDone().then(ended);
    // Where the device is lost all of them reject; the caller hears of the last one.
    done.catch(() => undefined);
  }
  return done;
}

/** Whether the grid of a dispatch ends with this part. */
const isEnd = ({ groups, first }: Dispatch, [x, y]: Workgroups): boolean =>
  !first || (first.first_x + groups[0] === x && first.first_y + groups[1] === y);

function writeParams({ uniforms, block, kernel }: WeightDispatch, params: ParamValues): void {
  uniforms.pack(block, kernel, params);
  uniforms.writeBlock(block);
}

function encode(encoder: GPUCommandEncoder, dispatches: readonly WeightDispatch[]): void {
  const begin = () => encoder.beginComputePass({ label: 'weights.change' });
  let pass = begin();
  for (const { bound, groups, copies = [] } of dispatches) {
    encodeDispatch(pass, bound, groups);
    if (copies.length === 0) continue;
    // A compute pass cannot contain a copy.
    pass.end();
    for (const { from, to, elements } of copies) copyToArrayTexture(encoder, from, to, elements);
    pass = begin();
  }
  pass.end();
}
