/**
 * A kernel is plain data. Each kernel file exports a pure function that makes a `Kernel` from a small variant object; nothing in this
 * folder touches a device.
 *
 * Dimension letters, everywhere in this project:
 *   T  tokens of one pass: all sequences, one after the other, without padding
 *   B  sequences of one pass           L  tokens of one sequence
 *   C  hidden size                     F  intermediate size
 *   H  attention heads                 D  size of one head
 *   K  inner dimension of a linear     N  its outputs
 * A row of any matrix is padded to a multiple of four numbers, so that it can be read as vec4f. The padding is always zero.
 */

/**
 * Where a texel load is cheaper than a load from a storage buffer, an array is read from a 2D texture of one of these kinds. A sampled
 * texture has levels, which llvmpipe looks up in each invocation; a read-only storage texture has none, but not every browser has it.
 */
export type TextureKind = 'sampled' | 'storage';

/** The format of a texture that stands for an array: one texel is one element. */
export type TexelFormat = 'rgba32float' | 'rgba16float' | 'r32uint';

/** One storage buffer or texture. Number i of a kernel's list is @binding(i + 1); @binding(0) is the uniform `params`. */
export interface Binding {
  readonly name: string;
  /** 'texel': an array in a texture, read by `${name}_at(i)`. `element` writes the right expression for each access. */
  readonly access: 'read' | 'write' | 'texel';
  /** The WGSL type, `array<vec4f>`, or the format of the texture. */
  readonly type: string;
  /** The kind of texture, where it is one. */
  readonly kind?: TextureKind;
}

/** Texels of one line of a texture that stands for an array. */
export const TEXELS = 2048;
/** Elements of the largest such array: every device has textures of 8,192 lines. */
export const MOST_TEXELS = TEXELS * 8192;

export const TEXEL_BYTES: Readonly<Record<TexelFormat, number>> = { rgba32float: 16, rgba16float: 8, r32uint: 4 };

/** Bytes of a texture that holds `elements`: it has whole lines, one at least. */
export const textureBytes = (format: TexelFormat, elements: number): number =>
  Math.max(1, Math.ceil(elements / TEXELS)) * TEXELS * TEXEL_BYTES[format];

export interface Param {
  readonly name: string;
  readonly type: 'u32' | 'f32';
}

export type Workgroups = readonly [x: number, y: number, z: number];

export interface Kernel {
  /** For people, with the variant: `linear 384>1536 gelu`. It labels the pipeline. */
  readonly name: string;
  /** The complete WGSL. The pipeline cache is keyed by it. */
  readonly code: string;
  readonly bindings: readonly Binding[];
  /** The fields of the uniform struct, each four bytes, in order. */
  readonly params: readonly Param[];
  /** The grid of one dispatch from the values of its params. */
  readonly workgroups: (params: Readonly<Record<string, number>>) => Workgroups;
}

/**
 * What the text of a kernel may use beyond what every WebGPU device has. Plain data: src/plan/profiles.ts makes it of what a device can
 * do and of what is fast there.
 */
export interface Target {
  /** Matrices, and q, k and v, are read from textures of this kind; undefined: from storage buffers. */
  readonly texture: TextureKind | undefined;
  /** Invocations of a subgroup, where every kernel on the device has the same number of them, and subgroup functions; else 0. */
  readonly subgroup: number;
  /** `enable f16`: halves are loaded as f16. Otherwise they are unpacked from u32. */
  readonly f16: boolean;
  /** dot4I8Packed multiplies four bytes at once. Otherwise bytes are converted to floats first. */
  readonly dot4I8: boolean;
}

/** The WGSL declarations of bindings and params: the only place where they are written. */
export function declarations(bindings: readonly Binding[], params: readonly Param[]): string {
  const fields = params.map(({ name, type }) => `${name}: ${type},`).join(' ');
  const operands = bindings.map(({ name, access, type, kind }, i) => {
    const at = `@group(0) @binding(${i + 1}) var`;
    if (access !== 'texel') return `${at}<storage, ${access === 'read' ? 'read' : 'read_write'}> ${name}: ${type};`;
    const [number, result, swizzle] = type === 'r32uint' ? ['u32', 'u32', '.x'] : ['f32', 'vec4f', ''];
    const [texture, level] = kind === 'storage' ? [`storage_2d<${type}, read>`, ''] : [`2d<${number}>`, ', 0'];
    return `${at} ${name}: texture_${texture};
fn ${name}_at(i: u32) -> ${result} { return textureLoad(${name}, vec2u(i & ${TEXELS - 1}u, i >> ${Math.log2(TEXELS)}u)${level})${swizzle}; }`;
  });
  return [`struct Params { ${fields} }`, '@group(0) @binding(0) var<uniform> params: Params;', ...operands].join('\n');
}

/** WGSL: element `index` of a binding. */
export const element = ({ name, access }: Binding, index: string): string =>
  access === 'texel' ? `${name}_at(${index})` : `${name}[${index}]`;

/** Writes the params of `kernel` into `view` from `byteOffset` on. Throws if a value is missing, which is a mistake in a plan. */
export function packParams(
  kernel: Pick<Kernel, 'name' | 'params'>,
  values: Readonly<Record<string, number>>,
  view: DataView,
  byteOffset: number,
): void {
  kernel.params.forEach(({ name, type }, i) => {
    const value = values[name];
    if (value === undefined) throw new Error(`the kernel "${kernel.name}" got no value for its param "${name}"`);
    view[type === 'u32' ? 'setUint32' : 'setFloat32'](byteOffset + 4 * i, value, true);
  });
}

export const read = (name: string, type = 'array<vec4f>'): Binding => ({ name, access: 'read', type });
export const write = (name: string, type = 'array<vec4f>'): Binding => ({ name, access: 'write', type });
export const texel = (name: string, type: TexelFormat, kind: TextureKind): Binding => ({
  name,
  access: 'texel',
  type,
  kind,
});
export const u32 = (name: string): Param => ({ name, type: 'u32' });
export const f32 = (name: string): Param => ({ name, type: 'f32' });

/**
 * The params of a kernel whose grid may be dispatched in parts: the first workgroup of this part in the whole grid. No result depends
 * on the parts.
 */
export const FIRST_GROUP: readonly Param[] = [u32('first_x'), u32('first_y')];
/** Their values for the whole grid. */
export const WHOLE_GRID = { first_x: 0, first_y: 0 } as const;

/** A row's length with its padding: the next multiple of four. */
export const padded = (n: number): number => Math.ceil(n / 4) * 4;
