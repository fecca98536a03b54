import { TEXEL_BYTES, TEXELS, type TexelFormat } from '../../shaders/kernel.ts';
import { TextureUsage } from './flags.ts';

/** Makes a texture that stands for an array of so many elements, zeros at first: see `texel` in shaders/kernel.ts. */
export function createArrayTexture(
  device: GPUDevice,
  label: string,
  format: TexelFormat,
  elements: number,
): GPUTexture {
  return device.createTexture({
    label,
    format,
    size: [TEXELS, Math.max(1, Math.ceil(elements / TEXELS))],
    usage: TextureUsage.TEXTURE_BINDING | TextureUsage.STORAGE_BINDING | TextureUsage.COPY_DST | TextureUsage.COPY_SRC,
  });
}

/**
 * Records the copy of the first `elements` of a buffer to the elements of a texture from `start` on. A copy is a rectangle, so it takes
 * up to three: the rest of the line that `start` is in, all whole lines, and the beginning of the last line.
 */
export function copyToArrayTexture(
  encoder: GPUCommandEncoder,
  buffer: GPUBuffer,
  texture: GPUTexture,
  elements: number,
  start = 0,
): void {
  const elementBytes = TEXEL_BYTES[texture.format as TexelFormat];
  const bytesPerRow = TEXELS * elementBytes;
  for (let copied = 0; copied < elements; ) {
    const column = (start + copied) % TEXELS;
    const remaining = elements - copied;
    const wholeLines = column === 0 ? Math.floor(remaining / TEXELS) : 0;
    const width = wholeLines ? TEXELS : Math.min(TEXELS - column, remaining);
    const height = Math.max(1, wholeLines);
    const origin = [column, Math.floor((start + copied) / TEXELS)];
    const source = { buffer, bytesPerRow, offset: copied * elementBytes };
    encoder.copyBufferToTexture(source, { texture, origin }, [width, height]);
    copied += width * height;
  }
}

/** Records the copy of the first `elements` of such a texture to a buffer. */
export function copyFromArrayTexture(
  encoder: GPUCommandEncoder,
  texture: GPUTexture,
  buffer: GPUBuffer,
  elements: number,
): void {
  const elementBytes = TEXEL_BYTES[texture.format as TexelFormat];
  const bytesPerRow = TEXELS * elementBytes;
  const lines = Math.floor(elements / TEXELS);
  const rest = elements % TEXELS;
  if (lines) encoder.copyTextureToBuffer({ texture }, { buffer, bytesPerRow }, [TEXELS, lines]);
  if (!rest) return;
  const target = { buffer, bytesPerRow, offset: lines * bytesPerRow };
  encoder.copyTextureToBuffer({ texture, origin: [0, lines] }, target, [rest, 1]);
}
