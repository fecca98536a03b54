/**
 * What every kernel of this folder is: plain data. A kernel file exports one pure function from a small variant object to
 * a `Kernel`; nothing here touches a device.
 *
 * Dimension letters, everywhere in this project:
 *   T  tokens of one pass, all sequences packed one behind the other, no padding
 *   B  sequences of one pass           L  tokens of one sequence
 *   C  hidden size                     F  intermediate size
 *   H  attention heads                 D  size of one head
 *   K  inner dimension of a linear     N  its outputs
 * A row of any matrix is padded to a multiple of four floats, so that it can be read as vec4f; the padding is always zero.
 */

/** One storage buffer. Its place in the list is its @binding, after the uniform `params` at 0. */
export interface Binding {
  readonly name: string;
  readonly access: 'read' | 'write';
  /** WGSL type: `array<vec4f>`. */
  readonly type: string;
}

export interface Param {
  readonly name: string;
  readonly type: 'u32' | 'f32';
}

export type Workgroups = readonly [x: number, y: number, z: number];

export interface Kernel {
  /** Says the variant too, and labels the pipeline: `linear 384>1536 gelu`. */
  readonly name: string;
  /** The complete WGSL; the pipeline cache is keyed by it. */
  readonly code: string;
  readonly bindings: readonly Binding[];
  /** The fields of the uniform struct, each four bytes, in order. */
  readonly params: readonly Param[];
  /** The grid of one dispatch from the values of its params. */
  readonly workgroups: (params: Readonly<Record<string, number>>) => Workgroups;
}

/** The adapter, as far as a kernel's text may depend on it. Plain data. */
export interface Caps {
  /** Software adapters (SwiftShader, Mesa's llvmpipe) run on the CPU: barriers and loads are dear, invocations few. */
  readonly adapter: 'gpu' | 'swiftshader' | 'llvmpipe';
  /** Invocations per workgroup: 256, or 128 where the adapter says so. */
  readonly maxInvocations: number;
  readonly workgroupStorageBytes: number;
  readonly maxBindingBytes: number;
}

/** The WGSL of a list of bindings and params: the only place where either is spelled out. */
export function declarations(bindings: readonly Binding[], params: readonly Param[]): string {
  const fields = params.map(({ name, type }) => `${name}: ${type},`).join(' ');
  const buffers = bindings.map(
    ({ name, access, type }, i) =>
      `@group(0) @binding(${i + 1}) var<storage, ${access === 'read' ? 'read' : 'read_write'}> ${name}: ${type};`,
  );
  return [`struct Params { ${fields} }`, '@group(0) @binding(0) var<uniform> params: Params;', ...buffers].join('\n');
}

/** Writes the uniform struct of `kernel` at `byteOffset`. */
export function packParams(
  kernel: Pick<Kernel, 'params'>,
  values: Readonly<Record<string, number>>,
  view: DataView,
  byteOffset: number,
): void {
  kernel.params.forEach(({ name, type }, i) => {
    const value = values[name];
    if (value === undefined) throw new Error(`param ${name} has no value`);
    if (type === 'u32') view.setUint32(byteOffset + 4 * i, value, true);
    else view.setFloat32(byteOffset + 4 * i, value, true);
  });
}

export const read = (name: string, type = 'array<vec4f>'): Binding => ({ name, access: 'read', type });
export const write = (name: string, type = 'array<vec4f>'): Binding => ({ name, access: 'write', type });
export const u32 = (name: string): Param => ({ name, type: 'u32' });
export const f32 = (name: string): Param => ({ name, type: 'f32' });

/** Text repeated with an index: the unrolled parts of a kernel. */
export const each = (n: number, text: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => text(i)).join('\n');

/** A WGSL float literal: a template prints 1.0 as `1`, which WGSL takes for an integer. */
export function float(value: number): string {
  const text = String(value);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

/** A row's length with its padding: the next multiple of four. */
export const padded = (n: number): number => Math.ceil(n / 4) * 4;
