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

/** A rectangle of such a texture that is a run of elements. */
interface Rectangle {
  readonly origin: [column: number, line: number];
  readonly size: [width: number, height: number];
  /** Elements of the run that come before it. */
  readonly before: number;
}

/** `elements` from element `start` on as rectangles, up to three: the rest of a line, all whole lines, and the beginning of the last line. */
function* rectanglesOf(start: number, elements: number): Generator<Rectangle> {
  for (let before = 0; before < elements; ) {
    const column = (start + before) % TEXELS;
    const remaining = elements - before;
    const wholeLines = column === 0 ? Math.floor(remaining / TEXELS) : 0;
    const width = wholeLines ? TEXELS : Math.min(TEXELS - column, remaining);
    const height = Math.max(1, wholeLines);
    yield { origin: [column, Math.floor((start + before) / TEXELS)], size: [width, height], before };
    before += width * height;
  }
}

/** How the elements of a rectangle lie in a buffer. */
function inBuffer(buffer: GPUBuffer, { format }: GPUTexture, { before }: Rectangle): GPUTexelCopyBufferInfo {
  const elementBytes = TEXEL_BYTES[format as TexelFormat];
  return { buffer, bytesPerRow: TEXELS * elementBytes, offset: before * elementBytes };
}

/** Records the copy of the first `elements` of a buffer to the elements of a texture from `start` on. */
export function copyToArrayTexture(
  encoder: GPUCommandEncoder,
  buffer: GPUBuffer,
  texture: GPUTexture,
  elements: number,
  start = 0,
): void {
  for (const rectangle of rectanglesOf(start, elements)) {
    const { origin, size } = rectangle;
    encoder.copyBufferToTexture(inBuffer(buffer, texture, rectangle), { texture, origin }, size);
  }
}

/** Records the copy of `elements` of such a texture, from `start` on, to the beginning of a buffer. */
export function copyFromArrayTexture(
  encoder: GPUCommandEncoder,
  texture: GPUTexture,
  buffer: GPUBuffer,
  elements: number,
  start = 0,
): void {
  for (const rectangle of rectanglesOf(start, elements)) {
    const { origin, size } = rectangle;
    encoder.copyTextureToBuffer({ texture, origin }, inBuffer(buffer, texture, rectangle), size);
  }
}
