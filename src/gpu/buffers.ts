import { BufferUsage } from './flags.ts';

/** A buffer for one use, which the host may write; storage may be copied from, too. */
export function createBuffer(
  device: GPUDevice,
  label: string,
  bytes: number,
  use: 'STORAGE' | 'UNIFORM' | 'MAP_READ' = 'STORAGE',
): GPUBuffer {
  const { [use]: own, COPY_DST, COPY_SRC } = BufferUsage;
  const usage = own | COPY_DST | (use === 'STORAGE' ? COPY_SRC : 0);
  return device.createBuffer({ label, size: Math.ceil(bytes / 4) * 4, usage });
}
