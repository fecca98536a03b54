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

/** Copies the first `elements` of a buffer: all whole lines, then the rest of the last one. */
export function copyToTexels(encoder: GPUCommandEncoder, buffer: GPUBuffer, texture: GPUTexture, elements: number) {
  const bytesPerRow = TEXELS * TEXEL_BYTES[texture.format as TexelFormat];
  const lines = Math.floor(elements / TEXELS);
  const rest = elements % TEXELS;
  if (lines) encoder.copyBufferToTexture({ buffer, bytesPerRow }, { texture }, [TEXELS, lines]);
  if (rest) {
    encoder.copyBufferToTexture({ buffer, bytesPerRow, offset: lines * bytesPerRow }, { texture, origin: [0, lines] }, [
      rest,
      1,
    ]);
  }
}
