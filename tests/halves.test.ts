import { expect, test } from 'vitest';
import { floatsToBrains, floatsToHalves, halvesToFloats } from '../src/halves.ts';

const all = Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits);
/** NaN has many bits, of which files keep one. */
const isNumber = (bits: number, exponent: number) => (bits & 0x7fff) <= exponent;

/** The value of binary16 by its definition. */
function valueOfHalf(bits: number): number {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : (fraction / 1024) * 2 ** -14);
}

test('every half is the number that its bits say, and comes back as itself', () => {
  const floats = halvesToFloats(all);
  const back = floatsToHalves(floats);
  for (const bits of all) {
    expect(Object.is(floats[bits], Math.fround(valueOfHalf(bits)))).toBe(true);
    if (isNumber(bits, 0x7c00)) expect(back[bits]).toBe(bits);
    else expect(back[bits]! & 0x7fff).toBeGreaterThan(0x7c00);
  }
});

/** The float32 before and after a positive one. */
function neighbours(value: number): [below: number, above: number] {
  const floats = Float32Array.of(value, value);
  const words = new Uint32Array(floats.buffer);
  words[0]! -= 1;
  words[1]! += 1;
  return [floats[0]!, floats[1]!];
}

test('halves are rounded to nearest, and to the even one of two as near', () => {
  for (let bits = 0; bits < 0x7bff; bits++) {
    // Exact in float64, and in float32: the middle of two halves has one bit more.
    const middle = (valueOfHalf(bits) + valueOfHalf(bits + 1)) / 2;
    const [below, above] = neighbours(middle);
    const even = bits % 2 === 0 ? bits : bits + 1;
    const numbers = Float32Array.of(below, middle, above, -below, -middle, -above);
    expect([...floatsToHalves(numbers)]).toEqual([
      bits,
      even,
      bits + 1,
      ...[bits, even, bits + 1].map(b => b | 0x8000),
    ]);
  }
  // 65520 is in the middle of the largest half and the next one, which there is not; 2^-149 is the smallest float32.
  const extremes = Float32Array.of(neighbours(65520)[0], 65520, 3e38, -3e38, 2 ** -149, -(2 ** -149), -0);
  expect([...floatsToHalves(extremes)]).toEqual([0x7bff, 0x7c00, 0x7c00, 0xfc00, 0, 0x8000, 0x8000]);
});

test('bfloat16 is the upper half of a float32, rounded to nearest even', () => {
  const value = (bits: number) => new Float32Array(Uint32Array.of(bits).buffer)[0]!;
  for (const bits of all) {
    const [back] = floatsToBrains(Float32Array.of(value(bits << 16)));
    if (isNumber(bits, 0x7f80)) expect(back).toBe(bits);
    else expect(back! & 0x7fff).toBeGreaterThan(0x7f80);
  }
  for (let bits = 0; bits < 0x7f80; bits += 7) {
    const low = [0x7fff, 0x8000, 0x8001].map(rest => value(((bits << 16) | rest) >>> 0));
    const even = bits % 2 === 0 ? bits : bits + 1;
    expect([...floatsToBrains(Float32Array.from(low))]).toEqual([bits, even, bits + 1]);
  }
});

test('a part of a larger array is read at its place', () => {
  const numbers = Float32Array.of(9, 1, 2).subarray(1);
  expect([...floatsToHalves(numbers)]).toEqual([0x3c00, 0x4000]);
  expect([...floatsToBrains(numbers)]).toEqual([0x3f80, 0x4000]);
});
