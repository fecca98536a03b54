/**
 * Flags of WebGPU, by the numbers that its specification gives them. The globals (GPUBufferUsage and others) are missing where a
 * package provides the device, as in Node.
 */
export const BufferUsage = { MAP_READ: 0x1, COPY_SRC: 0x4, COPY_DST: 0x8, UNIFORM: 0x40, STORAGE: 0x80 } as const;
export const TextureUsage = { COPY_SRC: 0x1, COPY_DST: 0x2, TEXTURE_BINDING: 0x4, STORAGE_BINDING: 0x8 } as const;
export const MapMode = { READ: 0x1 } as const;
