import { padded } from '../shaders/kernel.ts';
import { type Format, GROUP, rowElements } from '../shaders/matrix.ts';
import type { Numbers } from './dispatch.ts';

const bits = new DataView(new ArrayBuffer(4));

/** The half nearest to a number, ties to even, and what it stands for: IEEE 754 binary16. */
export function half(value: number): { bits: number; value: number } {
  const size = Math.abs(value);
  const exponent = Math.max(-14, Math.floor(Math.log2(size || 1)));
  const unit = 2 ** (exponent - 10);
  const steps = size / unit;
  const floor = Math.floor(steps);
  const rest = steps - floor;
  const whole = rest > 0.5 || (rest === 0.5 && floor % 2) ? floor + 1 : floor;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  // A mantissa that is rounded up to 2^11 carries into the exponent by itself.
  const encoded = exponent === -14 ? whole : ((exponent + 14) << 10) + whole;
  return { bits: sign | encoded, value: Math.sign(value) * whole * unit };
}

/** Rows of a matrix in a format, as shaders/matrix.ts says, made on the CPU; and the numbers that they stand for. */
export function packRows(
  from: Float32Array,
  columns: number,
  format: Format,
  rows = from.length / columns,
): { operand: Numbers; values: Float32Array<ArrayBuffer> } {
  const C = padded(columns);
  const count = from.length / columns;
  const values = Float32Array.from(from);
  if (format === 'f16') {
    const operand = new Uint16Array(rows * C);
    for (let r = 0; r < count; r++) {
      for (let c = 0; c < columns; c++) {
        const packed = half(from[r * columns + c]!);
        operand[r * C + c] = packed.bits;
        values[r * columns + c] = packed.value;
      }
    }
    return { operand, values };
  }
  if (format === 'f32') {
    const operand = new Float32Array(rows * C);
    for (let r = 0; r < count; r++) operand.set(from.subarray(r * columns, (r + 1) * columns), r * C);
    return { operand, values };
  }
  const stride = rowElements('i8', columns);
  const operand = new Uint32Array(rows * stride);
  const bytes = new Uint8Array(operand.buffer);
  for (let r = 0; r < count; r++) {
    for (let g = 0; g * GROUP * 4 < C; g++) {
      const begin = r * columns + g * GROUP * 4;
      const numbers = from.subarray(begin, Math.min(begin + GROUP * 4, (r + 1) * columns));
      const top = Math.max(...numbers.map(Math.abs));
      const scale = Math.fround(top / 127);
      const at = r * stride + g * (GROUP + 1);
      numbers.forEach((value, i) => {
        const byte = top ? Math.round(value / scale) : 0;
        bytes[at * 4 + i] = byte;
        values[begin + i] = byte * scale;
      });
      bits.setFloat32(0, scale);
      operand[at + Math.min(GROUP, C / 4 - g * GROUP)] = bits.getUint32(0);
    }
  }
  return { operand, values };
}
