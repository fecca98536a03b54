import { TEXEL_BYTES, TEXELS, type TexelFormat } from '../../shaders/kernel.ts';
import { TextureUsage } from './flags.ts';

/** A texture that stands for an array of elements: see shaders/kernel.ts. */
export function createTexels(device: GPUDevice, label: string, format: TexelFormat, elements: number): GPUTexture {
  const size = [TEXELS, Math.max(1, Math.ceil(elements / TEXELS))];
  return device.createTexture({
    label,
    format,
    size,
    usage: TextureUsage.TEXTURE_BINDING | TextureUsage.STORAGE_BINDING | TextureUsage.COPY_DST,
  });
}

/**
 * Copies the first `elements` of a buffer to those of a texture from `at` on: the rest of the line that `at` stands in, whole lines,
 * and the beginning of the last one.
 */
export function copyToTexels(
  encoder: GPUCommandEncoder,
  buffer: GPUBuffer,
  texture: GPUTexture,
  elements: number,
  at = 0,
): void {
  const elementBytes = TEXEL_BYTES[texture.format as TexelFormat];
  const bytesPerRow = TEXELS * elementBytes;
  for (let done = 0; done < elements; ) {
    const column = (at + done) % TEXELS;
    const left = elements - done;
    const lines = column === 0 ? Math.floor(left / TEXELS) : 0;
    const width = lines ? TEXELS : Math.min(TEXELS - column, left);
    const origin = [column, Math.floor((at + done) / TEXELS)];
    encoder.copyBufferToTexture({ buffer, bytesPerRow, offset: done * elementBytes }, { texture, origin }, [
      width,
      Math.max(1, lines),
    ]);
    done += width * Math.max(1, lines);
  }
}
