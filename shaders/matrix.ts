import { type Binding, element, padded, read, type Target, TEXEL_BYTES, type TexelFormat, texel } from './kernel.ts';

/**
 * The format in which a matrix is stored. An element is what one load reads: four neighbouring numbers of a row.
 *   f32  vec4f                     f16  four halves          i8  four signed bytes in a u32
 *
 * A row of i8 is divided into groups of 64 numbers (the last may have fewer): up to 16 elements of bytes, then one element with the bits
 * of their float32 scale. number = byte * scale (symmetric quantization: Jacob et al., arXiv 1712.05877). One scale for a whole row would
 * be set by its largest number: on all-MiniLM-L6-v2 the smallest cosine with float64 is then 0.984, and 0.997 with groups. The scales
 * lie between the bytes so that a matrix is one binding in every format.
 */
export type Format = 'f32' | 'f16' | 'i8';

/** Elements of a group of i8, without its scale. */
export const GROUP = 16;
const groups = (columns4: number): number => Math.ceil(columns4 / GROUP);

/** Elements of a row of `columns` numbers. */
export function rowElements(format: Format, columns: number): number {
  const columns4 = padded(columns) / 4;
  return columns4 + (format === 'i8' ? groups(columns4) : 0);
}

/** WGSL: the element of a row of i8 that has the scale of `group`. The bytes of the group begin at element group * 17. */
export const scaleAt = (columns4: string | number, group: string): string =>
  `(min(${GROUP}u * (${group}) + ${GROUP}u, u32(${columns4})) + (${group}))`;

export const TEXEL_FORMATS: Record<Format, TexelFormat> = { f32: 'rgba32float', f16: 'rgba16float', i8: 'r32uint' };

export const elementBytes = (format: Format): number => TEXEL_BYTES[TEXEL_FORMATS[format]];

/** The binding that a kernel reads a matrix of this format from. */
export function matrix(name: string, format: Format, target: Pick<Target, 'texture' | 'f16'>): Binding {
  if (target.texture) return texel(name, TEXEL_FORMATS[format], target.texture);
  if (format === 'f16') return read(name, target.f16 ? 'array<vec4<f16>>' : 'array<vec2u>');
  return read(name, format === 'f32' ? 'array<vec4f>' : 'array<u32>');
}

/** WGSL that must be first in a kernel with these bindings. */
export const enables = (bindings: readonly Binding[]): string =>
  bindings.some(({ type }) => type.includes('<f16>')) ? 'enable f16;' : '';

/** WGSL: an element of f32 or f16 as vec4f, or an element of i8 as u32. Needs `matrixFunctions`. */
export function load(binding: Binding, index: string): string {
  const raw = element(binding, index);
  if (binding.type.includes('<f16>')) return `vec4f(${raw})`;
  return binding.type === 'array<vec2u>' ? `halves(${raw})` : raw;
}

/** WGSL: the functions that `load` calls, and `signed4`, which unpacks four bytes. */
export function matrixFunctions(format: Format, bindings: readonly Binding[]): string {
  if (format === 'i8') {
    return 'fn signed4(word: u32) -> vec4i { return bitcast<vec4i>(vec4u(word) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(24u); }';
  }
  return bindings.some(({ type }) => type === 'array<vec2u>')
    ? 'fn halves(pair: vec2u) -> vec4f { return vec4f(unpack2x16float(pair.x), unpack2x16float(pair.y)); }'
    : '';
}
