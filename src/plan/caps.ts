/** What computes: a graphics card, or the CPU by way of a software adapter. `kindOf` (src/gpu/device.ts) tells it. */
export type AdapterKind = 'gpu' | 'swiftshader' | 'llvmpipe';

/** What a device is and can do: facts and limits, as plain data. What is chosen for it is a `Profile`: see profiles.ts. */
export interface Caps {
  readonly adapter: AdapterKind;
  /** Invocations of one workgroup, in a row: 256, or 128 in WebGPU's compatibility mode. */
  readonly maxInvocations: number;
  /** Bytes of one storage binding; no buffer is larger either. */
  readonly maxBindingBytes: number;
  /** Invocations of a subgroup, where the device has subgroup functions and all kernels the same number; else 0. */
  readonly subgroup: number;
  /** The device feature shader-f16. */
  readonly f16: boolean;
  /** The language feature packed_4x8_integer_dot_product. */
  readonly dot4I8: boolean;
  /** The language feature readonly_and_readwrite_storage_textures: a storage texture can be read. */
  readonly storageTextures: boolean;
}

/** A graphics card as most are, for sizes that are asked for without a device: it binds 2 GiB. */
export const USUAL_GPU: Caps = {
  adapter: 'gpu',
  maxInvocations: 256,
  maxBindingBytes: 2 ** 31 - 4,
  subgroup: 0,
  f16: false,
  dot4I8: false,
  storageTextures: false,
};
