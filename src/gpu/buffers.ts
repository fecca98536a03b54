import { BufferUsage } from './flags.ts';

/** Makes a buffer that the host can write, zeros at first. A storage buffer can be copied from, too. Its size is a multiple of four. */
export function createBuffer(
  device: GPUDevice,
  label: string,
  bytes: number,
  use: 'STORAGE' | 'UNIFORM' | 'MAP_READ' = 'STORAGE',
): GPUBuffer {
  const usage = BufferUsage[use] | BufferUsage.COPY_DST | (use === 'STORAGE' ? BufferUsage.COPY_SRC : 0);
  return device.createBuffer({ label, size: Math.ceil(bytes / 4) * 4, usage });
}
